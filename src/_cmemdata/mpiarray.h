/* _MPIArray: an ndarray that is one rank's part of a longer array. */
#ifndef MEMDATA_MPIARRAY_H
#define MEMDATA_MPIARRAY_H

#include "npyapi.h"
#include "state.h"

/* The whole array has the local shape but `length` along `axis`; the local part begins at
   `offset` there. Copied by value, except for the reference. */
typedef struct {
    PyObject *comm;  /* communicator, owned by the array; NULL: None */
    npy_intp length; /* of the whole array */
    npy_intp offset; /* of the local part */
    npy_intp local;  /* length of the local part when this was set */
    int axis;        /* -1: not known */
} distribution;

bool is_mpiarray(module_state *state, PyObject *object);

/* The distribution as it is, borrowed; it may be stale. */
distribution *mpiarray_fields(PyObject *array);

/* The distribution when it is known, and still true for the shape; else NULL with AxisException. */
distribution *mpiarray_known(module_state *state, PyObject *array);

/* Give `array` (an _MPIArray) a distribution along `axis`; the communicator is shared. */
void mpiarray_set(PyObject *array, PyObject *comm, int axis, npy_intp length, npy_intp offset);

/* A view of `local` as `type`, distributed like that. Takes the reference to `local`, which may
   be NULL with an error set. */
PyObject *mpiarray_around(PyTypeObject *type, PyObject *local, PyObject *comm, int axis,
                          npy_intp length, npy_intp offset);

/* A plain ndarray on the same memory. */
PyObject *mpiarray_local(PyObject *array);

/* The shape of the whole array. */
PyObject *mpiarray_global_shape(module_state *state, PyObject *array);

/* Are the two communicators the same? NULL is None. -1: error. */
int same_comm(PyObject *a, PyObject *b);

/* Are two arrays distributed alike, or both not? -1: error. */
int distributions_equal(module_state *state, PyObject *a, PyObject *b);

/* Raise the Python layer's exceptions. */
void raise_axis(module_state *state, const char *format, ...);
void raise_unsupported(module_state *state, const char *format, ...);

/* Slots and methods in files of their own. */
PyObject *mpiarray_subscript(PyObject *self, PyObject *key);                /* mpiindex.c */
int mpiarray_ass_subscript(PyObject *self, PyObject *key, PyObject *value); /* mpiindex.c */
PyObject *mpiarray_global_slice(PyObject *self, void *closure);             /* mpiindex.c */
PyObject *mpiarray_ufunc(PyObject *self, PyObject *args, PyObject *kwargs); /* mpiufunc.c */

#endif
