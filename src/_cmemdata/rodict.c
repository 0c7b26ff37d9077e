/* ro_dict: a read-only mapping over a dict of its own. */
#include "equal.h"
#include "state.h"

typedef struct {
    PyObject_HEAD
    PyObject *dict; /* never handed out; NULL before __new__ ends */
    PyObject *weakrefs;
    PyObject *instance_dict;
} ReadOnlyDict;

#define DICT(self) (((ReadOnlyDict *)(self))->dict)

static PyObject *
ro_dict_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        DICT(self) = PyDict_New();
        if (DICT(self) == NULL) {
            Py_CLEAR(self);
        }
    }
    return self;
}

static int
ro_dict_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"d", NULL};
    PyObject *given = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:ro_dict", keywords, &given)) {
        return -1;
    }
    PyObject *copy =
        given == Py_None ? PyDict_New() : PyObject_CallOneArg((PyObject *)&PyDict_Type, given);
    if (copy == NULL) {
        return -1;
    }
    Py_XSETREF(DICT(self), copy);
    return 0;
}

static PyObject *
ro_dict_subscript(PyObject *self, PyObject *key)
{
    return PyObject_GetItem(DICT(self), key);
}

static Py_ssize_t
ro_dict_length(PyObject *self)
{
    return PyDict_Size(DICT(self));
}

static int
ro_dict_contains(PyObject *self, PyObject *key)
{
    return PyDict_Contains(DICT(self), key);
}

static PyObject *
ro_dict_iter(PyObject *self)
{
    return PyObject_GetIter(DICT(self));
}

static PyObject *
ro_dict_repr(PyObject *self)
{
    int entered = Py_ReprEnter(self);
    if (entered != 0) {
        return entered < 0 ? NULL : PyUnicode_FromString("ro_dict({...})");
    }
    PyObject *text = PyUnicode_FromFormat("ro_dict(%R)", DICT(self));
    Py_ReprLeave(self);
    return text;
}

static PyObject *
ro_dict_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !PyObject_TypeCheck(other, state_of(self)->ro_dict_type)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    if (Py_EnterRecursiveCall(" while comparing ro_dicts")) {
        return NULL;
    }
    PyObject *result = equal_result(dicts_equal(DICT(self), DICT(other)), op);
    Py_LeaveRecursiveCall();
    return result;
}

PyDoc_STRVAR(ro_dict_get_doc,
"get($self, key, default=None, /)\n--\n\nThe value for `key`, or `default`.");

static PyObject *
ro_dict_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2) {
        return PyErr_Format(PyExc_TypeError, "get expected 1 or 2 arguments, got %zd", nargs);
    }
    PyObject *value;
    int there = dict_get(DICT(self), args[0], &value);
    return there < 0 ? NULL : there ? value : Py_NewRef(nargs == 2 ? args[1] : Py_None);
}

/* dict's own views: they cannot change the dict, and hand it out as a mapping proxy only. */
static PyObject *
ro_dict_keys(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyObject_CallMethodNoArgs(DICT(self), state_of(self)->str_keys);
}

static PyObject *
ro_dict_values(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyObject_CallMethodNoArgs(DICT(self), state_of(self)->str_values);
}

static PyObject *
ro_dict_items(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyObject_CallMethodNoArgs(DICT(self), state_of(self)->str_items);
}

static PyObject *
ro_dict_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *own = ((ReadOnlyDict *)self)->instance_dict;
    return PyTuple_Pack(2, DICT(self), own != NULL ? own : Py_None);
}

static PyObject *
ro_dict_setstate(PyObject *self, PyObject *pickled)
{
    PyObject *dict, *own;
    if (!PyArg_Parse(pickled, "(O!O)", &PyDict_Type, &dict, &own)) {
        return NULL;
    }
    PyObject *copy = PyDict_Copy(dict); /* copy.copy hands over the original's own */
    if (copy == NULL) {
        return NULL;
    }
    Py_XSETREF(DICT(self), copy);
    if (PyDict_Check(own)) {
        Py_XSETREF(((ReadOnlyDict *)self)->instance_dict, Py_NewRef(own));
    }
    Py_RETURN_NONE;
}

