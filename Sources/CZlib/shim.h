#pragma once
#include <zlib.h>

// What zlib has as a macro, which Swift does not see. 16 beyond the window bits asks for gzip's frame.
static inline int swiftwater_gzip_begin(z_stream *stream, int level) { return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY); }

// Negative window bits ask for no frame at all, which is what Avro's deflate codec is.
static inline int swiftwater_raw_deflate_begin(z_stream *stream, int level) { return deflateInit2(stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY); }
static inline int swiftwater_raw_inflate_begin(z_stream *stream) { return inflateInit2(stream, -15); }
