/* Finding what a path names from a group.

   What a group's `root` is decides where its children are:

       _StorageRoot      a tree in memory: the group is a MemGroup
       another group     a container around a MemGroup: names count from that group
       anything else     an open file or group of h5py or zarr: its own indexing is asked

   The first two end at a node (_Storage) and take the fast way, which runs no Python code
   unless a class overrides `_group_class`, `_from_storage_root` or the hooks. */
#include "group.h"
#include "dataset.h"
#include "storage.h"

/* ---- where a group is ---- */

static bool
is_group_handle(module_state *state, PyObject *object)
{
    return PyObject_TypeCheck(object, state->group_type);
}

/* The node that absolute paths count from; borrowed; NULL without an error: not in memory. */
PyObject *
group_top(module_state *state, Group *self)
{
    PyObject *root = self->object.root;
    if (root == NULL) {
        PyErr_Format(PyExc_ValueError,
                     "this %.200s has no tree: it was closed, or its __init__ not called",
                     Py_TYPE(self)->tp_name);
        return NULL;
    }
    if (PyObject_TypeCheck(root, state->root_type)) {
        return root;
    }
    return is_group_handle(state, root) ? group_node(state, (Group *)root) : NULL;
}

PyObject *
group_node(module_state *state, Group *self)
{
    if (self->node != NULL) {
        return self->node;
    }
    PyObject *top = group_top(state, self);
    PyObject *name = top != NULL ? object_name(&self->object) : NULL;
    split_path split;
    if (name == NULL || split_path_init(state, name, &split) < 0) {
        return NULL;
    }
    PyObject *node = NULL;
    walk_end end;
    int there = storage_walk(state, self->object.root, top, split.names, split.count, &node, &end);
    if (there == 0) {
        raise_missing(state, self->object.root, top, state->slash, &split, &end);
    }
    split_path_clear(&split);
    if (node != NULL && !is_storage(state, node)) {
        PyErr_Format(PyExc_KeyError, "%U is a dataset, not a group", name);
        Py_CLEAR(node);
    }
    Py_XSETREF(self->node, node);
    return node;
}

/* The tree that a dataset found through this group belongs to, and the name its path there
   begins with. Both new references. */
int
group_tree(module_state *state, Group *self, bool absolute, PyObject **root, PyObject **prefix)
{
    PyObject *own = absolute ? state->slash : object_name(&self->object);
    PyObject *at = self->object.root;
    if (own == NULL) {
        return -1;
    }
    *prefix = Py_NewRef(own);
    while (is_group_handle(state, at)) {
        Group *outer = (Group *)at;
        PyObject *name = object_name(&outer->object);
        PyObject *joined = NULL;
        if (name != NULL && PyUnicode_GET_LENGTH(name) == 1) {
            joined = Py_NewRef(*prefix);
        }
        else if (name != NULL) {
            split_path split;
            if (split_path_init(state, *prefix, &split) == 0) {
                joined = join_names(name, split.owner);
                split_path_clear(&split);
            }
        }
        Py_SETREF(*prefix, joined);
        if (joined == NULL) {
            return -1;
        }
        at = outer->object.root;
    }
    *root = Py_NewRef(at);
    return 0;
}

/* ---- hooks ---- */

/* The class's own hook where it overrides ours, borrowed; NULL: nothing to ask. */
static PyObject *
group_hook(PyObject *self, PyObject *name, PyObject *default_hook)
{
    PyObject *found = type_lookup(Py_TYPE(self), name);
    return found == default_hook ? NULL : found;
}

bool
group_has_hooks(module_state *state, PyObject *self)
{
    return Py_TYPE(self) != (PyTypeObject *)state->group_class &&
           (group_hook(self, state->str_dataset_name_allowed, state->default_dataset_hook) ||
            group_hook(self, state->str_group_name_allowed, state->default_group_hook));
}

/* May a group or dataset have this absolute path, by the class's hooks? */
int
group_allows_path(module_state *state, PyObject *self, bool is_group, PyObject *path)
{
    PyObject *answer = PyObject_CallMethodOneArg(
        self, is_group ? state->str_group_name_allowed : state->str_dataset_name_allowed, path);
    int allowed = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return allowed;
}

