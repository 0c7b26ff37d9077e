/* Equality by value of what attributes and datasets hold: arrays, nested in containers. */
#ifndef MEMDATA_EQUAL_H
#define MEMDATA_EQUAL_H

#include "compat.h"

/* 1 equal, 0 not, -1 error. */
int values_equal(PyObject *a, PyObject *b);
int arrays_equal(PyObject *a, PyObject *b);
int dicts_equal(PyObject *a, PyObject *b);

/* For tp_richcompare: True or False of `equal` (as above) for op Py_EQ or Py_NE. */
PyObject *equal_result(int equal, int op);

#endif
