/* A tree in memory is dicts in dicts:

       _StorageRoot {"index_map": _Storage {"freq": MemDatasetCommon}, "vis": MemDatasetCommon}

   References go downwards only. Nodes know neither their name nor their parent, so a tree has no
   cycle and goes when its last owner goes. */
#include "storage.h"
#include "attrs.h"
#include "copytree.h"
#include "dataset.h"
#include "equal.h"

PyObject *
storage_new(module_state *state)
{
    PyObject *empty = PyTuple_New(0);
    if (empty == NULL) {
        return NULL;
    }
    PyObject *storage = PyDict_Type.tp_new(state->storage_type, empty, NULL);
    Py_DECREF(empty);
    return storage;
}

int
storage_walk(module_state *state, PyObject *node, PyObject *const *names, Py_ssize_t count,
             PyObject **found, Py_ssize_t *depth)
{
    PyObject *at = Py_NewRef(node);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *child = NULL;
        int there = i == 0 || is_storage(state, at) ? dict_get(at, names[i], &child) : 0;
        Py_DECREF(at);
        if (there != 1) {
            *depth = i;
            return there;
        }
        at = child;
    }
    *found = at;
    return 1;
}

void
raise_missing(module_state *state, PyObject *where, const split_path *split, Py_ssize_t depth)
{
    PyObject *wanted = join_names(where, split->owner);
    PyObject *upto = split->count == 1 ? Py_NewRef(where) : NULL;
    if (upto == NULL && wanted != NULL) {
        PyObject *names = PyTuple_GetSlice(split->owner, 0, depth);
        upto = names != NULL ? join_names(where, names) : NULL;
        Py_XDECREF(names);
    }
    (void)state;
    if (wanted != NULL && upto != NULL) {
        PyObject *text = PyUnicode_FromFormat("%U is missing: there is no %R in the group %U",
                                              wanted, split->names[depth], upto);
        if (text != NULL) {
            PyErr_SetObject(PyExc_KeyError, text);
            Py_DECREF(text);
        }
    }
    Py_XDECREF(wanted);
    Py_XDECREF(upto);
}

PyObject *
storage_get(module_state *state, PyObject *node, PyObject *where, const split_path *split)
{
    PyObject *found;
    Py_ssize_t depth;
    int there = storage_walk(state, node, split->names, split->count, &found, &depth);
    if (there == 1) {
        return found;
    }
    if (there == 0) {
        raise_missing(state, where, split, depth);
    }
    return NULL;
}

/* ---- _Storage ---- */

static int
storage_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0) {
        PyErr_Format(PyExc_TypeError, "%.200s() takes keywords only, the children by name",
                     Py_TYPE(self)->tp_name);
        return -1;
    }
    return kwargs != NULL ? PyDict_Update(self, kwargs) : 0;
}

static PyObject *
storage_get_attrs(PyObject *self, void *Py_UNUSED(closure))
{
    return attrs_at(state_of(self), &((Storage *)self)->attrs);
}

static int nodes_equal(module_state *state, PyObject *a, PyObject *b);

static int
children_equal(module_state *state, PyObject *a, PyObject *b)
{
    if (PyDict_GET_SIZE(a) != PyDict_GET_SIZE(b)) {
        return 0;
    }
    PyObject *items = PyDict_Items(a); /* a snapshot: comparing calls into Python */
    if (items == NULL) {
        return -1;
    }
    int equal = 1;
    for (Py_ssize_t i = 0; equal == 1 && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i), *other;
        equal = dict_get(b, PyTuple_GET_ITEM(item, 0), &other);
        if (equal == 1) {
            equal = nodes_equal(state, PyTuple_GET_ITEM(item, 1), other);
            Py_DECREF(other);
        }
    }
    Py_DECREF(items);
    return equal;
}

/* Contents alone: where in its tree a node lives does not matter here. */
static int
nodes_equal(module_state *state, PyObject *a, PyObject *b)
{
    if (a == b) {
        return 1;
    }
    if (is_dataset(state, a) && is_dataset(state, b)) {
        return dataset_contents_equal(a, b);
    }
    if (!is_storage(state, a) || !is_storage(state, b)) {
        return values_equal(a, b);
    }
    if (Py_EnterRecursiveCall(" while comparing trees")) {
        return -1;
    }
    int equal = attrs_equal(((Storage *)a)->attrs, ((Storage *)b)->attrs);
    if (equal == 1) {
        equal = children_equal(state, a, b);
    }
    Py_LeaveRecursiveCall();
    return equal;
}

