/* The two filters of HDF5 that move or add up bytes: shuffle and Fletcher's checksum.

   HDF5 runs its filters with one lock held for the whole process. Here they run without the GIL, so
   that several threads can pack and unpack chunks at the same time. */
#include "kernels.h"
#include "npyapi.h"
#include "state.h"

#include <stdint.h>
#include <string.h>

/* Shuffling puts the first bytes of all elements together, then the second ones, ...:

       element 0   a0 a1 a2 a3          a0 b0 c0   a1 b1 c1   a2 b2 c2   a3 b3 c3
       element 1   b0 b1 b2 b3    ->
       element 2   c0 c1 c2 c3

   In blocks of elements that stay in the first cache. The size is a constant in the common cases,
   which lets the compiler use whole vectors. */
#define BLOCK 512

static inline void
gather_bytes(unsigned char *restrict target, const unsigned char *restrict source, size_t size,
             size_t count)
{
    for (size_t start = 0; start < count; start += BLOCK) {
        size_t stop = count - start < BLOCK ? count : start + BLOCK;
        for (size_t byte = 0; byte < size; byte++) {
            for (size_t i = start; i < stop; i++) {
                target[byte * count + i] = source[i * size + byte];
            }
        }
    }
}

static inline void
scatter_bytes(unsigned char *restrict target, const unsigned char *restrict source, size_t size,
              size_t count)
{
    for (size_t start = 0; start < count; start += BLOCK) {
        size_t stop = count - start < BLOCK ? count : start + BLOCK;
        for (size_t i = start; i < stop; i++) {
            for (size_t byte = 0; byte < size; byte++) {
                target[i * size + byte] = source[byte * count + i];
            }
        }
    }
}

#define BY_SIZE(function, target, source, size, count)                                             \
    switch (size) {                                                                                \
    case 2:                                                                                        \
        function(target, source, 2, count);                                                        \
        break;                                                                                     \
    case 4:                                                                                        \
        function(target, source, 4, count);                                                        \
        break;                                                                                     \
    case 8:                                                                                        \
        function(target, source, 8, count);                                                        \
        break;                                                                                     \
    case 16:                                                                                       \
        function(target, source, 16, count);                                                       \
        break;                                                                                     \
    default:                                                                                       \
        function(target, source, size, count);                                                     \
    }

void
kernel_shuffle(void *target, const void *source, size_t bytes, size_t size, int undo)
{
    size_t count = bytes / size, whole = count * size;
    if (undo) {
        BY_SIZE(scatter_bytes, target, source, size, count)
    }
    else {
        BY_SIZE(gather_bytes, target, source, size, count)
    }
    memcpy((char *)target + whole, (const char *)source + whole, bytes - whole);
}

/* Sums modulo 65535, with 65535 in place of 0 unless all was 0: what adding 16 bits with the carry
   brought back to the other end gives. */
static uint32_t
ones_complement(uint64_t sum)
{
    uint64_t rest = sum % 65535;
    return (uint32_t)(rest == 0 && sum != 0 ? 65535 : rest);
}

uint32_t
kernel_fletcher32(const void *source, size_t bytes)
{
    const unsigned char *data = source;
    uint64_t low = 0, high = 0;
    size_t words = bytes / 2;
    while (words > 0) {
        size_t block = words < 1 << 16 ? words : 1 << 16; /* no sum passes 2**53 */
        for (size_t i = 0; i < block; i++, data += 2) {
            low += (uint32_t)data[0] << 8 | data[1];
            high += low;
        }
        low = ones_complement(low);
        high = ones_complement(high);
        words -= block;
    }
    if (bytes % 2) {
        low += (uint32_t)*data << 8;
        high += low;
    }
    return ones_complement(high) << 16 | ones_complement(low);
}

/* From Python */

/* Without the GIL pays from here on (bytes). */
#define WORTH_RELEASING 4096

PyDoc_STRVAR(shuffle_bytes_doc,
"shuffle_bytes(source, target, size, undo=False, /)\n--\n\n"
"HDF5's shuffle filter: the first bytes of all elements, then the second ones, and so on.\n\n"
"Parameters\n----------\n"
"source : bytes-like\n    What is shuffled; contiguous.\n"
"target : writable bytes-like\n    Of the same length; they do not overlap.\n"
"size : int\n    Bytes of an element, at least 1. Bytes after the last whole element stay at the end.\n"
"undo : bool\n    The other way round.\n\n"
"Examples\n--------\n"
">>> from memdata._cmemdata import shuffle_bytes\n"
">>> target = bytearray(6)\n"
">>> shuffle_bytes(b\"aAbBcC\", target, 2)\n"
">>> target\n"
"bytearray(b'abcABC')\n");

static PyObject *
shuffle_bytes(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer source, target;
    Py_ssize_t size;
    int undo = 0;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*w*n|p:shuffle_bytes", &source, &target, &size, &undo)) {
        return NULL;
    }
    if (size < 1 || source.len != target.len) {
        PyErr_Format(
            PyExc_ValueError,
            "shuffle_bytes: %zd bytes into %zd, of elements of %zd bytes: the lengths must "
            "be equal and the size positive",
            source.len, target.len, size);
    }
    else {
        if (source.len >= WORTH_RELEASING) {
            Py_BEGIN_ALLOW_THREADS
            kernel_shuffle(target.buf, source.buf, (size_t)source.len, (size_t)size, undo);
            Py_END_ALLOW_THREADS
        }
        else {
            kernel_shuffle(target.buf, source.buf, (size_t)source.len, (size_t)size, undo);
        }
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&source);
    PyBuffer_Release(&target);
    return result;
}

PyDoc_STRVAR(fletcher32_doc,
"fletcher32(data, /)\n--\n\n"
"Fletcher's checksum of 32 bits, as HDF5's filter has it: of big-endian words of 16 bits.\n\n"
"Parameters\n----------\n"
"data : bytes-like\n    Contiguous; an odd last byte counts as the upper half of a word.\n\n"
"Examples\n--------\n"
">>> from memdata._cmemdata import fletcher32\n"
">>> hex(fletcher32(b\"\\x00\\x01\\x00\\x02\"))\n"
"'0x40003'\n");

static PyObject *
fletcher32(PyObject *Py_UNUSED(module), PyObject *data)
{
    Py_buffer view;
    uint32_t sum;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (view.len >= WORTH_RELEASING) {
        Py_BEGIN_ALLOW_THREADS
        sum = kernel_fletcher32(view.buf, (size_t)view.len);
        Py_END_ALLOW_THREADS
    }
    else {
        sum = kernel_fletcher32(view.buf, (size_t)view.len);
    }
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(sum);
}

static PyMethodDef filter_functions[] = {
    {"shuffle_bytes", shuffle_bytes, METH_VARARGS, shuffle_bytes_doc},
    {"fletcher32", fletcher32, METH_O, fletcher32_doc},
    {NULL, NULL, 0, NULL},
};

int
filters_init(PyObject *module)
{
    return PyModule_AddFunctions(module, filter_functions);
}
