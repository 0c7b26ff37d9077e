#include "split.h"

split_part
split_local(int64_t length, int64_t size, int64_t rank)
{
    int64_t base = length / size, more = length % size;
    split_part part;
    part.count = base + (rank < more);
    part.start = rank * base + (rank < more ? rank : more);
    return part;
}

/* Division that rounds up, for a divisor above 0. */
static int64_t
divide_up(int64_t a, int64_t b)
{
    return a > 0 ? (a - 1) / b + 1 : -(-a / b);
}

int64_t
split_select(int64_t start, int64_t step, int64_t count, split_part part, int64_t *skip)
{
    /* Going down is going up through the mirror image. */
    int64_t low = step > 0 ? part.start : -(part.start + part.count - 1);
    int64_t high = step > 0 ? part.start + part.count : -part.start + 1;
    int64_t from = step > 0 ? start : -start;
    int64_t stride = step > 0 ? step : -step;
    int64_t first = low > from ? divide_up(low - from, stride) : 0;
    int64_t end = high > from ? divide_up(high - from, stride) : 0;
    if (end > count) {
        end = count;
    }
    *skip = first;
    return part.count > 0 && end > first ? end - first : 0;
}
