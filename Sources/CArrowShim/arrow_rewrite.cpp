// A new version of a Parquet file in which few rows differ: column by column, without a copy of what stays where nothing changes.

#if __has_include(<parquet/arrow/writer.h>)

#include "arrow_internal.hpp"
#include "column_chunk.hpp"

#include <arrow/array.h>
#include <arrow/array/array_dict.h>
#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/builder.h>
#include <arrow/chunked_array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/io/memory.h>
#include <arrow/table.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/bitmap_ops.h>
#include <parquet/arrow/schema.h>
#include <parquet/column_writer.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <vector>

namespace sw {
bool is_dictionary_encoded(const parquet::FileMetaData &metadata, int leaf) {
  for (int group = 0; group < metadata.num_row_groups(); ++group) {
    auto row_group = metadata.RowGroup(group);
    auto chunk = row_group->ColumnChunk(leaf);
    if (!chunk->has_dictionary_page()) return false;
    for (const auto &stats : chunk->encoding_stats()) {
      bool is_data = stats.page_type == parquet::PageType::DATA_PAGE || stats.page_type == parquet::PageType::DATA_PAGE_V2;
      if (is_data && stats.encoding != parquet::Encoding::RLE_DICTIONARY && stats.encoding != parquet::Encoding::PLAIN_DICTIONARY) return false;
    }
    if (chunk->encoding_stats().empty()) return false;
  }
  return metadata.num_row_groups() > 0;
}
}  // namespace sw

using sw::Changes;
using sw::check;
using sw::Chunk;
using sw::guarded;