/* The same for what `split` names from the group, and for each group on the way to it. */
int
group_allows(module_state *state, Group *self, bool is_group, const split_path *split)
{
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    PyObject *path = Py_XNewRef(prefix);
    int allowed = path != NULL ? 1 : -1;
    for (Py_ssize_t i = 0; allowed == 1 && i < split->count; i++) {
        Py_SETREF(path, join_names(path, split->names[i]));
        allowed = path == NULL ? -1
                               : group_allows_path(state, (PyObject *)self,
                                                   is_group || i < split->count - 1, path);
    }
    Py_XDECREF(path);
    return allowed;
}

void
group_raise_refused(PyObject *self, PyObject *exception, bool is_group, PyObject *path)
{
    PyErr_Format(exception, "%.1000R is not a %s name that %.200s allows", path,
                 is_group ? "group" : "dataset", Py_TYPE(self)->tp_name);
}

/* ---- handles on what was found ---- */

static PyObject *
subgroup_by_class(module_state *state, Group *self, PyObject *prefix, PyObject *tail)
{
    PyObject *cls = PyObject_GetAttr((PyObject *)self, state->str__group_class);
    PyObject *name = cls != NULL ? join_names(prefix, tail) : NULL;
    PyObject *group = name != NULL ? object_from_root(state, cls, self->object.root, name) : NULL;
    Py_XDECREF(cls);
    Py_XDECREF(name);
    return group;
}

/* The group `tail` under `prefix`, a handle of the same class; its node is known. */
static PyObject *
subgroup(module_state *state, Group *self, PyObject *prefix, PyObject *tail, PyObject *node)
{
    PyTypeObject *type = Py_TYPE(self);
    bool plain = type == (PyTypeObject *)state->group_class;
    if (!plain) {
        plain =
            type_lookup(type, state->str__group_class) == state->default_group_class &&
            type_lookup(type, state->str__from_storage_root) == state->default_from_storage_root &&
            type->tp_new == state->object_type->tp_new;
    }
    if (!plain) {
        return subgroup_by_class(state, self, prefix, tail);
    }
    Group *group = (Group *)type->tp_alloc(type, 0);
    if (group != NULL) {
        group->object.root = Py_NewRef(self->object.root);
        group->object.prefix = Py_NewRef(prefix);
        group->object.tail = Py_NewRef(tail);
        group->node = Py_NewRef(node);
    }
    return (PyObject *)group;
}

static PyObject *
dataset_in(module_state *state, Group *self, PyObject *stored, PyObject *tail, bool absolute)
{
    PyObject *root = self->object.root;
    if (PyObject_TypeCheck(root, state->root_type)) {
        PyObject *prefix = absolute ? state->slash : object_name(&self->object);
        return prefix != NULL ? dataset_handle(stored, root, prefix, tail) : NULL;
    }
    PyObject *prefix;
    if (group_tree(state, self, absolute, &root, &prefix) < 0) {
        return NULL;
    }
    PyObject *handle = dataset_handle(stored, root, prefix, tail);
    Py_DECREF(root);
    Py_DECREF(prefix);
    return handle;
}

/* What is stored and no node: a kind that the Python layer made gives a handle itself (`_at`); what
   somebody put into the dict is theirs to know. */
static PyObject *
other_handle(module_state *state, Group *self, PyObject *found, const split_path *split)
{
    if (!is_object(state, found)) {
        return Py_NewRef(found);
    }
    PyObject *root, *prefix, *handle = NULL;
    if (group_tree(state, self, split->absolute, &root, &prefix) < 0) {
        return NULL;
    }
    PyObject *name = join_names(prefix, split->owner);
    if (name != NULL) {
        handle = PyObject_CallMethodObjArgs(found, state->str__at, root, name, NULL);
        Py_DECREF(name);
    }
    Py_DECREF(root);
    Py_DECREF(prefix);
    return handle;
}

/* A handle on what was found at `split`. */
PyObject *
group_handle(module_state *state, Group *self, PyObject *found, const split_path *split)
{
    if (is_dataset(state, found)) {
        return dataset_in(state, self, found, split->owner, split->absolute);
    }
    if (!is_storage(state, found)) {
        return other_handle(state, self, found, split);
    }
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    return prefix != NULL ? subgroup(state, self, prefix, split->owner, found) : NULL;
}

/* ---- look-ups in memory ---- */

