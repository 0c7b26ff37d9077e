/* Work on plain memory: no Python, no GIL. */
#ifndef MEMDATA_KERNELS_H
#define MEMDATA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Below this many bytes a second thread costs more than it brings. */
#define COPY_THREADED_MIN ((size_t)8 << 20)

/* Processors this process may run on, at most `limit`. */
int kernel_threads(int limit);

/* memcpy by several threads; the calling thread is one of them. */
void kernel_copy(void *target, const void *source, size_t bytes, int threads);

/* HDF5's shuffle filter, or its inverse: the first bytes of all elements of `size` bytes, then the
   second ones, ... What is left after the last whole element stays at the end. */
void kernel_shuffle(void *target, const void *source, size_t bytes, size_t size, int undo);

/* Fletcher's checksum over big-endian words of 16 bits. */
uint32_t kernel_fletcher32(const void *source, size_t bytes);

#endif
