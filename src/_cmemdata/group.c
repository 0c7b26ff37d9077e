/* _BaseGroup: look-ups by path, iteration, membership, deletion; and making things in memory.

   What a group's `root` is decides where its children are:

       _StorageRoot      a tree in memory: the group is a MemGroup
       another group     a container around a MemGroup: names count from that group
       anything else     an open file or group of h5py or zarr: its own indexing is asked

   The first two end at a node (_Storage) and take the fast way below, which runs no Python code
   unless a class overrides `_group_class`, `_from_storage_root` or the hooks. */
#include "group.h"
#include "attrs.h"
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
        PyErr_Format(PyExc_ValueError, "this %.200s has no tree: its __init__ was not called",
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
    PyObject *node = storage_get(state, top, state->slash, &split);
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
static int
tree_of(module_state *state, Group *self, bool absolute, PyObject **root, PyObject **prefix)
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
static int
path_allowed(module_state *state, PyObject *self, bool is_group, PyObject *path)
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
                               : path_allowed(state, (PyObject *)self,
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
    if (tree_of(state, self, absolute, &root, &prefix) < 0) {
        return NULL;
    }
    PyObject *handle = dataset_handle(stored, root, prefix, tail);
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
        return Py_NewRef(found); /* put into the dict by somebody: theirs to know */
    }
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    return prefix != NULL ? subgroup(state, self, prefix, split->owner, found) : NULL;
}

/* ---- look-ups in memory ---- */

/* 1: found; 0: missing or refused; -1: error. With `must`, KeyError instead of 0. */
static int
find_in_memory(module_state *state, Group *self, PyObject *top, const split_path *split, bool must,
               PyObject **found)
{
    PyObject *start = split->absolute ? top : group_node(state, self);
    Py_ssize_t depth = 0;
    if (start == NULL) {
        return -1;
    }
    int there = storage_walk(state, start, split->names, split->count, found, &depth);
    if (there == 1 && group_has_hooks(state, (PyObject *)self)) {
        there =
            split->count == 0 ? 1 : group_allows(state, self, !is_dataset(state, *found), split);
        if (there == 0 && must) {
            PyObject *name = object_name(&self->object);
            PyObject *path =
                name ? join_names(split->absolute ? state->slash : name, split->owner) : NULL;
            if (path != NULL) {
                group_raise_refused((PyObject *)self, PyExc_KeyError, !is_dataset(state, *found),
                                    path);
                Py_DECREF(path);
            }
        }
        if (there != 1) {
            Py_CLEAR(*found);
        }
    }
    else if (there == 0 && must) {
        PyObject *where = split->absolute ? state->slash : object_name(&self->object);
        if (where != NULL) {
            raise_missing(state, where, split, depth);
        }
    }
    return there == 0 && must ? -1 : there;
}

/* ---- look-ups elsewhere ---- */

/* The group itself as h5py or zarr know it; new reference. */
static PyObject *
foreign_storage(Group *self)
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

/* What `split` names there: found 1 / missing 0 (KeyError cleared) / error -1. */
static int
find_foreign(module_state *state, Group *self, const split_path *split, bool must, PyObject **found)
{
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    PyObject *path = prefix != NULL ? join_names(prefix, split->owner) : NULL;
    if (path == NULL) {
        return -1;
    }
    if (PyUnicode_GET_LENGTH(path) == 1) {
        *found = Py_NewRef(self->object.root);
    }
    else {
        PyObject *relative = PyUnicode_Substring(path, 1, PyUnicode_GET_LENGTH(path));
        *found = relative != NULL ? PyObject_GetItem(self->object.root, relative) : NULL;
        Py_XDECREF(relative);
    }
    int there = *found != NULL ? 1 : PyErr_ExceptionMatches(PyExc_KeyError) ? 0 : -1;
    if (there == 1 && group_has_hooks(state, (PyObject *)self) && split->count > 0) {
        bool is_group = PyObject_HasAttr(*found, state->str_create_group);
        there = group_allows(state, self, is_group, split);
        if (there != 1) {
            Py_CLEAR(*found);
        }
        if (there == 0) {
            group_raise_refused((PyObject *)self, PyExc_KeyError, is_group, path);
        }
    }
    Py_DECREF(path);
    if (there == 0 && !must) {
        PyErr_Clear();
    }
    return there == 0 && must ? -1 : there;
}

