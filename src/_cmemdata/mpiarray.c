/* The fields of an ndarray subtype cannot be a struct that begins with PyArrayObject: NumPy does not
   tell its size when compiling. They are put behind what PyArray_Type says at run time:

       | ndarray, PyArray_Type.tp_basicsize | distribution | __dict__ |

   An ndarray is not seen by the cyclic collector; this subtype is, for its communicator and dict.

   NumPy makes new arrays of this type wherever it makes views or results, and tells us by
   `__array_finalize__`. There the distribution is taken over if the axis still has its length; what
   moves axes (indexing, transposing, ufuncs) sets it afterwards. Where it cannot be known, the array
   says so (AxisException) when asked, rather than something wrong. */
#include "mpiarray.h"
#include "split.h"

#include <stdarg.h>

typedef struct {
    distribution dist;
    PyObject *instance_dict;
} mpi_fields;

/* Where the fields begin; the same for the whole process, as NumPy is. */
static size_t fields_offset;

static inline mpi_fields *
fields_of(PyObject *self)
{
    return (mpi_fields *)((char *)self + fields_offset);
}

bool
is_mpiarray(module_state *state, PyObject *object)
{
    return PyObject_TypeCheck(object, state->mpiarray_type);
}

distribution *
mpiarray_fields(PyObject *array)
{
    return &fields_of(array)->dist;
}

static void
raise_formatted(PyObject *exception, const char *format, va_list arguments)
{
    PyObject *text = PyUnicode_FromFormatV(format, arguments);
    if (text != NULL) {
        PyErr_SetObject(exception != NULL ? exception : PyExc_ValueError, text);
        Py_DECREF(text);
    }
}

void
raise_axis(module_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    raise_formatted(state->axis_exception, format, arguments);
    va_end(arguments);
}

void
raise_unsupported(module_state *state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    raise_formatted(state->unsupported_operation, format, arguments);
    va_end(arguments);
}

static bool
is_known(PyArrayObject *array, const distribution *dist)
{
    return dist->axis >= 0 && dist->axis < PyArray_NDIM(array) &&
           PyArray_DIM(array, dist->axis) == dist->local;
}

distribution *
mpiarray_known(module_state *state, PyObject *array)
{
    distribution *dist = mpiarray_fields(array);
    if (!is_known((PyArrayObject *)array, dist)) {
        raise_axis(state, "the distribution of this array is not known any more: it was made by an "
                          "operation that changed its axes; use .local_array and MPIArray.wrap");
        return NULL;
    }
    return dist;
}

void
mpiarray_set(PyObject *array, PyObject *comm, int axis, npy_intp length, npy_intp offset)
{
    distribution *dist = mpiarray_fields(array);
    Py_XSETREF(dist->comm, Py_XNewRef(comm));
    dist->axis = axis;
    dist->length = length;
    dist->offset = offset;
    dist->local = axis >= 0 && axis < PyArray_NDIM((PyArrayObject *)array)
                      ? PyArray_DIM((PyArrayObject *)array, axis)
                      : -1;
}

PyObject *
mpiarray_around(PyTypeObject *type, PyObject *local, PyObject *comm, int axis, npy_intp length,
                npy_intp offset)
{
    if (local == NULL) {
        return NULL;
    }
    PyObject *array = PyArray_View((PyArrayObject *)local, NULL, type);
    Py_DECREF(local);
    if (array != NULL) {
        mpiarray_set(array, comm, axis, length, offset);
    }
    return array;
}

PyObject *
mpiarray_local(PyObject *array)
{
    return PyArray_View((PyArrayObject *)array, NULL, &PyArray_Type);
}

int
same_comm(PyObject *a, PyObject *b)
{
    if (a == b || a == NULL || b == NULL) {
        return a == b;
    }
    return PyObject_RichCompareBool(a, b, Py_EQ);
}

int
distributions_equal(module_state *state, PyObject *a, PyObject *b)
{
    bool distributed = is_mpiarray(state, a);
    if (distributed != is_mpiarray(state, b) || !distributed) {
        return distributed == is_mpiarray(state, b);
    }
    const distribution *left = mpiarray_fields(a), *right = mpiarray_fields(b);
    return left->axis == right->axis && left->length == right->length &&
                   left->offset == right->offset
               ? same_comm(left->comm, right->comm)
               : 0;
}

