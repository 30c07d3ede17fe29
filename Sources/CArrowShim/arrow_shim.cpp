#include "arrow_shim.h"

#include <cstdlib>
#include <cstring>
#include <string>

namespace {
char *copy_text(const std::string &text) {
  char *out = static_cast<char *>(std::malloc(text.size() + 1));
  if (out) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}
}  // namespace

extern "C" void sw_error_free(char *error) { std::free(error); }

#if __has_include(<parquet/arrow/writer.h>)

#include <arrow/c/bridge.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <arrow/util/config.h>
#include <arrow/util/key_value_metadata.h>
#include <fcntl.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <vector>

struct sw_parquet_writer {
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<arrow::io::FileOutputStream> file;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
};

struct sw_parquet_reader {
  std::unique_ptr<parquet::arrow::FileReader> reader;
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<arrow::RecordBatchReader> batches;
};

namespace {
/// The message, and the system's reason where Arrow keeps it apart.
std::string text(const arrow::Status &status) {
  return status.detail() ? status.message() + ": " + status.detail()->ToString() : status.message();
}

void check(const arrow::Status &status) {
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
    if (error) *error = copy_text(e.what());
  } catch (...) {
    if (error) *error = copy_text("unknown C++ exception");
  }
  return failed;
}

void release(struct ArrowSchema *schema) {
  if (schema && schema->release) schema->release(schema);
}
void release(struct ArrowArray *array) {
  if (array && array->release) array->release(array);
}

arrow::Compression::type codec(enum sw_parquet_codec c) {
  switch (c) {
    case SW_PARQUET_NONE: return arrow::Compression::UNCOMPRESSED;
    case SW_PARQUET_SNAPPY: return arrow::Compression::SNAPPY;
    case SW_PARQUET_ZSTD: return arrow::Compression::ZSTD;
    case SW_PARQUET_GZIP: return arrow::Compression::GZIP;
    case SW_PARQUET_LZ4: return arrow::Compression::LZ4;
  }
  throw std::runtime_error("unknown codec number " + std::to_string(static_cast<int>(c)));
}
}  // namespace

extern "C" const char *sw_parquet_version(void) { return ARROW_VERSION_STRING; }

extern "C" sw_parquet_writer *sw_parquet_writer_open(const char *path, struct ArrowSchema *schema,
                                                     const sw_parquet_options *options, char **error) {
  auto *out = guarded(error, static_cast<sw_parquet_writer *>(nullptr), [&] {
    auto writer = std::make_unique<sw_parquet_writer>();
    writer->schema = check(arrow::ImportSchema(schema));
    parquet::WriterProperties::Builder properties;
    properties.compression(codec(options->codec));
    if (!options->dictionary) properties.disable_dictionary();
    for (int64_t i = 0; i < options->plain_column_count; ++i) properties.disable_dictionary(options->plain_columns[i]);
    if (options->dictionary_bytes > 0) properties.dictionary_pagesize_limit(options->dictionary_bytes);
    if (options->row_group_rows > 0) properties.max_row_group_length(options->row_group_rows);
    int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) throw std::runtime_error(std::string("cannot create ") + path + ": " + std::strerror(errno));
    writer->file = check(arrow::io::FileOutputStream::Open(fd));
    writer->writer = check(parquet::arrow::FileWriter::Open(*writer->schema, arrow::default_memory_pool(), writer->file,
                                                            properties.build(), parquet::default_arrow_writer_properties()));
    return writer.release();
  });
  release(schema);
  return out;
}

extern "C" bool sw_parquet_writer_write(sw_parquet_writer *writer, struct ArrowArray *rows, char **error) {
  bool done = guarded(error, false, [&] {
    auto batch = check(arrow::ImportRecordBatch(rows, writer->schema));
    check(writer->writer->WriteRecordBatch(*batch));
    return true;
  });
  release(rows);
  return done;
}

extern "C" bool sw_parquet_writer_end_row_group(sw_parquet_writer *writer, char **error) {
  return guarded(error, false, [&] {
    check(writer->writer->NewBufferedRowGroup());
    return true;
  });
}

extern "C" int64_t sw_parquet_writer_bytes(const sw_parquet_writer *writer) {
  auto position = writer->file->Tell();
  return position.ok() ? *position : 0;
}

extern "C" bool sw_parquet_writer_metadata(sw_parquet_writer *writer, const char *key, const char *value, int64_t value_length,
                                           char **error) {
  return guarded(error, false, [&] {
    auto pairs = arrow::key_value_metadata({key}, {std::string(value, static_cast<size_t>(value_length))});
    check(writer->writer->AddKeyValueMetadata(pairs));
    return true;
  });
}

