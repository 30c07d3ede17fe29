// Changed values in the pages of a column, where these hold plain values: pages without changes stay as they are, and of the others
// only the values that change are touched.

#if __has_include(<parquet/arrow/writer.h>)

#include "arrow_internal.hpp"
#include "column_chunk.hpp"
#include "page_header.hpp"
#include "value_range.hpp"

#include <arrow/type.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <type_traits>

namespace sw {
namespace {
template <typename T>
Range range_of_numbers(const uint8_t *values, int64_t count) {
  T least = std::numeric_limits<T>::max(), greatest = std::numeric_limits<T>::lowest();
  if constexpr (std::is_floating_point_v<T>) {
    least = std::numeric_limits<T>::infinity();
    greatest = -least;
  }
  for (int64_t i = 0; i < count; ++i) {
    T value = load<T>(values + i * static_cast<int64_t>(sizeof(T)));
    // What is not a number is neither less nor greater.
    least = value < least ? value : least;
    greatest = greatest < value ? value : greatest;
  }
  Range range;
  if (count == 0 || greatest < least) return range;
  if constexpr (std::is_floating_point_v<T>) {
    // Both zeros lie between these bounds.
    if (least == 0) least = -T(0);
    if (greatest == 0) greatest = T(0);
  }
  range.any = true;
  range.least.assign(reinterpret_cast<const char *>(&least), sizeof(T));
  range.greatest.assign(reinterpret_cast<const char *>(&greatest), sizeof(T));
  return range;
}

template <typename F>
Range range_of_bytes(const uint8_t *values, int64_t count, int width, F less) {
  Range range;
  if (count == 0 || width == 0) return range;
  const uint8_t *least = values, *greatest = values;
  for (int64_t i = 1; i < count; ++i) {
    const uint8_t *value = values + i * width;
    if (less(value, least)) {
      least = value;
    } else if (less(greatest, value)) {
      greatest = value;
    }
  }
  range.any = true;
  range.least.assign(reinterpret_cast<const char *>(least), static_cast<size_t>(width));
  range.greatest.assign(reinterpret_cast<const char *>(greatest), static_cast<size_t>(width));
  return range;
}

Range range_of_fixed(Order order, const uint8_t *values, int64_t count, int width) {
  switch (order) {
    case Order::signed32: return range_of_numbers<int32_t>(values, count);
    case Order::unsigned32: return range_of_numbers<uint32_t>(values, count);
    case Order::signed64: return range_of_numbers<int64_t>(values, count);
    case Order::unsigned64: return range_of_numbers<uint64_t>(values, count);
    case Order::float32: return range_of_numbers<float>(values, count);
    case Order::float64: return range_of_numbers<double>(values, count);
    case Order::bytes:
      return range_of_bytes(values, count, width, [&](const uint8_t *a, const uint8_t *b) { return std::memcmp(a, b, static_cast<size_t>(width)) < 0; });
    case Order::decimal:
      return range_of_bytes(values, count, width, [&](const uint8_t *a, const uint8_t *b) { return is_less_decimal(a, b, static_cast<size_t>(width)); });
    case Order::none: return {};
  }
  return {};
}

/// The least and greatest of texts that stay where they are. Whatever lies between the two begins with the bytes that they have in
/// common: these are compared for equality only, and of what follows mostly eight bytes.
class TextRange {
 public:
  /// At least eight bytes behind the text must be readable.
  void add(const uint8_t *text, uint32_t length) {
    if (any_ && length >= common_ && is_common(text)) {
      uint64_t next = key(text, length);
      if (next > least_key_ && next < greatest_key_) return;
      if (next > greatest_key_) {
        greatest_ = {reinterpret_cast<const char *>(text), length};
        greatest_key_ = next;
        return;
      }
      if (next < least_key_) {
        least_ = {reinterpret_cast<const char *>(text), length};
        least_key_ = next;
        return;
      }
    }
    add_slowly({reinterpret_cast<const char *>(text), length});
  }

  Range range() const {
    Range range;
    range.any = any_;
    range.least = least_;
    range.greatest = greatest_;
    return range;
  }

 private:
  bool is_common(const uint8_t *text) const {
    const auto *least = reinterpret_cast<const uint8_t *>(least_.data());
    uint32_t at = 0;
    for (; at + 8 <= common_; at += 8) {
      if (load<uint64_t>(text + at) != load<uint64_t>(least + at)) return false;
    }
    return at == common_ || (load<uint64_t>(text + at) ^ load<uint64_t>(least + at)) << (64 - 8 * (common_ - at)) == 0;
  }

  /// Eight bytes behind the common ones, zeros where the text has ended.
  uint64_t key(const uint8_t *text, uint32_t length) const {
    uint32_t left = length - common_;
    if (left == 0) return 0;
    uint64_t bytes = __builtin_bswap64(load<uint64_t>(text + common_));
    return left >= 8 ? bytes : bytes & ~uint64_t(0) << (64 - 8 * left);
  }

