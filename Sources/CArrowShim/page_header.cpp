// Thrift's compact protocol, as far as the headers of pages need it.

#if __has_include(<parquet/arrow/writer.h>)

#include "page_header.hpp"

#include <stdexcept>
#include <utility>

namespace {
enum Wire : uint8_t { kStop = 0, kTrue = 1, kFalse = 2, kByte = 3, kI16 = 4, kI32 = 5, kI64 = 6, kDouble = 7, kBinary = 8, kList = 9, kSet = 10, kMap = 11, kStruct = 12 };

/// Structures within structures that are passed over.
constexpr int kDeepest = 16;

class In {
 public:
  In(const uint8_t *bytes, int64_t count) : start_(bytes), at_(bytes), end_(bytes + count) {}

  int64_t position() const { return at_ - start_; }

  uint8_t byte() {
    if (at_ == end_) throw std::runtime_error("the header of a page is cut off");
    return *at_++;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      uint8_t next = byte();
      value |= static_cast<uint64_t>(next & 0x7F) << shift;
      if (next < 0x80) return value;
    }
    throw std::runtime_error("the header of a page has a number without end");
  }
  int64_t integer() {
    uint64_t value = varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  int32_t small() { return static_cast<int32_t>(integer()); }
  std::string binary() {
    uint64_t count = varint();
    need(count);
    std::string value(reinterpret_cast<const char *>(at_), count);
    at_ += count;
    return value;
  }

  /// Calls `field(id, type)` for each field; it returns false for those that it leaves.
  template <typename F>
  void structure(F field) {
    int16_t id = 0;
    while (true) {
      uint8_t head = byte();
      if (head == kStop) return;
      id = static_cast<int16_t>(head >> 4 ? id + (head >> 4) : integer());
      if (!field(id, static_cast<uint8_t>(head & 15))) skip(head & 15, 0);
    }
  }

  /// The head of a list: how many elements it has, and their type.
  std::pair<uint64_t, uint8_t> list() {
    uint8_t head = byte();
    uint64_t count = head >> 4 == 15 ? varint() : head >> 4;
    need(count);
    return {count, static_cast<uint8_t>(head & 15)};
  }
  void skip_elements(uint64_t count, uint8_t type) {
    for (uint64_t i = 0; i < count; ++i) element(type, 0);
  }

 private:
  void need(uint64_t count) {
    if (count > static_cast<uint64_t>(end_ - at_)) throw std::runtime_error("the header of a page is cut off");
  }
  void skip(uint8_t type, int depth) {
    if (depth > kDeepest) throw std::runtime_error("the header of a page is nested too deeply");
    switch (type) {
      case kTrue:
      case kFalse: return;
      case kByte: byte(); return;
      case kI16:
      case kI32:
      case kI64: varint(); return;
      case kDouble:
        need(8);
        at_ += 8;
        return;
      case kBinary: {
        uint64_t count = varint();
        need(count);
        at_ += count;
        return;
      }
      case kList:
      case kSet: {
        auto [count, kind] = list();
        for (uint64_t i = 0; i < count; ++i) element(kind, depth);
        return;
      }
      case kMap: {
        uint64_t count = varint();
        need(count);
        if (count == 0) return;
        uint8_t types = byte();
        for (uint64_t i = 0; i < count; ++i) {
          element(types >> 4, depth);
          element(types & 15, depth);
        }
        return;
      }
      case kStruct:
        structure_within(depth);
        return;
      default: throw std::runtime_error("the header of a page has a field of unknown type " + std::to_string(type));
    }
  }
  /// Truth values in lists take a byte.
  void element(uint8_t type, int depth) {
    if (type == kTrue || type == kFalse) {
      byte();
    } else {
      skip(type, depth + 1);
    }
  }
  void structure_within(int depth) {
    while (true) {
      uint8_t head = byte();
      if (head == kStop) return;
      if (!(head >> 4)) integer();
      skip(head & 15, depth + 1);
    }
  }

  const uint8_t *start_, *at_, *end_;
};

class Out {
 public:
  explicit Out(std::string *out) : out_(out) {}

  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_->push_back(static_cast<char>(value | 0x80));
    out_->push_back(static_cast<char>(value));
  }
  /// Fields must come in the order of their ids, less than 16 apart.
  void field(int id, uint8_t type) {
    out_->push_back(static_cast<char>((id - last_) << 4 | type));
    last_ = id;
  }
  void i32(int id, int32_t value) {
    field(id, kI32);
    number(value);
  }
  void i64(int id, int64_t value) {
    field(id, kI64);
    number(value);
  }
  void truth(int id, bool value) { field(id, value ? kTrue : kFalse); }
  void binary(int id, const std::string &value) {
    field(id, kBinary);
    varint(value.size());
    out_->append(value);
  }
  template <typename F>
  void structure(int id, F body) {
    field(id, kStruct);
    int before = last_;
    last_ = 0;
    body();
    stop();
    last_ = before;
  }
  void stop() { out_->push_back(0); }

 private:
  void number(int64_t value) { varint(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63)); }
  std::string *out_;
  int last_ = 0;
};

