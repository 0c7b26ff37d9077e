/* MemDataset: the abstract base, and what all kinds of dataset in memory share. The kinds differ
   in what their array is; the body, attributes, chunks, compression, copies and equality are
   alike and live here. A new kind is a subtype with a file of its own (see common.c). */
#include "dataset.h"
#include "attrs.h"
#include "datasetnumber.h"
#include "equal.h"
#include "npyapi.h"

DatasetBody *
dataset_body(Dataset *self)
{
    if (self->body == NULL) {
        PyErr_Format(PyExc_ValueError, "%.200s.__init__ has not been called",
                     Py_TYPE(self)->tp_name);
    }
    return self->body;
}

PyObject *
dataset_around(PyTypeObject *type, DatasetBody *body)
{
    if (body == NULL) {
        return NULL;
    }
    Dataset *self = (Dataset *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(body);
        return NULL;
    }
    self->body = body;
    return (PyObject *)self;
}

PyObject *
dataset_handle(PyObject *stored, PyObject *root, PyObject *prefix, PyObject *tail)
{
    PyTypeObject *type = Py_TYPE(stored);
    Dataset *self = (Dataset *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->object.root = Py_NewRef(root);
        self->object.prefix = Py_NewRef(prefix);
        self->object.tail = Py_NewRef(tail);
        self->body = (DatasetBody *)Py_XNewRef((PyObject *)((Dataset *)stored)->body);
    }
    return (PyObject *)self;
}

int
dataset_contents_equal(PyObject *a, PyObject *b)
{
    DatasetBody *left = ((Dataset *)a)->body, *right = ((Dataset *)b)->body;
    return left == NULL || right == NULL ? left == right : body_equal(left, right);
}

/* ---- copies ---- */

/* Another object of the same class, tree and name, with a copy of the instance attributes; it
   takes the reference to `body`. */
static PyObject *
dataset_twin(Dataset *self, DatasetBody *body, PyObject *memo)
{
    Dataset *twin = (Dataset *)dataset_around(Py_TYPE(self), body);
    if (twin != NULL) {
        twin->object.root = Py_XNewRef(self->object.root);
        twin->object.name = Py_XNewRef(self->object.name);
        twin->object.prefix = Py_XNewRef(self->object.prefix);
        twin->object.tail = Py_XNewRef(self->object.tail);
    }
    PyObject *dict = self->object.instance_dict;
    if (twin != NULL && dict != NULL && PyDict_GET_SIZE(dict) > 0) {
        twin->object.instance_dict =
            memo != NULL ? PyObject_CallFunctionObjArgs(state_of((PyObject *)self)->deepcopy, dict,
                                                        memo, NULL)
                         : PyDict_Copy(dict);
        if (twin->object.instance_dict == NULL) {
            Py_CLEAR(twin);
        }
    }
    return (PyObject *)twin;
}

static PyObject *
dataset_deep(PyObject *self, char order, PyObject *memo)
{
    module_state *state = state_of(self);
    DatasetBody *body = dataset_body((Dataset *)self);
    DatasetBody *copy = body != NULL ? body_fork(state, body) : NULL;
    if (copy != NULL && body_own(state, copy, order, memo) < 0) {
        Py_CLEAR(copy);
    }
    return dataset_twin((Dataset *)self, copy, memo);
}

PyDoc_STRVAR(dataset_view_doc,
"view($self, /)\n--\n\n"
"Another object for the same dataset: data, attributes, chunks and compression are shared.");

static PyObject *
dataset_view(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body != NULL
               ? dataset_twin((Dataset *)self, (DatasetBody *)Py_NewRef((PyObject *)body), NULL)
               : NULL;
}

PyDoc_STRVAR(dataset_copy_doc,
"copy($self, /, order='A', shallow=False)\n--\n\n"
"Copy the dataset.\n\n"
"Parameters\n----------\n"
"order : {'C', 'F', 'A', 'K'}\n    Memory layout of the new array, as in `numpy.ndarray.copy`.\n"
"shallow : bool\n    Share data and attributes with the original instead of copying them.\n\n"
"Returns\n-------\n"
"MemDataset\n    Of the same class, name and tree, so that it equals its original. The tree does\n"
"    not know it: a deep copy is on its own. Objects in the array are copied as well.\n");

