/* Counters in memory that several processes map: one process moves a counter on, others wait. */
#ifndef MEMDATA_COUNTERS_H
#define MEMDATA_COUNTERS_H

#include <stdint.h>

/* Set the counter; what was written to the memory before is seen by those who see its value. */
void counter_post(int64_t *counter, int64_t value);

/* Wait until the counter is at least `value`, at most so many seconds. Returns what it is. */
int64_t counter_wait(const int64_t *counter, int64_t value, double seconds);

#endif
