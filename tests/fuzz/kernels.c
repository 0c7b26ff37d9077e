/* Copying, shuffling, summing and strided copies, against loops over single bytes. */
#include "kernels.h"
#include "strided.h"

#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

static void
check_copy(fuzz_input input, int threads, size_t more)
{
    size_t bytes = input.size + more;
    uint8_t *source = malloc(bytes + 1), *target = malloc(bytes + 1);
    if (source != NULL && target != NULL) {
        memset(source, 7, bytes);
        memcpy(source, input.data, input.size);
        target[bytes] = 42;
        kernel_copy(target, source, bytes, threads);
        CHECK(memcmp(source, target, bytes) == 0 && target[bytes] == 42);
    }
    free(source);
    free(target);
}

static void
check_shuffle(fuzz_input input, size_t itemsize)
{
    size_t count = input.size / itemsize;
    uint8_t *there = malloc(input.size + 1), *back = malloc(input.size + 1);
    if (there != NULL && back != NULL) {
        kernel_shuffle(there, input.data, input.size, itemsize, 0);
        kernel_shuffle(back, there, input.size, itemsize, 1);
        CHECK(memcmp(back, input.data, input.size) == 0);
        for (size_t i = 0; i < input.size; i++) {
            size_t from = i < count * itemsize ? i % count * itemsize + i / count : i;
            CHECK(there[i] == input.data[from]);
        }
    }
    free(there);
    free(back);
}

static void
check_sum(fuzz_input input)
{
    uint32_t low = 0, high = 0;
    for (size_t i = 0; i < input.size; i += 2) {
        uint32_t second = i + 1 < input.size ? input.data[i + 1] : 0;
        low = (low + ((uint32_t)input.data[i] << 8) + second) % 65535;
        high = (high + low) % 65535;
    }
    uint32_t found = kernel_fletcher32(input.data, input.size);
    CHECK((found & 0xffff) % 65535 == low && (found >> 16) % 65535 == high);
}

#define DIMS 4

/* A block of at most 4 axes: its elements in some order of axes, some axes backwards, with gaps. The bytes
   from the first to past the last element, and where the first is, for the caller. */
static size_t
lay_out(fuzz_input *input, const ptrdiff_t *shape, size_t itemsize, ptrdiff_t *strides,
        size_t *first)
{
    size_t stride = itemsize;
    unsigned order = take_byte(input), backwards = take_byte(input), gaps = take_byte(input);
    bool done[DIMS] = {false};
    *first = 0;
    for (unsigned i = 0; i < DIMS; i++) {
        unsigned axis = (order >> 2 * i) % DIMS;
        while (done[axis]) {
            axis = (axis + 1) % DIMS;
        }
        done[axis] = true;
        stride += gaps >> i & 1 ? itemsize * (gaps >> 4) + (gaps >> 7) : 0;
        strides[axis] = (ptrdiff_t)stride;
        if (backwards >> i & 1) {
            strides[axis] = -strides[axis];
            *first += stride * (size_t)(shape[axis] > 0 ? shape[axis] - 1 : 0);
        }
        stride *= shape[axis] > 0 ? (size_t)shape[axis] : 1;
    }
    return stride + itemsize;
}

static void
check_strided(fuzz_input input)
{
    static const size_t sizes[] = {1, 2, 3, 4, 8, 12, 16, 40};
    size_t itemsize = sizes[take_byte(&input) % 8], target_first, source_first;
    ptrdiff_t shape[DIMS], target_strides[DIMS], source_strides[DIMS], index[DIMS] = {0};
    size_t elements = 1;
    for (int i = 0; i < DIMS; i++) {
        uint8_t length = take_byte(&input);
        shape[i] = length % (i == 0 ? 64 : 12);
        elements *= (size_t)shape[i];
    }
    size_t target_bytes = lay_out(&input, shape, itemsize, target_strides, &target_first);
    size_t source_bytes = lay_out(&input, shape, itemsize, source_strides, &source_first);
    if (target_bytes > 1 << 24 || source_bytes > 1 << 24) {
        return;
    }
    char *target = calloc(1, target_bytes), *source = malloc(source_bytes);
    char *expected = calloc(1, target_bytes);
    if (target == NULL || source == NULL || expected == NULL) {
        abort();
    }
    for (size_t i = 0; i < source_bytes; i++) {
        source[i] = (char)(1 + i % 251);
    }
    strided_block block = {DIMS,           itemsize,
                           shape,          target + target_first,
                           target_strides, source + source_first,
                           source_strides};
    strided_copy(&block);
    for (size_t element = 0; element < elements; element++) {
        ptrdiff_t to = (ptrdiff_t)target_first, from = (ptrdiff_t)source_first;
        size_t rest = element;
        for (int i = DIMS - 1; i >= 0; i--) {
            index[i] = (ptrdiff_t)(rest % (size_t)shape[i]);
            rest /= (size_t)shape[i];
            to += index[i] * target_strides[i];
            from += index[i] * source_strides[i];
        }
        memcpy(expected + to, source + from, itemsize);
    }
    CHECK(memcmp(expected, target, target_bytes) == 0);
    memset(target, 0, target_bytes);
    strided_copy_together(&block, 1);
    CHECK(memcmp(expected, target, target_bytes) == 0);
    free(target);
    free(source);
    free(expected);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input input = {data, size};
    uint8_t what = take_byte(&input), detail = take_byte(&input);
    switch (what % 4) {
    case 0: /* seldom one that is large enough for several threads */
        check_copy(input, detail % 20, detail == 19 ? COPY_THREADED_MIN + 12345 : 0);
        break;
    case 1:
        check_shuffle(input, 1 + detail % 40);
        break;
    case 2:
        check_sum(input);
        break;
    default:
        check_strided(input);
    }
    return 0;
}