/* May the class of `self` see what is at `split`, by its hooks? With `must`, KeyError instead of 0. */
static int
allowed_there(module_state *state, Group *self, const split_path *split, bool is_group, bool must)
{
    if (split->count == 0 || !group_has_hooks(state, (PyObject *)self)) {
        return 1;
    }
    int allowed = group_allows(state, self, is_group, split);
    if (allowed == 0 && must) {
        PyObject *name = split->absolute ? state->slash : object_name(&self->object);
        PyObject *path = name != NULL ? join_names(name, split->owner) : NULL;
        if (path != NULL) {
            group_raise_refused((PyObject *)self, PyExc_KeyError, is_group, path);
            Py_DECREF(path);
        }
    }
    return allowed == 0 && must ? -1 : allowed;
}

/* 1: found; 0: missing or refused; -1: error. With `must`, KeyError instead of 0. `found` may be NULL:
   then a link counts that leads nowhere. */
static int
find_in_memory(module_state *state, Group *self, PyObject *top, const split_path *split, bool must,
               PyObject **found)
{
    PyObject *start = split->absolute ? top : group_node(state, self), *node = NULL;
    walk_end end;
    if (start == NULL) {
        return -1;
    }
    int there =
        storage_walk(state, self->object.root, start, split->names, split->count, &node, &end);
    if (there == 1) {
        there = allowed_there(state, self, split, is_storage(state, node), must);
    }
    else if (there == 0 && end.link != NULL && found == NULL && end.depth == split->count - 1) {
        Py_CLEAR(end.link);
        there = allowed_there(state, self, split, false, must);
    }
    else if (there == 0 && must) {
        PyObject *where = split->absolute ? state->slash : object_name(&self->object);
        there = -1;
        if (where != NULL) {
            raise_missing(state, self->object.root, start, where, split, &end);
        }
    }
    else if (there == 0) {
        Py_CLEAR(end.link);
    }
    if (there == 1 && found != NULL) {
        *found = node;
    }
    else {
        Py_XDECREF(node);
    }
    return there;
}

PyObject *
group_stored(module_state *state, Group *self, PyObject *key, split_path *split, PyObject **parent)
{
    PyObject *top = group_top(state, self), *stored = NULL;
    walk_end end = {0, NULL};
    *parent = NULL;
    if (top == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "the group is not in memory");
        }
        return NULL;
    }
    if (split_path_init(state, key, split) < 0) {
        return NULL;
    }
    PyObject *start = split->absolute ? top : group_node(state, self);
    int there = start != NULL ? 1 : -1;
    if (there == 1 && split->count == 0) {
        stored = Py_NewRef(start);
    }
    else if (there == 1) {
        there = storage_walk(state, self->object.root, start, split->names, split->count - 1,
                             parent, &end);
    }
    if (there == 1 && *parent != NULL) {
        end.depth = split->count - 1;
        there = is_storage(state, *parent)
                    ? dict_get(*parent, split->names[split->count - 1], &stored)
                    : 0;
    }
    if (there == 0) {
        PyObject *where = split->absolute ? state->slash : object_name(&self->object);
        if (where != NULL) {
            raise_missing(state, self->object.root, start, where, split, &end);
        }
    }
    else if (there == 1 && stored != *parent &&
             allowed_there(state, self, split, is_storage(state, stored), true) < 0) {
        Py_CLEAR(stored);
    }
    if (stored == NULL) {
        Py_CLEAR(*parent);
        split_path_clear(split);
    }
    return stored;
}

/* ---- look-ups elsewhere ---- */

/* The group itself as h5py or zarr know it; new reference. */
PyObject *
group_foreign(Group *self)
{
    PyObject *name = object_name(&self->object);
    if (name == NULL) {
        return NULL;
    }
    if (PyUnicode_GET_LENGTH(name) <= 1) {
        return Py_NewRef(self->object.root); /* "/" is the group given, which may be a subgroup */
    }
    PyObject *relative = PyUnicode_Substring(name, 1, PyUnicode_GET_LENGTH(name));
    PyObject *storage = relative != NULL ? PyObject_GetItem(self->object.root, relative) : NULL;
    Py_XDECREF(relative);
    return storage;
}

/* What `relative` (NULL: error) names in the open group: as dict_get. With `found` NULL, whether it has the
   name: a link counts that leads nowhere. */
