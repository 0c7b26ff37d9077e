/* _DatasetBody: what a dataset is, shared by the stored object and all handles on it. */
#ifndef MEMDATA_BODY_H
#define MEMDATA_BODY_H

#include "state.h"

/* NULL stands for None or, for attrs, for "none so far". All owned. The body owns no bytes: the
   array does, or whatever the array's base is (NumPy's memory, a mapped file, shared memory). */
typedef struct {
    PyObject_HEAD
    PyObject *array; /* ndarray; or, for a null dataspace, an object with .shape None and .dtype */
    PyObject *as_array; /* the array's bound `__array__`, once somebody asked */
    PyObject *attrs;    /* MemAttrs */
    PyObject *chunks;   /* tuple of int, one per axis */
    PyObject *compression;
    PyObject *compression_opts;
    PyObject *creation; /* dict: what else a file made it with, in h5py's keywords */
} DatasetBody;

/* A new body around `array`, which is neither copied nor checked. */
DatasetBody *body_new(module_state *state, PyObject *array);

/* Put another array in place; takes the reference. */
void body_set_array(DatasetBody *self, PyObject *array);

/* How many axes of the array, the last ones, belong to the type of the elements ("(3,)f4"). */
int body_inner_axes(DatasetBody *self);

/* Setters: `value` None is NULL. The chunks are checked against the array's shape (ValueError)
   and cut down to it. 0 or -1. */
int body_set_chunks(DatasetBody *self, PyObject *value);
void body_set_compression(DatasetBody *self, PyObject *compression, PyObject *options);

/* The dict at *place, made where there is none; new reference. And a copy of it, NULL for NULL or an
   empty one: 0 or -1. */
PyObject *creation_at(PyObject **place);
int creation_fork(PyObject *creation, PyObject **fork);

/* Another body with the same array, chunks and compression, and copies of the attributes and creation
   dicts (not of what they hold). Runs no Python code of anybody. */
DatasetBody *body_fork(module_state *state, DatasetBody *self);

/* Make what a fork still shares its own: attribute values and array. `order` is one of NumPy's
   "C", "F", "A", "K"; memo is deepcopy's dict, or NULL. 0 or -1. */
int body_own(module_state *state, DatasetBody *self, char order, PyObject *memo);

/* 1: same attributes, data, chunks, compression; 0 not; -1 error. */
int body_equal(DatasetBody *a, DatasetBody *b);

static inline PyObject *
or_none(PyObject *object)
{
    return Py_NewRef(object != NULL ? object : Py_None);
}

#endif