void read_statistics(In &in, parquet::EncodedStatistics *out) {
  in.structure([&](int16_t id, uint8_t type) {
    if (id == 3 && type == kI64) {
      out->set_null_count(in.integer());
    } else if (id == 4 && type == kI64) {
      out->set_distinct_count(in.integer());
    } else if (id == 5 && type == kBinary) {
      out->set_max(in.binary());
    } else if (id == 6 && type == kBinary) {
      out->set_min(in.binary());
    } else if (id == 7) {
      out->is_max_value_exact = type == kTrue;
    } else if (id == 8) {
      out->is_min_value_exact = type == kTrue;
    } else {
      return false;
    }
    return true;
  });
}

void write_statistics(Out &out, const parquet::EncodedStatistics &statistics) {
  out.structure(5, [&] {
    // Readers that know no order compare as signed numbers.
    if (statistics.is_signed()) {
      if (statistics.has_max) out.binary(1, statistics.max());
      if (statistics.has_min) out.binary(2, statistics.min());
    }
    if (statistics.has_null_count) out.i64(3, statistics.null_count);
    if (statistics.has_distinct_count) out.i64(4, statistics.distinct_count);
    if (statistics.has_max) out.binary(5, statistics.max());
    if (statistics.has_min) out.binary(6, statistics.min());
    if (statistics.is_max_value_exact) out.truth(7, *statistics.is_max_value_exact);
    if (statistics.is_min_value_exact) out.truth(8, *statistics.is_min_value_exact);
  });
}
}  // namespace

namespace sw {
PageHeader PageHeader::read(const uint8_t *bytes, int64_t available) {
  PageHeader header;
  In in(bytes, available);
  in.structure([&](int16_t id, uint8_t) {
    switch (id) {
      case 1: header.type = in.small(); return true;
      case 2: header.uncompressed_size = in.small(); return true;
      case 3: header.compressed_size = in.small(); return true;
      case 4: header.crc = in.small(); return true;
      case 5:
        in.structure([&](int16_t field, uint8_t kind) {
          switch (field) {
            case 1: header.values = in.small(); return true;
            case 2: header.encoding = in.small(); return true;
            case 3: header.definition_encoding = in.small(); return true;
            case 4: header.repetition_encoding = in.small(); return true;
            case 5:
              if (kind != kStruct) return false;
              header.has_statistics = true;
              read_statistics(in, &header.statistics);
              return true;
            default: return false;
          }
        });
        return true;
      case 7:
        in.structure([&](int16_t field, uint8_t kind) {
          switch (field) {
            case 1: header.values = in.small(); return true;
            case 2: header.encoding = in.small(); return true;
            case 3: header.is_sorted = kind == kTrue; return true;
            default: return false;
          }
        });
        return true;
      case 8:
        in.structure([&](int16_t field, uint8_t kind) {
          switch (field) {
            case 1: header.values = in.small(); return true;
            case 3: header.rows = in.small(); return true;
            case 4: header.encoding = in.small(); return true;
            case 8:
              if (kind != kStruct) return false;
              header.has_statistics = true;
              read_statistics(in, &header.statistics);
              return true;
            default: return false;
          }
        });
        return true;
      default: return false;
    }
  });
  header.length = in.position();
  if (header.type < 0 || header.compressed_size < 0 || header.uncompressed_size < 0 || header.values < 0 || header.rows < 0) {
    throw std::runtime_error("the header of a page is damaged");
  }
  return header;
}

std::optional<FooterParts> split_footer(const std::string &footer, uint64_t added) {
  const auto *bytes = reinterpret_cast<const uint8_t *>(footer.data());
  In in(bytes, static_cast<int64_t>(footer.size()));
  std::optional<FooterParts> parts;
  in.structure([&](int16_t id, uint8_t type) {
    if (id != 5 || type != kList) return false;
    parts.emplace();
    parts->before = footer.substr(0, static_cast<size_t>(in.position()));
    auto [count, kind] = in.list();
    if (count + added < 15) {
      parts->before.push_back(static_cast<char>((count + added) << 4 | kind));
    } else {
      parts->before.push_back(static_cast<char>(15 << 4 | kind));
      Out(&parts->before).varint(count + added);
    }
    auto start = static_cast<size_t>(in.position());
    in.skip_elements(count, kind);
    parts->before += footer.substr(start, static_cast<size_t>(in.position()) - start);
    parts->after = footer.substr(static_cast<size_t>(in.position()));
    return true;
  });
  return parts;
}

std::string pair_head(const std::string &key, size_t value_size) {
  std::string text;
  Out out(&text);
  out.binary(1, key);
  out.field(2, kBinary);
  out.varint(value_size);
  return text;
}

void PageHeader::write(std::string *text) const {
  Out out(text);
  out.i32(1, type);
  out.i32(2, uncompressed_size);
  out.i32(3, compressed_size);
  if (crc) out.i32(4, *crc);
  if (type == kDictionary) {
    out.structure(7, [&] {
      out.i32(1, values);
      out.i32(2, encoding);
      if (is_sorted) out.truth(3, *is_sorted);
    });
  } else {
    out.structure(5, [&] {
      out.i32(1, values);
      out.i32(2, encoding);
      out.i32(3, definition_encoding);
      out.i32(4, repetition_encoding);
      if (has_statistics) write_statistics(out, statistics);
    });
  }
  out.stop();
}
}  // namespace sw

#endif