extern "C" bool sw_parquet_writer_close(sw_parquet_writer *writer, int64_t *bytes, char **error) {
  return guarded(error, false, [&] {
    check(writer->writer->Close());
    check(writer->file->Flush());
    *bytes = check(writer->file->Tell());
    check(writer->file->Close());
    return true;
  });
}

extern "C" void sw_parquet_writer_free(sw_parquet_writer *writer) {
  guarded(nullptr, false, [&] {
    delete writer;
    return true;
  });
}

extern "C" sw_parquet_reader *sw_parquet_reader_open(const char *path, char **error) {
  return guarded(error, static_cast<sw_parquet_reader *>(nullptr), [&] {
    auto reader = std::make_unique<sw_parquet_reader>();
    auto file = check(arrow::io::ReadableFile::Open(path));
    // Buffered reading and no prefetch: a page at a time in memory, not whole row groups.
    parquet::ReaderProperties properties(arrow::default_memory_pool());
    properties.enable_buffered_stream();
    properties.set_buffer_size(1 << 18);
    parquet::ArrowReaderProperties arrow_properties(false);
    arrow_properties.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(file, properties));
    builder.properties(arrow_properties);
    check(builder.Build(&reader->reader));
    check(reader->reader->GetSchema(&reader->schema));
    return reader.release();
  });
}

namespace {
/// A file behind calls.
class CalledFile : public arrow::io::RandomAccessFile {
 public:
  explicit CalledFile(const sw_parquet_source &source) : source_(source) {}
  ~CalledFile() override { source_.release(source_.context); }

  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Seek(int64_t position) override {
    position_ = position;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> GetSize() override { return source_.bytes; }
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t count, void *out) override {
    int64_t done = source_.read(source_.context, position, count, out);
    if (done < 0) return arrow::Status::IOError("the read failed");
    return done;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t count) override {
    count = std::max<int64_t>(0, std::min(count, source_.bytes - position));
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(count));
    ARROW_ASSIGN_OR_RAISE(int64_t done, ReadAt(position, count, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(done));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }
  arrow::Result<int64_t> Read(int64_t count, void *out) override {
    ARROW_ASSIGN_OR_RAISE(int64_t done, ReadAt(position_, count, out));
    position_ += done;
    return done;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t count) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(position_, count));
    position_ += buffer->size();
    return buffer;
  }

 private:
  sw_parquet_source source_;
  int64_t position_ = 0;
  bool closed_ = false;
};
}  // namespace

extern "C" sw_parquet_reader *sw_parquet_reader_open_source(const sw_parquet_source *source, char **error) {
  return guarded(error, static_cast<sw_parquet_reader *>(nullptr), [&] {
    auto file = std::make_shared<CalledFile>(*source);
    auto reader = std::make_unique<sw_parquet_reader>();
    parquet::ReaderProperties properties(arrow::default_memory_pool());
    parquet::ArrowReaderProperties arrow_properties(false);
    // Neighbouring column chunks come with one read, when the first of them is needed.
    arrow_properties.set_pre_buffer(true);
    arrow_properties.set_cache_options(arrow::io::CacheOptions::LazyDefaults());
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(file, properties));
    builder.properties(arrow_properties);
    check(builder.Build(&reader->reader));
    check(reader->reader->GetSchema(&reader->schema));
    return reader.release();
  });
}

extern "C" int64_t sw_parquet_reader_rows(const sw_parquet_reader *reader) {
  return reader->reader->parquet_reader()->metadata()->num_rows();
}

extern "C" bool sw_parquet_reader_schema(sw_parquet_reader *reader, struct ArrowSchema *out, char **error) {
  return guarded(error, false, [&] {
    check(arrow::ExportSchema(*reader->schema, out));
    return true;
  });
}

extern "C" const char *sw_parquet_reader_metadata(const sw_parquet_reader *reader, const char *key, int64_t *length) {
  auto pairs = reader->reader->parquet_reader()->metadata()->key_value_metadata();
  if (!pairs) return nullptr;
  int at = pairs->FindKey(key);
  if (at < 0) return nullptr;
  *length = static_cast<int64_t>(pairs->value(at).size());
  return pairs->value(at).data();
}

namespace {
void collect_leaves(const parquet::arrow::SchemaField &field, std::vector<int> *out) {
  if (field.column_index >= 0) out->push_back(field.column_index);
  for (const auto &child : field.children) collect_leaves(child, out);
}
}  // namespace

