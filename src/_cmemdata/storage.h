/* _Storage and _StorageRoot: the nodes that a tree in memory is made of. */
#ifndef MEMDATA_STORAGE_H
#define MEMDATA_STORAGE_H

#include "names.h"

typedef struct {
    PyDictObject dict; /* name -> _Storage or stored MemDataset, in order of creation */
    PyObject *attrs;   /* MemAttrs, or NULL until somebody asks */
    PyObject *weakrefs;
    PyObject *instance_dict;
} Storage;

typedef struct {
    Storage storage;
    PyObject *comm; /* an MPI communicator or NULL for None */
    bool distributed;
} StorageRoot;

static inline bool
is_storage(module_state *state, PyObject *object)
{
    return Py_IS_TYPE(object, state->storage_type) ||
           PyObject_TypeCheck(object, state->storage_type);
}

/* A new empty _Storage. */
PyObject *storage_new(module_state *state);

/* Walk `count` names down from `node`, a _Storage. 1: *found is a new reference to what is there; 0: there is
   nothing, and *depth names were found; -1: error. */
int storage_walk(module_state *state, PyObject *node, PyObject *const *names, Py_ssize_t count,
                 PyObject **found, Py_ssize_t *depth);

/* The same, with KeyError when there is nothing. */
PyObject *storage_get(module_state *state, PyObject *node, PyObject *where,
                      const split_path *split);

/* Raise KeyError: `split`, looked for in the group named `where`, ends after `depth` names. */
void raise_missing(module_state *state, PyObject *where, const split_path *split, Py_ssize_t depth);

#endif
