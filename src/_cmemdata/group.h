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
   hooks; NULL without an error: it is gone. */
PyObject *group_child(module_state *state, PyObject *self, PyObject *node, PyObject *name);

/* The names of the children that the hooks allow; a new list. */
PyObject *group_names(PyObject *self);

/* The node in memory, borrowed; NULL without an error: the group is not in memory. */
PyObject *group_node(module_state *state, Group *self);

/* Is indexing the class's own, so that nothing in Python has to be called? */
bool group_indexing_is_ours(PyObject *self);

/* The views that keys(), values() and items() return. */
typedef enum { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS } view_kind;
PyObject *group_view_new(module_state *state, PyObject *group, view_kind kind);

#endif
