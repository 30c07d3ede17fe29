// Files that are put together from column chunks: their row groups, page index and footer.

#if __has_include(<parquet/arrow/writer.h>)

#include "arrow_internal.hpp"
#include "column_chunk.hpp"
#include "page_header.hpp"

#include <arrow/util/key_value_metadata.h>

#include <cstring>

namespace sw {
namespace {
/// Values of the footer that are longer go to the file as they are.
constexpr size_t kLargeValue = 64 << 10;
}  // namespace

arrow::Status WriterEnd::Close() {
  closed_ = true;
  return arrow::Status::OK();
}

arrow::Result<int64_t> WriterEnd::Tell() const {
  ARROW_ASSIGN_OR_RAISE(int64_t position, file_->Tell());
  for (const auto &part : held_) position += static_cast<int64_t>(part.size());
  return position;
}

arrow::Status WriterEnd::Write(const void *bytes, int64_t count) {
  if (!holds_) return file_->Write(bytes, count);
  if (count == 0) return arrow::Status::OK();
  if (!held_[0].empty()) ARROW_RETURN_NOT_OK(file_->Write(held_[0].data(), static_cast<int64_t>(held_[0].size())));
  held_[0] = std::move(held_[1]);
  held_[1] = std::move(held_[2]);
  held_[2].assign(static_cast<const char *>(bytes), static_cast<size_t>(count));
  return arrow::Status::OK();
}

void WriterEnd::drop_footer() {
  std::string end = held_[0] + held_[1] + held_[2];
  for (auto &part : held_) part.clear();
  holds_ = false;
  uint32_t length = 0;
  if (end.size() >= 8) std::memcpy(&length, end.data() + end.size() - 8, 4);
  if (end.size() < 8 || end.compare(end.size() - 4, 4, "PAR1") != 0 || end.size() < size_t{8} + length) {
    throw std::runtime_error("Arrow's writer ended the file in an unknown way");
  }
  check(file_->Write(end.data(), static_cast<int64_t>(end.size() - 8 - length)));
}

ChunkFile::ChunkFile(std::shared_ptr<arrow::io::FileOutputStream> file, std::shared_ptr<parquet::SchemaDescriptor> leaves,
                     std::shared_ptr<parquet::WriterProperties> properties)
    : file_(std::move(file)), leaves_(std::move(leaves)), properties_(std::move(properties)) {
  footer_ = parquet::FileMetaDataBuilder::Make(leaves_.get(), properties_);
  if (properties_->page_index_enabled()) index_ = parquet::PageIndexBuilder::Make(leaves_.get());
}

ChunkFile::~ChunkFile() = default;

void ChunkFile::begin_group(int64_t rows) {
  group_ = footer_->AppendRowGroup();
  group_->set_num_rows(rows);
  if (index_) index_->AppendRowGroup();
  column_ = 0;
  group_bytes_ = 0;
}

void ChunkFile::state(parquet::ColumnChunkMetaDataBuilder *out, const Chunk &chunk, int64_t start) {
  if (chunk.statistics.is_set()) out->SetStatistics(chunk.statistics);
  if (chunk.sizes && chunk.sizes->is_set()) out->SetSizeStatistics(*chunk.sizes);
  bool has_dictionary = chunk.dictionary_offset >= 0;
  out->Finish(chunk.values, has_dictionary ? start + chunk.dictionary_offset : 0, -1, start + chunk.data_offset, chunk.size, chunk.uncompressed, has_dictionary,
              has_dictionary && chunk.data_encodings.contains(parquet::Encoding::PLAIN), chunk.dictionary_encodings, chunk.data_encodings);
}

void ChunkFile::append(const Chunk &chunk) {
  int64_t start = check(file_->Tell());
  const auto &path = leaves_->Column(column_)->path();
  check(file_->Write(chunk.data, chunk.size));
  state(group_->NextColumnChunk(), chunk, start);
  if (index_ && properties_->page_index_enabled(path)) {
    auto *columns = index_->GetColumnIndexBuilder(column_);
    auto *offsets = index_->GetOffsetIndexBuilder(column_);
    for (const auto &page : chunk.pages) {
      if (columns) columns->AddPage(page.statistics, {});
      if (offsets) offsets->AddPage(start + page.offset, page.size, page.first_row);
    }
    if (columns) columns->Finish();
    if (offsets) offsets->Finish(0);
  }
  group_bytes_ += chunk.uncompressed;
  ++column_;
}

void ChunkFile::end_group() {
  group_->Finish(group_bytes_, static_cast<int16_t>(groups_++));
}

void ChunkFile::finish(const parquet::FileMetaData &appended) {
  parquet::PageIndexBuilder::WriteResult places;
  if (index_) {
    index_->Finish();
    places = index_->WriteTo(file_.get());
  }
  for (int i = 0; i < appended.num_row_groups(); ++i) {
    auto from = appended.RowGroup(i);
    if (from->num_rows() == 0) continue;
    group_ = footer_->AppendRowGroup();
    group_->set_num_rows(from->num_rows());
    for (int column = 0; column < from->num_columns(); ++column) {
      auto metadata = from->ColumnChunk(column);
      Chunk chunk;
      chunk.values = metadata->num_values();
      chunk.size = metadata->total_compressed_size();
      chunk.uncompressed = metadata->total_uncompressed_size();
      chunk.data_offset = metadata->data_page_offset();
      if (metadata->has_dictionary_page()) chunk.dictionary_offset = metadata->dictionary_page_offset();
      for (const auto &stats : metadata->encoding_stats()) {
        (stats.page_type == parquet::PageType::DICTIONARY_PAGE ? chunk.dictionary_encodings : chunk.data_encodings)[stats.encoding] += stats.count;
      }
      if (auto statistics = metadata->is_stats_set() ? metadata->encoded_statistics() : nullptr) {
        chunk.statistics = *statistics;
        chunk.statistics.set_is_signed(leaves_->Column(column)->sort_order() == parquet::SortOrder::SIGNED);
      }
      if (auto sizes = metadata->size_statistics()) chunk.sizes = *sizes;
      state(group_->NextColumnChunk(), chunk, 0);
      auto note = [&](const std::optional<parquet::IndexLocation> &place, parquet::IndexLocations *to) {
        if (place) to->push_back({{groups_, column}, *place});
      };
      note(metadata->GetColumnIndexLocation(), &places.column_index_locations);
      note(metadata->GetOffsetIndexLocation(), &places.offset_index_locations);
    }
    group_->Finish(from->total_byte_size(), static_cast<int16_t>(groups_++));
  }
  footer_->SetIndexLocations(parquet::IndexKind::kColumnIndex, places.column_index_locations);
  footer_->SetIndexLocations(parquet::IndexKind::kOffsetIndex, places.offset_index_locations);
  write_footer(appended.key_value_metadata());
}

void ChunkFile::write_footer(const std::shared_ptr<const arrow::KeyValueMetadata> &known) {
  auto small = known ? known->Copy() : std::make_shared<arrow::KeyValueMetadata>();
  std::vector<const std::pair<std::string, std::string> *> large;
  for (const auto &pair : pairs_) {
    if (pair.second.size() > kLargeValue) {
      large.push_back(&pair);
    } else {
      small->Append(pair.first, pair.second);
    }
  }
  auto finish = [&] { return footer_->Finish(small->size() > 0 ? small : nullptr)->SerializeToString(); };
  // There must be one, to which the others can be added.
  if (small->size() == 0 && !large.empty()) {
    small->Append(large[0]->first, large[0]->second);
    large.erase(large.begin());
  }
  auto footer = finish();
  std::optional<FooterParts> parts;
  if (!large.empty() && !(parts = split_footer(footer, large.size()))) throw std::runtime_error("the footer has no place for keys and values");
  uint64_t length = 0;
  auto put = [&](const std::string &bytes) {
    check(file_->Write(bytes.data(), static_cast<int64_t>(bytes.size())));
    length += bytes.size();
  };
  if (parts) {
    put(parts->before);
    for (const auto *pair : large) {
      put(pair_head(pair->first, pair->second.size()));
      put(pair->second);
      put(std::string(1, 0));
    }
    put(parts->after);
  } else {
    put(footer);
  }
  if (length > INT32_MAX) throw std::runtime_error("the footer takes more than 2 GiB");
  auto count = static_cast<uint32_t>(length);
  check(file_->Write(&count, 4));
  check(file_->Write("PAR1", 4));
}
}  // namespace sw

#endif
