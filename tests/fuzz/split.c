/* split.c: small selections against counting one by one, large ones for overflow. */
#include "split.h"

#include "fuzz.h"

static void
check_local(int64_t length, int64_t size)
{
    int64_t next = 0;
    for (int64_t rank = 0; rank < size; rank++) {
        split_part part = split_local(length, size, rank);
        CHECK(part.start == next && part.count >= length / size);
        CHECK(part.count - length / size <= 1);
        next = part.start + part.count;
    }
    CHECK(next == length);
}

static void
check_select(int64_t start, int64_t step, int64_t count, split_part part)
{
    int64_t skip = -1, met = 0, first = 0;
    int64_t found = split_select(start, step, count, part, &skip);
    for (int64_t i = 0; i < count; i++) {
        int64_t element = start + i * step;
        if (part.start <= element && element < part.start + part.count) {
            first = met == 0 ? i : first;
            met++;
        }
    }
    CHECK(found == met);
    CHECK(met == 0 || skip == first);
}

/* The first and the last of what was found are in the part. */
static void
check_large(int64_t start, int64_t step, int64_t count, split_part part)
{
    int64_t skip = -1;
    int64_t found = split_select(start, step, count, part, &skip);
    CHECK(0 <= found && found <= count);
    if (found > 0) {
        int64_t first = start + skip * step, last = first + (found - 1) * step;
        CHECK(part.start <= first && first - part.start < part.count);
        CHECK(part.start <= last && last - part.start < part.count);
    }
}

/* Not negative. */
static int64_t
positive(int64_t value)
{
    return (int64_t)((uint64_t)value >> 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    uint8_t small = take_byte(&input);
    if (small % 2) {
        split_part part = {take_byte(&input), take_byte(&input)};
        int64_t step = (int8_t)take_byte(&input);
        check_select(take_byte(&input), step != 0 ? step : 1, take_byte(&input), part);
        check_local(take_byte(&input), 1 + take_byte(&input));
        return 0;
    }
    int64_t step = take_int64(&input), start = positive(take_int64(&input)) % INT64_MAX;
    if (step == 0 || step == INT64_MIN) {
        step = 1;
    }
    /* As many elements as there can be from 0 to the largest index. */
    int64_t most = (step > 0 ? INT64_MAX - 1 - start : start) / (step > 0 ? step : -step);
    int64_t count = positive(take_int64(&input)) % (most > 0 ? most : 1) + 1;
    split_part part = {positive(take_int64(&input)), positive(take_int64(&input))};
    if (part.count > INT64_MAX - part.start) {
        part.count = INT64_MAX - part.start;
    }
    check_large(start, step, count, part);
    check_local(positive(take_int64(&input)), 1 + take_byte(&input));
    return 0;
}