static PyObject *
handle_on_foreign(module_state *state, Group *self, PyObject *found, const split_path *split)
{
    if (!PyObject_HasAttr(found, state->str_create_group)) {
        return Py_NewRef(found);
    }
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    return prefix != NULL ? subgroup_by_class(state, self, prefix, split->owner) : NULL;
}

/* ---- the mapping ---- */

/* `self[key]`: 1 with a handle; 0 missing; -1 error. */
static int
group_find(PyObject *object, PyObject *key, bool must, PyObject **handle)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    split_path split;
    PyObject *found = NULL;
    int there = -1;
    PyObject *top = group_top(state, self);
    if ((top == NULL && PyErr_Occurred()) || split_path_init(state, key, &split) < 0) {
        return -1;
    }
    if (split.count == 0 && PyUnicode_Check(key) && PyUnicode_GET_LENGTH(key) == 0) {
        there = 0;
        if (must) {
            PyErr_SetString(PyExc_KeyError, "an empty path names nothing");
            there = -1;
        }
    }
    else {
        there = top != NULL ? find_in_memory(state, self, top, &split, must, &found)
                            : find_foreign(state, self, &split, must, &found);
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

static PyObject *
group_subscript(PyObject *self, PyObject *key)
{
    PyObject *handle;
    return group_find(self, key, true, &handle) == 1 ? handle : NULL;
}

bool
group_indexing_is_ours(PyObject *self)
{
    return Py_TYPE(self)->tp_as_mapping->mp_subscript == group_subscript;
}

static int
group_contains(PyObject *self, PyObject *key)
{
    if (!group_indexing_is_ours(self)) {
        PyObject *found = PyObject_GetItem(self, key);
        if (found == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyErr_Clear();
            return 0;
        }
        Py_XDECREF(found);
        return found != NULL ? 1 : -1;
    }
    return group_find(self, key, false, NULL);
}

static int
group_delete(PyObject *object, PyObject *key)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    if (group_find(object, key, true, NULL) < 0) { /* a refused name, a missing one: KeyError */
        return -1;
    }
    PyObject *top = group_top(state, self);
    split_path split;
    if ((top == NULL && PyErr_Occurred()) || split_path_init(state, key, &split) < 0) {
        return -1;
    }
    int done = -1;
    if (split.count == 0) {
        PyErr_Format(PyExc_KeyError, "%R is the group itself and cannot be deleted through it",
                     key);
    }
    else if (top == NULL) {
        PyObject *prefix = split.absolute ? state->slash : object_name(&self->object);
        PyObject *path = prefix != NULL ? join_names(prefix, split.owner) : NULL;
        PyObject *relative =
            path != NULL ? PyUnicode_Substring(path, 1, PyUnicode_GET_LENGTH(path)) : NULL;
        done = relative != NULL ? PyObject_DelItem(self->object.root, relative) : -1;
        Py_XDECREF(path);
        Py_XDECREF(relative);
    }
    else {
        PyObject *start = split.absolute ? top : group_node(state, self), *parent;
        Py_ssize_t depth;
        int there = start != NULL
                        ? storage_walk(state, start, split.names, split.count - 1, &parent, &depth)
                        : -1;
        if (there == 1) {
            done = PyDict_DelItem(parent, split.names[split.count - 1]);
            Py_DECREF(parent);
        }
    }
    split_path_clear(&split);
    return done;
}

static int
group_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        return group_delete(self, key);
    }
    PyErr_Format(PyExc_TypeError,
                 "%.200s does not take %.1000R by assignment: use create_dataset or create_group",
                 Py_TYPE(self)->tp_name, key);
    return -1;
}

PyObject *
group_child(module_state *state, PyObject *self, PyObject *node, PyObject *name)
{
    PyObject *found;
    if (dict_get(node, name, &found) != 1) {
        return NULL;
    }
    split_path split;
    split_path_from_owner(name, &split);
    PyObject *handle = group_handle(state, (Group *)self, found, &split);
    split_path_clear(&split);
    Py_DECREF(found);
    return handle;
}