  void add_slowly(std::string_view text) {
    if (!any_) {
      any_ = true;
      least_ = greatest_ = text;
    } else if (is_less_text(text, least_)) {
      least_ = text;
    } else if (is_less_text(greatest_, text)) {
      greatest_ = text;
    } else {
      return;
    }
    uint32_t shortest = static_cast<uint32_t>(std::min(least_.size(), greatest_.size()));
    common_ = 0;
    while (common_ < shortest && least_[common_] == greatest_[common_]) ++common_;
    least_key_ = key(reinterpret_cast<const uint8_t *>(least_.data()), static_cast<uint32_t>(least_.size()));
    greatest_key_ = key(reinterpret_cast<const uint8_t *>(greatest_.data()), static_cast<uint32_t>(greatest_.size()));
  }

  bool any_ = false;
  std::string_view least_, greatest_;
  uint32_t common_ = 0;
  uint64_t least_key_ = 0, greatest_key_ = 0;
};

bool is_unit(arrow::TimeUnit::type arrow, parquet::LogicalType::TimeUnit::unit parquet) {
  switch (arrow) {
    case arrow::TimeUnit::MILLI: return parquet == parquet::LogicalType::TimeUnit::MILLIS;
    case arrow::TimeUnit::MICRO: return parquet == parquet::LogicalType::TimeUnit::MICROS;
    case arrow::TimeUnit::NANO: return parquet == parquet::LogicalType::TimeUnit::NANOS;
    default: return false;
  }
}

bool has_unit(const arrow::DataType &type, const parquet::LogicalType &logical) {
  if (type.id() == arrow::Type::TIMESTAMP && logical.is_timestamp()) {
    return is_unit(static_cast<const arrow::TimestampType &>(type).unit(), static_cast<const parquet::TimestampLogicalType &>(logical).time_unit());
  }
  if ((type.id() == arrow::Type::TIME32 || type.id() == arrow::Type::TIME64) && logical.is_time()) {
    return is_unit(static_cast<const arrow::TimeType &>(type).unit(), static_cast<const parquet::TimeLogicalType &>(logical).time_unit());
  }
  return false;
}

const uint8_t *plain_values(const arrow::Array &array, int width) {
  const auto &buffer = array.data()->buffers[1];
  return buffer ? buffer->data() + array.offset() * width : nullptr;
}

template <typename T>
std::vector<uint8_t> as_int32(const arrow::Array &array) {
  std::vector<uint8_t> out(static_cast<size_t>(array.length()) * 4);
  const uint8_t *from = plain_values(array, sizeof(T));
  for (int64_t i = 0; i < array.length(); ++i) {
    int32_t value = load<T>(from + i * static_cast<int64_t>(sizeof(T)));
    std::memcpy(out.data() + i * 4, &value, 4);
  }
  return out;
}
}  // namespace

bool PatchValues::prepare(const arrow::Array &patch, const parquet::ColumnDescriptor &leaf) {
  auto physical = leaf.physical_type();
  auto sorted = leaf.sort_order();
  const auto &logical = leaf.logical_type();
  const auto &type = *patch.type();
  bool is_signed = sorted == parquet::SortOrder::SIGNED, is_unsigned = sorted == parquet::SortOrder::UNSIGNED;
  switch (type.id()) {
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::DATE32:
    case arrow::Type::TIME32:
      if (physical != parquet::Type::INT32 || (type.id() == arrow::Type::TIME32 && !has_unit(type, *logical))) return false;
      width = 4;
      order = is_signed ? Order::signed32 : is_unsigned ? Order::unsigned32 : Order::none;
      if (type.id() == arrow::Type::INT8) converted = as_int32<int8_t>(patch);
      if (type.id() == arrow::Type::INT16) converted = as_int32<int16_t>(patch);
      break;
    case arrow::Type::INT64:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
      if (physical != parquet::Type::INT64 || (type.id() != arrow::Type::INT64 && !has_unit(type, *logical))) return false;
      width = 8;
      order = is_signed ? Order::signed64 : is_unsigned ? Order::unsigned64 : Order::none;
      break;
    case arrow::Type::FLOAT:
      if (physical != parquet::Type::FLOAT) return false;
      width = 4;
      order = Order::float32;
      break;
    case arrow::Type::DOUBLE:
      if (physical != parquet::Type::DOUBLE) return false;
      width = 8;
      order = Order::float64;
      break;
    case arrow::Type::DECIMAL128: {
      if (physical != parquet::Type::FIXED_LEN_BYTE_ARRAY || !logical->is_decimal() || leaf.type_length() > 16 || leaf.type_length() < 1) return false;
      width = leaf.type_length();
      order = is_signed ? Order::decimal : Order::none;
      const uint8_t *from = plain_values(patch, 16);
      converted.resize(static_cast<size_t>(patch.length() * width));
      for (int64_t i = 0; i < patch.length(); ++i) {
        for (int byte = 0; byte < width; ++byte) converted[static_cast<size_t>(i * width + byte)] = from[i * 16 + width - 1 - byte];
      }
      break;
    }
    case arrow::Type::FIXED_SIZE_BINARY:
      // Half-precision numbers lie so, too, and have their own order.
      if (physical != parquet::Type::FIXED_LEN_BYTE_ARRAY || is_signed || leaf.type_length() != static_cast<const arrow::FixedSizeBinaryType &>(type).byte_width()) return false;
      width = leaf.type_length();
      order = is_unsigned ? Order::bytes : Order::none;
      break;
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      if (physical != parquet::Type::BYTE_ARRAY || is_signed) return false;
      width = 0;
      order = is_unsigned ? Order::bytes : Order::none;
      text = static_cast<const arrow::BinaryArray *>(&patch);
      return true;
    default: return false;
  }
  if (width < 1) return false;
  fixed = converted.empty() ? plain_values(patch, width) : converted.data();
  return true;
}

namespace {
/// Takes a chunk apart, page by page.
class Patching {
 public:
  Patching(const Changes &changes, const PatchValues &values, Scratch *scratch) : changes_(changes), values_(values), scratch_(scratch) {}

