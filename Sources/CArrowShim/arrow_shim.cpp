#include "arrow_shim.h"

#include <cstdlib>
#include <cstring>
#include <string>

char *sw_copy_text(const std::string &text);

namespace {
char *copy_text(const std::string &text) {
  char *out = static_cast<char *>(std::malloc(text.size() + 1));
  if (out) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}
}  // namespace

char *sw_copy_text(const std::string &text) { return copy_text(text); }

extern "C" void sw_error_free(char *error) { std::free(error); }

#if __has_include(<parquet/arrow/writer.h>)

#include "arrow_internal.hpp"

#include <arrow/util/config.h>
#include <arrow/util/key_value_metadata.h>
#include <fcntl.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>
#include <parquet/statistics.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <vector>

using sw::check;
using sw::guarded;

namespace {
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
    writer->end = std::make_shared<sw::WriterEnd>(writer->file);
    writer->properties = properties.build();
    writer->writer = check(parquet::arrow::FileWriter::Open(*writer->schema, arrow::default_memory_pool(), writer->end,
                                                            writer->properties, parquet::default_arrow_writer_properties()));
    return writer.release();
  });
  release(schema);
  return out;
}

extern "C" bool sw_parquet_writer_write(sw_parquet_writer *writer, struct ArrowArray *rows, char **error) {
  bool done = guarded(error, false, [&] {
    auto batch = check(arrow::ImportRecordBatch(rows, writer->schema));
    writer->has_rows = true;
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
    std::string text(value, static_cast<size_t>(value_length));
    if (writer->chunks) {
      writer->chunks->add_pair(key, std::move(text));
      return true;
    }
    auto pairs = arrow::key_value_metadata({key}, {std::move(text)});
    check(writer->writer->AddKeyValueMetadata(pairs));
    return true;
  });
}

