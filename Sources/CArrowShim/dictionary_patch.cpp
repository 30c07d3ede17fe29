// Changed values in the pages of a column that refer to a dictionary: references are changed, and new values come to its end.

#if __has_include(<parquet/arrow/writer.h>)

#include "arrow_internal.hpp"
#include "column_chunk.hpp"
#include "page_header.hpp"
#include "value_range.hpp"

#include <algorithm>
#include <bit>
#include <string_view>
#include <unordered_map>

namespace sw {
namespace {
/// A literal run that is longer has a head of more than a byte, which writers avoid.
constexpr int64_t kLongestLiteral = 63 * 8;

int width_of(size_t entries) { return entries <= 1 ? 1 : static_cast<int>(std::bit_width(entries - 1)); }

/// Appends `count` numbers in the hybrid of runs and packed bits. Returns false when `bytes` are not that, or a number is not below `limit`.
bool read_codes(const uint8_t *bytes, int64_t size, int64_t count, uint32_t limit, uint32_t *to) {
  if (size < 1) return false;
  const int width = bytes[0];
  if (width > 32) return false;
  const uint8_t *at = bytes + 1, *end = bytes + size;
  uint32_t *const stop = to + count;
  while (to < stop) {
    uint64_t head = 0;
    for (int shift = 0;; shift += 7) {
      if (at == end || shift > 35) return false;
      head |= static_cast<uint64_t>(*at & 0x7F) << shift;
      if (*at++ < 0x80) break;
    }
    auto left = static_cast<uint64_t>(stop - to);
    if (head & 1) {
      uint64_t values = std::min((head >> 1) * 8, left);
      if (static_cast<uint64_t>(end - at) * 8 < values * static_cast<uint64_t>(width)) return false;
      uint64_t bits = 0;
      int have = 0;
      const uint8_t *next = at;
      const uint64_t mask = (uint64_t{1} << width) - 1;
      for (uint64_t i = 0; i < values; ++i) {
        while (have < width) {
          bits |= static_cast<uint64_t>(*next++) << have;
          have += 8;
        }
        auto code = static_cast<uint32_t>(bits & mask);
        if (code >= limit) return false;
        *to++ = code;
        bits >>= width;
        have -= width;
      }
      uint64_t whole = (head >> 1) * static_cast<uint64_t>(width);
      at = whole > static_cast<uint64_t>(end - at) ? end : at + whole;
    } else {
      int parts = (width + 7) / 8;
      if (end - at < parts) return false;
      uint32_t code = 0;
      for (int i = 0; i < parts; ++i) code |= static_cast<uint32_t>(*at++) << (8 * i);
      uint64_t values = std::min(head >> 1, left);
      if (code >= limit || values == 0) return false;
      std::fill(to, to + values, code);
      to += values;
    }
  }
  return true;
}

void put_varint(Bytes *out, uint64_t value) {
  uint8_t bytes[10];
  int n = 0;
  for (; value >= 0x80; value >>= 7) bytes[n++] = static_cast<uint8_t>(value | 0x80);
  bytes[n++] = static_cast<uint8_t>(value);
  out->append(bytes, n);
}

/// All but the last literal of a page have a multiple of eight numbers.
void put_literal(Bytes *out, const uint32_t *codes, int64_t count, int width) {
  while (count > 0) {
    int64_t part = std::min(count, kLongestLiteral), groups = (part + 7) / 8;
    put_varint(out, static_cast<uint64_t>(groups) << 1 | 1);
    int64_t start = out->size();
    out->resize(start + groups * width);
    uint8_t *to = out->data() + start, *const end = to + groups * width;
    uint64_t bits = 0;
    int have = 0;
    for (int64_t i = 0; i < part; ++i) {
      bits |= static_cast<uint64_t>(codes[i]) << have;
      have += width;
      for (; have >= 8; have -= 8, bits >>= 8) *to++ = static_cast<uint8_t>(bits);
    }
    if (have > 0) *to++ = static_cast<uint8_t>(bits);
    std::fill(to, end, uint8_t{0});
    codes += part;
    count -= part;
  }
}

void put_codes(Bytes *out, const uint32_t *codes, int64_t count, int width) {
  auto head = static_cast<uint8_t>(width);
  out->append(&head, 1);
  int64_t at = 0, literal = 0;
  while (at < count) {
    int64_t stop = at + 1;
    while (stop < count && codes[stop] == codes[at]) ++stop;
    // What completes a group of eight goes with the numbers before.
    int64_t from = at + (8 - (at - literal) % 8) % 8;
    if (stop - from >= 8) {
      put_literal(out, codes + literal, from - literal, width);
      put_varint(out, static_cast<uint64_t>(stop - from) << 1);
      out->append(codes + at, (width + 7) / 8);
      literal = stop;
    }
    at = stop;
  }
  put_literal(out, codes + literal, count - literal, width);
}

/// The values that a chunk refers to.
struct Dictionary {
  std::vector<std::string_view> entries;
  /// As they lie in the page.
  int64_t bytes = 0;