static int
ro_dict_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(DICT(self));
    Py_VISIT(((ReadOnlyDict *)self)->instance_dict);
    return 0;
}

static int
ro_dict_clear(PyObject *self)
{
    if (DICT(self) != NULL) { /* emptied, not dropped: methods rely on it */
        PyDict_Clear(DICT(self));
    }
    Py_CLEAR(((ReadOnlyDict *)self)->instance_dict);
    return 0;
}

static void
ro_dict_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((ReadOnlyDict *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_XDECREF(DICT(self));
    Py_XDECREF(((ReadOnlyDict *)self)->instance_dict);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(ro_dict_doc,
"ro_dict(d=None)\n--\n\n"
"A read-only mapping over a copy of a dict.\n\n"
"Parameters\n----------\n"
"d : mapping or iterable of pairs, optional\n    Copied; later changes to it do not show.\n\n"
"Raises\n------\n"
"TypeError\n    Assigning or deleting an item.\n\n"
"Notes\n-----\n"
"Equal only to another `ro_dict`; values are compared by value, NumPy arrays and nested\n"
"containers included.\n\n"
"Examples\n--------\n"
">>> from memdata import ro_dict\n"
">>> d = ro_dict({\"a\": 1})\n"
">>> d[\"a\"]\n"
"1\n"
">>> d == ro_dict({\"a\": 1}), d == {\"a\": 1}\n"
"(True, False)\n");

static PyMemberDef ro_dict_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(ReadOnlyDict, weakrefs), Py_READONLY, NULL},
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(ReadOnlyDict, instance_dict), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef ro_dict_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef ro_dict_methods[] = {
    {"get", SLOT_FUNC(_PyCFunctionFast, ro_dict_get), METH_FASTCALL, ro_dict_get_doc},
    {"keys", ro_dict_keys, METH_NOARGS, "keys($self, /)\n--\n\nA view of the keys."},
    {"values", ro_dict_values, METH_NOARGS, "values($self, /)\n--\n\nA view of the values."},
    {"items", ro_dict_items, METH_NOARGS, "items($self, /)\n--\n\nA view of the items."},
    {"__getstate__", ro_dict_getstate, METH_NOARGS,
     "__getstate__($self, /)\n--\n\nWhat pickle keeps."},
    {"__setstate__", ro_dict_setstate, METH_O,
     "__setstate__($self, state, /)\n--\n\nTake what pickle kept."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     "__class_getitem__($type, item, /)\n--\n\nFor annotations: ``ro_dict[str, int]``."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ro_dict_slots[] = {
    {Py_tp_doc, (void *)ro_dict_doc},
    {Py_tp_new, SLOT_FUNC(newfunc, ro_dict_new)},
    {Py_tp_init, SLOT_FUNC(initproc, ro_dict_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, ro_dict_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, ro_dict_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, ro_dict_clear)},
    {Py_tp_iter, SLOT_FUNC(getiterfunc, ro_dict_iter)},
    {Py_tp_repr, SLOT_FUNC(reprfunc, ro_dict_repr)},
    {Py_tp_richcompare, SLOT_FUNC(richcmpfunc, ro_dict_richcompare)},
    {Py_tp_hash, SLOT_FUNC(hashfunc, PyObject_HashNotImplemented)},
    {Py_tp_members, ro_dict_members},
    {Py_tp_getset, ro_dict_getset},
    {Py_tp_methods, ro_dict_methods},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, ro_dict_subscript)},
    {Py_mp_length, SLOT_FUNC(lenfunc, ro_dict_length)},
    {Py_sq_contains, SLOT_FUNC(objobjproc, ro_dict_contains)},
    {0, NULL},
};

static PyType_Spec ro_dict_spec = {
    .name = "memdata.ro_dict",
    .basicsize = sizeof(ReadOnlyDict),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_MAPPING,
    .slots = ro_dict_slots,
};

int
ro_dict_init(PyObject *module, module_state *state)
{
    return add_type(module, &ro_dict_spec, NULL, &state->ro_dict_type);
}
