#include "cchecksum.h"
#include <pthread.h>
#include <string.h>

/* Reflected form of the Castagnoli polynomial 0x1EDC6F41. */
#define POLYNOMIAL 0x82F63B78u

/* Three independent runs hide the instruction's latency; their lengths are those of Mark Adler's crc32c.c. */
#define LONG_RUN 8192
#define SHORT_RUN 256

static uint32_t table[8][256];
static uint32_t shift_long[4][256], shift_short[4][256];
static int has_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* GF(2) vector times matrix, and the square of a matrix. */
static uint32_t times(const uint32_t matrix[32], uint32_t vector) {
    uint32_t sum = 0;
    for (; vector; vector >>= 1, matrix++)
        if (vector & 1) sum ^= *matrix;
    return sum;
}

static void square(uint32_t out[32], const uint32_t in[32]) {
    for (int n = 0; n < 32; n++) out[n] = times(in, in[n]);
}

/* Tables that advance a CRC over `length` zero bytes; `length` is a power of two. */
static void make_shift(uint32_t shift[4][256], size_t length) {
    uint32_t even[32], odd[32];
    odd[0] = POLYNOMIAL; /* one zero bit */
    for (int n = 1; n < 32; n++) odd[n] = 1u << (n - 1);
    square(even, odd); /* two bits */
    square(odd, even); /* four bits */
    uint32_t *from = odd, *to = even;
    for (size_t bytes = length; bytes; bytes >>= 1) {
        square(to, from); /* first pass: eight bits, one byte */
        uint32_t *swap = from; from = to; to = swap;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 0; k < 4; k++) shift[k][n] = times(from, n << (8 * k));
}

static inline uint32_t advance(const uint32_t shift[4][256], uint32_t crc) {
    return shift[0][crc & 255] ^ shift[1][crc >> 8 & 255] ^ shift[2][crc >> 16 & 255] ^ shift[3][crc >> 24];
}

static void prepare(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int k = 0; k < 8; k++) crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        table[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++) table[k][n] = table[k - 1][n] >> 8 ^ table[0][table[k - 1][n] & 255];
    make_shift(shift_long, LONG_RUN);
    make_shift(shift_short, SHORT_RUN);
#if defined(__x86_64__)
    __builtin_cpu_init();
    has_instruction = __builtin_cpu_supports("sse4.2");
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
    has_instruction = 1;
#endif
}

uint32_t sw_crc32c_table(uint32_t crc, const void *bytes, size_t count) {
    pthread_once(&once, prepare);
    const uint8_t *p = bytes;
    crc = ~crc;
    while (count >= 8) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
        low ^= crc;
        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24]
            ^ table[3][high & 255] ^ table[2][high >> 8 & 255] ^ table[1][high >> 16 & 255] ^ table[0][high >> 24];
        p += 8;
        count -= 8;
    }
    while (count--) crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
    return ~crc;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define TARGET __attribute__((target("sse4.2")))
#define STEP8(c, v) (uint32_t) _mm_crc32_u64((c), (v))
#define STEP1(c, v) _mm_crc32_u8((c), (v))
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define TARGET
#define STEP8(c, v) __crc32cd((c), (v))
#define STEP1(c, v) __crc32cb((c), (v))
#endif

#ifdef STEP8
static inline uint64_t load8(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

TARGET static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t count) {
    uint32_t a = ~crc;
#define RUNS(length, shift)                                  \
    while (count >= 3 * (size_t)(length)) {                  \
        uint32_t b = 0, c = 0;                               \
        for (const uint8_t *end = p + (length); p < end; p += 8) { \
            a = STEP8(a, load8(p));                          \
            b = STEP8(b, load8(p + (length)));               \
            c = STEP8(c, load8(p + 2 * (length)));           \
        }                                                    \
        a = advance(shift, a) ^ b;                           \
        a = advance(shift, a) ^ c;                           \
        p += 2 * (length);                                   \
        count -= 3 * (size_t)(length);                       \
    }
    RUNS(LONG_RUN, shift_long)
    RUNS(SHORT_RUN, shift_short)
#undef RUNS
    for (; count >= 8; count -= 8, p += 8) a = STEP8(a, load8(p));
    for (; count; count--) a = STEP1(a, *p++);
    return ~a;
}
#endif

uint32_t sw_crc32c(uint32_t crc, const void *bytes, size_t count) {
    pthread_once(&once, prepare);
#ifdef STEP8
    if (has_instruction) return by_instruction(crc, bytes, count);
#endif
    return sw_crc32c_table(crc, bytes, count);
}