static PyObject *
storage_richcompare(PyObject *self, PyObject *other, int op)
{
    module_state *state = state_of(self);
    if ((op != Py_EQ && op != Py_NE) || !is_storage(state, other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return equal_result(nodes_equal(state, self, other), op);
}

static int
storage_traverse(PyObject *self, visitproc visit, void *arg)
{
    Storage *storage = (Storage *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(storage->attrs);
    Py_VISIT(storage->instance_dict);
    return PyDict_Type.tp_traverse(self, visit, arg);
}

static int
storage_clear(PyObject *self)
{
    Storage *storage = (Storage *)self;
    Py_CLEAR(storage->attrs);
    Py_CLEAR(storage->instance_dict);
    return PyDict_Type.tp_clear(self);
}

static void
storage_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Storage *storage = (Storage *)self;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, storage_dealloc); /* trees may be deep */
    if (storage->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_CLEAR(storage->attrs);
    Py_CLEAR(storage->instance_dict);
    PyDict_Type.tp_dealloc(self);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

PyDoc_STRVAR(storage_deepcopy_doc,
"__deepcopy__($self, memo, /)\n--\n\n"
"A copy of the subtree: data and attributes are copied, of one moment.");

static PyObject *
storage_deepcopy(PyObject *self, PyObject *memo)
{
    module_state *state = state_of(self);
    PyObject *target = PyObject_CallNoArgs((PyObject *)Py_TYPE(self));
    if (target == NULL || !is_storage(state, target)) {
        Py_XDECREF(target);
        return PyErr_Occurred() ? NULL
                                : PyErr_Format(PyExc_TypeError, "%s() did not make a _Storage",
                                               Py_TYPE(self)->tp_name);
    }
    PyObject *attrs = copy_tree(state, self, target, &(copy_options){.memo = memo});
    if (attrs == NULL) {
        Py_DECREF(target);
        return NULL;
    }
    Py_DECREF(attrs);
    return target;
}

PyDoc_STRVAR(storage_getstate_doc, "__getstate__($self, /)\n--\n\nWhat pickle keeps.");

static PyObject *
storage_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Storage *storage = (Storage *)self;
    return Py_BuildValue("(OO)", storage->attrs != NULL ? storage->attrs : Py_None,
                         storage->instance_dict != NULL ? storage->instance_dict : Py_None);
}

static int
set_instance_dict(PyObject **place, PyObject *dict)
{
    if (dict == Py_None) {
        return 0;
    }
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "the state's instance attributes must be a dict");
        return -1;
    }
    Py_XSETREF(*place, Py_NewRef(dict));
    return 0;
}

static int
storage_set_attrs(PyObject *self, PyObject *attrs)
{
    if (attrs != Py_None) {
        if (!PyObject_TypeCheck(attrs, state_of(self)->attrs_type)) {
            PyErr_SetString(PyExc_TypeError, "the state's attributes must be a MemAttrs");
            return -1;
        }
        Py_XSETREF(((Storage *)self)->attrs, Py_NewRef(attrs));
    }
    return 0;
}

PyDoc_STRVAR(storage_setstate_doc, "__setstate__($self, state, /)\n--\n\nTake what pickle kept.");

