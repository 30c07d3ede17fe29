#pragma once
#include <zlib.h>

// What zlib has as a macro, which Swift does not see. 16 beyond the window bits asks for gzip's frame.
static inline int swiftwater_gzip_begin(z_stream *stream, int level) { return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY); }
