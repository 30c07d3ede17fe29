// Parquet files through Arrow C++, with plain C types and the Arrow C Data Interface.
//
// No C++ exception leaves these functions. A function that can fail takes `char **error`: on failure it stores a text
// that the caller releases with sw_error_free. When Arrow was not there at build time every function fails with
// "built without Parquet".
#ifndef SWIFTWATER_ARROW_SHIM_H
#define SWIFTWATER_ARROW_SHIM_H

#include <stdbool.h>
#include <stdint.h>

// C++ sources of this target get the structures from Arrow: SwiftPM compiles C++ without the modules of other targets.
#ifdef __cplusplus
struct ArrowSchema;
struct ArrowArray;
extern "C" {
#else
#include "arrow_c_data.h"
#endif

/// Arrow's version, for example "26.0.1"; NULL when built without Parquet.
const char *sw_parquet_version(void);
void sw_error_free(char *error);

enum sw_parquet_codec { SW_PARQUET_NONE = 0, SW_PARQUET_SNAPPY = 1, SW_PARQUET_ZSTD = 2, SW_PARQUET_GZIP = 3, SW_PARQUET_LZ4 = 4 };

typedef struct sw_parquet_options {
  enum sw_parquet_codec codec;
  /// Dictionary encoding for columns; those listed are written plain.
  bool dictionary;
  const char *const *plain_columns;
  int64_t plain_column_count;
  /// A dictionary that grows beyond this many bytes is given up for the rest of the row group.
  int64_t dictionary_bytes;
  /// A row group is closed at this many rows at the latest.
  int64_t row_group_rows;
} sw_parquet_options;

typedef struct sw_parquet_writer sw_parquet_writer;

/// Creates the file `path`, or empties the one that is there. `schema` is a struct; it is released in any case.
sw_parquet_writer *sw_parquet_writer_open(const char *path, struct ArrowSchema *schema, const sw_parquet_options *options,
                                          char **error);
/// Appends a struct array of the schema; it is released in any case.
bool sw_parquet_writer_write(sw_parquet_writer *writer, struct ArrowArray *rows, char **error);
/// Ends the row group, which moves it from memory to the file.
bool sw_parquet_writer_end_row_group(sw_parquet_writer *writer, char **error);
/// Bytes in the file so far; the open row group is not among them.
int64_t sw_parquet_writer_bytes(const sw_parquet_writer *writer);
/// Adds a key and value to the footer; `value` need not end in a zero.
bool sw_parquet_writer_metadata(sw_parquet_writer *writer, const char *key, const char *value, int64_t value_length, char **error);
/// Writes the footer and tells the size of the file. It is not flushed to disk (fsync): that is left to the caller.
bool sw_parquet_writer_close(sw_parquet_writer *writer, int64_t *bytes, char **error);
/// Releases the writer; a file that was not closed is left incomplete.
void sw_parquet_writer_free(sw_parquet_writer *writer);

typedef struct sw_parquet_reader sw_parquet_reader;

sw_parquet_reader *sw_parquet_reader_open(const char *path, char **error);

/// A file that is read by calls, from any number of threads at a time.
typedef struct sw_parquet_source {
  void *context;
  int64_t bytes;
  /// Bytes read, fewer than asked for at the end only; -1: error, which the caller of the reader knows how to find.
  int64_t (*read)(void *context, int64_t offset, int64_t count, void *out);
  /// Called once, when nobody reads any more.
  void (*release)(void *context);
} sw_parquet_source;

/// As sw_parquet_reader_open; what is going to be needed is read in few large parts. The source is released in any case.
sw_parquet_reader *sw_parquet_reader_open_source(const sw_parquet_source *source, char **error);
int64_t sw_parquet_reader_rows(const sw_parquet_reader *reader);
/// The top-level columns as a struct; the caller releases it.
bool sw_parquet_reader_schema(sw_parquet_reader *reader, struct ArrowSchema *out, char **error);
/// A value of the footer, or NULL; it belongs to the reader.
const char *sw_parquet_reader_metadata(const sw_parquet_reader *reader, const char *key, int64_t *length);
/// Starts reading the given top-level columns (ascending numbers), at most `batch_rows` rows at a time.
bool sw_parquet_reader_start(sw_parquet_reader *reader, const int32_t *columns, int64_t column_count, int64_t batch_rows,
                             char **error);
/// 1: `out` holds a struct array that the caller releases; 0: no more rows; -1: error.
int sw_parquet_reader_next(sw_parquet_reader *reader, struct ArrowArray *out, char **error);
void sw_parquet_reader_free(sw_parquet_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