namespace {
using arrow::Array;
using ArrayPtr = std::shared_ptr<Array>;

/// Groups of rows that are written together have at least this many rows, unless the file ends.
constexpr int64_t kFewRows = 100000;
constexpr int64_t kManyRows = 500000;
/// Without compression. A group of the input may have more.
constexpr int64_t kManyBytes = 64 << 20;

std::shared_ptr<arrow::Buffer> allocate(int64_t bytes) { return check(arrow::AllocateBuffer(bytes)); }

/// Calls `copy(from, count)` for runs of rows that stay and `change(patch row)` for those that change, in order.
template <typename Copy, typename Change>
void walk(const Changes &changes, Copy copy, Change change) {
  int64_t at = 0;
  for (size_t i = 0; i < changes.rows.size(); ++i) {
    if (changes.rows[i] > at) copy(at, changes.rows[i] - at);
    if (changes.patch[i] >= 0) change(changes.patch[i]);
    at = changes.rows[i] + 1;
  }
  if (changes.input_rows > at) copy(at, changes.input_rows - at);
}

std::shared_ptr<arrow::Buffer> validity(const Changes &changes, const Array &input, const Array &patch, int64_t *nulls) {
  *nulls = 0;
  if (input.null_count() == 0 && patch.null_count() == 0) return nullptr;
  auto out = check(arrow::AllocateEmptyBitmap(changes.output_rows));
  uint8_t *bits = out->mutable_data();
  int64_t to = 0;
  walk(
      changes,
      [&](int64_t from, int64_t count) {
        for (int64_t i = 0; i < count; ++i, ++to) arrow::bit_util::SetBitTo(bits, to, input.IsValid(from + i));
      },
      [&](int32_t row) { arrow::bit_util::SetBitTo(bits, to++, patch.IsValid(row)); });
  *nulls = changes.output_rows - arrow::internal::CountSetBits(bits, 0, changes.output_rows);
  return out;
}

ArrayPtr make(const std::shared_ptr<arrow::DataType> &type, const Changes &changes, std::vector<std::shared_ptr<arrow::Buffer>> buffers,
              int64_t nulls) {
  return arrow::MakeArray(arrow::ArrayData::Make(type, changes.output_rows, std::move(buffers), nulls));
}

/// Values of a fixed number of bytes.
ArrayPtr patch_fixed(const Changes &changes, const Array &input, const Array &patch, int width) {
  int64_t nulls;
  auto valid = validity(changes, input, patch, &nulls);
  const uint8_t *from = input.data()->buffers[1]->data() + input.offset() * width;
  const uint8_t *with = patch.data()->buffers[1] ? patch.data()->buffers[1]->data() + patch.offset() * width : nullptr;
  auto out = allocate(changes.output_rows * width);
  uint8_t *to = out->mutable_data();
  if (!changes.deletes()) {
    std::memcpy(to, from, static_cast<size_t>(changes.input_rows * width));
    for (size_t i = 0; i < changes.rows.size(); ++i) {
      std::memcpy(to + changes.rows[i] * width, with + static_cast<int64_t>(changes.patch[i]) * width, static_cast<size_t>(width));
    }
  } else {
    walk(
        changes,
        [&](int64_t at, int64_t count) {
          std::memcpy(to, from + at * width, static_cast<size_t>(count * width));
          to += count * width;
        },
        [&](int32_t row) {
          std::memcpy(to, with + static_cast<int64_t>(row) * width, static_cast<size_t>(width));
          to += width;
        });
  }
  return make(input.type(), changes, {valid, out}, nulls);
}

/// Text and bytes with 32-bit offsets.
ArrayPtr patch_binary(const Changes &changes, const arrow::BinaryArray &input, const arrow::BinaryArray &patch) {
  int64_t nulls;
  auto valid = validity(changes, input, patch, &nulls);
  int64_t bytes = input.value_offset(input.length()) - input.value_offset(0);
  for (size_t i = 0; i < changes.rows.size(); ++i) {
    bytes -= input.value_length(changes.rows[i]);
    if (changes.patch[i] >= 0) bytes += patch.value_length(changes.patch[i]);
  }
  if (bytes > INT32_MAX) throw std::runtime_error("the text of a row group takes more than 2 GiB");
  auto offsets = allocate((changes.output_rows + 1) * 4);
  auto data = allocate(bytes);
  int32_t *to = reinterpret_cast<int32_t *>(offsets->mutable_data());
  uint8_t *text = data->mutable_data();
  const int32_t *starts = input.raw_value_offsets();
  const uint8_t *from = input.raw_data();
  int32_t end = 0;
  *to++ = 0;
  walk(
      changes,
      [&](int64_t at, int64_t count) {
        int32_t first = starts[at], size = starts[at + count] - first, shift = end - first;
        if (size > 0) std::memcpy(text + end, from + first, static_cast<size_t>(size));
        for (int64_t i = 1; i <= count; ++i) to[i - 1] = starts[at + i] + shift;
        to += count;
        end += size;
      },
      [&](int32_t row) {
        auto value = patch.GetView(row);
        if (!value.empty()) std::memcpy(text + end, value.data(), value.size());
        end += static_cast<int32_t>(value.size());
        *to++ = end;
      });
  return make(input.type(), changes, {valid, offsets, data}, nulls);
}

/// Leaves values out that no row has. Arrow counts NULL among the values that rows refer to: with as many of them as the dictionary has values it
/// would take the bounds of all of these.
void drop_unused(ArrayPtr *indices, ArrayPtr *values) {
  const auto &codes = static_cast<const arrow::Int32Array &>(**indices);
  if (codes.null_count() == 0) return;
  std::vector<int32_t> places(static_cast<size_t>((*values)->length()), -1);
  arrow::Int64Builder used;
  for (int64_t i = 0; i < codes.length(); ++i) {
    if (codes.IsNull(i)) continue;
    auto &place = places[static_cast<size_t>(codes.Value(i))];
    if (place >= 0) continue;
    place = static_cast<int32_t>(used.length());
    check(used.Append(codes.Value(i)));
  }
  if (used.length() == (*values)->length()) return;
  arrow::Int32Builder numbered;
  check(numbered.Reserve(codes.length()));
  for (int64_t i = 0; i < codes.length(); ++i) {
    if (codes.IsNull(i)) numbered.UnsafeAppendNull();
    else numbered.UnsafeAppend(places[static_cast<size_t>(codes.Value(i))]);
  }
  *values = check(arrow::compute::Take(**values, *check(used.Finish())));
  *indices = check(numbered.Finish());
}

/// Dictionary-coded text whose changes are plain text: new values go to the end of the dictionary.
ArrayPtr patch_dictionary(const Changes &changes, const arrow::DictionaryArray &input, const arrow::BinaryArray &patch) {
  const auto &dictionary = static_cast<const arrow::BinaryArray &>(*input.dictionary());
  const auto &indices = static_cast<const arrow::Int32Array &>(*input.indices());
  std::unordered_map<std::string_view, int32_t> codes;
  codes.reserve(static_cast<size_t>(dictionary.length()) * 2);
  for (int64_t i = 0; i < dictionary.length(); ++i) codes.emplace(dictionary.GetView(i), static_cast<int32_t>(i));
  std::vector<std::string_view> added;
  arrow::Int32Builder of_patch;
  check(of_patch.Reserve(static_cast<int64_t>(changes.rows.size())));
  Changes numbered = changes;
  int32_t next = 0;
  for (size_t i = 0; i < changes.rows.size(); ++i) {
    if (changes.patch[i] < 0) continue;
    numbered.patch[i] = next++;
    if (patch.IsNull(changes.patch[i])) {
      of_patch.UnsafeAppendNull();
      continue;
    }
    auto value = patch.GetView(changes.patch[i]);
    auto found = codes.emplace(value, static_cast<int32_t>(dictionary.length() + static_cast<int64_t>(added.size())));
    if (found.second) added.push_back(value);
    of_patch.UnsafeAppend(found.first->second);
  }
  auto patched = patch_fixed(numbered, indices, *check(of_patch.Finish()), 4);
  ArrayPtr values = input.dictionary();
  if (!added.empty()) {
    std::unique_ptr<arrow::ArrayBuilder> builder;
    check(arrow::MakeBuilder(arrow::default_memory_pool(), values->type(), &builder));
    auto &text = static_cast<arrow::BinaryBuilder &>(*builder);
    for (auto value : added) check(text.Append(value));
    values = check(arrow::Concatenate({values, check(builder->Finish())}));
  }
  drop_unused(&patched, &values);
  return std::make_shared<arrow::DictionaryArray>(input.type(), patched, values);
}

/// The same values under a type that differs only in names and flags of its fields.
std::shared_ptr<arrow::ArrayData> retyped(const arrow::ArrayData &data, const std::shared_ptr<arrow::DataType> &type) {
  auto out = data.Copy();
  out->type = type;
  for (size_t i = 0; i < out->child_data.size(); ++i) {
    out->child_data[i] = retyped(*out->child_data[i], type->field(static_cast<int>(i))->type());
  }
  return out;
}

/// Any type, by Arrow's own gathering.
ArrayPtr patch_any(const Changes &changes, const ArrayPtr &input, ArrayPtr patch) {
  if (!patch->type()->Equals(*input->type())) patch = arrow::MakeArray(retyped(*patch->data(), input->type()));
  arrow::Int64Builder indices;
  check(indices.Reserve(changes.output_rows));
  walk(
      changes,
      [&](int64_t at, int64_t count) {
        for (int64_t i = 0; i < count; ++i) indices.UnsafeAppend(at + i);
      },
      [&](int32_t row) { indices.UnsafeAppend(changes.input_rows + row); });
  auto both = check(arrow::Concatenate({input, patch}));
  return check(arrow::compute::Take(*both, *check(indices.Finish())));
}

ArrayPtr patched(const Changes &changes, const ArrayPtr &input, const ArrayPtr &patch) {
  if (changes.rows.empty()) return input;
  switch (input->type_id()) {
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE:
    case arrow::Type::DATE32:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DECIMAL128:
    case arrow::Type::FIXED_SIZE_BINARY:
      return patch_fixed(changes, *input, *patch, static_cast<const arrow::FixedWidthType &>(*input->type()).bit_width() / 8);
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return patch_binary(changes, static_cast<const arrow::BinaryArray &>(*input), static_cast<const arrow::BinaryArray &>(*patch));
    case arrow::Type::DICTIONARY:
      return patch_dictionary(changes, static_cast<const arrow::DictionaryArray &>(*input), static_cast<const arrow::BinaryArray &>(*patch));
    default:
      return patch_any(changes, input, patch);
  }
}

/// One array of all rows of a column.
ArrayPtr joined(std::shared_ptr<arrow::ChunkedArray> column) {
  if (column->num_chunks() == 1) return column->chunk(0);
  if (column->num_chunks() == 0) return check(arrow::MakeEmptyArray(column->type()));
  if (column->type()->id() == arrow::Type::DICTIONARY) column = check(arrow::DictionaryUnifier::UnifyChunkedArray(column));
  return check(arrow::Concatenate(column->chunks()));
}

void collect_leaves(const parquet::arrow::SchemaField &field, std::vector<int> *out) {
  if (field.column_index >= 0) out->push_back(field.column_index);
  for (const auto &child : field.children) collect_leaves(child, out);
}

/// `count` times the same text.
ArrayPtr constant_text(const char *text, int64_t count) {
  arrow::StringBuilder builder;
  check(builder.Append(text));
  auto codes = allocate(count * 4);
  std::memset(codes->mutable_data(), 0, static_cast<size_t>(count * 4));
  auto indices = std::make_shared<arrow::Int32Array>(count, std::shared_ptr<arrow::Buffer>(codes));
  return std::make_shared<arrow::DictionaryArray>(arrow::dictionary(arrow::int32(), arrow::utf8()), indices, check(builder.Finish()));
}

/// The changes of a file as they fall on its row groups, tiny ones taken together.
class Parts {
 public:
  Parts(const parquet::FileMetaData &metadata, const int64_t *rows, const int32_t *changes, int64_t count)
      : metadata_(metadata), rows_(rows), changes_(changes), count_(count) {}

