/* _BaseGroup as a mapping of names: iteration, membership, deletion; and its properties. Look-ups are
   in groupfind.c, making things in groupcreate.c, the views in groupview.c. */
#include "group.h"
#include "attrs.h"
#include "dataset.h"
#include "storage.h"

/* ---- the mapping ---- */

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
    Group *group = (Group *)self;
    module_state *state = state_of(self);
    if (group->node != NULL && group->object.root != NULL && PyUnicode_CheckExact(key) &&
        !group_has_hooks(state, self)) {
        PyObject *child = NULL; /* by its own name, as nearly always: no path to split */
        int there = dict_get(group->node, key, &child);
        bool is_node = there == 1 && (is_storage(state, child) || is_dataset(state, child));
        Py_XDECREF(child);
        if (is_node || there < 0) {
            return is_node ? 1 : -1;
        }
    }
    return group_find(self, key, false, NULL);
}

static int
delete_foreign(module_state *state, Group *self, PyObject *key)
{
    split_path split;
    if (group_find((PyObject *)self, key, true, NULL) < 0 ||
        split_path_init(state, key, &split) < 0) {
        return -1; /* a refused name, a missing one: KeyError */
    }
    PyObject *prefix = split.absolute ? state->slash : object_name(&self->object);
    PyObject *path = prefix != NULL ? join_names(prefix, split.owner) : NULL;
    PyObject *relative =
        path != NULL ? PyUnicode_Substring(path, 1, PyUnicode_GET_LENGTH(path)) : NULL;
    int done = relative != NULL ? PyObject_DelItem(self->object.root, relative) : -1;
    Py_XDECREF(path);
    Py_XDECREF(relative);
    split_path_clear(&split);
    return done;
}

/* A name goes, and with its last name what is stored there: a link is not followed. */
static int
group_delete(PyObject *object, PyObject *key)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    if (group_top(state, self) == NULL) {
        return PyErr_Occurred() ? -1 : delete_foreign(state, self, key);
    }
    split_path split;
    PyObject *parent, *stored = group_stored(state, self, key, &split, &parent);
    if (stored == NULL) {
        return -1;
    }
    int done = -1;
    if (parent == NULL) {
        PyErr_Format(PyExc_KeyError, "%R is the group itself and cannot be deleted through it",
                     key);
    }
    else {
        done = PyDict_DelItem(parent, split.names[split.count - 1]);
    }
    split_path_clear(&split);
    Py_XDECREF(parent);
    Py_DECREF(stored);
    return done;
}

PyDoc_STRVAR(get_stored_doc,
"_get_stored($self, name, /)\n--\n\n"
"What the tree in memory holds under a path: a `_Storage`, a stored dataset, a link (not\n"
"followed) or a named type. KeyError: nothing. TypeError: the group is not in memory.");

static PyObject *
group_get_stored(PyObject *self, PyObject *key)
{
    split_path split;
    PyObject *parent;
    PyObject *stored = group_stored(state_of(self), (Group *)self, key, &split, &parent);
    if (stored != NULL) {
        split_path_clear(&split);
        Py_XDECREF(parent);
    }
    return stored;
}

static int
group_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        return group_delete(self, key);
    }
    PyObject *done =
        PyObject_CallMethodObjArgs(self, state_of(self)->str__assign, key, value, NULL);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

PyObject *
group_child(module_state *state, PyObject *self, PyObject *node, PyObject *name)
{
    PyObject *found, *handle;
    if (dict_get(node, name, &found) != 1) {
        return NULL;
    }
    int there = storage_follow(state, ((MemObject *)self)->root, node, &found);
    if (there == 1) {
        split_path split;
        split_path_from_owner(name, &split);
        handle = group_handle(state, (Group *)self, found, &split);
        split_path_clear(&split);
    }
    else {
        handle = there == 0 ? Py_NewRef(Py_None) : NULL;
    }
    Py_DECREF(found);
    return handle;
}

/* Is what `name` names in `storage` a group? 1, 0, -1: error (KeyError: it is gone). */
static int
names_group(module_state *state, PyObject *self, PyObject *storage, PyObject *name)
{
    PyObject *child = PyObject_GetItem(storage, name);
    if (child == NULL) {
        return -1;
    }
    int is_group = is_storage(state, storage)
                       ? storage_follow(state, ((MemObject *)self)->root, storage, &child)
                       : 1;
    if (is_group == 1) {
        is_group = is_storage(state, child) ||
                   (!is_dataset(state, child) && PyObject_HasAttr(child, state->str_create_group));
    }
    Py_DECREF(child);
    return is_group;
}

/* Leave out the names that the class's hooks refuse; `names` is changed. */
static int
drop_refused(module_state *state, PyObject *self, PyObject *storage, PyObject *names)
{
    PyObject *prefix = object_name((MemObject *)self);
    for (Py_ssize_t i = 0; prefix != NULL && i < PyList_GET_SIZE(names);) {
        PyObject *name = PyList_GET_ITEM(names, i);
        PyObject *path = join_names(prefix, name);
        int is_group = path != NULL ? names_group(state, self, storage, name) : -1;
        int allowed = -1;
        if (is_group >= 0) {
            allowed = group_allows_path(state, self, is_group == 1, path);
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
        return PyErr_Occurred() ? NULL : group_foreign(self);
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
"get($self, name, default=None, getclass=False, getlink=False)\n--\n\n"
"What ``self[name]`` gives, or `default` where there is nothing.\n\n"
"With `getlink` the link that has the name: `h5py.HardLink`, `h5py.SoftLink` or\n"
"`h5py.ExternalLink`. With `getclass` the class of what is there, or of the link.");

static PyObject *
group_get(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"name", "default", "getclass", "getlink", NULL};
    PyObject *name, *otherwise = Py_None;
    int getclass = 0, getlink = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|Opp:get", keywords, &name, &otherwise,
                                     &getclass, &getlink)) {
        return NULL;
    }
    if (getclass || getlink) {
        return PyObject_CallMethodObjArgs(self, state_of(self)->str__get_kind, name, otherwise,
                                          getclass ? Py_True : Py_False,
                                          getlink ? Py_True : Py_False, NULL);
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
    {"_get_stored", group_get_stored, METH_O, get_stored_doc},
    {"_create_group", group_create_group, METH_O, group_create_group_doc},
    {"_insert_dataset", group_insert_dataset, METH_VARARGS, group_insert_dataset_doc},
    {"_insert_node", group_insert_node, METH_VARARGS, group_insert_node_doc},
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
