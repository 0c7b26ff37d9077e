#include "moving.h"

#include "counters.h"
#include "npyapi.h"
#include "strided.h"

PyDoc_STRVAR(copy_blocks_doc,
"copy_blocks(targets, sources, /)\n--\n\n"
"Copy the elements of each source into the target at the same place of the other list, as bytes "
"and without the GIL.\n\n"
"Both have the same shape and item size, hold no objects and share no memory; their dtypes are "
"not compared. All arrays have the same number of dimensions. Blocks that are parts of the same "
"rows are best copied together.\n\n"
"Examples\n--------\n"
">>> import numpy as np\n"
">>> from memdata._cmemdata import copy_blocks\n"
">>> a = np.zeros((2, 2), int)\n"
">>> copy_blocks([a], [np.arange(4).reshape(2, 2).T])\n"
">>> a.tolist()\n"
"[[0, 2], [1, 3]]\n");

/* 0: `block` says how to copy; -1: an exception is set. */
static int
block_of(PyObject *to, PyObject *from, int ndim, strided_block *block)
{
    if (!PyArray_Check(to) || !PyArray_Check(from)) {
        PyErr_SetString(PyExc_TypeError, "copy_blocks: expected arrays");
        return -1;
    }
    PyArrayObject *target = (PyArrayObject *)to, *source = (PyArrayObject *)from;
    if (PyArray_NDIM(target) != ndim || !PyArray_SAMESHAPE(target, source) ||
        PyArray_ITEMSIZE(target) != PyArray_ITEMSIZE(source) || ndim > STRIDED_MAX_DIMS) {
        PyErr_SetString(PyExc_ValueError, "copy_blocks: the arrays differ in shape or item size");
        return -1;
    }
    if (PyDataType_REFCHK(PyArray_DESCR(target)) || PyDataType_REFCHK(PyArray_DESCR(source))) {
        PyErr_SetString(PyExc_TypeError, "copy_blocks: objects cannot be copied as bytes");
        return -1;
    }
    *block = (strided_block){
        .ndim = ndim,
        .itemsize = (size_t)PyArray_ITEMSIZE(target),
        .shape = PyArray_DIMS(target),
        .target = PyArray_BYTES(target),
        .target_strides = PyArray_STRIDES(target),
        .source = PyArray_BYTES(source),
        .source_strides = PyArray_STRIDES(source),
    };
    return PyArray_FailUnlessWriteable(target, "target of copy_blocks");
}

static PyObject *
copy_blocks(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given_targets, *given_sources, *result = NULL;
    if (!PyArg_ParseTuple(args, "OO:copy_blocks", &given_targets, &given_sources)) {
        return NULL;
    }
    /* Tuples: nobody can take an array away while the GIL is released. */
    PyObject *targets = PySequence_Tuple(given_targets);
    PyObject *sources = targets != NULL ? PySequence_Tuple(given_sources) : NULL;
    strided_block *blocks = NULL;
    if (sources == NULL) {
        goto done;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(targets);
    if (PyTuple_GET_SIZE(sources) != count) {
        PyErr_SetString(PyExc_ValueError, "copy_blocks: expected as many targets as sources");
        goto done;
    }
    blocks = PyMem_New(strided_block, count > 0 ? (size_t)count : 1);
    if (blocks == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *first = PyTuple_GET_ITEM(targets, 0);
        int ndim = PyArray_Check(first) ? PyArray_NDIM((PyArrayObject *)first) : 0;
        if (block_of(PyTuple_GET_ITEM(targets, i), PyTuple_GET_ITEM(sources, i), ndim, blocks + i) <
            0) {
            goto done;
        }
    }
    Py_BEGIN_ALLOW_THREADS
    strided_copy_together(blocks, (int)count);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
done:
    PyMem_Free(blocks);
    Py_XDECREF(targets);
    Py_XDECREF(sources);
    return result;
}

/* The counter of a 1-d array of int64; NULL with an exception set. */
static int64_t *
counter_at(PyObject *object, Py_ssize_t index)
{
    if (!PyArray_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "counters: expected an array");
        return NULL;
    }
    PyArrayObject *counters = (PyArrayObject *)object;
    if (PyArray_TYPE(counters) != NPY_INT64 || !PyArray_ISCARRAY(counters)) {
        PyErr_SetString(PyExc_TypeError, "counters: expected a C-contiguous array of int64");
        return NULL;
    }
    if (index < 0 || index >= PyArray_SIZE(counters)) {
        PyErr_Format(PyExc_IndexError, "counters: there is no %zd in %zd", index,
                     (Py_ssize_t)PyArray_SIZE(counters));
        return NULL;
    }
    return (int64_t *)PyArray_DATA(counters) + index;
}

PyDoc_STRVAR(counter_post_doc,
"counter_post(counters, index, value, /)\n--\n\n"
"Set an element of an int64 array in memory that other processes map too. What this process "
"wrote to the memory before is seen by those who see the value.\n");

static PyObject *
counter_post_function(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *counters;
    Py_ssize_t index;
    long long value;
    if (!PyArg_ParseTuple(args, "OnL:counter_post", &counters, &index, &value)) {
        return NULL;
    }
    int64_t *counter = counter_at(counters, index);
    if (counter == NULL) {
        return NULL;
    }
    counter_post(counter, value);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(counter_wait_doc,
"counter_wait(counters, index, value, seconds, /)\n--\n\n"
"Wait until an element of an int64 array in shared memory is at least `value`, at most so many "
"seconds, without the GIL. Returns what the element is then.\n");

static PyObject *
counter_wait_function(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *counters;
    Py_ssize_t index;
    long long value;
    double seconds;
    if (!PyArg_ParseTuple(args, "OnLd:counter_wait", &counters, &index, &value, &seconds)) {
        return NULL;
    }
    int64_t *counter = counter_at(counters, index);
    if (counter == NULL) {
        return NULL;
    }
    int64_t seen = counter_wait(counter, value, 0);
    if (seen < value && seconds > 0) {
        Py_BEGIN_ALLOW_THREADS
        seen = counter_wait(counter, value, seconds);
        Py_END_ALLOW_THREADS
    }
    return PyLong_FromLongLong(seen);
}

static PyMethodDef moving_functions[] = {
    {"copy_blocks", copy_blocks, METH_VARARGS, copy_blocks_doc},
    {"counter_post", counter_post_function, METH_VARARGS, counter_post_doc},
    {"counter_wait", counter_wait_function, METH_VARARGS, counter_wait_doc},
    {NULL, NULL, 0, NULL},
};

int
moving_init(PyObject *module)
{
    return PyModule_AddFunctions(module, moving_functions);
}