  bool read(const uint8_t *page, int64_t size, int64_t count, int width) {
    const uint8_t *at = page, *end = page + size;
    for (int64_t i = 0; i < count; ++i) {
      int64_t length = width;
      if (width == 0) {
        if (end - at < 4) return false;
        length = load<uint32_t>(at);
        at += 4;
      }
      if (length > end - at) return false;
      entries.emplace_back(reinterpret_cast<const char *>(at), static_cast<size_t>(length));
      at += length;
    }
    bytes = size;
    return true;
  }
};

std::string_view value_at(const PatchValues &values, int32_t row) {
  if (values.width == 0) return values.text->GetView(row);
  return {reinterpret_cast<const char *>(values.fixed) + static_cast<int64_t>(row) * values.width, static_cast<size_t>(values.width)};
}

bool unpack(arrow::util::Codec *codec, const PageHeader &header, const uint8_t *stored, Bytes *to) {
  to->reserve(header.uncompressed_size + kSlack);
  to->resize(header.uncompressed_size);
  if (codec) return check(codec->Decompress(header.compressed_size, stored, header.uncompressed_size, to->data())) == header.uncompressed_size;
  if (header.compressed_size != header.uncompressed_size) return false;
  std::memcpy(to->data(), stored, static_cast<size_t>(header.compressed_size));
  return true;
}

const uint8_t *pack(arrow::util::Codec *codec, const Bytes &page, Bytes *packed, PageHeader *header) {
  header->uncompressed_size = header->compressed_size = static_cast<int32_t>(page.size());
  header->crc.reset();
  if (!codec) return page.data();
  packed->resize(codec->MaxCompressedLen(page.size(), page.data()));
  header->compressed_size = static_cast<int32_t>(check(codec->Compress(page.size(), page.data(), packed->size(), packed->data())));
  return packed->data();
}
}  // namespace

bool patch_dictionary_pages(const Patchable &from, const Writing &to, int64_t longest_dictionary, const Changes &changes, const PatchValues &values,
                            Scratch *scratch, Chunk *out) {
  out->clear();
  // Several of these may be equal, or not even equal to themselves.
  if (values.order == Order::float32 || values.order == Order::float64) return false;
  const auto &input = scratch->input;
  const bool is_signed = to.leaf.sort_order() == parquet::SortOrder::SIGNED, is_optional = to.leaf.max_definition_level() > 0;
  auto *codec = scratch->codec(to.codec);

  struct Stored {
    PageHeader header;
    const uint8_t *bytes;
    /// What lies before the references.
    std::string levels;
  };
  std::vector<Stored> pages;
  for (int64_t at = 0; at < input.size();) {
    auto header = PageHeader::read(input.data() + at, input.size() - at);
    const uint8_t *bytes = input.data() + at + header.length;
    if (header.compressed_size > input.size() - at - header.length) return false;
    if (header.type != (pages.empty() ? PageHeader::kDictionary : PageHeader::kData)) return false;
    if (is_optional && header.definition_encoding != parquet::Encoding::RLE) return false;
    if (header.statistics.has_null_count && header.statistics.null_count != 0) return false;
    at += header.length + header.compressed_size;
    pages.push_back({std::move(header), bytes, {}});
  }
  if (pages.size() < 2) return false;

  // The dictionary, in memory of its own: its values are referred to until the end.
  Bytes first;
  Dictionary dictionary;
  if (!unpack(codec, pages[0].header, pages[0].bytes, &first) || !dictionary.read(first.data(), first.size(), pages[0].header.values, values.width)) return false;
  const size_t known = dictionary.entries.size();

  // All references of the chunk.
  auto &codes = scratch->codes;
  codes.resize(static_cast<size_t>(changes.input_rows));
  int64_t row = 0;
  for (size_t i = 1; i < pages.size(); ++i) {
    auto &page = pages[i];
    if (page.header.values > changes.input_rows - row || !unpack(codec, page.header, page.bytes, &scratch->page)) return false;
    const auto &bytes = scratch->page;
    int64_t levels = 0;
    if (is_optional) {
      if (bytes.size() < 4) return false;
      levels = 4 + static_cast<int64_t>(load<uint32_t>(bytes.data()));
      if (levels > bytes.size()) return false;
    }
    page.levels.assign(reinterpret_cast<const char *>(bytes.data()), static_cast<size_t>(levels));
    if (!read_codes(bytes.data() + levels, bytes.size() - levels, page.header.values, static_cast<uint32_t>(known), codes.data() + row)) return false;
    row += page.header.values;
  }
  if (row != changes.input_rows) return false;

  std::unordered_map<std::string_view, uint32_t> numbers;
  numbers.reserve(known * 2);
  for (size_t i = 0; i < known; ++i) numbers.emplace(dictionary.entries[i], static_cast<uint32_t>(i));
  for (size_t i = 0; i < changes.rows.size(); ++i) {
    auto value = value_at(values, changes.patch[i]);
    auto found = numbers.emplace(value, static_cast<uint32_t>(dictionary.entries.size()));
    if (found.second) {
      dictionary.entries.push_back(value);
      dictionary.bytes += static_cast<int64_t>(value.size()) + (values.width == 0 ? 4 : 0);
      if (dictionary.bytes > longest_dictionary) return false;
    }
    codes[static_cast<size_t>(changes.rows[i])] = found.first->second;
  }

  // Values that nothing refers to go.
  std::vector<uint8_t> used(dictionary.entries.size(), 0);
  for (uint32_t code : codes) used[code] = 1;
  std::vector<uint32_t> renumbered(used.size());
  std::vector<std::string_view> kept;
  for (size_t i = 0; i < used.size(); ++i) {
    renumbered[i] = static_cast<uint32_t>(kept.size());
    if (used[i]) kept.push_back(dictionary.entries[i]);
  }
  bool keeps_numbers = true;
  for (size_t i = 0; i < known && keeps_numbers; ++i) keeps_numbers = !used[i] || renumbered[i] == i;
  if (!keeps_numbers || kept.size() != dictionary.entries.size()) {
    for (uint32_t &code : codes) code = renumbered[code];
  }
  // Places of the values in their order: the bounds of a page are those of its places.
  std::vector<uint32_t> sorted(kept.size()), place(kept.size());
  for (size_t i = 0; i < kept.size(); ++i) sorted[i] = static_cast<uint32_t>(i);
  if (values.order != Order::none) {
    std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) { return is_less(values.order, kept[a], kept[b]); });
  }
  for (size_t i = 0; i < sorted.size(); ++i) place[sorted[i]] = static_cast<uint32_t>(i);

  auto &plain = scratch->patched;
  plain.clear();
  for (auto value : kept) {
    auto size = static_cast<uint32_t>(value.size());
    if (values.width == 0) plain.append(&size, 4);
    plain.append(value.data(), size);
  }
  PageHeader header = pages[0].header;
  header.values = static_cast<int32_t>(kept.size());
  header.is_sorted.reset();
  const uint8_t *stored = pack(codec, plain, &scratch->packed, &header);
  out->add_page(header, stored, 0);

  Range range;
  const int width = width_of(kept.size());
  row = 0;
  size_t change = 0;
  int64_t text_bytes = 0;
  for (size_t i = 1; i < pages.size(); ++i) {
    header = pages[i].header;
    const uint32_t *of_page = codes.data() + row;
    size_t before = change;
    while (change < changes.rows.size() && changes.rows[change] < row + header.values) ++change;
    Range bounds;
    if (values.order != Order::none && header.values > 0) {
      uint32_t least = ~uint32_t{0}, greatest = 0;
      for (int32_t k = 0; k < header.values; ++k) {
        least = std::min(least, place[of_page[k]]);
        greatest = std::max(greatest, place[of_page[k]]);
      }
      bounds.any = true;
      bounds.least = kept[sorted[least]];
      bounds.greatest = kept[sorted[greatest]];
    }
    if (values.width == 0) {
      for (int32_t k = 0; k < header.values; ++k) text_bytes += static_cast<int64_t>(kept[of_page[k]].size());
    }
    parquet::EncodedStatistics statistics;
    state(&statistics, bounds, is_signed, static_cast<size_t>(to.longest_bound));
    widen(&range, values.order, bounds);
    stored = pages[i].bytes;
    if (change > before || !keeps_numbers) {
      plain.clear();
      plain.append(pages[i].levels.data(), static_cast<int64_t>(pages[i].levels.size()));
      put_codes(&plain, of_page, header.values, width);
      stored = pack(codec, plain, &scratch->packed, &header);
    }
    header.has_statistics = to.states_in_headers;
    header.statistics = statistics;
    out->add_page(header, stored, row, statistics);
    row += header.values;
  }
  state(&out->statistics, range, is_signed, static_cast<size_t>(to.longest_bound));
  if (auto sizes = from.metadata.size_statistics()) {
    out->sizes = *sizes;
    if (values.width == 0) out->sizes->unencoded_byte_array_data_bytes = text_bytes;
  }
  out->finish_owned();
  return true;
}
}  // namespace sw

#endif
