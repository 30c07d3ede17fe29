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

#include <memory>
#include <stdexcept>
#include <string>

char *sw_copy_text(const std::string &text);

struct sw_parquet_writer {
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<arrow::io::FileOutputStream> file;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
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
