// Column chunks in memory: pages as they lie in a file, and what the footer says of them.
#pragma once

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/util/compression.h>
#include <parquet/metadata.h>
#include <parquet/page_index.h>
#include <parquet/schema.h>
#include <parquet/size_statistics.h>
#include <parquet/statistics.h>
#include <parquet/types.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

namespace sw {
/// Bytes that grow and are not cleared; the memory is kept for the next use.
class Bytes {
 public:
  Bytes() = default;
  Bytes(Bytes &&other) noexcept : data_(other.data_), size_(other.size_), capacity_(other.capacity_) { other.data_ = nullptr, other.size_ = other.capacity_ = 0; }
  Bytes(const Bytes &) = delete;
  Bytes &operator=(const Bytes &) = delete;
  ~Bytes() { std::free(data_); }

  uint8_t *data() { return data_; }
  const uint8_t *data() const { return data_; }
  int64_t size() const { return size_; }
  void clear() { size_ = 0; }
  /// Room for `count` bytes in all; those that are there stay.
  void reserve(int64_t count) {
    if (count <= capacity_) return;
    int64_t room = count > capacity_ * 3 / 2 ? count : capacity_ * 3 / 2;
    auto *grown = static_cast<uint8_t *>(std::realloc(data_, static_cast<size_t>(room)));
    if (!grown) throw std::bad_alloc();
    data_ = grown;
    capacity_ = room;
  }
  /// What is new has any content.
  void resize(int64_t count) {
    reserve(count);
    size_ = count;
  }
  void append(const void *bytes, int64_t count) {
    reserve(size_ + count);
    if (count > 0) std::memcpy(data_ + size_, bytes, static_cast<size_t>(count));
    size_ += count;
  }

 private:
  uint8_t *data_ = nullptr;
  int64_t size_ = 0, capacity_ = 0;
};

/// A data page within a chunk.
struct Page {
  /// From the start of the chunk.
  int64_t offset;
  /// With its header.
  int32_t size;
  int64_t first_row;
  parquet::EncodedStatistics statistics;
};

/// All pages of a column in one row group.
struct Chunk {
  /// Either `owned` or what `shared` holds.
  const uint8_t *data = nullptr;
  int64_t size = 0;
  Bytes owned;
  std::shared_ptr<arrow::Buffer> shared;

  std::vector<Page> pages;
  int64_t values = 0;
  /// From the start of the chunk; -1 = none.
  int64_t dictionary_offset = -1, data_offset = -1;
  /// With the headers of pages.
  int64_t uncompressed = 0;
  std::map<parquet::Encoding::type, int32_t> dictionary_encodings, data_encodings;
  parquet::EncodedStatistics statistics;
  std::optional<parquet::SizeStatistics> sizes;

  void clear();
  /// Appends a page; `header` gets its sizes.
  void add_page(const struct PageHeader &header, const uint8_t *stored, int64_t first_row, const parquet::EncodedStatistics &statistics = {});
  /// Uses `owned` as the bytes of the chunk.
  void finish_owned() {
    data = owned.data();
    size = owned.size();
  }
};

/// Changes of the rows of one row group: `patch[i]` is the row of the patch that row `rows[i]` becomes; -1 = it goes.
struct Changes {
  std::vector<int64_t> rows;
  std::vector<int32_t> patch;
  int64_t input_rows = 0;
  int64_t output_rows = 0;
  bool deletes() const { return output_rows != input_rows; }
};

/// How the bounds of a column's values are found.
enum class Order { none, signed32, unsigned32, signed64, unsigned64, float32, float64, bytes, decimal };

/// The new values of one column, as they lie in pages.
struct PatchValues {
  /// Of each value; 0 = text, each after its length.
  int width = 0;
  Order order = Order::none;
  const uint8_t *fixed = nullptr;
  std::vector<uint8_t> converted;
  const arrow::BinaryArray *text = nullptr;

  /// False when the type's values are not patched in pages.
  bool prepare(const arrow::Array &patch, const parquet::ColumnDescriptor &leaf);
};

/// What a thread keeps from one chunk to the next.
struct Scratch {
  Bytes input, page, patched, packed;
  std::vector<uint32_t> codes;
  std::string header;
  std::map<arrow::Compression::type, std::unique_ptr<arrow::util::Codec>> codecs;
  arrow::util::Codec *codec(arrow::Compression::type type);
};

/// Where the pages of a chunk begin in its file, and how many bytes they are.
struct Extent {
  int64_t offset, size;
};
Extent extent(const parquet::ColumnChunkMetaData &chunk);

/// Whether pages of one column can stand for pages of another: the values have the same form and order.
bool is_same_form(const parquet::ColumnDescriptor &a, const parquet::ColumnDescriptor &b);

/// Describes a chunk whose bytes are there: `out->data` and `out->size`. `index` may be null.
/// Returns false when its metadata do not suffice.
bool describe(const parquet::ColumnChunkMetaData &metadata, const parquet::ColumnDescriptor &leaf, const parquet::ColumnIndex *index, Chunk *out);

/// How the chunks of a column are written.
struct Writing {
  const parquet::ColumnDescriptor &leaf;
  arrow::Compression::type codec;
  /// Longer bounds are left out.
  int64_t longest_bound;
  /// The headers of pages have their statistics: there is no page index for them.
  bool states_in_headers;
};

/// A chunk that is going to be patched.
struct Patchable {
  const parquet::ColumnChunkMetaData &metadata;
  /// Of pages; may be null.
  const parquet::ColumnIndex *index;
  /// What is said of pages that do not change needs no proof.
  bool trusts_pages;
};

/// Puts changed values into the pages of a chunk, all of them plain, without nulls. `scratch->input` has the pages.
/// Returns false when a page is of another kind; then `out` is of no use.
bool patch_pages(const Patchable &from, const Writing &to, const Changes &changes, const PatchValues &values, Scratch *scratch, Chunk *out);

/// As `patch_pages`, of a chunk whose pages all refer to a dictionary. What is not referred to any more leaves it.
/// - longest_dictionary: in bytes; false when it would be longer.
bool patch_dictionary_pages(const Patchable &from, const Writing &to, int64_t longest_dictionary, const Changes &changes, const PatchValues &values,
                            Scratch *scratch, Chunk *out);

/// `count` times the same text, without NULL.
void constant_pages(const std::string &text, int64_t count, const Writing &to, Scratch *scratch, Chunk *out);

/// What an index says of each page; nothing if it is null or has not so many pages.
std::vector<parquet::EncodedStatistics> page_statistics(const parquet::ColumnIndex *index, size_t pages, const parquet::ColumnDescriptor &leaf);
}  // namespace sw