static PyObject *
dataset_copy(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"order", "shallow", NULL};
    const char *order = "A";
    int shallow = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|sp:copy", keywords, &order, &shallow)) {
        return NULL;
    }
    if (order[0] == '\0' || order[1] != '\0' || strchr("CFAK", order[0]) == NULL) {
        return PyErr_Format(PyExc_ValueError, "order must be 'C', 'F', 'A' or 'K', got '%.20s'",
                            order);
    }
    return shallow ? dataset_view(self, NULL) : dataset_deep(self, order[0], NULL);
}

PyDoc_STRVAR(dataset_deepcopy_doc, "__deepcopy__($self, memo, /)\n--\n\nA deep `copy`.");

static PyObject *
dataset_deepcopy(PyObject *self, PyObject *memo)
{
    return dataset_deep(self, 'A', memo);
}

PyDoc_STRVAR(dataset_resize_doc,
"resize($self, /, *args, **kwargs)\n--\n\nNot possible: raises `NotImplementedError`.");

static PyObject *
dataset_resize(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return PyErr_Format(PyExc_NotImplementedError, "a dataset in memory cannot be resized");
}

/* ---- properties ---- */

static PyObject *
dataset_get_attrs(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body != NULL ? attrs_at(state_of(self), &body->attrs) : NULL;
}

static PyObject *
dataset_get_creation(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body != NULL ? creation_at(&body->creation) : NULL;
}

static PyObject *
abstract_property(PyObject *self, void *closure)
{
    return PyErr_Format(PyExc_NotImplementedError, "%.200s has no %s", Py_TYPE(self)->tp_name,
                        (const char *)closure);
}

static PyObject *
abstract_subscript(PyObject *self, PyObject *Py_UNUSED(key))
{
    return abstract_property(self, "data to index");
}

static int
abstract_ass_subscript(PyObject *self, PyObject *Py_UNUSED(key), PyObject *Py_UNUSED(value))
{
    abstract_property(self, "data to index");
    return -1;
}

static Py_ssize_t
abstract_length(PyObject *self)
{
    abstract_property(self, "length");
    return -1;
}

static PyObject *
dataset_richcompare(PyObject *self, PyObject *other, int op)
{
    module_state *state = state_of(self);
    if (op != Py_EQ && op != Py_NE) {
        return dataset_compare_elements(self, other, op);
    }
    if (!is_dataset(state, other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int equal = object_same((MemObject *)self, (MemObject *)other);
    if (equal == 1) {
        equal = dataset_contents_equal(self, other);
    }
    return equal_result(equal, op);
}

/* ---- memory ---- */

int
dataset_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((Dataset *)self)->body);
    return object_traverse(self, visit, arg);
}

int
dataset_clear(PyObject *self)
{
    Py_CLEAR(((Dataset *)self)->body);
    return object_clear(self);
}

void
dataset_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    object_forget_weakrefs(self);
    Py_CLEAR(((Dataset *)self)->body);
    object_dealloc(self);
}

static PyObject *
dataset_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *body = or_none((PyObject *)((Dataset *)self)->body);
    PyObject *reduced = object_reduce_with(self, body);
    Py_DECREF(body);
    return reduced;
}

static PyObject *
dataset_restore(PyObject *cls, PyObject *args)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    module_state *state = state_of_type(type);
    PyObject *root, *name, *body;
    if (!PyArg_ParseTuple(args, "OOO:_restore", &root, &name, &body)) {
        return NULL;
    }
    if (body != Py_None && !Py_IS_TYPE(body, state->body_type)) {
        return PyErr_Format(PyExc_TypeError, "the body must be a _DatasetBody, not %.200s",
                            Py_TYPE(body)->tp_name);
    }
    PyObject *self = object_made(type, root, name);
    if (self != NULL && !is_dataset(state, self)) {
        PyErr_Format(PyExc_TypeError, "%.200s.__new__ made a %.200s, which is no dataset",
                     type->tp_name, Py_TYPE(self)->tp_name);
        Py_CLEAR(self);
    }
    if (self != NULL && body != Py_None) {
        Py_XSETREF(((Dataset *)self)->body, (DatasetBody *)Py_NewRef(body));
    }
    return self;
}

