/* Chunks that the filter bitshuffle packed: read, looked at and unpacked, many at a time, without the
   GIL. The code of the filter is not here: its caller gives a pointer to the library's function.

   A packed chunk:

       8 bytes   length of the unpacked bytes, big-endian
       4 bytes   length of an unpacked block
       records   a block each: its packed length (4 bytes) and so many bytes
       rest      up to seven elements as they are

   The library is told where a chunk begins, but not where it ends: the records are followed to the
   end before it is called. */
#include "npyapi.h"
#include "state.h"
#include "strided.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define HEADER 12

/* bshuf_decompress_lz4 and bshuf_decompress_zstd: bytes read, or a negative code. Lengths are
   counted in elements. */
typedef int64_t decompressor(const void *packed, void *unpacked, size_t length, size_t itemsize,
                             size_t block);

/* A chunk in a file, and where its elements go. */
typedef struct {
    off_t offset;
    size_t packed_bytes;
    size_t bytes; /* unpacked */
    PyArrayObject *place;
} packed_chunk;

/* What all chunks share. */
typedef struct {
    int descriptor;
    decompressor *decompress;
    size_t itemsize;
    unsigned char *packed; /* room for the packed bytes of any of them */
    char *unpacked;        /* and for its unpacked bytes */
} unpacker;

static uint64_t
big_endian(const unsigned char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

/* Where the last of `count` records ends that stand one after the other from `start` on, each with its
   length before it; SIZE_MAX where that is past `end`. */
static size_t
records_end(const unsigned char *data, size_t start, size_t end, size_t count)
{
    size_t at = start;
    for (size_t i = 0; i < count; i++) {
        if (at > end || end - at < 4) {
            return SIZE_MAX;
        }
        size_t length = (size_t)big_endian(data + at, 4);
        at += 4;
        if (end - at < length) {
            return SIZE_MAX;
        }
        at += length;
    }
    return at;
}

/* The elements of a block; 0 where the packed bytes are not what the chunk needs. */
static size_t
block_of_packed(const unpacker *self, const packed_chunk *chunk)
{
    size_t size = self->itemsize;
    if (chunk->packed_bytes < HEADER || big_endian(self->packed, 8) != chunk->bytes) {
        return 0;
    }
    size_t block_bytes = (size_t)big_endian(self->packed + 8, 4);
    if (block_bytes == 0 || block_bytes % (8 * size) != 0 || chunk->bytes % size != 0) {
        return 0;
    }
    size_t block = block_bytes / size, count = chunk->bytes / size;
    size_t blocks = count / block + (count % block / 8 != 0);
    size_t end = records_end(self->packed, HEADER, chunk->packed_bytes, blocks);
    return end != SIZE_MAX && end + count % 8 * size == chunk->packed_bytes ? block : 0;
}

static bool
read_all(int descriptor, unsigned char *target, size_t bytes, off_t offset)
{
    while (bytes > 0) {
        ssize_t done = pread(descriptor, target, bytes, offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        target += done;
        bytes -= (size_t)done;
        offset += done;
    }
    return true;
}

/* From a chunk in one piece to its place. */
static void
put_elements(const char *unpacked, PyArrayObject *place)
{
    int ndim = PyArray_NDIM(place);
    npy_intp strides[STRIDED_MAX_DIMS];
    npy_intp step = PyArray_ITEMSIZE(place);
    for (int axis = ndim - 1; axis >= 0; axis--) {
        strides[axis] = step;
        step *= PyArray_DIM(place, axis);
    }
    strided_copy(&(strided_block){
        .ndim = ndim,
        .itemsize = (size_t)PyArray_ITEMSIZE(place),
        .shape = PyArray_DIMS(place),
        .target = PyArray_BYTES(place),
        .target_strides = PyArray_STRIDES(place),
        .source = unpacked,
        .source_strides = strides,
    });
}

/* False: the file or the chunk is not as it should be; its place may hold anything then. */
static bool
unpack_chunk(const unpacker *self, const packed_chunk *chunk)
{
    if (!read_all(self->descriptor, self->packed, chunk->packed_bytes, chunk->offset)) {
        return false;
    }
    size_t block = block_of_packed(self, chunk);
    if (block == 0) {
        return false;
    }
    bool direct = PyArray_IS_C_CONTIGUOUS(chunk->place);
    char *target = direct ? PyArray_BYTES(chunk->place) : self->unpacked;
    int64_t used = self->decompress(self->packed + HEADER, target, chunk->bytes / self->itemsize,
                                    self->itemsize, block);
    if (used < 0 || (size_t)used != chunk->packed_bytes - HEADER) {
        return false;
    }
    if (!direct) {
        put_elements(target, chunk->place);
    }
    return true;
}

/* From Python */

/* 0: `chunk` is what the item says, and fits; -1: an exception is set. */
static int
chunk_of(PyObject *item, const Py_buffer *packed, const Py_buffer *unpacked, packed_chunk *chunk)
{
    long long offset;
    Py_ssize_t size;
    PyObject *place;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "unpack_bitshuffled: expected tuples");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "LnO!:unpack_bitshuffled", &offset, &size, &PyArray_Type, &place)) {
        return -1;
    }
    PyArrayObject *array = (PyArrayObject *)place;
    if (PyDataType_REFCHK(PyArray_DESCR(array))) {
        PyErr_SetString(PyExc_TypeError, "unpack_bitshuffled: objects are not in files");
        return -1;
    }
    if (offset < 0 || size < 0 || size > packed->len || PyArray_NBYTES(array) > unpacked->len ||
        PyArray_NDIM(array) > STRIDED_MAX_DIMS) {
        PyErr_Format(
            PyExc_ValueError,
            "unpack_bitshuffled: %zd bytes at %lld become %zd; there is room for %zd and %zd", size,
            offset, (Py_ssize_t)PyArray_NBYTES(array), packed->len, unpacked->len);
        return -1;
    }
    *chunk = (packed_chunk){(off_t)offset, (size_t)size, (size_t)PyArray_NBYTES(array), array};
    return PyArray_FailUnlessWriteable(array, "place of a chunk");
}

