/* Copying a tree in memory, of one moment. */
#ifndef MEMDATA_COPYTREE_H
#define MEMDATA_COPYTREE_H

#include "state.h"

typedef struct {
    bool sort;          /* children in sorted order, else as they are */
    bool shallow;       /* every dataset is the same object as its original */
    bool fork;          /* new nodes that share arrays and attribute values */
    PyObject *shared;   /* set of absolute paths (from source) of such datasets; NULL: none */
    PyObject *replaced; /* dict path -> ndarray: data to use in place of a copy; NULL: none */
    PyObject *memo;     /* copy.deepcopy's; NULL: none */
} copy_options;

/* Copy what is below `source` (a _Storage), and its attributes, into `target` (a _Storage).
   A list of the copies' attributes that are not empty; NULL: error. */
PyObject *copy_tree(module_state *state, PyObject *source, PyObject *target,
                    const copy_options *options);

int copytree_init(PyObject *module);

#endif