/* ---- making one ---- */

static int64_t
comm_number(PyObject *comm, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(comm, name);
    int64_t number = value != NULL ? PyLong_AsLongLong(value) : -1;
    Py_XDECREF(value);
    return number;
}

/* The world, asked for once; borrowed. NULL without an error: there is no MPI. */
static PyObject *
world_comm(module_state *state)
{
    if (state->world_comm == NULL && state->world != NULL) {
        state->world_comm = PyObject_CallNoArgs(state->world);
    }
    return state->world_comm == Py_None ? NULL : state->world_comm;
}

/* The communicator for what was given: None is the world. *comm borrowed, NULL where there is no
   MPI: one rank. */
static int
resolve_comm(module_state *state, PyObject *given, PyObject **comm, int64_t *size, int64_t *rank)
{
    *comm = given != NULL && given != Py_None ? given : world_comm(state);
    *size = 1;
    *rank = 0;
    if (*comm == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    *size = comm_number(*comm, state->str_size);
    *rank = *size > 0 ? comm_number(*comm, state->str_rank) : -1;
    if (*size < 1 || *rank < 0) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "not a communicator: %R", *comm);
        }
        return -1;
    }
    return 0;
}

/* `axis` of `ndim`, counted from the front; -1 with AxisException. */
static int
normal_axis(module_state *state, int axis, int ndim)
{
    if (axis < -ndim || axis >= ndim) {
        raise_axis(state, "axis %d does not exist in an array of %d axes", axis, ndim);
        return -1;
    }
    return axis < 0 ? axis + ndim : axis;
}

/* args = (global_shape, axis, comm, *rest): the arguments of ndarray for the local part. */
static PyObject *
ndarray_arguments(PyObject *args, PyArray_Dims *dims)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    PyObject *local = PyTuple_New(count > 3 ? count - 2 : 1);
    PyObject *shape = local != NULL ? PyArray_IntTupleFromIntp(dims->len, dims->ptr) : NULL;
    if (shape == NULL) {
        Py_XDECREF(local);
        return NULL;
    }
    PyTuple_SET_ITEM(local, 0, shape);
    for (Py_ssize_t i = 3; i < count; i++) {
        PyTuple_SET_ITEM(local, i - 2, Py_NewRef(PyTuple_GET_ITEM(args, i)));
    }
    return local;
}

/* One of our own arguments, by position or taken out of `kwargs`; new reference, NULL: not given. */
static int
own_argument(PyObject *args, PyObject *kwargs, Py_ssize_t position, const char *name,
             PyObject **value)
{
    *value = NULL;
    if (position < PyTuple_GET_SIZE(args)) {
        *value = Py_NewRef(PyTuple_GET_ITEM(args, position));
    }
    PyObject *named = kwargs != NULL ? PyDict_GetItemString(kwargs, name) : NULL;
    if (named == NULL) {
        return 0;
    }
    if (*value != NULL) {
        PyErr_Format(PyExc_TypeError, "got several values for the argument '%s'", name);
        Py_CLEAR(*value);
        return -1;
    }
    *value = Py_NewRef(named);
    return PyDict_DelItemString(kwargs, name);
}

