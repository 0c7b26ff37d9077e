#include "body.h"
#include "arrays.h"
#include "attrs.h"
#include "equal.h"
#include "mpiarray.h"
#include "npyapi.h"

DatasetBody *
body_new(module_state *state, PyObject *array)
{
    DatasetBody *self = PyObject_GC_New(DatasetBody, state->body_type);
    if (self != NULL) {
        self->array = Py_NewRef(array);
        self->as_array = NULL;
        self->attrs = NULL;
        self->chunks = NULL;
        self->compression = NULL;
        self->compression_opts = NULL;
        self->creation = NULL;
        PyObject_GC_Track(self);
    }
    return self;
}

void
body_set_array(DatasetBody *self, PyObject *array)
{
    Py_CLEAR(self->as_array);
    Py_SETREF(self->array, array);
}

int
body_inner_axes(DatasetBody *self)
{
    if (self->creation == NULL || !PyArray_Check(self->array)) {
        return 0;
    }
    PyObject *known = PyDict_GetItem(self->creation, state_of((PyObject *)self)->str_inner_axes);
    int count = known != NULL && PyLong_Check(known) ? (int)PyLong_AsLong(known) : 0;
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return count > 0 && count <= PyArray_NDIM((PyArrayObject *)self->array) ? count : 0;
}

/* One axis: its chunk length as a Python int, cut down to the axis. */
static PyObject *
chunk_length(PyObject *value, npy_intp axis_length)
{
    PyObject *index = PyNumber_Index(value);
    if (index == NULL) {
        return NULL;
    }
    Py_ssize_t length = PyLong_AsSsize_t(index);
    if (length == -1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            Py_DECREF(index);
            return NULL;
        }
        PyErr_Clear(); /* longer than any axis, or negative */
        length = PyObject_RichCompareBool(index, Py_False, Py_GT) == 1 ? PY_SSIZE_T_MAX : -1;
    }
    Py_DECREF(index);
    if (length < 1) {
        return PyErr_Format(PyExc_ValueError, "a chunk length must be at least 1, got %zd", length);
    }
    return PyLong_FromSsize_t(length < axis_length ? length : (Py_ssize_t)axis_length);
}

/* How far each axis may grow: the `maxshape` of a resizable dataset, borrowed; else NULL. */
static PyObject *
growing_to(DatasetBody *self)
{
    PyObject *most =
        self->creation != NULL ? PyDict_GetItemString(self->creation, "maxshape") : NULL;
    return most != NULL && PyTuple_Check(most) &&
                   PyTuple_GET_SIZE(most) ==
                       PyArray_NDIM((PyArrayObject *)self->array) - body_inner_axes(self)
               ? most
               : NULL;
}

/* The longest chunk that makes sense along an axis that may grow. */
static npy_intp
longest_axis(PyObject *most, int axis, npy_intp length)
{
    PyObject *limit = PyTuple_GET_ITEM(most, axis);
    Py_ssize_t longest = PyLong_Check(limit) ? PyLong_AsSsize_t(limit) : PY_SSIZE_T_MAX;
    if (longest == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        longest = PY_SSIZE_T_MAX;
    }
    return longest > length ? longest : length;
}

static PyObject *
chunks_for(module_state *state, PyArrayObject *array, int ndim, PyObject *value, PyObject *most)
{
    const distribution *dist =
        is_mpiarray(state, (PyObject *)array) ? mpiarray_fields((PyObject *)array) : NULL;
    PyObject *given = PySequence_Check(value) ? PySequence_Tuple(value)
                      : PyIndex_Check(value)  ? PyTuple_Pack(1, value)
                                              : NULL;
    if (given == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
    }
    if (given == NULL || PyTuple_GET_SIZE(given) != ndim || PyBool_Check(value)) {
        if (!PyErr_Occurred()) {
            PyObject *shape = dist != NULL ? mpiarray_global_shape(state, (PyObject *)array)
                                           : PyArray_IntTupleFromIntp(ndim, PyArray_DIMS(array));
            if (shape != NULL) {
                PyErr_Format(state->value_refused != NULL ? state->value_refused : PyExc_ValueError,
                             "chunks must be None or one length for each axis of the shape %R, "
                             "got %R",
                             shape, value);
                Py_DECREF(shape);
            }
        }
        Py_XDECREF(given);
        return NULL;
    }
    PyObject *chunks = PyTuple_New(ndim);
    for (int i = 0; chunks != NULL && i < ndim; i++) {
        npy_intp axis = dist != NULL && dist->axis == i ? dist->length : PyArray_DIM(array, i);
        PyObject *length = chunk_length(PyTuple_GET_ITEM(given, i),
                                        most != NULL ? longest_axis(most, i, axis) : axis);
        if (length == NULL) {
            Py_CLEAR(chunks);
        }
        else {
            PyTuple_SET_ITEM(chunks, i, length);
        }
    }
    if (chunks == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Format(PyExc_ValueError, "chunks must be whole numbers, got %R", value);
    }
    Py_DECREF(given);
    return chunks;
}