static int
look_up_foreign(PyObject *group, PyObject *relative, PyObject **found)
{
    int there = -1;
    if (relative != NULL && found == NULL) {
        there = PySequence_Contains(group, relative);
    }
    else if (relative != NULL) {
        *found = PyObject_GetItem(group, relative);
        there = *found != NULL ? 1 : -1;
    }
    return there < 0 && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_KeyError) ? 0 : there;
}

/* What `split` names there: found 1 / missing 0 (KeyError cleared) / error -1. `found` as above. */
static int
find_foreign(module_state *state, Group *self, const split_path *split, bool must, PyObject **found)
{
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    PyObject *path = prefix != NULL ? join_names(prefix, split->owner) : NULL;
    PyObject *there_object = NULL;
    int there = 1;
    if (path == NULL) {
        return -1;
    }
    if (PyUnicode_GET_LENGTH(path) == 1) {
        there_object = Py_NewRef(self->object.root);
    }
    else {
        PyObject *relative = PyUnicode_Substring(path, 1, PyUnicode_GET_LENGTH(path));
        there = look_up_foreign(self->object.root, relative, found != NULL ? &there_object : NULL);
        if (there == 1 && found == NULL && group_has_hooks(state, (PyObject *)self) &&
            look_up_foreign(self->object.root, relative, &there_object) == 0) {
            PyErr_Clear(); /* a link that leads nowhere */
        }
        Py_XDECREF(relative);
    }
    if (there == 1 && PyErr_Occurred()) {
        there = -1;
    }
    if (there == 1 && group_has_hooks(state, (PyObject *)self) && split->count > 0) {
        bool is_group =
            there_object != NULL && PyObject_HasAttr(there_object, state->str_create_group);
        there = group_allows(state, self, is_group, split);
        if (there == 0) {
            group_raise_refused((PyObject *)self, PyExc_KeyError, is_group, path);
        }
    }
    else if (there == 0) {
        PyErr_Format(PyExc_KeyError, "%U is missing: the file has nothing of that name", path);
    }
    Py_DECREF(path);
    if (there == 1 && found != NULL) {
        *found = there_object;
    }
    else {
        Py_XDECREF(there_object);
    }
    if (there == 0 && !must) {
        PyErr_Clear();
    }
    return there == 0 && must ? -1 : there;
}

static PyObject *
handle_on_foreign(module_state *state, Group *self, PyObject *found, const split_path *split)
{
    if (!PyObject_HasAttr(found, state->str_create_group)) {
        return state->foreign_dataset != NULL ? PyObject_CallOneArg(state->foreign_dataset, found)
                                              : Py_NewRef(found);
    }
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    return prefix != NULL ? subgroup_by_class(state, self, prefix, split->owner) : NULL;
}

/* ---- both ---- */

/* What is no path may be a reference: the Python layer knows the path of one, or raises TypeError. */
static int
find_reference(module_state *state, PyObject *self, PyObject *key, bool must, PyObject **handle)
{
    PyObject *path = PyObject_CallMethodOneArg(self, state->str__dereference, key);
    if (path == NULL) {
        return -1;
    }
    int there = -1;
    if (PyUnicode_Check(path)) {
        there = group_find(self, path, must, handle);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "_dereference must return a str");
    }
    Py_DECREF(path);
    return there;
}

int
group_find(PyObject *object, PyObject *key, bool must, PyObject **handle)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    split_path split;
    PyObject *found = NULL;
    int there = -1;
    PyObject *top = group_top(state, self);
    if (top == NULL && PyErr_Occurred()) {
        return -1;
    }
    if (!PyUnicode_Check(key) && !PyBytes_Check(key)) {
        return find_reference(state, object, key, must, handle);
    }
    if (split_path_init(state, key, &split) < 0) {
        return -1;
    }
    if (split.count == 0 && !split.absolute && PyObject_Size(key) == 0) {
        there = 0;
        if (must) {
            PyErr_SetString(PyExc_KeyError, "an empty path names nothing");
            there = -1;
        }
    }
    else {
        there = top != NULL
                    ? find_in_memory(state, self, top, &split, must, handle != NULL ? &found : NULL)
                    : find_foreign(state, self, &split, must, handle != NULL ? &found : NULL);
    }
    if (there == 1 && handle != NULL) {
        *handle = top != NULL ? group_handle(state, self, found, &split)
                              : handle_on_foreign(state, self, found, &split);
        there = *handle != NULL ? 1 : -1;
    }
    Py_XDECREF(found);
    split_path_clear(&split);
    return there;
}
