/* What each target has. A target is compiled with the C files it tests and either with clang's libFuzzer
   (`make fuzz`) or with replay.c, which feeds it the files of its corpus (`make test`, any compiler). */
#ifndef MEMDATA_FUZZ_H
#define MEMDATA_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert, whatever the flags: a promise that is broken ends the program. */
#define CHECK(promise)                                                                             \
    do {                                                                                           \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What is left of an input. */
typedef struct {
    const uint8_t *data;
    size_t size;
} fuzz_input;

/* The next byte; 0 at the end. */
static inline uint8_t
take_byte(fuzz_input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}

/* The next 64 bits, or what is left of them. */
static inline int64_t
take_int64(fuzz_input *input)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value |= (uint64_t)take_byte(input) << (8 * i);
    }
    return (int64_t)value;
}

#endif