  /// Changes of the rows from `first` on, `count` of them.
  void move_to(int64_t first, int64_t count) {
    first_row_ = first;
    begin_ = end_;
    while (end_ < changes_.rows.size() && changes_.rows[end_] < first + count) ++end_;
  }
  bool changes_any() const { return end_ > begin_; }
  bool is_done() const { return end_ == changes_.rows.size(); }

  /// Patches `count` values of `scratch->page`, which start at `levels`; the page is in `*out` then.
  bool patch(int64_t levels, int64_t count, Range *range, Bytes **out) {
    return values_.width > 0 ? patch_fixed(levels, count, range, out) : patch_text(levels, count, range, out);
  }

  /// Bytes of the texts of the page that was patched last.
  int64_t text_bytes = 0;

 private:
  bool patch_fixed(int64_t levels, int64_t count, Range *range, Bytes **out) {
    int64_t width = values_.width;
    auto &page = scratch_->page;
    if (page.size() - levels != count * width) return false;
    uint8_t *to = page.data() + levels;
    for (size_t i = begin_; i < end_; ++i) {
      std::memcpy(to + (changes_.rows[i] - first_row_) * width, values_.fixed + changes_.patch[i] * width, static_cast<size_t>(width));
    }
    *range = range_of_fixed(values_.order, to, count, values_.width);
    *out = &page;
    return true;
  }

  bool patch_text(int64_t levels, int64_t count, Range *range, Bytes **out) {
    auto &page = scratch_->page;
    const uint8_t *const end = page.data() + page.size();
    int64_t added = 0;
    for (size_t i = begin_; i < end_; ++i) added += values_.text->value_length(changes_.patch[i]) + 4;
    auto &patched = scratch_->patched;
    patched.clear();
    patched.reserve(page.size() + added + kSlack);
    const uint8_t *at = page.data() + levels, *kept = page.data();
    TextRange texts;
    bool ordered = values_.order != Order::none;
    int64_t row = 0;
    for (size_t change = begin_;; ++change) {
      int64_t stop = change < end_ ? changes_.rows[change] - first_row_ : count;
      for (; row < stop; ++row) {
        if (end - at < 4) return false;
        uint32_t length = load<uint32_t>(at);
        if (length > static_cast<uint64_t>(end - at - 4)) return false;
        if (ordered) texts.add(at + 4, length);
        at += 4 + length;
      }
      if (change == end_) break;
      if (end - at < 4) return false;
      uint32_t length = load<uint32_t>(at);
      if (length > static_cast<uint64_t>(end - at - 4)) return false;
      patched.append(kept, at - kept);
      auto value = values_.text->GetView(changes_.patch[change]);
      auto size = static_cast<uint32_t>(value.size());
      patched.append(&size, 4);
      patched.append(value.data(), size);
      if (ordered) texts.add(patched.data() + patched.size() - size, size);
      at += 4 + length;
      kept = at;
      ++row;
    }
    if (at != end) return false;
    patched.append(kept, end - kept);
    text_bytes = patched.size() - levels - 4 * count;
    *range = texts.range();
    *out = &patched;
    return true;
  }

