// The least and greatest of values, as statistics have them.
#pragma once

#include "column_chunk.hpp"

#include <parquet/statistics.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

namespace sw {
/// Bytes behind a page that may be read without meaning anything.
inline constexpr int64_t kSlack = 16;

/// The least and greatest of some values, in the form that statistics have them.
struct Range {
  bool any = false;
  std::string least, greatest;
};

template <typename T>
T load(const void *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

inline bool is_less_text(std::string_view a, std::string_view b) {
  int order = std::memcmp(a.data(), b.data(), std::min(a.size(), b.size()));
  return order != 0 ? order < 0 : a.size() < b.size();
}

/// Of the same width, most significant byte first, with a sign.
inline bool is_less_decimal(const uint8_t *a, const uint8_t *b, size_t width) {
  auto x = static_cast<int8_t>(a[0]), y = static_cast<int8_t>(b[0]);
  return x != y ? x < y : std::memcmp(a, b, width) < 0;
}

inline bool is_less(Order order, std::string_view a, std::string_view b) {
  switch (order) {
    case Order::signed32: return load<int32_t>(a.data()) < load<int32_t>(b.data());
    case Order::unsigned32: return load<uint32_t>(a.data()) < load<uint32_t>(b.data());
    case Order::signed64: return load<int64_t>(a.data()) < load<int64_t>(b.data());
    case Order::unsigned64: return load<uint64_t>(a.data()) < load<uint64_t>(b.data());
    case Order::float32: return load<float>(a.data()) < load<float>(b.data());
    case Order::float64: return load<double>(a.data()) < load<double>(b.data());
    case Order::decimal: return is_less_decimal(reinterpret_cast<const uint8_t *>(a.data()), reinterpret_cast<const uint8_t *>(b.data()), a.size());
    case Order::bytes:
    case Order::none: return is_less_text(a, b);
  }
  return false;
}

inline void widen(Range *range, Order order, const Range &more) {
  if (!more.any) return;
  if (!range->any) {
    *range = more;
    return;
  }
  if (is_less(order, more.least, range->least)) range->least = more.least;
  if (is_less(order, range->greatest, more.greatest)) range->greatest = more.greatest;
}

/// Statistics of values among which there is no NULL.
inline void state(parquet::EncodedStatistics *statistics, const Range &range, bool is_signed, size_t longest) {
  *statistics = {};
  statistics->set_null_count(0);
  if (range.any) {
    statistics->set_min(range.least);
    statistics->set_max(range.greatest);
    statistics->is_min_value_exact = statistics->is_max_value_exact = true;
  }
  statistics->set_is_signed(is_signed);
  statistics->ApplyStatSizeLimits(longest);
}

}  // namespace sw