static PyObject *
mpiarray_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    module_state *state = state_of_type(type);
    PyObject *rest = kwargs != NULL ? PyDict_Copy(kwargs) : NULL;
    PyObject *shape = NULL, *axis_given = NULL, *comm_given = NULL, *comm = NULL;
    PyObject *local = NULL, *self = NULL;
    PyArray_Dims dims = {NULL, 0};
    if ((kwargs != NULL && rest == NULL) ||
        own_argument(args, rest, 0, "global_shape", &shape) < 0 ||
        own_argument(args, rest, 1, "axis", &axis_given) < 0 ||
        own_argument(args, rest, 2, "comm", &comm_given) < 0) {
        goto done;
    }
    if (shape == NULL) {
        PyErr_SetString(PyExc_TypeError, "missing the argument 'global_shape'");
        goto done;
    }
    int axis = axis_given != NULL ? PyArray_PyIntAsInt(axis_given) : 0;
    if ((axis == -1 && PyErr_Occurred()) || !PyArray_IntpConverter(shape, &dims)) {
        goto done;
    }
    axis = normal_axis(state, axis, dims.len);
    int64_t size, rank;
    if (axis < 0 || resolve_comm(state, comm_given, &comm, &size, &rank) < 0) {
        goto done;
    }
    npy_intp length = dims.ptr[axis];
    if (length < 0) {
        PyErr_Format(PyExc_ValueError, "a length cannot be negative: %R", shape);
        goto done;
    }
    split_part part = split_local(length, size, rank);
    dims.ptr[axis] = part.count;
    local = ndarray_arguments(args, &dims);
    self = local != NULL ? PyArray_Type.tp_new(type, local, rest) : NULL;
    if (self != NULL) {
        mpiarray_set(self, comm, axis, length, part.start);
    }
done:
    PyDimMem_FREE(dims.ptr);
    Py_XDECREF(rest);
    Py_XDECREF(shape);
    Py_XDECREF(axis_given);
    Py_XDECREF(comm_given);
    Py_XDECREF(local);
    return self;
}

PyDoc_STRVAR(finalize_doc,
"__array_finalize__($self, obj, /)\n--\n\n"
"NumPy made this array from `obj`: take over the distribution if the axis has its length still.");

