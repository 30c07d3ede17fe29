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
/// Whether all pages of a top-level column refer to dictionaries, so that its values repeat; true for nested columns.
bool sw_parquet_reader_uses_dictionary(const sw_parquet_reader *reader, int32_t column);
/// What the footer says of one leaf column in one row group. The bounds are encoded plainly: numbers little-endian, bytes without a
/// length, and belong to the reader until the next call.
typedef struct sw_parquet_leaf {
  /// -1 = the file has no ids.
  int32_t field_id;
  int64_t compressed_bytes;
  /// Nulls included.
  int64_t values;
  bool has_nulls, has_bounds;
  /// Within a list or a map.
  bool repeated;
  int64_t nulls;
  const char *lower, *upper;
  int64_t lower_length, upper_length;
} sw_parquet_leaf;

/// 1: `out` is filled; 0: there is no such leaf or row group; -1: error.
int sw_parquet_reader_leaf(sw_parquet_reader *reader, int32_t group, int32_t leaf, sw_parquet_leaf *out, char **error);

int32_t sw_parquet_reader_row_groups(const sw_parquet_reader *reader);
int64_t sw_parquet_reader_row_group_rows(const sw_parquet_reader *reader, int32_t group);

enum sw_parquet_physical { SW_PARQUET_BOOLEAN, SW_PARQUET_INT32, SW_PARQUET_INT64, SW_PARQUET_INT96, SW_PARQUET_FLOAT, SW_PARQUET_DOUBLE, SW_PARQUET_BYTES, SW_PARQUET_FIXED };

/// What the footer says of a column in a row group. The bounds are encoded plainly: numbers little-endian, bytes without a length.
typedef struct sw_parquet_statistics {
  enum sw_parquet_physical physical;
  bool has_bounds, has_nulls;
  int64_t nulls;
  /// Of a decimal; 0 for other columns.
  int32_t scale;
  const char *lower, *upper;
  int64_t lower_length, upper_length;
} sw_parquet_statistics;

/// 1: `out` is filled, and its bounds are valid until the next call; 0: the column is nested or has no statistics; -1: error.
int sw_parquet_reader_statistics(sw_parquet_reader *reader, int32_t group, int32_t column, sw_parquet_statistics *out, char **error);

/// Starts reading the given top-level columns of the given row groups (both ascending numbers), at most `batch_rows` rows at a time.
/// All row groups if `groups` is NULL.
bool sw_parquet_reader_start(sw_parquet_reader *reader, const int32_t *columns, int64_t column_count, const int32_t *groups,
                             int64_t group_count, int64_t batch_rows, char **error);
/// 1: `out` holds a struct array that the caller releases; 0: no more rows; -1: error.
int sw_parquet_reader_next(sw_parquet_reader *reader, struct ArrowArray *out, char **error);
void sw_parquet_reader_free(sw_parquet_reader *reader);

/// Where a column of the new version comes from for rows that are copied.
typedef struct sw_rewrite_column {
  /// Top-level column of the input, of the same type; -1 = it has none: NULL.
  int32_t input;
  /// This text instead of what the input has; NULL = what the input has.
  const char *constant;
  /// Rows that change have in this column what they had before.
  bool keeps_value;
} sw_rewrite_column;

/// Writes all rows of the file of `reader` to `writer`, some of them changed: row `rows[i]` of the file (ascending, each once) becomes
/// row `changes[i]` of `patch`, or is left out when that is -1. The others keep their order. `columns` has one entry for each
/// column of the writer, and `patch` is a struct array of them; it is released in any case. `*written` = rows written.
/// All calls of the process together use about `threads` threads.
bool sw_parquet_rewrite(sw_parquet_reader *reader, sw_parquet_writer *writer, const sw_rewrite_column *columns, const int64_t *rows,
                        const int32_t *changes, int64_t change_count, struct ArrowArray *patch, int32_t threads, int64_t *written, char **error);

#ifdef __cplusplus
}
#endif
#endif