static PyObject *
storage_setstate(PyObject *self, PyObject *pickled)
{
    PyObject *attrs, *dict;
    if (!PyArg_Parse(pickled, "(OO)", &attrs, &dict) || storage_set_attrs(self, attrs) < 0 ||
        set_instance_dict(&((Storage *)self)->instance_dict, dict) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(storage_doc,
"_Storage(**kw)\n--\n\n"
"A group's node in a tree in memory: a dict of its children, in order of creation.\n\n"
"Values are `_Storage` (groups) and the stored `MemDataset` objects. It knows neither its\n"
"name nor its parent; that is what `MemGroup` is for.\n\n"
"Parameters\n----------\n"
"**kw\n    Children by name.\n\n"
"Examples\n--------\n"
">>> from memdata import _Storage\n"
">>> node = _Storage(inner=_Storage())\n"
">>> list(node), node.attrs\n"
"(['inner'], {})\n");

static PyMemberDef storage_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(Storage, weakrefs), Py_READONLY, NULL},
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(Storage, instance_dict), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef storage_getset[] = {
    {"attrs", storage_get_attrs, NULL, "The group's attributes (`MemAttrs`), shared.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef storage_methods[] = {
    {"__deepcopy__", storage_deepcopy, METH_O, storage_deepcopy_doc},
    {"__getstate__", storage_getstate, METH_NOARGS, storage_getstate_doc},
    {"__setstate__", storage_setstate, METH_O, storage_setstate_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot storage_slots[] = {
    {Py_tp_doc, (void *)storage_doc},
    {Py_tp_init, SLOT_FUNC(initproc, storage_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, storage_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, storage_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, storage_clear)},
    {Py_tp_richcompare, SLOT_FUNC(richcmpfunc, storage_richcompare)},
    {Py_tp_hash, SLOT_FUNC(hashfunc, PyObject_HashNotImplemented)},
    {Py_tp_members, storage_members},
    {Py_tp_getset, storage_getset},
    {Py_tp_methods, storage_methods},
    {0, NULL},
};

static PyType_Spec storage_spec = {
    .name = "memdata._Storage",
    .basicsize = sizeof(Storage),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = storage_slots,
};

/* ---- _StorageRoot ---- */

static int
root_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"distributed", "comm", NULL};
    StorageRoot *root = (StorageRoot *)self;
    int distributed = 0;
    PyObject *comm = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:_StorageRoot", keywords, &distributed,
                                     &comm)) {
        return -1;
    }
    root->distributed = distributed;
    Py_XSETREF(root->comm, comm != Py_None ? Py_NewRef(comm) : NULL);
    return 0;
}

/* What `key` names: 1 found, 0 missing, -1 error. A key without a slash is a plain dict key. */
static int
root_find(PyObject *self, PyObject *key, PyObject **found)
{
    module_state *state = state_of(self);
    if (!PyUnicode_Check(key) ||
        PyUnicode_FindChar(key, '/', 0, PyUnicode_GET_LENGTH(key), 1) < 0) {
        return dict_get(self, key, found);
    }
    split_path split;
    if (split_path_init(state, key, &split) < 0) {
        return -1;
    }
    int there = -1;
    Py_ssize_t depth;
    if (split.absolute) {
        there = storage_walk(state, self, split.names, split.count, found, &depth);
    }
    else {
        PyErr_Format(PyExc_ValueError, "expected an absolute path or a plain name, got %.1000R",
                     key);
    }
    split_path_clear(&split);
    return there;
}

static PyObject *
root_subscript(PyObject *self, PyObject *key)
{
    PyObject *found;
    int there = root_find(self, key, &found);
    if (there == 0) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return there == 1 ? found : NULL;
}

static int
root_contains(PyObject *self, PyObject *key)
{
    PyObject *found;
    int there = root_find(self, key, &found);
    if (there == 1) {
        Py_DECREF(found);
    }
    return there;
}

PyDoc_STRVAR(root_get_doc,
"get($self, key, default=None, /)\n--\n\n"
"``self[key]`` where that exists, else `default`.");

static PyObject *
root_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2) {
        return PyErr_Format(PyExc_TypeError, "get expected 1 or 2 arguments, got %zd", nargs);
    }
    PyObject *found;
    int there = root_find(self, args[0], &found);
    return there < 0 ? NULL : there ? found : Py_NewRef(nargs == 2 ? args[1] : Py_None);
}

static PyObject *
root_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    StorageRoot *root = (StorageRoot *)self;
    Storage *storage = (Storage *)self;
    return Py_BuildValue("(OOOO)", storage->attrs != NULL ? storage->attrs : Py_None,
                         storage->instance_dict != NULL ? storage->instance_dict : Py_None,
                         root->distributed ? Py_True : Py_False,
                         root->comm != NULL ? root->comm : Py_None);
}