static PyObject *
mpiarray_finalize(PyObject *self, PyObject *obj)
{
    distribution *dist = mpiarray_fields(self);
    dist->axis = -1;
    if (obj != Py_None && (Py_TYPE(obj) == Py_TYPE(self) || is_mpiarray(state_of(self), obj))) {
        const distribution *from = mpiarray_fields(obj);
        if (is_known((PyArrayObject *)obj, from) &&
            PyArray_NDIM((PyArrayObject *)self) == PyArray_NDIM((PyArrayObject *)obj) &&
            PyArray_DIM((PyArrayObject *)self, from->axis) == from->local) {
            mpiarray_set(self, from->comm, from->axis, from->length, from->offset);
        }
        else {
            Py_XSETREF(dist->comm, Py_XNewRef(from->comm));
        }
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(from_local_doc,
"_from_local($type, array, axis, comm, length, offset, /)\n--\n\n"
"A view of an ndarray as this rank's part: nothing is checked but that the axis exists.");

static PyObject *
mpiarray_from_local(PyObject *cls, PyObject *args)
{
    PyObject *array, *comm;
    int axis;
    Py_ssize_t length, offset;
    if (!PyArg_ParseTuple(args, "O!iOnn:_from_local", &PyArray_Type, &array, &axis, &comm, &length,
                          &offset)) {
        return NULL;
    }
    axis =
        normal_axis(state_of_type((PyTypeObject *)cls), axis, PyArray_NDIM((PyArrayObject *)array));
    if (axis < 0) {
        return NULL;
    }
    return mpiarray_around((PyTypeObject *)cls, Py_NewRef(array), comm == Py_None ? NULL : comm,
                           axis, length, offset);
}

/* ---- properties ---- */

PyObject *
mpiarray_global_shape(module_state *state, PyObject *self)
{
    distribution *dist = mpiarray_known(state, self);
    if (dist == NULL) {
        return NULL;
    }
    PyArrayObject *array = (PyArrayObject *)self;
    npy_intp dims[NPY_MAXDIMS];
    for (int i = 0; i < PyArray_NDIM(array); i++) {
        dims[i] = i == dist->axis ? dist->length : PyArray_DIM(array, i);
    }
    return PyArray_IntTupleFromIntp(PyArray_NDIM(array), dims);
}

static PyObject *
get_global_shape(PyObject *self, void *Py_UNUSED(closure))
{
    return mpiarray_global_shape(state_of(self), self);
}

static PyObject *
get_local_shape(PyObject *self, void *Py_UNUSED(closure))
{
    PyArrayObject *array = (PyArrayObject *)self;
    return PyArray_IntTupleFromIntp(PyArray_NDIM(array), PyArray_DIMS(array));
}

static PyObject *
get_local_offset(PyObject *self, void *Py_UNUSED(closure))
{
    distribution *dist = mpiarray_known(state_of(self), self);
    if (dist == NULL) {
        return NULL;
    }
    npy_intp offsets[NPY_MAXDIMS] = {0};
    offsets[dist->axis] = dist->offset;
    return PyArray_IntTupleFromIntp(PyArray_NDIM((PyArrayObject *)self), offsets);
}

static PyObject *
get_local_bounds(PyObject *self, void *Py_UNUSED(closure))
{
    distribution *dist = mpiarray_known(state_of(self), self);
    if (dist == NULL) {
        return NULL;
    }
    PyObject *start = PyLong_FromSsize_t(dist->offset);
    PyObject *stop = PyLong_FromSsize_t(dist->offset + dist->local);
    PyObject *bounds = start != NULL && stop != NULL ? PySlice_New(start, stop, NULL) : NULL;
    Py_XDECREF(start);
    Py_XDECREF(stop);
    return bounds;
}

static PyObject *
get_axis(PyObject *self, void *Py_UNUSED(closure))
{
    distribution *dist = mpiarray_known(state_of(self), self);
    return dist != NULL ? PyLong_FromLong(dist->axis) : NULL;
}

static PyObject *
get_local_array(PyObject *self, void *Py_UNUSED(closure))
{
    return mpiarray_local(self);
}

static PyObject *
get_comm(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *comm = mpiarray_fields(self)->comm;
    return Py_NewRef(comm != NULL ? comm : Py_None);
}

static int
set_comm(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(mpiarray_fields(self)->comm,
               value != NULL && value != Py_None ? Py_NewRef(value) : NULL);
    return 0;
}

/* ---- moving axes ---- */

/* The transposed array, with the distributed axis where it went. */
static PyObject *
transposed(PyObject *self, PyArray_Dims *order)
{
    distribution *dist = mpiarray_known(state_of(self), self);
    if (dist == NULL) {
        return NULL;
    }
    int ndim = PyArray_NDIM((PyArrayObject *)self), axis = ndim - 1 - dist->axis;
    PyObject *result = PyArray_Transpose((PyArrayObject *)self, order);
    if (result == NULL) {
        return NULL;
    }
    for (int i = 0; order != NULL && i < order->len; i++) {
        npy_intp from = order->ptr[i] < 0 ? order->ptr[i] + ndim : order->ptr[i];
        if (from == dist->axis) {
            axis = i;
        }
    }
    mpiarray_set(result, dist->comm, axis, dist->length, dist->offset);
    return result;
}

static PyObject *
get_transposed(PyObject *self, void *Py_UNUSED(closure))
{
    return transposed(self, NULL);
}

PyDoc_STRVAR(transpose_doc,
"transpose($self, /, *axes)\n--\n\n"
"A view with the axes in another order, as `numpy.ndarray.transpose`; the distributed axis is\n"
"followed. Not collective.");

static PyObject *
mpiarray_transpose(PyObject *self, PyObject *args)
{
    PyObject *given = PyTuple_GET_SIZE(args) == 1 ? PyTuple_GET_ITEM(args, 0) : args;
    if (given == Py_None || PyTuple_GET_SIZE(args) == 0) {
        return transposed(self, NULL);
    }
    PyArray_Dims order = {NULL, 0};
    PyObject *fixed = PyIndex_Check(given) ? PyTuple_Pack(1, given) : PySequence_Tuple(given);
    PyObject *result = NULL;
    if (fixed != NULL && PyArray_IntpConverter(fixed, &order)) {
        result = transposed(self, &order);
    }
    PyDimMem_FREE(order.ptr);
    Py_XDECREF(fixed);
    return result;
}

/* ---- memory ---- */

static int
mpiarray_traverse(PyObject *self, visitproc visit, void *arg)
{
    mpi_fields *fields = fields_of(self); /* zero before the first finalize */
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(fields->dist.comm);
    Py_VISIT(fields->instance_dict);
    return 0;
}

static int
mpiarray_clear(PyObject *self)
{
    mpi_fields *fields = fields_of(self);
    Py_CLEAR(fields->dist.comm);
    Py_CLEAR(fields->instance_dict);
    return 0;
}

static void
mpiarray_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self); /* before anything that may run code */
    mpiarray_clear(self);
    PyArray_Type.tp_dealloc(self);
    if (!(PyArray_Type.tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        Py_DECREF(type); /* a static type's dealloc does not know that ours is counted */
    }
}

/* ---- the type ---- */

PyDoc_STRVAR(mpiarray_doc,
"_MPIArray(global_shape, axis=0, comm=None, *args, **kwargs)\n--\n\n"
"An ndarray that is this rank's part of a longer one: what `MPIArray` is made of.\n\n"
"Knows how it is distributed and keeps that right through views, indexing and ufuncs; never\n"
"communicates.\n");

static PyGetSetDef mpiarray_getset[] = {
    {"global_shape", get_global_shape, NULL, "Shape of the whole array.", NULL},
    {"local_shape", get_local_shape, NULL, "Shape of this rank's part.", NULL},
    {"local_offset", get_local_offset, NULL, "Where this rank's part begins, for each axis.", NULL},
    {"local_bounds", get_local_bounds, NULL,
     "This rank's part of the distributed axis, a slice of global indices.", NULL},
    {"axis", get_axis, NULL, "The distributed axis, counted from the front.", NULL},
    {"local_array", get_local_array, NULL, "This rank's part as a plain ndarray; shared.", NULL},
    {"global_slice", mpiarray_global_slice, NULL, "Indexing with indices of the whole array.",
     NULL},
    {"comm", get_comm, set_comm, "The communicator, or None. Settable.", NULL},
    {"T", get_transposed, NULL, "The transposed array, a view.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef mpiarray_methods[] = {
    {"__array_finalize__", mpiarray_finalize, METH_O, finalize_doc},
    {"__array_ufunc__", SLOT_FUNC(PyCFunctionWithKeywords, mpiarray_ufunc),
     METH_VARARGS | METH_KEYWORDS,
     "__array_ufunc__($self, ufunc, method, *inputs, **kwargs)\n--\n\n"
     "Check that the operands are distributed alike, then apply the ufunc to the local parts."},
    {"_from_local", mpiarray_from_local, METH_VARARGS | METH_CLASS, from_local_doc},
    {"transpose", mpiarray_transpose, METH_VARARGS, transpose_doc},
    {NULL, NULL, 0, NULL},
};

int
mpiarray_init(PyObject *module, module_state *state)
{
    size_t align = _Alignof(mpi_fields);
    fields_offset = ((size_t)PyArray_Type.tp_basicsize + align - 1) / align * align;
    PyMemberDef members[] = {
        {"__dictoffset__", Py_T_PYSSIZET,
         (Py_ssize_t)(fields_offset + offsetof(mpi_fields, instance_dict)), Py_READONLY, NULL},
        {NULL, 0, 0, 0, NULL},
    };
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)mpiarray_doc},
        {Py_tp_new, SLOT_FUNC(newfunc, mpiarray_new)},
        {Py_tp_dealloc, SLOT_FUNC(destructor, mpiarray_dealloc)},
        {Py_tp_traverse, SLOT_FUNC(traverseproc, mpiarray_traverse)},
        {Py_tp_clear, SLOT_FUNC(inquiry, mpiarray_clear)},
        {Py_mp_subscript, SLOT_FUNC(binaryfunc, mpiarray_subscript)},
        {Py_mp_ass_subscript, SLOT_FUNC(objobjargproc, mpiarray_ass_subscript)},
        {Py_tp_members, members},
        {Py_tp_getset, mpiarray_getset},
        {Py_tp_methods, mpiarray_methods},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "memdata._cmemdata._MPIArray",
        .basicsize = (int)(fields_offset + sizeof(mpi_fields)),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
                 Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return add_type(module, &spec, &PyArray_Type, &state->mpiarray_type);
}
