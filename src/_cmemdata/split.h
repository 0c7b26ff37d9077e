/* How a length is cut over ranks. No Python, no MPI. */
#ifndef MEMDATA_SPLIT_H
#define MEMDATA_SPLIT_H

#include <stdint.h>

typedef struct {
    int64_t start, count;
} split_part;

/* The part of rank `rank` of `size`: the first `length % size` ranks get one more than
   `length / size`. */
split_part split_local(int64_t length, int64_t size, int64_t rank);

/* Of a selection start, start + step, ... (`count` of them, step not 0), the elements that lie in
   [part.start, part.start + part.count): which of the selection is the first (*skip), how many.
   Every element is an index: at least 0 and below INT64_MAX. */
int64_t split_select(int64_t start, int64_t step, int64_t count, split_part part, int64_t *skip);

#endif