/* Leave out the names that the class's hooks refuse; `names` is changed. */
static int
drop_refused(module_state *state, PyObject *self, PyObject *storage, PyObject *names)
{
    PyObject *prefix = object_name((MemObject *)self);
    for (Py_ssize_t i = 0; prefix != NULL && i < PyList_GET_SIZE(names);) {
        PyObject *name = PyList_GET_ITEM(names, i);
        PyObject *path = join_names(prefix, name);
        PyObject *child = path != NULL ? PyObject_GetItem(storage, name) : NULL;
        int allowed = -1;
        if (child != NULL) {
            bool is_group =
                is_storage(state, child) ||
                (!is_dataset(state, child) && PyObject_HasAttr(child, state->str_create_group));
            allowed = path_allowed(state, self, is_group, path);
            Py_DECREF(child);
        }
        else if (path != NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyErr_Clear();
            allowed = 0; /* gone meanwhile */
        }
        Py_XDECREF(path);
        if (allowed < 0 || (allowed == 0 && PyList_SetSlice(names, i, i + 1, NULL) < 0)) {
            return -1;
        }
        i += allowed;
    }
    return prefix != NULL ? 0 : -1;
}

/* What holds the children: the node, or the open group; new reference. */
static PyObject *
group_storage(module_state *state, Group *self)
{
    PyObject *top = group_top(state, self);
    if (top == NULL) {
        return PyErr_Occurred() ? NULL : foreign_storage(self);
    }
    return Py_XNewRef(group_node(state, self));
}

PyObject *
group_names(PyObject *self)
{
    module_state *state = state_of(self);
    PyObject *storage = group_storage(state, (Group *)self);
    if (storage == NULL) {
        return NULL;
    }
    PyObject *names = PyDict_Check(storage) ? PyDict_Keys(storage) : PySequence_List(storage);
    if (names != NULL && group_has_hooks(state, self) &&
        drop_refused(state, self, storage, names) < 0) {
        Py_CLEAR(names);
    }
    Py_DECREF(storage);
    return names;
}

static Py_ssize_t
group_length(PyObject *self)
{
    module_state *state = state_of(self);
    if (group_has_hooks(state, self)) {
        PyObject *names = group_names(self);
        Py_ssize_t length = names != NULL ? PyList_GET_SIZE(names) : -1;
        Py_XDECREF(names);
        return length;
    }
    PyObject *storage = group_storage(state, (Group *)self);
    Py_ssize_t length = storage != NULL ? PyObject_Size(storage) : -1;
    Py_XDECREF(storage);
    return length;
}

/* Over a snapshot of the names, so the group may be changed meanwhile. */
static PyObject *
group_iter(PyObject *self)
{
    PyObject *names = group_names(self);
    PyObject *iterator = names != NULL ? PyObject_GetIter(names) : NULL;
    Py_XDECREF(names);
    return iterator;
}

PyDoc_STRVAR(group_get_doc,
"get($self, name, default=None)\n--\n\n"
"What ``self[name]`` gives, or `default` where there is nothing.");

static PyObject *
group_get(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"name", "default", NULL};
    PyObject *name, *otherwise = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:get", keywords, &name, &otherwise)) {
        return NULL;
    }
    if (!group_indexing_is_ours(self)) {
        PyObject *found = PyObject_GetItem(self, name);
        if (found == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyErr_Clear();
            return Py_NewRef(otherwise);
        }
        return found;
    }
    PyObject *handle;
    int there = group_find(self, name, false, &handle);
    return there < 0 ? NULL : there ? handle : Py_NewRef(otherwise);
}

PyDoc_STRVAR(group_keys_doc, "keys($self, /)\n--\n\nA set-like view of the children's names.");
PyDoc_STRVAR(group_values_doc, "values($self, /)\n--\n\nA view of the children.");
PyDoc_STRVAR(group_items_doc, "items($self, /)\n--\n\nA view of the (name, child) pairs.");

static PyObject *
group_keys(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return group_view_new(state_of(self), self, VIEW_KEYS);
}

static PyObject *
group_values(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return group_view_new(state_of(self), self, VIEW_VALUES);
}

static PyObject *
group_items(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return group_view_new(state_of(self), self, VIEW_ITEMS);
}

