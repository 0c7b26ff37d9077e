/* The two filters of HDF5 that move or add up bytes, shuffle and Fletcher's checksum: no Python, no GIL. */
#include "kernels.h"

#include <string.h>

/* Shuffling puts the first bytes of all elements together, then the second ones, ...:

       element 0   a0 a1 a2 a3          a0 b0 c0   a1 b1 c1   a2 b2 c2   a3 b3 c3
       element 1   b0 b1 b2 b3    ->
       element 2   c0 c1 c2 c3

   In blocks of elements that stay in the first cache. The size is a constant in the common cases,
   which lets the compiler use whole vectors. */
#define BLOCK 512

static inline void
gather_bytes(unsigned char *restrict target, const unsigned char *restrict source, size_t size,
             size_t count)
{
    for (size_t start = 0; start < count; start += BLOCK) {
        size_t stop = count - start < BLOCK ? count : start + BLOCK;
        for (size_t byte = 0; byte < size; byte++) {
            for (size_t i = start; i < stop; i++) {
                target[byte * count + i] = source[i * size + byte];
            }
        }
    }
}

static inline void
scatter_bytes(unsigned char *restrict target, const unsigned char *restrict source, size_t size,
              size_t count)
{
    for (size_t start = 0; start < count; start += BLOCK) {
        size_t stop = count - start < BLOCK ? count : start + BLOCK;
        for (size_t i = start; i < stop; i++) {
            for (size_t byte = 0; byte < size; byte++) {
                target[i * size + byte] = source[byte * count + i];
            }
        }
    }
}

#define BY_SIZE(function, target, source, size, count)                                             \
    switch (size) {                                                                                \
    case 2:                                                                                        \
        function(target, source, 2, count);                                                        \
        break;                                                                                     \
    case 4:                                                                                        \
        function(target, source, 4, count);                                                        \
        break;                                                                                     \
    case 8:                                                                                        \
        function(target, source, 8, count);                                                        \
        break;                                                                                     \
    case 16:                                                                                       \
        function(target, source, 16, count);                                                       \
        break;                                                                                     \
    default:                                                                                       \
        function(target, source, size, count);                                                     \
    }

void
kernel_shuffle(void *target, const void *source, size_t bytes, size_t size, int undo)
{
    size_t count = bytes / size, whole = count * size;
    if (undo) {
        BY_SIZE(scatter_bytes, target, source, size, count)
    }
    else {
        BY_SIZE(gather_bytes, target, source, size, count)
    }
    memcpy((char *)target + whole, (const char *)source + whole, bytes - whole);
}

/* Sums modulo 65535, with 65535 in place of 0 unless all was 0: what adding 16 bits with the carry
   brought back to the other end gives. */
static uint32_t
ones_complement(uint64_t sum)
{
    uint64_t rest = sum % 65535;
    return (uint32_t)(rest == 0 && sum != 0 ? 65535 : rest);
}

uint32_t
kernel_fletcher32(const void *source, size_t bytes)
{
    const unsigned char *data = source;
    uint64_t low = 0, high = 0;
    size_t words = bytes / 2;
    while (words > 0) {
        size_t block = words < 1 << 16 ? words : 1 << 16; /* no sum passes 2**53 */
        for (size_t i = 0; i < block; i++, data += 2) {
            low += (uint32_t)data[0] << 8 | data[1];
            high += low;
        }
        low = ones_complement(low);
        high = ones_complement(high);
        words -= block;
    }
    if (bytes % 2) {
        low += (uint32_t)*data << 8;
        high += low;
    }
    return ones_complement(high) << 16 | ones_complement(low);
}
