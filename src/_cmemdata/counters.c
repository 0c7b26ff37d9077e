/* Waiting begins with a short look again and again, then sleeps: where there are more ranks than
   processors, the one that is waited for may need this one. On Linux the counter wakes those who
   sleep (a futex); elsewhere they wake up by themselves from time to time. */
#include "counters.h"

#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <time.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* So often a waiter looks without asking the system for anything: some ten microseconds. */
#define LOOKS 20000
/* So long it then gives the processor away and comes back (seconds). */
#define YIELDING 50e-6
/* So long it sleeps where nothing wakes it (ns). */
#define NAP 50000

#ifdef __linux__
/* A futex is 32 bits: those of the counter that change. */
static const uint32_t *
low_half(const int64_t *counter)
{
    const uint32_t *halves = (const uint32_t *)counter;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return halves + 1;
#else
    return halves;
#endif
}
#endif

static void
wake(const int64_t *counter)
{
#ifdef __linux__
    syscall(SYS_futex, low_half(counter), FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
#else
    (void)counter;
#endif
}

/* Sleep until the counter is no longer what it was `seen` to be, at most so many seconds. */
static void
sleep_on(const int64_t *counter, int64_t seen, double seconds)
{
#ifdef __linux__
    struct timespec limit = {(time_t)seconds, 0};
    limit.tv_nsec = (long)((seconds - (double)limit.tv_sec) * 1e9);
    syscall(SYS_futex, low_half(counter), FUTEX_WAIT, (uint32_t)seen, &limit, NULL, 0);
#else
    (void)counter, (void)seen, (void)seconds;
    nanosleep(&(struct timespec){0, NAP}, NULL);
#endif
}

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void
counter_post(int64_t *counter, int64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELEASE);
    wake(counter);
}

int64_t
counter_wait(const int64_t *counter, int64_t value, double seconds)
{
    int64_t seen = 0;
    for (int i = 0; i < LOOKS; i++) {
        seen = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
        if (seen >= value || seconds <= 0) {
            return seen;
        }
    }
    double begin = now(), passed = 0;
    while (seen < value && passed < seconds) {
        if (passed < YIELDING) {
            sched_yield();
        }
        else {
            sleep_on(counter, seen, seconds - passed);
        }
        seen = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
        passed = now() - begin;
    }
    return seen;
}
