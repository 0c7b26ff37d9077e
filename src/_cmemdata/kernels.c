/* Copying into fresh memory is bound by page faults, not by the memory's speed, and the kernel
   serves the faults of several threads side by side. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "kernels.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#define MAX_THREADS 16
/* Parts begin at multiples of a huge page, so that two threads never fault the same one. */
#define PART_ALIGN ((size_t)2 << 20)

int
kernel_threads(int limit)
{
    long count = 1;
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        count = CPU_COUNT(&set);
    }
#elif defined(_SC_NPROCESSORS_ONLN)
    count = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    if (limit > MAX_THREADS) {
        limit = MAX_THREADS;
    }
    return count < 1 ? 1 : count > limit ? limit : (int)count;
}

/* One memcpy of hundreds of MiB bypasses the caches with slow stores; of a few MiB it does not. */
#define PIECE ((size_t)8 << 20)

static void
copy_in_pieces(char *target, const char *source, size_t bytes)
{
    while (bytes > 0) {
        size_t piece = bytes < PIECE ? bytes : PIECE;
        memcpy(target, source, piece);
        target += piece;
        source += piece;
        bytes -= piece;
    }
}

typedef struct {
    char *target;
    const char *source;
    size_t bytes;
} copy_part;

static void *
copy_part_run(void *argument)
{
    const copy_part *part = argument;
    copy_in_pieces(part->target, part->source, part->bytes);
    return NULL;
}

void
kernel_copy(void *target, const void *source, size_t bytes, int threads)
{
    pthread_t started[MAX_THREADS];
    copy_part parts[MAX_THREADS];
    int running = 0;
    size_t done = 0;
    if (threads > MAX_THREADS) {
        threads = MAX_THREADS;
    }
    if (threads > 1 && bytes >= COPY_THREADED_MIN) {
        size_t skew = PART_ALIGN - (uintptr_t)target % PART_ALIGN;
        size_t share = bytes / (size_t)threads / PART_ALIGN * PART_ALIGN;
        for (int i = 0; i < threads - 1; i++) {
            size_t length = share + (i == 0 ? skew : 0);
            parts[running] =
                (copy_part){(char *)target + done, (const char *)source + done, length};
            if (length > bytes - done ||
                pthread_create(&started[running], NULL, copy_part_run, &parts[running]) != 0) {
                break; /* the calling thread does what is left */
            }
            running++;
            done += length;
        }
    }
    copy_in_pieces((char *)target + done, (const char *)source + done, bytes - done);
    for (int i = 0; i < running; i++) {
        pthread_join(started[i], NULL);
    }
}
