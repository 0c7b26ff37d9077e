/* MemAttrs: the attributes of a group or dataset. */
#ifndef MEMDATA_ATTRS_H
#define MEMDATA_ATTRS_H

#include "state.h"

/* A new empty MemAttrs. */
PyObject *attrs_new(module_state *state);

/* The MemAttrs in *place, made there when it is still NULL. New reference. */
PyObject *attrs_at(module_state *state, PyObject **place);

/* A MemAttrs of the same class with the same values in it. Runs no Python code of anybody. */
PyObject *attrs_fork(module_state *state, PyObject *attrs);

/* Replace each value by a deep copy of its own. 0 or -1. */
int attrs_own(module_state *state, PyObject *attrs, PyObject *memo);

/* 1 equal by value, 0 not, -1 error. NULL is empty attributes. */
int attrs_equal(PyObject *a, PyObject *b);

#endif
