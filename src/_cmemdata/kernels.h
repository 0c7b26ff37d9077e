/* Work on plain memory: no Python, no GIL. */
#ifndef MEMDATA_KERNELS_H
#define MEMDATA_KERNELS_H

#include <stddef.h>

/* Below this many bytes a second thread costs more than it brings. */
#define COPY_THREADED_MIN ((size_t)8 << 20)

/* Processors this process may run on, at most `limit`. */
int kernel_threads(int limit);

/* memcpy by several threads; the calling thread is one of them. */
void kernel_copy(void *target, const void *source, size_t bytes, int threads);

#endif
