// A new version of a Parquet file in which few rows differ: column by column, without a copy of what stays where nothing changes.

#if __has_include(<parquet/arrow/writer.h>)

#include "arrow_internal.hpp"

#include <arrow/array.h>
#include <arrow/array/array_dict.h>
#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/builder.h>
#include <arrow/chunked_array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/table.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/bitmap_ops.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>

#include <algorithm>
#include <cstring>
#include <string_view>
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

using sw::check;
using sw::guarded;

namespace {
using arrow::Array;
using ArrayPtr = std::shared_ptr<Array>;

/// Groups of rows that are written together have at least this many rows, unless the file ends.
constexpr int64_t kFewRows = 100000;
constexpr int64_t kManyRows = 500000;
/// Without compression. A group of the input may have more.
constexpr int64_t kManyBytes = 64 << 20;

/// The changes of one run of rows, in positions of that run.
struct Changes {
  std::vector<int64_t> rows;
  std::vector<int32_t> patch;
  int64_t input_rows = 0;
  int64_t output_rows = 0;
  bool deletes() const { return output_rows != input_rows; }
};

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
}  // namespace

extern "C" bool sw_parquet_rewrite(sw_parquet_reader *source, sw_parquet_writer *writer, const sw_rewrite_column *columns, const int64_t *rows,
                                   const int32_t *changes, int64_t change_count, struct ArrowArray *patch, int64_t *written,
                                   char **error) {
  bool done = guarded(error, false, [&] {
    auto patches = check(arrow::ImportRecordBatch(patch, writer->schema));
    auto metadata = source->reader->parquet_reader()->metadata();
    parquet::ArrowReaderProperties properties(false);
    properties.set_pre_buffer(false);
    properties.set_batch_size(kManyRows);
    for (int leaf = 0; leaf < metadata->num_columns(); ++leaf) {
      const auto *column = metadata->schema()->Column(leaf);
      bool is_top_level = column->max_repetition_level() == 0 && column->path()->ToDotVector().size() == 1;
      if (is_top_level && column->physical_type() == parquet::Type::BYTE_ARRAY && column->logical_type()->is_string() &&
          sw::is_dictionary_encoded(*metadata, leaf)) {
        properties.set_read_dictionary(leaf, true);
      }
    }
    std::unique_ptr<parquet::arrow::FileReader> reader;
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(source->file, parquet::ReaderProperties(arrow::default_memory_pool()), metadata));
    builder.properties(properties);
    check(builder.Build(&reader));

    const auto &fields = reader->manifest().schema_fields;
    *written = 0;
    int64_t first_row = 0, change = 0;
    for (int group = 0; group < metadata->num_row_groups();) {
      std::vector<int> groups;
      Changes part;
      int64_t bytes = 0;
      while (group < metadata->num_row_groups()) {
        int64_t more = metadata->RowGroup(group)->num_rows();
        bytes += metadata->RowGroup(group)->total_byte_size();
        if (!groups.empty() && (part.input_rows >= kFewRows || part.input_rows + more > kManyRows || bytes > kManyBytes)) break;
        part.input_rows += more;
        groups.push_back(group++);
      }
      part.output_rows = part.input_rows;
      for (; change < change_count && rows[change] < first_row + part.input_rows; ++change) {
        part.rows.push_back(rows[change] - first_row);
        part.patch.push_back(changes[change]);
        if (changes[change] < 0) --part.output_rows;
      }
      first_row += part.input_rows;
      if (part.output_rows == 0) continue;
      check(writer->writer->NewRowGroup());
      for (int i = 0; i < writer->schema->num_fields(); ++i) {
        ArrayPtr out;
        if (columns[i].constant) {
          out = constant_text(columns[i].constant, part.output_rows);
        } else {
          ArrayPtr input;
          if (columns[i].input < 0) {
            input = check(arrow::MakeArrayOfNull(writer->schema->field(i)->type(), part.input_rows));
          } else {
            std::vector<int> leaves;
            collect_leaves(fields.at(static_cast<size_t>(columns[i].input)), &leaves);
            auto table = check(reader->ReadRowGroups(groups, leaves));
            input = joined(table->column(0));
          }
          out = patched(part, input, patches->column(i));
        }
        check(writer->writer->WriteColumnChunk(*out));
      }
      *written += part.output_rows;
    }
    if (change != change_count) throw std::runtime_error("a changed row lies behind the end of the file");
    return true;
  });
  if (patch && patch->release) patch->release(patch);
  return done;
}

#endif