static PyObject *
root_setstate(PyObject *self, PyObject *pickled)
{
    StorageRoot *root = (StorageRoot *)self;
    PyObject *attrs, *dict, *comm;
    int distributed;
    if (!PyArg_Parse(pickled, "(OOpO)", &attrs, &dict, &distributed, &comm) ||
        storage_set_attrs(self, attrs) < 0 ||
        set_instance_dict(&root->storage.instance_dict, dict) < 0) {
        return NULL;
    }
    root->distributed = distributed;
    Py_XSETREF(root->comm, comm != Py_None ? Py_NewRef(comm) : NULL);
    Py_RETURN_NONE;
}

static PyObject *
root_deepcopy(PyObject *self, PyObject *memo)
{
    StorageRoot *root = (StorageRoot *)self;
    PyObject *copy = storage_deepcopy(self, memo);
    if (copy != NULL && PyObject_TypeCheck(copy, state_of(self)->root_type)) {
        /* A communicator is a name for something outside the process: shared, never copied. */
        ((StorageRoot *)copy)->distributed = root->distributed;
        Py_XSETREF(((StorageRoot *)copy)->comm, Py_XNewRef(root->comm));
    }
    return copy;
}

static PyObject *
root_get_comm(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *comm = ((StorageRoot *)self)->comm;
    return Py_NewRef(comm != NULL ? comm : Py_None);
}

static PyObject *
root_get_distributed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((StorageRoot *)self)->distributed);
}

static int
root_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((StorageRoot *)self)->comm);
    return storage_traverse(self, visit, arg);
}

static int
root_clear(PyObject *self)
{
    Py_CLEAR(((StorageRoot *)self)->comm);
    return storage_clear(self);
}

static void
root_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((StorageRoot *)self)->comm);
    storage_dealloc(self);
}

PyDoc_STRVAR(root_doc,
"_StorageRoot(distributed=False, comm=None)\n--\n\n"
"The root node of a tree in memory; it owns the whole tree.\n\n"
"Indexing it with an absolute path walks the tree, with a plain name it is a dict.\n\n"
"Parameters\n----------\n"
"distributed : bool\n    Whether the tree may hold distributed datasets.\n"
"comm : mpi4py.MPI.Comm or None\n    The communicator they are distributed over.\n\n"
"Raises\n------\n"
"KeyError\n    Nothing has that name.\n"
"ValueError\n    A relative path with a slash in it.\n\n"
"Examples\n--------\n"
">>> from memdata import _Storage, _StorageRoot\n"
">>> root = _StorageRoot()\n"
">>> root[\"a\"] = _Storage(b=_Storage())\n"
">>> root[\"/a/b\"] is root[\"a\"][\"b\"], root[\"/\"] is root\n"
"(True, True)\n");

static PyGetSetDef root_getset[] = {
    {"comm", root_get_comm, NULL, "The communicator of the tree, or None.", NULL},
    {"distributed", root_get_distributed, NULL, "Whether datasets may be distributed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef root_methods[] = {
    {"get", SLOT_FUNC(_PyCFunctionFast, root_get), METH_FASTCALL, root_get_doc},
    {"__deepcopy__", root_deepcopy, METH_O, storage_deepcopy_doc},
    {"__getstate__", root_getstate, METH_NOARGS, storage_getstate_doc},
    {"__setstate__", root_setstate, METH_O, storage_setstate_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot root_slots[] = {
    {Py_tp_doc, (void *)root_doc},
    {Py_tp_init, SLOT_FUNC(initproc, root_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, root_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, root_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, root_clear)},
    {Py_tp_getset, root_getset},
    {Py_tp_methods, root_methods},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, root_subscript)},
    {Py_sq_contains, SLOT_FUNC(objobjproc, root_contains)},
    {0, NULL},
};

static PyType_Spec root_spec = {
    .name = "memdata._cmemdata._StorageRoot",
    .basicsize = sizeof(StorageRoot),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = root_slots,
};

int
storage_init(PyObject *module, module_state *state)
{
    if (add_type(module, &storage_spec, &PyDict_Type, &state->storage_type) < 0) {
        return -1;
    }
    return add_type(module, &root_spec, state->storage_type, &state->root_type);
}
