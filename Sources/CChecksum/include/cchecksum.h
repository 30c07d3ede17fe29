#ifndef SWIFTWATER_CCHECKSUM_H
#define SWIFTWATER_CCHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC32C (Castagnoli) of `count` bytes, going on from `crc` (0 to start). Uses the processor's instruction when it has one.
uint32_t sw_crc32c(uint32_t crc, const void *bytes, size_t count);

/// The same by table, on any processor. Public so that tests can compare the two.
uint32_t sw_crc32c_table(uint32_t crc, const void *bytes, size_t count);

/// MD5 (RFC 1321) of `count` bytes. For spreading keys over shards, never for security.
void sw_md5(const void *bytes, size_t count, uint8_t digest[16]);

#endif