/* ---- properties and other methods ---- */

PyDoc_STRVAR(get_storage_doc,
"_get_storage($self, /)\n--\n\n"
"What holds the group's children: a `_Storage` in memory, else the open group of the file.");

static PyObject *
group_get_storage(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return group_storage(state_of(self), (Group *)self);
}

static PyObject *
group_get_attrs(PyObject *self, void *Py_UNUSED(closure))
{
    module_state *state = state_of(self);
    PyObject *storage = group_storage(state, (Group *)self);
    PyObject *attrs = NULL;
    if (storage != NULL) {
        attrs = is_storage(state, storage) ? attrs_at(state, &((Storage *)storage)->attrs)
                                           : PyObject_GetAttr(storage, state->str_attrs);
        Py_DECREF(storage);
    }
    return attrs;
}

/* An attribute of the root, or `otherwise` where the root has none. */
static PyObject *
root_attribute(PyObject *self, PyObject *name, PyObject *otherwise)
{
    PyObject *root = ((MemObject *)self)->root;
    PyObject *value = root != NULL ? PyObject_GetAttr(root, name) : NULL;
    if (value == NULL && (root == NULL || PyErr_ExceptionMatches(PyExc_AttributeError))) {
        PyErr_Clear();
        value = Py_NewRef(otherwise);
    }
    return value;
}

static PyObject *
group_get_comm(PyObject *self, void *Py_UNUSED(closure))
{
    return root_attribute(self, state_of(self)->str_comm, Py_None);
}

static PyObject *
group_get_distributed(PyObject *self, void *Py_UNUSED(closure))
{
    return root_attribute(self, state_of(self)->str_distributed, Py_False);
}

static PyObject *
group_get_group_class(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)Py_TYPE(self));
}

static PyObject *
group_at(PyObject *self, PyObject *name)
{
    module_state *state = state_of(self);
    PyObject *root = ((MemObject *)self)->root;
    if (root == NULL || name == NULL) {
        return name == NULL ? NULL : Py_NewRef(Py_None);
    }
    PyObject *cls = PyObject_GetAttr(self, state->str__group_class);
    PyObject *group = cls != NULL ? object_from_root(state, cls, root, name) : NULL;
    Py_XDECREF(cls);
    return group;
}

static PyObject *
group_get_parent(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *name = object_name((MemObject *)self);
    PyObject *parent = name != NULL ? parent_name(name) : NULL;
    PyObject *group = group_at(self, parent);
    Py_XDECREF(parent);
    return group;
}

static PyObject *
group_get_file(PyObject *self, void *Py_UNUSED(closure))
{
    return group_at(self, state_of(self)->slash);
}

static PyObject *
group_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(object_name((MemObject *)self));
}

/* A new place: what was looked up for the old one is forgotten. */
static int
group_set_name(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "_name must be a str");
        return -1;
    }
    Py_XSETREF(((MemObject *)self)->name, Py_NewRef(value));
    Py_CLEAR(((Group *)self)->node);
    return 0;
}

static PyObject *
group_get_root(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *root = ((MemObject *)self)->root;
    return Py_NewRef(root != NULL ? root : Py_None);
}

static int
group_set_root(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(((MemObject *)self)->root,
               value != NULL && value != Py_None ? Py_NewRef(value) : NULL);
    Py_CLEAR(((Group *)self)->node);
    return 0;
}

PyDoc_STRVAR(group_name_allowed_doc,
"group_name_allowed(path)\n--\n\n"
"May a group have this absolute path? Everything may; a subclass overrides it.");
PyDoc_STRVAR(dataset_name_allowed_doc,
"dataset_name_allowed(path)\n--\n\n"
"May a dataset have this absolute path? Everything may; a subclass overrides it.");

static PyObject *
group_allows_all(PyObject *Py_UNUSED(ignored), PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"path", NULL};
    PyObject *path;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:name_allowed", keywords, &path)) {
        return NULL;
    }
    Py_RETURN_TRUE;
}

/* ---- memory ---- */

static int
group_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_CLEAR(((Group *)self)->node);
    return state_of(self)->object_type->tp_init(self, args, kwargs);
}

static int
group_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((Group *)self)->node);
    return object_traverse(self, visit, arg);
}

