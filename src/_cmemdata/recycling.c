/* Arrays on memory that is kept for the next ones (recycle.c), as Python makes them. Such an array
   is an ordinary ndarray that owns its data; it knows by NumPy's handler where to give it back. */
#include "moving.h"

#include "npyapi.h"
#include "recycle.h"

#include <string.h>

static void *
handler_malloc(void *Py_UNUSED(context), size_t size)
{
    return recycle_take(size);
}

static void *
handler_calloc(void *Py_UNUSED(context), size_t count, size_t size)
{
    if (size != 0 && count > PY_SSIZE_T_MAX / size) {
        return NULL;
    }
    void *memory = recycle_take(count * size);
    return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

static void
handler_free(void *Py_UNUSED(context), void *memory, size_t Py_UNUSED(size))
{
    recycle_give(memory);
}

static void *
handler_realloc(void *context, void *old, size_t size)
{
    size_t room = old != NULL ? recycle_room(old) : 0;
    if (old != NULL && size <= room && size >= room / 2) {
        return old;
    }
    void *memory = recycle_take(size);
    if (memory != NULL && old != NULL) {
        memcpy(memory, old, size < room ? size : room);
        handler_free(context, old, room);
    }
    return memory;
}

static PyDataMem_Handler recycling_handler = {
    "memdata_recycling",
    1,
    {NULL, handler_malloc, handler_calloc, handler_realloc, handler_free},
};

PyDoc_STRVAR(empty_recycled_doc,
"empty_recycled(shape, dtype, /)\n--\n\n"
"Like ``numpy.empty``, in C order. A large array (4 MiB or more, no objects) takes the memory of one "
"that was let go, where there is one of about that size: pages that are there already. At most "
"224 MiB are kept like that, and the system takes them when it needs memory.\n\n"
"Examples\n--------\n"
">>> import numpy as np\n"
">>> from memdata._cmemdata import empty_recycled\n"
">>> empty_recycled((3, 4), np.dtype(\"f4\")).shape\n"
"(3, 4)\n");

static PyObject *
empty_recycled(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *lengths, *result = NULL;
    PyArray_Descr *dtype = NULL;
    PyArray_Dims shape = {NULL, 0};
    if (!PyArg_ParseTuple(args, "O!O&:empty_recycled", &PyTuple_Type, &lengths,
                          PyArray_DescrConverter, &dtype)) {
        return NULL;
    }
    PyObject *kept = NULL, *before = NULL;
    if (!PyArray_IntpConverter(lengths, &shape)) {
        goto done;
    }
    double bytes = (double)PyDataType_ELSIZE(dtype);
    for (int i = 0; i < shape.len; i++) {
        bytes *= (double)shape.ptr[i];
    }
    if (bytes >= (double)RECYCLE_MIN && !PyDataType_REFCHK(dtype)) {
        kept = PyCapsule_New(&recycling_handler, "mem_handler", NULL);
        before = kept != NULL ? PyDataMem_SetHandler(kept) : NULL;
        if (before == NULL) {
            goto done;
        }
    }
    result = PyArray_Empty(shape.len, shape.ptr, (PyArray_Descr *)Py_NewRef(dtype), 0);
    if (before != NULL) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_XDECREF(PyDataMem_SetHandler(before));
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
done:
    PyDimMem_FREE(shape.ptr);
    Py_XDECREF(before);
    Py_XDECREF(kept);
    Py_DECREF(dtype);
    return result;
}

PyDoc_STRVAR(recycled_bytes_doc,
"recycled_bytes(*, drop=False)\n--\n\n"
"How many bytes `empty_recycled` keeps for its next arrays, or kept before they were dropped.\n");

static PyObject *
recycled_bytes(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"drop", NULL};
    int drop = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:recycled_bytes", names, &drop)) {
        return NULL;
    }
    size_t bytes = recycle_kept();
    if (drop) {
        recycle_drop();
    }
    return PyLong_FromSize_t(bytes);
}

static PyMethodDef recycling_functions[] = {
    {"empty_recycled", empty_recycled, METH_VARARGS, empty_recycled_doc},
    {"recycled_bytes", SLOT_FUNC(PyCFunctionWithKeywords, recycled_bytes),
     METH_VARARGS | METH_KEYWORDS, recycled_bytes_doc},
    {NULL, NULL, 0, NULL},
};

int
recycling_init(PyObject *module)
{
    return PyModule_AddFunctions(module, recycling_functions);
}