static int
dataset_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0) {
        PyErr_Format(PyExc_TypeError, "%.200s() takes no positional arguments",
                     Py_TYPE(self)->tp_name);
        return -1;
    }
    if (object_init_keywords((MemObject *)self, kwargs) < 0) {
        return -1;
    }
    if (((Dataset *)self)->body == NULL) { /* attributes need one; the data are None */
        ((Dataset *)self)->body = body_new(state_of(self), Py_None);
    }
    return ((Dataset *)self)->body != NULL ? 0 : -1;
}

/* ---- the type ---- */

PyDoc_STRVAR(dataset_doc,
"MemDataset(**kw)\n--\n\n"
"Abstract base class of datasets in memory.\n\n"
"Parameters\n----------\n"
"**kw\n    `storage_root` and `name`: the tree and the absolute name in it.\n");

static PyGetSetDef dataset_getset[] = {
    {"attrs", dataset_get_attrs, NULL, "The dataset's attributes (`MemAttrs`), shared.", NULL},
    {"_creation", dataset_get_creation, NULL,
     "What else a file made it with, in h5py's keywords; a shared dict, empty by default.", NULL},
    {"shape", abstract_property, NULL, "Shape; a concrete dataset has one.", "shape"},
    {"dtype", abstract_property, NULL, "Data type; a concrete dataset has one.", "dtype"},
    {"chunks", abstract_property, NULL, "Chunk shape; a concrete dataset has one.", "chunks"},
    {"compression", abstract_property, NULL, "Filter; a concrete dataset has one.", "compression"},
    {"compression_opts", abstract_property, NULL, "Its options; a concrete dataset has them.",
     "compression_opts"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef dataset_methods[] = {
    {"view", dataset_view, METH_NOARGS, dataset_view_doc},
    {"copy", SLOT_FUNC(PyCFunctionWithKeywords, dataset_copy), METH_VARARGS | METH_KEYWORDS,
     dataset_copy_doc},
    {"__deepcopy__", dataset_deepcopy, METH_O, dataset_deepcopy_doc},
    {"resize", SLOT_FUNC(PyCFunctionWithKeywords, dataset_resize), METH_VARARGS | METH_KEYWORDS,
     dataset_resize_doc},
    {"__reduce__", dataset_reduce, METH_NOARGS,
     "__reduce__($self, /)\n--\n\nFor pickle, which keeps the whole tree."},
    {"_restore", dataset_restore, METH_VARARGS | METH_CLASS,
     "_restore($type, root, name, body, /)\n--\n\n"
     "Make again what pickle kept, without ``__init__``."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot dataset_slots[] = {
    {Py_tp_doc, (void *)dataset_doc},
    {Py_tp_init, SLOT_FUNC(initproc, dataset_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, dataset_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, dataset_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, dataset_clear)},
    {Py_tp_richcompare, SLOT_FUNC(richcmpfunc, dataset_richcompare)},
    {Py_tp_hash, SLOT_FUNC(hashfunc, object_hash)},
    {Py_tp_getset, dataset_getset},
    {Py_tp_methods, dataset_methods},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, abstract_subscript)},
    {Py_mp_ass_subscript, SLOT_FUNC(objobjargproc, abstract_ass_subscript)},
    {Py_mp_length, SLOT_FUNC(lenfunc, abstract_length)},
#define X(slot, function) {Py_nb_##slot, SLOT_FUNC(binaryfunc, dataset_nb_##slot)},
    DATASET_BINARY(X) DATASET_IN_PLACE(X)
#undef X
#define X(slot, function) {Py_nb_##slot, SLOT_FUNC(unaryfunc, dataset_nb_##slot)},
        DATASET_UNARY(X)
#undef X
            {Py_nb_power, SLOT_FUNC(ternaryfunc, dataset_nb_power)},
    {Py_nb_inplace_power, SLOT_FUNC(ternaryfunc, dataset_nb_inplace_power)},
    {Py_nb_bool, SLOT_FUNC(inquiry, dataset_nb_bool)},
    {0, NULL},
};

static PyType_Spec dataset_spec = {
    .name = "memdata.MemDataset",
    .basicsize = sizeof(Dataset),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = dataset_slots,
};

int
dataset_init(PyObject *module, module_state *state)
{
    return add_type(module, &dataset_spec, state->object_type, &state->dataset_type);
}