extern "C" bool sw_parquet_writer_close(sw_parquet_writer *writer, int64_t *bytes, char **error) {
  return guarded(error, false, [&] {
    if (writer->chunks) {
      writer->end->hold_footer();
      check(writer->writer->Close());
      writer->end->drop_footer();
      writer->chunks->finish(*writer->writer->metadata());
    } else {
      check(writer->writer->Close());
    }
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
    reader->file = file;
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
    reader->file = file;
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
    // Without the keys and values of the footer, which may take many MB.
    check(arrow::ExportSchema(*reader->schema->WithMetadata(nullptr), out));
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

extern "C" bool sw_parquet_reader_uses_dictionary(const sw_parquet_reader *reader, int32_t column) {
  return guarded(nullptr, false, [&] {
    const auto &field = reader->reader->manifest().schema_fields.at(static_cast<size_t>(column));
    if (!field.is_leaf()) return true;
    return sw::is_dictionary_encoded(*reader->reader->parquet_reader()->metadata(), field.column_index);
  });
}

namespace {
void collect_leaves(const parquet::arrow::SchemaField &field, std::vector<int> *out) {
  if (field.column_index >= 0) out->push_back(field.column_index);
  for (const auto &child : field.children) collect_leaves(child, out);
}
}  // namespace

extern "C" int sw_parquet_reader_leaf(sw_parquet_reader *reader, int32_t group, int32_t leaf, sw_parquet_leaf *out, char **error) {
  return guarded(error, -1, [&] {
    auto metadata = reader->reader->parquet_reader()->metadata();
    if (group >= metadata->num_row_groups() || leaf >= metadata->num_columns()) return 0;
    auto descriptor = metadata->schema()->Column(leaf);
    auto chunk = metadata->RowGroup(group)->ColumnChunk(leaf);
    out->field_id = descriptor->schema_node()->field_id();
    out->compressed_bytes = chunk->total_compressed_size();
    out->values = chunk->num_values();
    out->repeated = descriptor->max_repetition_level() > 0;
    // Not set where the order of the values is not the one that SQL compares by.
    auto statistics = chunk->is_stats_set() ? chunk->statistics() : nullptr;
    out->has_nulls = statistics && statistics->HasNullCount();
    out->nulls = out->has_nulls ? statistics->null_count() : 0;
    out->has_bounds = statistics && statistics->HasMinMax();
    reader->leaf_lower = out->has_bounds ? statistics->EncodeMin() : std::string();
    reader->leaf_upper = out->has_bounds ? statistics->EncodeMax() : std::string();
    out->lower = reader->leaf_lower.data();
    out->lower_length = static_cast<int64_t>(reader->leaf_lower.size());
    out->upper = reader->leaf_upper.data();
    out->upper_length = static_cast<int64_t>(reader->leaf_upper.size());
    return 1;
  });
}

namespace {
enum sw_parquet_physical physical(parquet::Type::type type) {
  switch (type) {
    case parquet::Type::BOOLEAN: return SW_PARQUET_BOOLEAN;
    case parquet::Type::INT32: return SW_PARQUET_INT32;
    case parquet::Type::INT64: return SW_PARQUET_INT64;
    case parquet::Type::INT96: return SW_PARQUET_INT96;
    case parquet::Type::FLOAT: return SW_PARQUET_FLOAT;
    case parquet::Type::DOUBLE: return SW_PARQUET_DOUBLE;
    case parquet::Type::BYTE_ARRAY: return SW_PARQUET_BYTES;
    case parquet::Type::FIXED_LEN_BYTE_ARRAY: return SW_PARQUET_FIXED;
    default: throw std::runtime_error("unknown physical type");
  }
}
}  // namespace

extern "C" int32_t sw_parquet_reader_row_groups(const sw_parquet_reader *reader) { return reader->reader->num_row_groups(); }

extern "C" int64_t sw_parquet_reader_row_group_rows(const sw_parquet_reader *reader, int32_t group) {
  return reader->reader->parquet_reader()->metadata()->RowGroup(group)->num_rows();
}

extern "C" int sw_parquet_reader_statistics(sw_parquet_reader *reader, int32_t group, int32_t column, sw_parquet_statistics *out,
                                            char **error) {
  return guarded(error, -1, [&] {
    const auto &field = reader->reader->manifest().schema_fields.at(static_cast<size_t>(column));
    if (field.column_index < 0 || !field.children.empty()) return 0;
    auto metadata = reader->reader->parquet_reader()->metadata();
    auto chunk = metadata->RowGroup(group)->ColumnChunk(field.column_index);
    // Not set where the order of the values is not the one that SQL compares by.
    if (!chunk->is_stats_set()) return 0;
    auto statistics = chunk->statistics();
    if (!statistics) return 0;
    auto descriptor = metadata->schema()->Column(field.column_index);
    out->physical = physical(descriptor->physical_type());
    const auto &logical = descriptor->logical_type();
    out->scale = logical && logical->is_decimal() ? static_cast<const parquet::DecimalLogicalType &>(*logical).scale() : 0;
    out->has_bounds = statistics->HasMinMax();
    out->has_nulls = statistics->HasNullCount();
    out->nulls = out->has_nulls ? statistics->null_count() : 0;
    reader->lower = out->has_bounds ? statistics->EncodeMin() : std::string();
    reader->upper = out->has_bounds ? statistics->EncodeMax() : std::string();
    out->lower = reader->lower.data();
    out->lower_length = static_cast<int64_t>(reader->lower.size());
    out->upper = reader->upper.data();
    out->upper_length = static_cast<int64_t>(reader->upper.size());
    return 1;
  });
}

extern "C" bool sw_parquet_reader_start(sw_parquet_reader *reader, const int32_t *columns, int64_t column_count,
                                        const int32_t *chosen, int64_t chosen_count, int64_t batch_rows, char **error) {
  return guarded(error, false, [&] {
    std::vector<int> leaves, groups;
    const auto &fields = reader->reader->manifest().schema_fields;
    for (int64_t i = 0; i < column_count; ++i) collect_leaves(fields.at(static_cast<size_t>(columns[i])), &leaves);
    if (chosen) {
      groups.assign(chosen, chosen + chosen_count);
    } else {
      for (int i = 0; i < reader->reader->num_row_groups(); ++i) groups.push_back(i);
    }
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
extern "C" bool sw_parquet_reader_uses_dictionary(const sw_parquet_reader *, int32_t) { return false; }
extern "C" bool sw_parquet_rewrite(sw_parquet_reader *, sw_parquet_writer *, const sw_rewrite_column *, const int64_t *, const int32_t *,
                                   int64_t, struct ArrowArray *patch, int32_t, int64_t *, char **error) {
  release(patch);
  return missing(error, false);
}
extern "C" int sw_parquet_reader_leaf(sw_parquet_reader *, int32_t, int32_t, sw_parquet_leaf *, char **error) { return missing(error, -1); }
extern "C" int32_t sw_parquet_reader_row_groups(const sw_parquet_reader *) { return 0; }
extern "C" int64_t sw_parquet_reader_row_group_rows(const sw_parquet_reader *, int32_t) { return 0; }
extern "C" int sw_parquet_reader_statistics(sw_parquet_reader *, int32_t, int32_t, sw_parquet_statistics *, char **error) {
  return missing(error, -1);
}
extern "C" bool sw_parquet_reader_start(sw_parquet_reader *, const int32_t *, int64_t, const int32_t *, int64_t, int64_t, char **error) {
  return missing(error, false);
}
extern "C" int sw_parquet_reader_next(sw_parquet_reader *, struct ArrowArray *, char **error) { return missing(error, -1); }
extern "C" void sw_parquet_reader_free(sw_parquet_reader *) {}

#endif