static int
group_clear(PyObject *self)
{
    Py_CLEAR(((Group *)self)->node);
    return object_clear(self);
}

static void
group_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    object_forget_weakrefs(self);
    Py_CLEAR(((Group *)self)->node);
    object_dealloc(self);
}

/* ---- the type ---- */

PyDoc_STRVAR(group_doc,
"_BaseGroup(storage_root=None, name=\"\")\n--\n\n"
"A handle on a group: a mapping of names and paths to groups and datasets.\n\n"
"It holds its tree and a name, never data; the tree does not know its handles.\n\n"
"Parameters\n----------\n"
"storage_root : object or None\n    The tree, or an open group of a file.\n"
"name : str\n    Absolute name in the tree.\n");

static PyGetSetDef group_getset[] = {
    {"_name", group_get_name, group_set_name, "The name, settable.", NULL},
    {"_storage_root", group_get_root, group_set_root, "The tree, or the open group.", NULL},
    {"_group_class", group_get_group_class, NULL, "The class of subgroups.", NULL},
    {"attrs", group_get_attrs, NULL, "The group's attributes, shared.", NULL},
    {"comm", group_get_comm, NULL, "The communicator of the tree, or None.", NULL},
    {"distributed", group_get_distributed, NULL, "Whether the tree is distributed.", NULL},
    {"parent", group_get_parent, NULL, "The group that holds it; the root holds itself.", NULL},
    {"file", group_get_file, NULL, "The root group.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef group_methods[] = {
    {"get", SLOT_FUNC(PyCFunctionWithKeywords, group_get), METH_VARARGS | METH_KEYWORDS,
     group_get_doc},
    {"keys", group_keys, METH_NOARGS, group_keys_doc},
    {"values", group_values, METH_NOARGS, group_values_doc},
    {"items", group_items, METH_NOARGS, group_items_doc},
    {"_get_storage", group_get_storage, METH_NOARGS, get_storage_doc},
    {"_create_group", group_create_group, METH_O, group_create_group_doc},
    {"_insert_dataset", group_insert_dataset, METH_VARARGS, group_insert_dataset_doc},
    {"_create_common", SLOT_FUNC(_PyCFunctionFast, group_create_common), METH_FASTCALL,
     group_create_common_doc},
    {"group_name_allowed", SLOT_FUNC(PyCFunctionWithKeywords, group_allows_all),
     METH_VARARGS | METH_KEYWORDS | METH_STATIC, group_name_allowed_doc},
    {"dataset_name_allowed", SLOT_FUNC(PyCFunctionWithKeywords, group_allows_all),
     METH_VARARGS | METH_KEYWORDS | METH_STATIC, dataset_name_allowed_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot group_slots[] = {
    {Py_tp_doc, (void *)group_doc},
    {Py_tp_init, SLOT_FUNC(initproc, group_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, group_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, group_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, group_clear)},
    {Py_tp_iter, SLOT_FUNC(getiterfunc, group_iter)},
    {Py_tp_getset, group_getset},
    {Py_tp_methods, group_methods},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, group_subscript)},
    {Py_mp_ass_subscript, SLOT_FUNC(objobjargproc, group_ass_subscript)},
    {Py_mp_length, SLOT_FUNC(lenfunc, group_length)},
    {Py_sq_contains, SLOT_FUNC(objobjproc, group_contains)},
    {0, NULL},
};

static PyType_Spec group_spec = {
    .name = "memdata._cmemdata._BaseGroup",
    .basicsize = sizeof(Group),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_MAPPING,
    .slots = group_slots,
};

int
group_init(PyObject *module, module_state *state)
{
    if (add_type(module, &group_spec, state->object_type, &state->group_type) < 0) {
        return -1;
    }
    PyTypeObject *type = state->group_type;
    state->default_group_hook = Py_XNewRef(type_lookup(type, state->str_group_name_allowed));
    state->default_dataset_hook = Py_XNewRef(type_lookup(type, state->str_dataset_name_allowed));
    state->default_group_class = Py_XNewRef(type_lookup(type, state->str__group_class));
    if (!state->default_group_hook || !state->default_dataset_hook || !state->default_group_class) {
        return -1;
    }
    return 0;
}
