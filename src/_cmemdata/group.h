/* _BaseGroup: a handle on a group. */
#ifndef MEMDATA_GROUP_H
#define MEMDATA_GROUP_H

#include "object.h"

typedef struct {
    MemObject object;
    PyObject
        *node; /* the group's _Storage once it was looked up; NULL: not yet, or not in memory */
} Group;

/* What `self[name]` gives for one child `name` (an exact str) of a group in memory, without the
   hooks; None of a link that leads nowhere; NULL without an error: it is gone. */
PyObject *group_child(module_state *state, PyObject *self, PyObject *node, PyObject *name);

/* The names of the children that the hooks allow; a new list. */
PyObject *group_names(PyObject *self);

/* The node in memory, borrowed; NULL without an error: the group is not in memory. */
PyObject *group_node(module_state *state, Group *self);

/* The node that absolute paths count from; borrowed; NULL without an error: not in memory. */
PyObject *group_top(module_state *state, Group *self);

/* The tree that a dataset found through this group belongs to, and the name that its path there
   begins with; new references. 0 or -1. */
int group_tree(module_state *state, Group *self, bool absolute, PyObject **root, PyObject **prefix);

/* A handle on `found`, a node at `split` from the group. */
PyObject *group_handle(module_state *state, Group *self, PyObject *found, const split_path *split);

/* Does the class override the hooks? Do they allow what `split` names and each group on the way
   (1, 0, -1: error)? Raise that they do not. */
bool group_has_hooks(module_state *state, PyObject *self);
int group_allows(module_state *state, Group *self, bool is_group, const split_path *split);
void group_raise_refused(PyObject *self, PyObject *exception, bool is_group, PyObject *path);

/* The same for one absolute path, by itself. */
int group_allows_path(module_state *state, PyObject *self, bool is_group, PyObject *path);

/* `self[key]`: 1: found, *handle (unless NULL) is a new reference; 0: missing or refused; -1:
   error. With `must`, KeyError instead of 0. */
int group_find(PyObject *self, PyObject *key, bool must, PyObject **handle);

/* What is stored in memory under `key`, a link as itself; *parent is the _Storage that has it (NULL: `key` is
   the group itself, or the root). New references, and `split` to be cleared; NULL with KeyError. */
PyObject *group_stored(module_state *state, Group *self, PyObject *key, split_path *split,
                       PyObject **parent);

/* The group itself as h5py or zarr know it, for one that is not in memory; new reference. */
PyObject *group_foreign(Group *self);

/* Methods, in groupcreate.c. */
PyObject *group_create_group(PyObject *self, PyObject *name);
PyObject *group_insert_dataset(PyObject *self, PyObject *args);
PyObject *group_insert_node(PyObject *self, PyObject *args);
PyObject *group_create_common(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
extern const char group_create_group_doc[];
extern const char group_insert_dataset_doc[];
extern const char group_insert_node_doc[];
extern const char group_create_common_doc[];

/* Is indexing the class's own, so that nothing in Python has to be called? */
bool group_indexing_is_ours(PyObject *self);

/* The views that keys(), values() and items() return. */
typedef enum { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } view_kind;
PyObject *group_view_new(module_state *state, PyObject *group, view_kind kind);

#endif
