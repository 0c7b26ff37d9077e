/* The filters of bytefilters.c as Python calls them. HDF5 runs its own with one lock held for the whole
   process; these run without the GIL, so that several threads can pack and unpack chunks at the same time. */
#include "kernels.h"
#include "npyapi.h"
#include "state.h"

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
