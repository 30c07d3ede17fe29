// The headers of Parquet pages, which Arrow reads and writes but does not show; and footers with large values, which it copies often.
#pragma once

#include <parquet/statistics.h>
#include <parquet/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace sw {
/// Of a data page of version 1 or 2, or a dictionary page; see parquet.thrift.
struct PageHeader {
  enum Type : int32_t { kData = 0, kIndex = 1, kDictionary = 2, kDataV2 = 3 };

  int32_t type = -1;
  int32_t uncompressed_size = 0, compressed_size = 0;
  /// Of the page as stored.
  std::optional<int32_t> crc;
  int32_t values = 0;
  int32_t encoding = -1;
  int32_t definition_encoding = parquet::Encoding::RLE, repetition_encoding = parquet::Encoding::RLE;
  std::optional<bool> is_sorted;
  /// Version 2 only.
  int32_t rows = 0;
  bool has_statistics = false;
  /// Bounds of fields whose order is defined; those of the old ones are not read.
  parquet::EncodedStatistics statistics;
  /// Bytes of the header itself.
  int64_t length = 0;

  bool is_data() const { return type == kData || type == kDataV2; }
  int32_t row_count() const { return type == kDataV2 ? rows : values; }

  /// Throws when `bytes` does not begin with a whole header.
  static PageHeader read(const uint8_t *bytes, int64_t available);
  /// Of a dictionary page or a data page of version 1.
  void write(std::string *out) const;
};

/// A footer that is taken apart where its keys and values end.
struct FooterParts {
  std::string before, after;
};

/// `added` more keys and values are going to stand between the two parts. Nothing when the footer has none so far.
std::optional<FooterParts> split_footer(const std::string &footer, uint64_t added);

/// What stands before a value in the footer. A zero byte comes behind it.
std::string pair_head(const std::string &key, size_t value_size);
}  // namespace sw