  const Changes &changes_;
  const PatchValues &values_;
  Scratch *scratch_;
  int64_t first_row_ = 0;
  size_t begin_ = 0, end_ = 0;
};

/// The bounds that the statistics of a page give, if they are the values' own.
bool is_told(const parquet::EncodedStatistics &statistics, Order order, Range *range) {
  if (order == Order::none) return true;
  if (!statistics.has_min || !statistics.has_max) return false;
  // Other writers, whose pages may have been copied into this file, cut long bounds in their indexes without saying so.
  constexpr size_t kCut = 60;
  if (order == Order::bytes && (statistics.min().size() >= kCut || statistics.max().size() >= kCut)) return false;
  if (!statistics.is_min_value_exact.value_or(true) || !statistics.is_max_value_exact.value_or(true)) return false;
  range->any = true;
  range->least = statistics.min();
  range->greatest = statistics.max();
  return true;
}
}  // namespace

bool patch_pages(const Patchable &from, const Writing &to, const Changes &changes, const PatchValues &values, Scratch *scratch, Chunk *out) {
  out->clear();
  const auto &leaf = to.leaf;
  const auto &input = scratch->input;
  const bool is_signed = leaf.sort_order() == parquet::SortOrder::SIGNED;
  const auto longest = static_cast<size_t>(to.longest_bound);
  auto *codec = scratch->codec(to.codec);
  std::vector<PageHeader> headers;
  for (int64_t at = 0; at < input.size();) {
    auto header = PageHeader::read(input.data() + at, input.size() - at);
    if (header.compressed_size > input.size() - at - header.length || header.type != PageHeader::kData || header.encoding != parquet::Encoding::PLAIN) return false;
    if (leaf.max_definition_level() > 0 && header.definition_encoding != parquet::Encoding::RLE) return false;
    if (header.statistics.has_null_count && header.statistics.null_count != 0) return false;
    at += header.length + header.compressed_size;
    headers.push_back(std::move(header));
  }
  auto indexed = page_statistics(from.index, headers.size(), leaf);
  Patching patching(changes, values, scratch);
  Range range;
  int64_t row = 0, at = 0, text_bytes = 0;
  bool has_text_bytes = values.width == 0;
  for (size_t i = 0; i < headers.size(); ++i) {
    auto &header = headers[i];
    const uint8_t *stored = input.data() + at + header.length;
    at += header.length + header.compressed_size;
    patching.move_to(row, header.values);
    const auto &known = indexed.empty() ? header.statistics : indexed[i];
    auto statistics = known;
    statistics.set_is_signed(is_signed);
    Range of_page;
    bool changes_any = patching.changes_any();
    if (!changes_any && from.trusts_pages && is_told(known, values.order, &of_page)) {
      has_text_bytes = false;
    } else {
      scratch->page.reserve(header.uncompressed_size + kSlack);
      scratch->page.resize(header.uncompressed_size);
      if (codec) {
        int64_t size = check(codec->Decompress(header.compressed_size, stored, header.uncompressed_size, scratch->page.data()));
        if (size != header.uncompressed_size) return false;
      } else {
        if (header.compressed_size != header.uncompressed_size) return false;
        std::memcpy(scratch->page.data(), stored, static_cast<size_t>(header.compressed_size));
      }
      int64_t levels = 0;
      if (leaf.max_definition_level() > 0) {
        if (scratch->page.size() < 4) return false;
        levels = 4 + static_cast<int64_t>(load<uint32_t>(scratch->page.data()));
        if (levels > scratch->page.size()) return false;
      }
      Bytes *page = nullptr;
      if (!patching.patch(levels, header.values, &of_page, &page)) return false;
      text_bytes += patching.text_bytes;
      if (changes_any) {
        if (page->size() > std::numeric_limits<int32_t>::max() / 2) return false;
        header.uncompressed_size = header.compressed_size = static_cast<int32_t>(page->size());
        header.crc.reset();
        stored = page->data();
        if (codec) {
          scratch->packed.resize(codec->MaxCompressedLen(page->size(), page->data()));
          header.compressed_size = static_cast<int32_t>(check(codec->Compress(page->size(), page->data(), scratch->packed.size(), scratch->packed.data())));
          stored = scratch->packed.data();
        }
      }
      state(&statistics, of_page, is_signed, longest);
    }
    header.has_statistics = to.states_in_headers && statistics.is_set();
    header.statistics = statistics;
    out->add_page(header, stored, row, statistics);
    widen(&range, values.order, of_page);
    row += header.values;
  }
  if (row != changes.input_rows || !patching.is_done() || out->pages.empty()) return false;
  state(&out->statistics, range, is_signed, longest);
  if (auto sizes = from.metadata.size_statistics()) {
    out->sizes = *sizes;
    if (has_text_bytes) {
      out->sizes->unencoded_byte_array_data_bytes = text_bytes;
    } else {
      out->sizes->unencoded_byte_array_data_bytes.reset();
    }
  }
  out->finish_owned();
  return true;
}
}  // namespace sw

#endif