  /// The next groups of the input, and what changes in them. False at the end.
  bool next(std::vector<int> *groups, Changes *part) {
    groups->clear();
    *part = {};
    int64_t bytes = 0;
    while (group_ < metadata_.num_row_groups()) {
      int64_t more = metadata_.RowGroup(group_)->num_rows();
      bytes += metadata_.RowGroup(group_)->total_byte_size();
      if (!groups->empty() && (part->input_rows >= kFewRows || part->input_rows + more > kManyRows || bytes > kManyBytes)) break;
      part->input_rows += more;
      groups->push_back(group_++);
    }
    if (groups->empty()) {
      if (change_ != count_) throw std::runtime_error("a changed row lies behind the end of the file");
      return false;
    }
    part->output_rows = part->input_rows;
    for (; change_ < count_ && rows_[change_] < first_row_ + part->input_rows; ++change_) {
      part->rows.push_back(rows_[change_] - first_row_);
      part->patch.push_back(changes_[change_]);
      if (changes_[change_] < 0) --part->output_rows;
    }
    first_row_ += part->input_rows;
    return true;
  }

 private:
  const parquet::FileMetaData &metadata_;
  const int64_t *rows_;
  const int32_t *changes_;
  const int64_t count_;
  int group_ = 0;
  int64_t first_row_ = 0, change_ = 0;
};

/// Columns whose values repeat are read as references to dictionaries.
parquet::ArrowReaderProperties reading_properties(const parquet::FileMetaData &metadata) {
  parquet::ArrowReaderProperties properties(false);
  properties.set_pre_buffer(false);
  properties.set_batch_size(kManyRows);
  for (int leaf = 0; leaf < metadata.num_columns(); ++leaf) {
    const auto *column = metadata.schema()->Column(leaf);
    bool is_top_level = column->max_repetition_level() == 0 && column->path()->ToDotVector().size() == 1;
    if (is_top_level && column->physical_type() == parquet::Type::BYTE_ARRAY && column->logical_type()->is_string() && sw::is_dictionary_encoded(metadata, leaf)) {
      properties.set_read_dictionary(leaf, true);
    }
  }
  return properties;
}

std::unique_ptr<parquet::arrow::FileReader> open_again(const sw_parquet_reader &source, const parquet::ArrowReaderProperties &properties) {
  std::unique_ptr<parquet::arrow::FileReader> reader;
  parquet::arrow::FileReaderBuilder builder;
  check(builder.Open(source.file, parquet::ReaderProperties(arrow::default_memory_pool()), source.reader->parquet_reader()->metadata()));
  builder.properties(properties);
  check(builder.Build(&reader));
  return reader;
}

/// The values of a column in some row groups, with their changes.
ArrayPtr changed_values(parquet::arrow::FileReader &reader, const sw_rewrite_column &column, const std::shared_ptr<arrow::DataType> &type,
                        const std::vector<int> &groups, const Changes &part, const ArrayPtr &patch) {
  if (column.constant) return constant_text(column.constant, part.output_rows);
  ArrayPtr input;
  if (column.input < 0) {
    input = check(arrow::MakeArrayOfNull(type, part.input_rows));
  } else {
    std::vector<int> leaves;
    collect_leaves(reader.manifest().schema_fields.at(static_cast<size_t>(column.input)), &leaves);
    input = joined(check(reader.ReadRowGroups(groups, leaves))->column(0));
  }
  return patched(part, input, patch);
}

/// Threads of all calls that make column chunks now.
std::atomic<int> busy_threads{0};

/// Counts a thread as busy.
class Busy {
 public:
  Busy() { busy_threads.fetch_add(1); }
  ~Busy() { busy_threads.fetch_sub(1); }
  Busy(const Busy &) = delete;
  Busy &operator=(const Busy &) = delete;
};

/// Makes the chunks of a new version whose columns all are flat.
class Rewriting {
 public:
  Rewriting(sw_parquet_reader *source, sw_parquet_writer *writer, const sw_rewrite_column *columns, const arrow::RecordBatch &patches, int threads)
      : source_(source), writer_(writer), columns_(columns), patches_(patches), threads_(threads), metadata_(source->reader->parquet_reader()->metadata()),
        reading_(reading_properties(*metadata_)), leaves_(writer->chunks->leaves()) {
    const auto &version = metadata_->writer_version();
    has_sound_sizes_ = !version.VersionLt(parquet::ApplicationVersion::PARQUET_816_FIXED_VERSION());
    trusts_pages_ = version.application_ == "parquet-cpp-arrow" && version.version.major >= 10;
    size_t count = static_cast<size_t>(leaves_.num_columns());
    chunks_.resize(count);
    values_.resize(count);
    for (size_t i = 0; i < count; ++i) {
      const auto &patch = *patches.column(static_cast<int>(i));
      if (!columns[i].constant && patch.length() > 0 && values_[i].values.prepare(patch, *leaf(i))) values_[i].can = true;
      values_[i].has_nulls = patch.null_count() > 0;
    }
  }

