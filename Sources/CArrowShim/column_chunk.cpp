// What is said of column chunks, and chunks that are made of nothing.

#if __has_include(<parquet/arrow/writer.h>)

#include "column_chunk.hpp"

#include "arrow_internal.hpp"
#include "page_header.hpp"

#include <cmath>

namespace sw {
namespace {

bool is_integer_of(const parquet::LogicalType &type, int bits) {
  if (type.is_none()) return true;
  if (!type.is_int()) return false;
  const auto &integer = static_cast<const parquet::IntLogicalType &>(type);
  return integer.is_signed() && integer.bit_width() == bits;
}

bool is_not_a_number(const std::string &value, parquet::Type::type type) {
  if (type == parquet::Type::FLOAT && value.size() == 4) {
    float number;
    std::memcpy(&number, value.data(), 4);
    return std::isnan(number);
  }
  if (type == parquet::Type::DOUBLE && value.size() == 8) {
    double number;
    std::memcpy(&number, value.data(), 8);
    return std::isnan(number);
  }
  return false;
}
}  // namespace

arrow::util::Codec *Scratch::codec(arrow::Compression::type type) {
  auto &codec = codecs[type];
  if (!codec) codec = parquet::GetCodec(type);
  return codec.get();
}

void Chunk::clear() {
  data = nullptr;
  size = values = uncompressed = 0;
  dictionary_offset = data_offset = -1;
  owned.clear();
  shared.reset();
  pages.clear();
  dictionary_encodings.clear();
  data_encodings.clear();
  statistics = {};
  sizes.reset();
}

void Chunk::add_page(const PageHeader &header, const uint8_t *stored, int64_t first_row, const parquet::EncodedStatistics &of_page) {
  std::string text;
  header.write(&text);
  int64_t offset = owned.size();
  auto encoding = static_cast<parquet::Encoding::type>(header.encoding);
  owned.append(text.data(), static_cast<int64_t>(text.size()));
  owned.append(stored, header.compressed_size);
  uncompressed += static_cast<int64_t>(text.size()) + header.uncompressed_size;
  if (header.type == PageHeader::kDictionary) {
    dictionary_offset = offset;
    ++dictionary_encodings[encoding];
    return;
  }
  if (data_offset < 0) data_offset = offset;
  ++data_encodings[encoding];
  values += header.values;
  pages.push_back({offset, static_cast<int32_t>(owned.size() - offset), first_row, of_page});
}

Extent extent(const parquet::ColumnChunkMetaData &chunk) {
  int64_t start = chunk.data_page_offset();
  if (chunk.has_dictionary_page() && chunk.dictionary_page_offset() > 0 && chunk.dictionary_page_offset() < start) start = chunk.dictionary_page_offset();
  return {start, chunk.total_compressed_size()};
}

bool is_same_form(const parquet::ColumnDescriptor &a, const parquet::ColumnDescriptor &b) {
  if (a.physical_type() != b.physical_type() || a.sort_order() != b.sort_order()) return false;
  if (a.physical_type() == parquet::Type::FIXED_LEN_BYTE_ARRAY && a.type_length() != b.type_length()) return false;
  if (a.max_repetition_level() != 0 || b.max_repetition_level() != 0 || a.max_definition_level() != b.max_definition_level()) return false;
  const auto &x = a.logical_type(), &y = b.logical_type();
  if (!x || !y) return x == y;
  if (x->Equals(*y)) return true;
  if (x->is_timestamp() && y->is_timestamp()) {
    // The zone changes nothing.
    return static_cast<const parquet::TimestampLogicalType &>(*x).time_unit() == static_cast<const parquet::TimestampLogicalType &>(*y).time_unit();
  }
  if (a.physical_type() == parquet::Type::INT32) return is_integer_of(*x, 32) && is_integer_of(*y, 32);
  if (a.physical_type() == parquet::Type::INT64) return is_integer_of(*x, 64) && is_integer_of(*y, 64);
  return false;
}

std::vector<parquet::EncodedStatistics> page_statistics(const parquet::ColumnIndex *index, size_t pages, const parquet::ColumnDescriptor &leaf) {
  std::vector<parquet::EncodedStatistics> out;
  if (!index || index->null_pages().size() != pages) return out;
  for (size_t i = 0; i < pages; ++i) {
    auto &statistics = out.emplace_back();
    if (index->has_null_counts()) statistics.set_null_count(index->null_counts()[i]);
    statistics.all_null_value = index->null_pages()[i];
    if (!statistics.all_null_value) {
      statistics.set_min(index->encoded_min_values()[i]);
      statistics.set_max(index->encoded_max_values()[i]);
    }
    statistics.set_is_signed(leaf.sort_order() == parquet::SortOrder::SIGNED);
  }
  return out;
}

bool describe(const parquet::ColumnChunkMetaData &metadata, const parquet::ColumnDescriptor &leaf, const parquet::ColumnIndex *index, Chunk *out) {
  if (metadata.encoding_stats().empty()) return false;
  out->values = metadata.num_values();
  out->uncompressed = metadata.total_uncompressed_size();
  for (const auto &stats : metadata.encoding_stats()) {
    (stats.page_type == parquet::PageType::DICTIONARY_PAGE ? out->dictionary_encodings : out->data_encodings)[stats.encoding] += stats.count;
  }
  if (metadata.is_stats_set()) {
    if (auto statistics = metadata.encoded_statistics()) {
      out->statistics = *statistics;
      out->statistics.set_is_signed(leaf.sort_order() == parquet::SortOrder::SIGNED);
      if (is_not_a_number(out->statistics.min(), leaf.physical_type()) || is_not_a_number(out->statistics.max(), leaf.physical_type())) {
        out->statistics.ClearMinMax();
      }
    }
  }
  if (auto sizes = metadata.size_statistics()) out->sizes = *sizes;
  int64_t values = 0, row = 0;
  for (int64_t at = 0; at < out->size;) {
    auto header = PageHeader::read(out->data + at, out->size - at);
    if (header.compressed_size > out->size - at - header.length) return false;
    if (header.type == PageHeader::kDictionary) {
      if (out->dictionary_offset >= 0 || out->data_offset >= 0) return false;
      out->dictionary_offset = at;
    } else if (header.is_data()) {
      if (out->data_offset < 0) out->data_offset = at;
      header.statistics.all_null_value = header.statistics.has_null_count && header.statistics.null_count == header.values;
      out->pages.push_back({at, static_cast<int32_t>(header.length + header.compressed_size), row, header.statistics});
      values += header.values;
      row += header.row_count();
    } else {
      return false;
    }
    at += header.length + header.compressed_size;
  }
  auto indexed = page_statistics(index, out->pages.size(), leaf);
  for (size_t i = 0; i < indexed.size(); ++i) out->pages[i].statistics = indexed[i];
  return values == out->values && out->data_offset >= 0;
}

void constant_pages(const std::string &text, int64_t count, const Writing &to, Scratch *scratch, Chunk *out) {
  out->clear();
  auto *codec = scratch->codec(to.codec);
  auto add = [&](PageHeader header, const std::string &content) {
    const auto *bytes = reinterpret_cast<const uint8_t *>(content.data());
    auto size = static_cast<int64_t>(content.size());
    header.uncompressed_size = header.compressed_size = static_cast<int32_t>(size);
    if (codec) {
      scratch->packed.resize(codec->MaxCompressedLen(size, bytes));
      header.compressed_size = static_cast<int32_t>(check(codec->Compress(size, bytes, scratch->packed.size(), scratch->packed.data())));
      bytes = scratch->packed.data();
    }
    out->add_page(header, bytes, 0, out->statistics);
  };
  auto put = [](std::string *to, uint32_t number) {
    for (int i = 0; i < 4; ++i) to->push_back(static_cast<char>(number >> (8 * i)));
  };
  PageHeader dictionary;
  dictionary.type = PageHeader::kDictionary;
  dictionary.values = 1;
  dictionary.encoding = parquet::Encoding::PLAIN;
  std::string value;
  put(&value, static_cast<uint32_t>(text.size()));
  add(dictionary, value + text);

  // One run of the same number, as the RLE encoding has them.
  auto run = [](int64_t length, char number) {
    std::string out;
    uint64_t head = static_cast<uint64_t>(length) << 1;
    for (; head >= 0x80; head >>= 7) out.push_back(static_cast<char>(head | 0x80));
    out.push_back(static_cast<char>(head));
    out.push_back(number);
    return out;
  };
  auto &statistics = out->statistics;
  statistics.set_null_count(0);
  statistics.set_min(text);
  statistics.set_max(text);
  statistics.is_min_value_exact = statistics.is_max_value_exact = true;
  statistics.set_is_signed(to.leaf.sort_order() == parquet::SortOrder::SIGNED);
  statistics.ApplyStatSizeLimits(static_cast<size_t>(to.longest_bound));
  PageHeader page;
  page.type = PageHeader::kData;
  page.values = static_cast<int32_t>(count);
  page.encoding = parquet::Encoding::RLE_DICTIONARY;
  page.has_statistics = to.states_in_headers;
  page.statistics = statistics;
  std::string content;
  if (to.leaf.max_definition_level() == 1) {
    auto levels = run(count, 1);
    put(&content, static_cast<uint32_t>(levels.size()));
    content += levels;
  }
  content.push_back(1);
  add(page, content + run(count, 0));
  out->sizes.emplace();
  out->sizes->unencoded_byte_array_data_bytes = count * static_cast<int64_t>(text.size());
  if (to.leaf.max_definition_level() == 1) out->sizes->definition_level_histogram = {0, count};
  out->finish_owned();
}
}  // namespace sw

#endif
