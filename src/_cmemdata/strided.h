/* Copying between strided blocks of memory, as bytes: no Python, no GIL. */
#ifndef MEMDATA_STRIDED_H
#define MEMDATA_STRIDED_H

#include <stddef.h>

#define STRIDED_MAX_DIMS 64

/* Elements of `itemsize` bytes in two places that do not overlap. The strides are in bytes and may
   be negative. */
typedef struct {
    int ndim;
    size_t itemsize;
    const ptrdiff_t *shape;
    char *target;
    const ptrdiff_t *target_strides;
    const char *source;
    const ptrdiff_t *source_strides;
} strided_block;

void strided_copy(const strided_block *block);

/* Copy several blocks, row by row in turn where they have as many: if the sources are parts of the
   same rows, those are fetched from memory once and in order. */
void strided_copy_together(const strided_block *blocks, int count);

#endif