  void write(const std::vector<int> &groups, const Changes &part) {
    groups_ = &groups;
    part_ = &part;
    group_ = groups.size() == 1 ? metadata_->RowGroup(groups[0]) : nullptr;
    if (group_) read_page_index(groups[0]);
    next_ = appended_ = 0;
    is_made_.assign(chunks_.size(), false);
    failure_ = nullptr;
    writer_->chunks->begin_group(part.output_rows);
    std::vector<std::thread> helpers;
    for (size_t i = 1; i < chunks_.size() && part.input_rows >= kFewRows && take_thread(); ++i) {
      size_t at = helpers.size() + 1;
      if (workers_.size() <= at) workers_.resize(at + 1);
      auto *worker = &workers_[at];
      try {
        helpers.emplace_back([this, worker] {
          make_chunks(*worker);
          busy_threads.fetch_sub(1);
        });
      } catch (const std::system_error &) {
        // Without more threads these do all of it.
        busy_threads.fetch_sub(1);
        break;
      }
    }
    make_chunks(workers_[0]);
    for (auto &helper : helpers) helper.join();
    if (failure_) std::rethrow_exception(failure_);
    writer_->chunks->end_group();
  }

 private:
  /// What one thread has for itself.
  struct Worker {
    sw::Scratch scratch;
    std::unique_ptr<parquet::arrow::FileReader> reader;
    std::vector<int16_t> levels;
  };
  struct Values {
    sw::PatchValues values;
    bool can = false, has_nulls = false;
  };