PyDoc_STRVAR(unpack_bitshuffled_doc,
"unpack_bitshuffled(descriptor, chunks, packed, unpacked, function, itemsize, /)\n--\n\n"
"Read chunks from a file, unpack them, and put their elements in their places, without the GIL.\n\n"
"Parameters\n----------\n"
"descriptor : int\n    Of the file.\n"
"chunks : sequence of (int, int, ndarray)\n"
"    Where each begins in the file, how many bytes it has there, and the place for its elements.\n"
"packed, unpacked : writable bytes-like\n"
"    Memory to work in, of this thread alone: as long as the longest chunk in the file and in "
"memory.\n"
"function : int\n"
"    Address of bitshuffle's ``bshuf_decompress_lz4`` or ``bshuf_decompress_zstd``.\n"
"itemsize : int\n    Bytes of an element, as the filter has it.\n\n"
"Returns\n-------\n"
"int\n"
"    How many chunks were done, from the first on: fewer than there are where one could not be read "
"or is\n    not what the filter packs. That one's place may hold anything.\n");

static PyObject *
unpack_bitshuffled(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given, *items = NULL, *address, *result = NULL;
    Py_buffer packed, unpacked;
    Py_ssize_t itemsize;
    packed_chunk *chunks = NULL;
    unpacker self;
    if (!PyArg_ParseTuple(args, "iOw*w*O!n:unpack_bitshuffled", &self.descriptor, &given, &packed,
                          &unpacked, &PyLong_Type, &address, &itemsize)) {
        return NULL;
    }
    void *function = PyLong_AsVoidPtr(address);
    if (function == NULL || itemsize < 1) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "unpack_bitshuffled: no function, or no elements");
        }
        goto done;
    }
    memcpy(&self.decompress, &function, sizeof(function));
    self.itemsize = (size_t)itemsize;
    self.packed = packed.buf;
    self.unpacked = unpacked.buf;
    items = PySequence_Tuple(given); /* nobody can take an array away while the GIL is released */
    if (items == NULL) {
        goto done;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    chunks = PyMem_New(packed_chunk, count > 0 ? (size_t)count : 1);
    if (chunks == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (chunk_of(PyTuple_GET_ITEM(items, i), &packed, &unpacked, chunks + i) < 0) {
            goto done;
        }
    }
    Py_ssize_t finished = 0;
    Py_BEGIN_ALLOW_THREADS
    while (finished < count && unpack_chunk(&self, chunks + finished)) {
        finished++;
    }
    Py_END_ALLOW_THREADS
    result = PyLong_FromSsize_t(finished);
done:
    PyMem_Free(chunks);
    Py_XDECREF(items);
    PyBuffer_Release(&packed);
    PyBuffer_Release(&unpacked);
    return result;
}

PyDoc_STRVAR(end_of_records_doc,
"end_of_records(data, start, count, /)\n--\n\n"
"Where records end that stand one after the other, each with its length before it.\n\n"
"Parameters\n----------\n"
"data : bytes-like\n    Contiguous.\n"
"start : int\n    Where the first length is.\n"
"count : int\n    How many records there are. A length is 32 bits, big-endian, and counts what "
"follows it.\n\n"
"Returns\n-------\n"
"int\n    The byte after the last one; -1 where the data end before.\n\n"
"Examples\n--------\n"
">>> from memdata._cmemdata import end_of_records\n"
">>> end_of_records(bytes([0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 9]), 0, 2)\n"
"10\n"
">>> end_of_records(bytes([0, 0, 0, 2, 7]), 0, 1)\n"
"-1\n");

static PyObject *
end_of_records(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data;
    Py_ssize_t start, count;
    if (!PyArg_ParseTuple(args, "y*nn:end_of_records", &data, &start, &count)) {
        return NULL;
    }
    size_t end = SIZE_MAX;
    if (start >= 0 && count >= 0) {
        end = records_end(data.buf, (size_t)start, (size_t)data.len, (size_t)count);
    }
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(end == SIZE_MAX ? -1 : (Py_ssize_t)end);
}

static PyMethodDef bitshuffled_functions[] = {
    {"unpack_bitshuffled", unpack_bitshuffled, METH_VARARGS, unpack_bitshuffled_doc},
    {"end_of_records", end_of_records, METH_VARARGS, end_of_records_doc},
    {NULL, NULL, 0, NULL},
};

int
bitshuffled_init(PyObject *module)
{
    return PyModule_AddFunctions(module, bitshuffled_functions);
}