extern "C" bool sw_parquet_reader_start(sw_parquet_reader *reader, const int32_t *columns, int64_t column_count,
                                        int64_t batch_rows, char **error) {
  return guarded(error, false, [&] {
    std::vector<int> leaves, groups;
    const auto &fields = reader->reader->manifest().schema_fields;
    for (int64_t i = 0; i < column_count; ++i) collect_leaves(fields.at(static_cast<size_t>(columns[i])), &leaves);
    for (int i = 0; i < reader->reader->num_row_groups(); ++i) groups.push_back(i);
    reader->reader->set_batch_size(batch_rows);
    reader->batches = check(reader->reader->GetRecordBatchReader(groups, leaves));
    return true;
  });
}

extern "C" int sw_parquet_reader_next(sw_parquet_reader *reader, struct ArrowArray *out, char **error) {
  return guarded(error, -1, [&] {
    std::shared_ptr<arrow::RecordBatch> batch;
    do {
      check(reader->batches->ReadNext(&batch));
    } while (batch && batch->num_rows() == 0);
    if (!batch) return 0;
    check(arrow::ExportRecordBatch(*batch, out));
    return 1;
  });
}

extern "C" void sw_parquet_reader_free(sw_parquet_reader *reader) {
  guarded(nullptr, false, [&] {
    delete reader;
    return true;
  });
}

#else

// The Arrow C Data Interface as its specification defines it; only `release` is used.
struct ArrowSchema {
  const char *format, *name, *metadata;
  int64_t flags, n_children;
  struct ArrowSchema **children, *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};
struct ArrowArray {
  int64_t length, null_count, offset, n_buffers, n_children;
  const void **buffers;
  struct ArrowArray **children, *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

namespace {
void release(struct ArrowSchema *schema) {
  if (schema && schema->release) schema->release(schema);
}
void release(struct ArrowArray *array) {
  if (array && array->release) array->release(array);
}

template <typename R>
R missing(char **error, R failed) {
  if (error) *error = copy_text("built without Parquet");
  return failed;
}
}  // namespace

struct sw_parquet_writer {};
struct sw_parquet_reader {};

extern "C" const char *sw_parquet_version(void) { return nullptr; }
extern "C" sw_parquet_writer *sw_parquet_writer_open(const char *, struct ArrowSchema *schema, const sw_parquet_options *,
                                                     char **error) {
  release(schema);
  return missing(error, static_cast<sw_parquet_writer *>(nullptr));
}
extern "C" bool sw_parquet_writer_write(sw_parquet_writer *, struct ArrowArray *rows, char **error) {
  release(rows);
  return missing(error, false);
}
extern "C" bool sw_parquet_writer_end_row_group(sw_parquet_writer *, char **error) { return missing(error, false); }
extern "C" int64_t sw_parquet_writer_bytes(const sw_parquet_writer *) { return 0; }
extern "C" bool sw_parquet_writer_metadata(sw_parquet_writer *, const char *, const char *, int64_t, char **error) {
  return missing(error, false);
}
extern "C" bool sw_parquet_writer_close(sw_parquet_writer *, int64_t *, char **error) { return missing(error, false); }
extern "C" void sw_parquet_writer_free(sw_parquet_writer *) {}
extern "C" sw_parquet_reader *sw_parquet_reader_open(const char *, char **error) {
  return missing(error, static_cast<sw_parquet_reader *>(nullptr));
}
extern "C" sw_parquet_reader *sw_parquet_reader_open_source(const sw_parquet_source *source, char **error) {
  source->release(source->context);
  return missing(error, static_cast<sw_parquet_reader *>(nullptr));
}
extern "C" int64_t sw_parquet_reader_rows(const sw_parquet_reader *) { return 0; }
extern "C" bool sw_parquet_reader_schema(sw_parquet_reader *, struct ArrowSchema *, char **error) { return missing(error, false); }
extern "C" const char *sw_parquet_reader_metadata(const sw_parquet_reader *, const char *, int64_t *) { return nullptr; }
extern "C" bool sw_parquet_reader_start(sw_parquet_reader *, const int32_t *, int64_t, int64_t, char **error) {
  return missing(error, false);
}
extern "C" int sw_parquet_reader_next(sw_parquet_reader *, struct ArrowArray *, char **error) { return missing(error, -1); }
extern "C" void sw_parquet_reader_free(sw_parquet_reader *) {}

#endif