int
body_set_chunks(DatasetBody *self, PyObject *value)
{
    if (value == NULL || value == Py_None) {
        Py_CLEAR(self->chunks);
        return 0;
    }
    if (!PyArray_Check(self->array)) {
        PyErr_Format(PyExc_ValueError, "a null dataspace has no chunks, got %R", value);
        return -1;
    }
    PyArrayObject *array = (PyArrayObject *)self->array;
    PyObject *chunks =
        chunks_for(state_of((PyObject *)self), array, PyArray_NDIM(array) - body_inner_axes(self),
                   value, growing_to(self));
    if (chunks == NULL) {
        return -1;
    }
    Py_XSETREF(self->chunks, chunks);
    return 0;
}

void
body_set_compression(DatasetBody *self, PyObject *compression, PyObject *options)
{
    Py_XSETREF(self->compression,
               compression != NULL && compression != Py_None ? Py_NewRef(compression) : NULL);
    Py_XSETREF(self->compression_opts,
               options != NULL && options != Py_None ? Py_NewRef(options) : NULL);
}

PyObject *
creation_at(PyObject **place)
{
    if (*place == NULL) {
        PyObject *made = PyDict_New();
        if (made == NULL) {
            return NULL;
        }
        if (*place == NULL) { /* making one may have run a finalizer that asked as well */
            *place = made;
        }
        else {
            Py_DECREF(made);
        }
    }
    return Py_NewRef(*place);
}

int
creation_fork(PyObject *creation, PyObject **fork)
{
    *fork = creation != NULL && PyDict_GET_SIZE(creation) > 0 ? PyDict_Copy(creation) : NULL;
    return *fork == NULL && PyErr_Occurred() ? -1 : 0;
}

DatasetBody *
body_fork(module_state *state, DatasetBody *self)
{
    DatasetBody *fork = body_new(state, self->array);
    if (fork == NULL) {
        return NULL;
    }
    fork->chunks = Py_XNewRef(self->chunks);
    fork->compression = Py_XNewRef(self->compression);
    fork->compression_opts = Py_XNewRef(self->compression_opts);
    if (creation_fork(self->creation, &fork->creation) < 0) {
        Py_DECREF(fork);
        return NULL;
    }
    if (self->attrs != NULL && PyDict_GET_SIZE(self->attrs) > 0) {
        fork->attrs = attrs_fork(state, self->attrs);
        if (fork->attrs == NULL) {
            Py_CLEAR(fork);
        }
    }
    return fork;
}

int
body_own(module_state *state, DatasetBody *self, char order, PyObject *memo)
{
    if (self->attrs != NULL && attrs_own(state, self->attrs, memo) < 0) {
        return -1;
    }
    if (PyArray_Check(self->array)) {
        PyObject *copy = array_copy(state, self->array, order, memo);
        if (copy == NULL) {
            return -1;
        }
        body_set_array(self, copy);
    }
    return 0;
}

static int
equal_or_both_null(PyObject *a, PyObject *b)
{
    return a == NULL || b == NULL ? a == b : values_equal(a, b);
}

int
body_equal(DatasetBody *a, DatasetBody *b)
{
    if (a == b) {
        return 1;
    }
    int equal = equal_or_both_null(a->chunks, b->chunks);
    if (equal == 1) {
        equal = equal_or_both_null(a->compression, b->compression);
    }
    if (equal == 1) {
        equal = equal_or_both_null(a->compression_opts, b->compression_opts);
    }
    if (equal == 1) {
        equal = attrs_equal(a->attrs, b->attrs);
    }
    if (equal == 1) {
        equal = distributions_equal(state_of((PyObject *)a), a->array, b->array);
    }
    if (equal == 1) {
        equal = values_equal(a->array, b->array);
    }
    return equal;
}

