/* _Storage and _StorageRoot: the nodes that a tree in memory is made of. */
#ifndef MEMDATA_STORAGE_H
#define MEMDATA_STORAGE_H

#include "names.h"

typedef struct {
    PyDictObject
        dict; /* name -> _Storage, stored MemDataset, link or named type, in order of creation */
    PyObject *attrs;    /* MemAttrs, or NULL until somebody asks */
    PyObject *creation; /* dict: how a file made the group, or NULL until somebody asks */
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

/* Where a path ended that leads nowhere. */
typedef struct {
    Py_ssize_t depth; /* names that were found */
    PyObject *link;   /* the link under the next name, owned; NULL: nothing has that name */
} walk_end;

/* Walk `count` names down from `node`, a _Storage, through soft links. Absolute links count from the tree
   that `tree` is, or is a group in. 1: *found is a new reference to what is there; 0: there is nothing,
   *end says where (its link is the caller's); -1: error. */
int storage_walk(module_state *state, PyObject *tree, PyObject *node, PyObject *const *names,
                 Py_ssize_t count, PyObject **found, walk_end *end);

/* If *child, found in the group `holder`, is a link, put what it leads to in its place. 1: *child is no
   link; 0: it is one that leads nowhere; -1: error. */
int storage_follow(module_state *state, PyObject *tree, PyObject *holder, PyObject **child);

/* Raise KeyError: `split`, looked for below `node`, the group named `where` in the tree `tree`, ends at `end`,
   whose link is let go. */
void raise_missing(module_state *state, PyObject *tree, PyObject *node, PyObject *where,
                   const split_path *split, walk_end *end);

#endif
