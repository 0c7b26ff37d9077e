/* MemAttrs is a dict that compares arrays by value; look-ups and assignments are dict's own
   slots, so they cost what a dict's do. A name may be given as bytes, as in h5py.

       typedef struct { PyDictObject dict; PyObject *weakrefs, *instance_dict; } */
#include "attrs.h"
#include "equal.h"

typedef struct {
    PyDictObject dict;
    PyObject *weakrefs;
    PyObject *instance_dict;
} MemAttrs;

PyObject *
attrs_new(module_state *state)
{
    return PyObject_CallNoArgs((PyObject *)state->attrs_type);
}

PyObject *
attrs_at(module_state *state, PyObject **place)
{
    if (*place == NULL) {
        PyObject *attrs = attrs_new(state);
        if (attrs == NULL) {
            return NULL;
        }
        if (*place == NULL) { /* making one may have run a finalizer that asked as well */
            *place = attrs;
        }
        else {
            Py_DECREF(attrs);
        }
    }
    return Py_NewRef(*place);
}

PyObject *
attrs_fork(module_state *state, PyObject *attrs)
{
    PyObject *fork = attrs_new(state);
    if (fork != NULL && PyDict_Update(fork, attrs) < 0) {
        Py_CLEAR(fork);
    }
    return fork;
}

/* Values that copy.deepcopy returns as they are. */
static bool
is_immutable(PyObject *value)
{
    return value == Py_None || PyBool_Check(value) || PyUnicode_CheckExact(value) ||
           PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyBytes_CheckExact(value) ||
           PyComplex_CheckExact(value);
}

int
attrs_own(module_state *state, PyObject *attrs, PyObject *memo)
{
    PyObject *items = NULL;
    PyObject *key, *value;
    Py_ssize_t position = 0;
    bool mutable = false;
    while (PyDict_Next(attrs, &position, &key, &value)) {
        mutable = mutable || !is_immutable(value);
    }
    if (!mutable) {
        return 0;
    }
    items = PyDict_Items(attrs); /* deepcopy may run code that changes the dict */
    if (items == NULL) {
        return -1;
    }
    int done = 0;
    for (Py_ssize_t i = 0; done == 0 && i < PyList_GET_SIZE(items); i++) {
        key = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 0);
        value = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 1);
        if (is_immutable(value)) {
            continue;
        }
        PyObject *copy = PyObject_CallFunctionObjArgs(state->deepcopy, value, memo, NULL);
        done = copy != NULL ? PyDict_SetItem(attrs, key, copy) : -1;
        Py_XDECREF(copy);
    }
    Py_DECREF(items);
    return done;
}

int
attrs_equal(PyObject *a, PyObject *b)
{
    if (a == b) {
        return 1;
    }
    if (a == NULL || b == NULL) {
        PyObject *other = a != NULL ? a : b;
        return PyDict_GET_SIZE(other) == 0;
    }
    return dicts_equal(a, b);
}

static PyObject *
attrs_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !PyDict_Check(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return equal_result(dicts_equal(self, other), op);
}

/* The name that bytes mean, as HDF5's names are decoded; other keys as they are. */
static PyObject *
attribute_name(PyObject *key)
{
    if (!PyBytes_Check(key)) {
        return Py_NewRef(key);
    }
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), "surrogateescape");
}

static int
attrs_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    if (PyUnicode_CheckExact(key)) {
        return value != NULL ? PyDict_SetItem(self, key, value) : PyDict_DelItem(self, key);
    }
    PyObject *name = attribute_name(key);
    if (name == NULL) {
        return -1;
    }
    int done = value != NULL ? PyDict_SetItem(self, name, value) : PyDict_DelItem(self, name);
    Py_DECREF(name);
    return done;
}

static int
attrs_contains(PyObject *self, PyObject *key)
{
    if (PyUnicode_CheckExact(key)) {
        return PyDict_Contains(self, key);
    }
    PyObject *name = attribute_name(key);
    int there = name != NULL ? PyDict_Contains(self, name) : -1;
    Py_XDECREF(name);
    return there;
}

/* A key that is not there: bytes mean the same name. */
static PyObject *
attrs_missing(PyObject *self, PyObject *key)
{
    PyObject *name = attribute_name(key);
    PyObject *value = name != NULL ? PyDict_GetItemWithError(self, name) : NULL;
    Py_XDECREF(name);
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return Py_XNewRef(value);
}

static int
attrs_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((MemAttrs *)self)->instance_dict);
    return PyDict_Type.tp_traverse(self, visit, arg);
}

static int
attrs_clear(PyObject *self)
{
    Py_CLEAR(((MemAttrs *)self)->instance_dict);
    return PyDict_Type.tp_clear(self);
}

static void
attrs_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, attrs_dealloc);
    if (((MemAttrs *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_CLEAR(((MemAttrs *)self)->instance_dict);
    PyDict_Type.tp_dealloc(self);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

PyDoc_STRVAR(attrs_doc,
"MemAttrs(*args, **kwargs)\n--\n\n"
"Attributes of a group or dataset in memory: a dict that holds any Python value.\n\n"
"It is a `dict` in all but comparison: ``==`` looks into NumPy arrays, also nested ones, and\n"
"gives one answer. A name may be given as bytes, which are UTF-8, in all but `get` and `pop`.\n\n"
"Examples\n--------\n"
">>> import memdata\n"
">>> group = memdata.MemGroup()\n"
">>> group.attrs[\"instrument\"] = \"GMRT\"\n"
">>> group.attrs\n"
"{'instrument': 'GMRT'}\n");

static PyMemberDef attrs_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(MemAttrs, weakrefs), Py_READONLY, NULL},
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(MemAttrs, instance_dict), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef attrs_methods[] = {
    {"__missing__", attrs_missing, METH_O,
     "__missing__($self, key, /)\n--\n\nThe value of a name given as bytes."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attrs_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot attrs_slots[] = {
    {Py_tp_doc, (void *)attrs_doc},
    {Py_tp_dealloc, SLOT_FUNC(destructor, attrs_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, attrs_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, attrs_clear)},
    {Py_tp_richcompare, SLOT_FUNC(richcmpfunc, attrs_richcompare)},
    {Py_tp_hash, SLOT_FUNC(hashfunc, PyObject_HashNotImplemented)},
    {Py_mp_ass_subscript, SLOT_FUNC(objobjargproc, attrs_ass_subscript)},
    {Py_sq_contains, SLOT_FUNC(objobjproc, attrs_contains)},
    {Py_tp_methods, attrs_methods},
    {Py_tp_members, attrs_members},
    {Py_tp_getset, attrs_getset},
    {0, NULL},
};

static PyType_Spec attrs_spec = {
    .name = "memdata.MemAttrs",
    .basicsize = sizeof(MemAttrs),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = attrs_slots,
};

int
attrs_init(PyObject *module, module_state *state)
{
    return add_type(module, &attrs_spec, &PyDict_Type, &state->attrs_type);
}