static int
body_traverse(PyObject *self, visitproc visit, void *arg)
{
    DatasetBody *body = (DatasetBody *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(body->array);
    Py_VISIT(body->as_array);
    Py_VISIT(body->attrs);
    Py_VISIT(body->compression);
    Py_VISIT(body->compression_opts);
    Py_VISIT(body->creation);
    return 0;
}

static int
body_clear(PyObject *self)
{
    /* The array stays: handles that outlive a collected cycle's attributes must still find it. */
    DatasetBody *body = (DatasetBody *)self;
    Py_CLEAR(body->attrs);
    Py_CLEAR(body->compression);
    Py_CLEAR(body->compression_opts);
    Py_CLEAR(body->creation);
    return 0;
}

static void
body_dealloc(PyObject *self)
{
    DatasetBody *body = (DatasetBody *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(body->array);
    Py_XDECREF(body->as_array);
    Py_XDECREF(body->attrs);
    Py_XDECREF(body->chunks);
    Py_XDECREF(body->compression);
    Py_XDECREF(body->compression_opts);
    Py_XDECREF(body->creation);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Pickled as a call of the type, so that handles pickled together still share one body. */
static PyObject *
body_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    DatasetBody *body = (DatasetBody *)self;
    return Py_BuildValue("(O(O)(NNNNN))", Py_TYPE(self), body->array, or_none(body->attrs),
                         or_none(body->chunks), or_none(body->compression),
                         or_none(body->compression_opts), or_none(body->creation));
}

static PyObject *
body_setstate(PyObject *self, PyObject *pickled)
{
    DatasetBody *body = (DatasetBody *)self;
    module_state *state = state_of(self);
    PyObject *attrs, *chunks, *compression, *options, *creation;
    if (!PyArg_Parse(pickled, "(OOOOO)", &attrs, &chunks, &compression, &options, &creation)) {
        return NULL;
    }
    if (creation != Py_None && !PyDict_Check(creation)) {
        PyErr_SetString(PyExc_TypeError, "the state's creation properties must be a dict");
        return NULL;
    }
    if (attrs != Py_None) {
        if (!PyObject_TypeCheck(attrs, state->attrs_type)) {
            PyErr_SetString(PyExc_TypeError, "the state's attributes must be a MemAttrs");
            return NULL;
        }
        Py_XSETREF(body->attrs, Py_NewRef(attrs));
    }
    Py_XSETREF(body->creation, creation != Py_None ? Py_NewRef(creation) : NULL);
    if (body_set_chunks(body, chunks) < 0) {
        return NULL;
    }
    body_set_compression(body, compression, options);
    Py_RETURN_NONE;
}

static PyObject *
body_new_slot(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    module_state *state = state_of_type(type);
    static char *keywords[] = {"array", NULL};
    PyObject *array;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:_DatasetBody", keywords, &array)) {
        return NULL;
    }
    int valid = PyArray_Check(array) || array == Py_None ? 1 : is_null_dataspace(state, array);
    if (valid != 1) {
        if (valid == 0) {
            PyErr_Format(PyExc_TypeError, "a dataset's data must be an ndarray, not %.200s",
                         Py_TYPE(array)->tp_name);
        }
        return NULL;
    }
    return (PyObject *)body_new(state, array);
}

PyDoc_STRVAR(body_doc,
"_DatasetBody(array)\n--\n\n"
"What a stored dataset and all handles on it share. Not for users: it is public so that it\n"
"can be pickled.");

static PyMethodDef body_methods[] = {
    {"__reduce__", body_reduce, METH_NOARGS, "__reduce__($self, /)\n--\n\nFor pickle."},
    {"__setstate__", body_setstate, METH_O, "__setstate__($self, state, /)\n--\n\nFor pickle."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot body_slots[] = {
    {Py_tp_doc, (void *)body_doc},
    {Py_tp_new, SLOT_FUNC(newfunc, body_new_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, body_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, body_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, body_clear)},
    {Py_tp_methods, body_methods},
    {0, NULL},
};

static PyType_Spec body_spec = {
    .name = "memdata._cmemdata._DatasetBody",
    .basicsize = sizeof(DatasetBody),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = body_slots,
};

int
body_init(PyObject *module, module_state *state)
{
    return add_type(module, &body_spec, NULL, &state->body_type);
}
