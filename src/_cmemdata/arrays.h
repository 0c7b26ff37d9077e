/* Making, taking and copying the arrays of datasets. */
#ifndef MEMDATA_ARRAYS_H
#define MEMDATA_ARRAYS_H

#include "state.h"

/* A new ndarray with the same elements; large ones by several threads without the GIL. Objects in
   it (also in structured elements) are copied with copy.deepcopy and `memo` (NULL: a new one).
   `order` as in ndarray.copy. */
PyObject *array_copy(module_state *state, PyObject *array, char order, PyObject *memo);

/* The array of a new dataset, from what `create_dataset` was given; NULL stands for not given.
   `data` that has the shape and dtype asked for is returned itself. */
PyObject *array_for(module_state *state, PyObject *shape, PyObject *dtype, PyObject *data);

/* Is it the null dataspace of somebody's library: has a dtype, and None for its shape? -1 error. */
int is_null_dataspace(module_state *state, PyObject *object);

#endif
