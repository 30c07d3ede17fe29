// What the sources of this target share; not seen by others.
#pragma once

#include "arrow_shim.h"

#include <arrow/c/bridge.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <parquet/metadata.h>
#include <parquet/page_index.h>
#include <parquet/properties.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

char *sw_copy_text(const std::string &text);

namespace sw {
struct Chunk;

/// What Arrow's writer writes to: the file, or its end where another footer takes the place of the writer's own.
class WriterEnd : public arrow::io::OutputStream {
 public:
  explicit WriterEnd(std::shared_ptr<arrow::io::FileOutputStream> file) : file_(std::move(file)) {}
  arrow::Status Close() override;
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override;
  arrow::Status Write(const void *bytes, int64_t count) override;
  using arrow::io::OutputStream::Write;

  /// From now on what may be the footer does not go to the file.
  void hold_footer() { holds_ = true; }
  /// Writes what was before the footer.
  void drop_footer();

 private:
  std::shared_ptr<arrow::io::FileOutputStream> file_;
  bool closed_ = false, holds_ = false;
  /// A footer comes in three parts: its body, its length, and the magic number.
  std::array<std::string, 3> held_;
};

/// The row groups of a file that are put together from column chunks. They come before those of Arrow's writer.
class ChunkFile {
 public:
  ChunkFile(std::shared_ptr<arrow::io::FileOutputStream> file, std::shared_ptr<parquet::SchemaDescriptor> leaves,
            std::shared_ptr<parquet::WriterProperties> properties);
  ~ChunkFile();

  const parquet::SchemaDescriptor &leaves() const { return *leaves_; }
  void begin_group(int64_t rows);
  /// The chunks of a group come in the order of the columns.
  void append(const Chunk &chunk);
  void end_group();
  /// A key and value of the footer.
  void add_pair(std::string key, std::string value) { pairs_.emplace_back(std::move(key), std::move(value)); }
  /// Writes the footer for these row groups and for those of `appended`, whose footer was dropped.
  void finish(const parquet::FileMetaData &appended);

 private:
  void state(parquet::ColumnChunkMetaDataBuilder *out, const Chunk &chunk, int64_t start);
  void write_footer(const std::shared_ptr<const arrow::KeyValueMetadata> &known);

  std::shared_ptr<arrow::io::FileOutputStream> file_;
  std::shared_ptr<parquet::SchemaDescriptor> leaves_;
  std::shared_ptr<parquet::WriterProperties> properties_;
  std::unique_ptr<parquet::FileMetaDataBuilder> footer_;
  std::unique_ptr<parquet::PageIndexBuilder> index_;
  parquet::RowGroupMetaDataBuilder *group_ = nullptr;
  std::vector<std::pair<std::string, std::string>> pairs_;
  int groups_ = 0, column_ = 0;
  int64_t group_bytes_ = 0;
};
}  // namespace sw

struct sw_parquet_writer {
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<arrow::io::FileOutputStream> file;
  std::shared_ptr<parquet::WriterProperties> properties;
  std::shared_ptr<sw::WriterEnd> end;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
  /// Rows have gone to `writer`.
  bool has_rows = false;
  /// Of a file that was made from another one.
  std::unique_ptr<sw::ChunkFile> chunks;
};

struct sw_parquet_reader {
  std::shared_ptr<arrow::io::RandomAccessFile> file;
  std::unique_ptr<parquet::arrow::FileReader> reader;
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<arrow::RecordBatchReader> batches;
  /// Of the statistics that were asked for last.
  std::string lower, upper, leaf_lower, leaf_upper;
};

namespace sw {
/// The message, and the system's reason where Arrow keeps it apart.
inline std::string text(const arrow::Status &status) {
  return status.detail() ? status.message() + ": " + status.detail()->ToString() : status.message();
}

inline void check(const arrow::Status &status) {
  if (!status.ok()) throw std::runtime_error(text(status));
}

template <typename T>
T check(arrow::Result<T> result) {
  if (!result.ok()) throw std::runtime_error(text(result.status()));
  return std::move(result).ValueOrDie();
}

/// Runs `body`; turns whatever it throws into `*error` and `failed`.
template <typename R, typename F>
R guarded(char **error, R failed, F body) noexcept {
  try {
    return body();
  } catch (const std::exception &e) {
    if (error) *error = sw_copy_text(e.what());
  } catch (...) {
    if (error) *error = sw_copy_text("unknown C++ exception");
  }
  return failed;
}

/// Whether all data pages of a leaf column refer to dictionaries.
bool is_dictionary_encoded(const parquet::FileMetaData &metadata, int leaf);
}  // namespace sw