  const parquet::ColumnDescriptor *leaf(size_t column) const { return leaves_.Column(static_cast<int>(column)); }

  bool take_thread() {
    int busy = busy_threads.load();
    while (busy < threads_) {
      if (busy_threads.compare_exchange_weak(busy, busy + 1)) return true;
    }
    return false;
  }

  void make_chunks(Worker &worker) noexcept {
    try {
      while (true) {
        size_t column = next_.fetch_add(1);
        if (column >= chunks_.size()) return;
        make(column, worker, &chunks_[column]);
        std::lock_guard lock(mutex_);
        if (failure_) return;
        is_made_[column] = true;
        // Whoever finds them made writes them, in the order of the columns.
        for (; appended_ < chunks_.size() && is_made_[appended_]; ++appended_) {
          writer_->chunks->append(chunks_[appended_]);
          chunks_[appended_].shared.reset();
        }
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = chunks_.size();
    }
  }

  void make(size_t column, Worker &worker, Chunk *out) {
    out->clear();
    const auto &what = columns_[column];
    const auto &to = *leaf(column);
    if (what.constant && to.physical_type() == parquet::Type::BYTE_ARRAY && part_->output_rows <= INT32_MAX) {
      return sw::constant_pages(what.constant, part_->output_rows, writing(to), &worker.scratch, out);
    }
    if (group_ && what.input >= 0 && !what.constant && (copies(column, worker, out) || patches(column, worker, out))) return;
    out->clear();
    encode(column, worker, out);
  }

  arrow::Compression::type codec(const parquet::ColumnDescriptor &to) const { return writer_->properties->compression(to.path()); }

  sw::Writing writing(const parquet::ColumnDescriptor &to) const {
    return {to, codec(to), static_cast<int64_t>(writer_->properties->max_statistics_size(to.path())), !writer_->properties->page_index_enabled(to.path())};
  }

  /// What the input says of the pages of a column; nullptr = nothing.
  const parquet::ColumnIndex *page_index(size_t column) const { return indexes_.empty() ? nullptr : indexes_[column].get(); }

  void read_page_index(int group) {
    indexes_.clear();
    auto index = source_->reader->parquet_reader()->GetPageIndexReader();
    auto of_group = index ? index->RowGroup(group) : nullptr;
    if (!of_group) return;
    indexes_.resize(chunks_.size());
    for (size_t i = 0; i < chunks_.size(); ++i) {
      if (columns_[i].input < 0 || columns_[i].constant) continue;
      int from = input_leaf(i);
      if (from >= 0 && metadata_->schema()->Column(from)->max_repetition_level() == 0) indexes_[i] = of_group->GetColumnIndex(from);
    }
  }

  int input_leaf(size_t column) const {
    return source_->reader->manifest().schema_fields.at(static_cast<size_t>(columns_[column].input)).column_index;
  }

  /// The chunk of the input whose pages can be those of the output; nullptr when they cannot.
  std::unique_ptr<parquet::ColumnChunkMetaData> usable(size_t column) const {
    int from = input_leaf(column);
    if (from < 0 || !has_sound_sizes_ || !sw::is_same_form(*metadata_->schema()->Column(from), *leaf(column))) return nullptr;
    auto chunk = group_->ColumnChunk(from);
    if (chunk->crypto_metadata() || !chunk->file_path().empty() || chunk->has_index_page()) return nullptr;
    if (chunk->compression() != codec(*leaf(column)) || chunk->encoding_stats().empty()) return nullptr;
    return chunk;
  }

  void read(const parquet::ColumnChunkMetaData &chunk, sw::Bytes *out) {
    auto place = sw::extent(chunk);
    out->resize(place.size);
    if (check(source_->file->ReadAt(place.offset, place.size, out->data())) != place.size) throw std::runtime_error("the file is shorter than its footer says");
  }

  /// Takes over a chunk in which nothing changes.
  bool copies(size_t column, Worker &, Chunk *out) {
    if (!part_->rows.empty() && (part_->deletes() || !columns_[column].keeps_value)) return false;
    auto chunk = usable(column);
    // All chunks get statistics.
    auto statistics = chunk && chunk->is_stats_set() ? chunk->encoded_statistics() : nullptr;
    if (!statistics || !statistics->has_null_count) return false;
    read(*chunk, &out->owned);
    out->finish_owned();
    return sw::describe(*chunk, *leaf(column), page_index(column), out);
  }

  /// Changes values within pages.
  bool patches(size_t column, Worker &worker, Chunk *out) {
    const auto &patch = values_[column];
    if (part_->deletes() || !patch.can || (patch.has_nulls && changes_to_null(column))) return false;
    auto chunk = usable(column);
    if (!chunk) return false;
    bool has_dictionary = chunk->has_dictionary_page();
    for (const auto &stats : chunk->encoding_stats()) {
      if (has_dictionary && stats.page_type == parquet::PageType::DICTIONARY_PAGE) continue;
      bool refers = stats.encoding == parquet::Encoding::RLE_DICTIONARY || stats.encoding == parquet::Encoding::PLAIN_DICTIONARY;
      if (stats.page_type != parquet::PageType::DATA_PAGE || (has_dictionary ? !refers : stats.encoding != parquet::Encoding::PLAIN)) return false;
    }
    if (leaf(column)->max_definition_level() > 0) {
      auto statistics = chunk->is_stats_set() ? chunk->encoded_statistics() : nullptr;
      if (!statistics || !statistics->has_null_count || statistics->null_count != 0) return false;
    }
    read(*chunk, &worker.scratch.input);
    sw::Patchable from{*chunk, page_index(column), trusts_pages_};
    if (has_dictionary) {
      return sw::patch_dictionary_pages(from, writing(*leaf(column)), writer_->properties->dictionary_pagesize_limit(), *part_, patch.values, &worker.scratch, out);
    }
    return sw::patch_pages(from, writing(*leaf(column)), *part_, patch.values, &worker.scratch, out);
  }

  bool changes_to_null(size_t column) const {
    const auto &patch = *patches_.column(static_cast<int>(column));
    for (int32_t row : part_->patch) {
      if (row >= 0 && patch.IsNull(row)) return true;
    }
    return false;
  }

  /// Reads, changes and writes all values.
  void encode(size_t column, Worker &worker, Chunk *out) {
    if (!worker.reader) worker.reader = open_again(*source_, reading_);
    const auto &field = *writer_->schema->field(static_cast<int>(column));
    const auto &to = *leaf(column);
    auto array = changed_values(*worker.reader, columns_[column], field.type(), *groups_, *part_, patches_.column(static_cast<int>(column)));
    const int16_t *levels = nullptr;
    if (to.max_definition_level() > 0) {
      worker.levels.assign(static_cast<size_t>(array->length()), to.max_definition_level());
      if (array->null_count() > 0) {
        for (int64_t i = 0; i < array->length(); ++i) {
          if (array->IsNull(i)) worker.levels[static_cast<size_t>(i)] = 0;
        }
      }
      levels = worker.levels.data();
    }
    auto sink = check(arrow::io::BufferOutputStream::Create(1 << 20));
    auto builder = parquet::ColumnChunkMetaDataBuilder::Make(writer_->properties, &to);
    auto options = writer_->properties->codec_options(to.path());
    // The offsets are found again in the pages, what the index says of their values is not.
    bool has_index = writer_->properties->page_index_enabled(to.path());
    auto index = has_index ? parquet::ColumnIndexBuilder::Make(&to) : nullptr;
    auto offsets = has_index ? parquet::OffsetIndexBuilder::Make() : nullptr;
    auto pages = parquet::PageWriter::Open(sink, codec(to), builder.get(), -1, -1, arrow::default_memory_pool(), false, nullptr, nullptr,
                                           writer_->properties->page_checksum_enabled(), index.get(), offsets.get(),
                                           options ? *options : arrow::util::CodecOptions{});
    auto to_pages = parquet::ColumnWriter::Make(builder.get(), std::move(pages), writer_->properties.get());
    auto arrow_properties = parquet::default_arrow_writer_properties();
    parquet::ArrowWriteContext context(arrow::default_memory_pool(), arrow_properties.get());
    check(to_pages->WriteArrow(levels, nullptr, array->length(), *array, &context, field.nullable()));
    to_pages->Close();
    out->shared = check(sink->Finish());
    out->data = out->shared->data();
    out->size = out->shared->size();
    parquet::ApplicationVersion version(writer_->properties->created_by());
    auto made = parquet::ColumnChunkMetaData::Make(builder->contents(), &to, parquet::default_reader_properties(), &version);
    auto built = index ? index->Build() : nullptr;
    if (!sw::describe(*made, to, built.get(), out)) throw std::runtime_error("the pages of column " + field.name() + " are not those of their description");
  }

  sw_parquet_reader *source_;
  sw_parquet_writer *writer_;
  const sw_rewrite_column *columns_;
  const arrow::RecordBatch &patches_;
  const int threads_;
  std::shared_ptr<parquet::FileMetaData> metadata_;
  parquet::ArrowReaderProperties reading_;
  const parquet::SchemaDescriptor &leaves_;
  bool has_sound_sizes_ = false, trusts_pages_ = false;
  std::vector<Values> values_;
  std::deque<Worker> workers_{1};

  // Of the row group that is being made.
  const std::vector<int> *groups_ = nullptr;
  const Changes *part_ = nullptr;
  std::unique_ptr<parquet::RowGroupMetaData> group_;
  std::vector<std::shared_ptr<parquet::ColumnIndex>> indexes_;
  std::vector<Chunk> chunks_;
  std::atomic<size_t> next_{0};
  std::mutex mutex_;
  size_t appended_ = 0;
  std::vector<bool> is_made_;
  std::exception_ptr failure_;
};

/// Whether each column is one leaf.
bool is_flat(const parquet::SchemaDescriptor &leaves, int columns) {
  if (leaves.num_columns() != columns) return false;
  for (int i = 0; i < columns; ++i) {
    const auto *leaf = leaves.Column(i);
    if (leaf->max_repetition_level() > 0 || leaf->max_definition_level() > 1 || leaf->path()->ToDotVector().size() != 1) return false;
  }
  return true;
}

/// All columns through Arrow's writer.
int64_t write_values(sw_parquet_reader *source, sw_parquet_writer *writer, const sw_rewrite_column *columns, const arrow::RecordBatch &patches, Parts parts) {
  auto reader = open_again(*source, reading_properties(*source->reader->parquet_reader()->metadata()));
  std::vector<int> groups;
  Changes part;
  int64_t written = 0;
  writer->has_rows = true;
  while (parts.next(&groups, &part)) {
    if (part.output_rows == 0) continue;
    check(writer->writer->NewRowGroup());
    for (int i = 0; i < writer->schema->num_fields(); ++i) {
      check(writer->writer->WriteColumnChunk(*changed_values(*reader, columns[i], writer->schema->field(i)->type(), groups, part, patches.column(i))));
    }
    written += part.output_rows;
  }
  return written;
}
}  // namespace

extern "C" bool sw_parquet_rewrite(sw_parquet_reader *source, sw_parquet_writer *writer, const sw_rewrite_column *columns, const int64_t *rows,
                                   const int32_t *changes, int64_t change_count, struct ArrowArray *patch, int32_t threads, int64_t *written,
                                   char **error) {
  bool done = guarded(error, false, [&] {
    auto patches = check(arrow::ImportRecordBatch(patch, writer->schema));
    auto metadata = source->reader->parquet_reader()->metadata();
    Parts parts(*metadata, rows, changes, change_count);
    std::shared_ptr<parquet::SchemaDescriptor> leaves;
    check(parquet::arrow::ToParquetSchema(writer->schema.get(), *writer->properties, *parquet::default_arrow_writer_properties(), &leaves));
    if (writer->has_rows || writer->chunks || !is_flat(*leaves, writer->schema->num_fields())) {
      *written = write_values(source, writer, columns, *patches, parts);
      return true;
    }
    writer->chunks = std::make_unique<sw::ChunkFile>(writer->file, leaves, writer->properties);
    Busy busy;
    Rewriting rewriting(source, writer, columns, *patches, threads);
    std::vector<int> groups;
    Changes part;
    *written = 0;
    while (parts.next(&groups, &part)) {
      if (part.output_rows == 0) continue;
      rewriting.write(groups, part);
      *written += part.output_rows;
    }
    return true;
  });
  if (patch && patch->release) patch->release(patch);
  return done;
}

#endif
