/* MemDatasetDistributed: a dataset whose data are one MPIArray.

   Shape and indices are those of the whole array; length and iteration are over the local part. The
   body is the same as that of other datasets: the array in it is the MPIArray, so that a
   redistribution through one handle is seen through all. */
#include "attrs.h"
#include "dataset.h"
#include "mpiarray.h"

/* The MPIArray, borrowed. */
static PyObject *
distributed_array(PyObject *self)
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body != NULL && !is_mpiarray(state_of(self), body->array)) {
        PyErr_SetString(PyExc_TypeError, "the data of this dataset are not distributed");
        return NULL;
    }
    return body != NULL ? body->array : NULL;
}

static PyObject *
distributed_subscript(PyObject *self, PyObject *key)
{
    PyObject *array = distributed_array(self);
    PyObject *slice = array != NULL ? mpiarray_global_slice(array, NULL) : NULL;
    PyObject *result = slice != NULL ? PyObject_GetItem(slice, key) : NULL;
    Py_XDECREF(slice);
    return result;
}

static int
distributed_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *array = distributed_array(self);
    PyObject *slice = array != NULL ? mpiarray_global_slice(array, NULL) : NULL;
    int done = slice == NULL   ? -1
               : value != NULL ? PyObject_SetItem(slice, key, value)
                               : PyObject_DelItem(slice, key);
    Py_XDECREF(slice);
    return done;
}

static Py_ssize_t
distributed_length(PyObject *self)
{
    PyObject *array = distributed_array(self);
    return array != NULL ? PyObject_Size(array) : -1;
}

static PyObject *
distributed_iter(PyObject *self)
{
    PyObject *array = distributed_array(self);
    PyObject *local = array != NULL ? mpiarray_local(array) : NULL;
    PyObject *iterator = local != NULL ? PyObject_GetIter(local) : NULL;
    Py_XDECREF(local);
    return iterator;
}

/* ---- properties ---- */

static PyObject *
get_data(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(distributed_array(self));
}

static PyObject *
get_local_data(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *array = distributed_array(self);
    return array != NULL ? mpiarray_local(array) : NULL;
}

/* For NumPy: the local part, not copied. */
static PyObject *
get_dunder_array(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *local = get_local_data(self, NULL);
    PyObject *method =
        local != NULL ? PyObject_GetAttr(local, state_of(self)->str___array__) : NULL;
    Py_XDECREF(local);
    return method;
}

static PyObject *
get_shape(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *array = distributed_array(self);
    return array != NULL ? mpiarray_global_shape(state_of(self), array) : NULL;
}

/* An attribute of the array under the name in `closure`. */
static PyObject *
get_from_array(PyObject *self, void *closure)
{
    PyObject *array = distributed_array(self);
    return array != NULL ? get_attribute(array, closure) : NULL;
}

static PyObject *
get_constant(PyObject *Py_UNUSED(self), void *closure)
{
    return Py_NewRef(closure != NULL ? Py_True : Py_False);
}

PyDoc_STRVAR(redistribute_doc,
"redistribute($self, /, axis, **kwargs)\n--\n\n"
"Cut the dataset along another axis. Collective.\n\n"
"The stored dataset changes: all handles on it see the new array.\n\n"
"Parameters\n----------\n"
"axis : int\n    The new distributed axis.\n"
"**kwargs\n    As `MPIArray.redistribute` takes them.\n");

static PyObject *
distributed_redistribute(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *array = distributed_array(self);
    PyObject *method =
        array != NULL ? PyObject_GetAttr(array, state_of(self)->str_redistribute) : NULL;
    PyObject *moved = method != NULL ? PyObject_Call(method, args, kwargs) : NULL;
    Py_XDECREF(method);
    if (moved == NULL) {
        return NULL;
    }
    body_set_array(((Dataset *)self)->body, moved);
    Py_RETURN_NONE;
}

/* ---- making one ---- */

static int
zero_fill(PyObject *array)
{
    if (PyDataType_REFCHK(PyArray_DESCR((PyArrayObject *)array))) {
        PyObject *zero = PyLong_FromLong(0);
        int done = zero != NULL ? PyArray_FillWithScalar((PyArrayObject *)array, zero) : -1;
        Py_XDECREF(zero);
        return done;
    }
    memset(PyArray_DATA((PyArrayObject *)array), 0, (size_t)PyArray_NBYTES((PyArrayObject *)array));
    return 0;
}

/* A new MPIArray of zeros; `values` are shape, dtype, axis, comm. */
static PyObject *
zeros(module_state *state, PyObject *const *values)
{
    if (state->array_class == NULL) {
        return PyErr_Format(PyExc_RuntimeError, "memdata is not completely imported");
    }
    PyObject *axis = values[2] != NULL ? Py_NewRef(values[2]) : PyLong_FromLong(0);
    PyObject *args = axis != NULL
                         ? PyTuple_Pack(3, values[0], axis, values[3] != NULL ? values[3] : Py_None)
                         : NULL;
    PyObject *kwargs = args != NULL ? Py_BuildValue("{sO}", "dtype", values[1]) : NULL;
    PyObject *array = kwargs != NULL ? PyObject_Call(state->array_class, args, kwargs) : NULL;
    Py_XDECREF(axis);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    if (array != NULL && zero_fill(array) < 0) {
        Py_CLEAR(array);
    }
    return array;
}

static int
distributed_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const first[] = {"shape", "dtype", "axis", "comm"};
    module_state *state = state_of(self);
    PyObject *values[4] = {NULL, NULL, NULL, NULL}, *array = NULL;
    dataset_keywords given = {NULL, NULL, NULL, NULL};
    int done = dataset_keywords_parse(args, kwargs, first, values, 4, 2, &given);
    if (done == 0) {
        done = object_init_keywords((MemObject *)self, given.place);
    }
    if (done == 0) {
        array = zeros(state, values);
        DatasetBody *body = dataset_body_from(state, array, &given);
        if (body != NULL) {
            Py_XSETREF(((Dataset *)self)->body, body);
        }
        done = body != NULL ? 0 : -1;
    }
    if (done < 0) {
        object_name_in_error((MemObject *)self, NULL);
    }
    Py_XDECREF(array);
    for (int i = 0; i < 4; i++) {
        Py_XDECREF(values[i]);
    }
    dataset_keywords_clear(&given);
    return done;
}

PyDoc_STRVAR(from_mpi_array_doc,
"from_mpi_array($type, /, data, chunks=None, compression=None, compression_opts=None, **kw)\n"
"--\n\n"
"A dataset around an existing distributed array; the memory is shared, nothing is copied.\n\n"
"Parameters\n----------\n"
"data : MPIArray\n    Becomes the dataset's data.\n"
"chunks : tuple of int or None\n    One length per axis of the whole array, cut down to the axis.\n"
"compression, compression_opts\n    Filter and options for saving, as h5py takes them.\n"
"**kw\n    `storage_root` and `name`.\n\n"
"Raises\n------\n"
"TypeError\n    `data` is not an MPIArray.\n"
"ValueError\n    The chunks do not fit the shape.\n");

static PyObject *
distributed_from_mpi_array(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    static const char *const first[] = {"data"};
    PyTypeObject *type = (PyTypeObject *)cls;
    module_state *state = state_of_type(type);
    dataset_keywords given = {NULL, NULL, NULL, NULL};
    PyObject *data = NULL, *self = NULL;
    if (dataset_keywords_parse(args, kwargs, first, &data, 1, 1, &given) < 0) {
        goto done;
    }
    if (!is_mpiarray(state, data)) {
        PyErr_Format(PyExc_TypeError, "data must be an MPIArray, not %.200s",
                     Py_TYPE(data)->tp_name);
        goto done;
    }
    if (mpiarray_known(state, data) != NULL) {
        self = dataset_around(type, dataset_body_from(state, data, &given));
    }
    if (self != NULL && object_init_keywords((MemObject *)self, given.place) < 0) {
        Py_CLEAR(self);
    }
done:
    Py_XDECREF(data);
    dataset_keywords_clear(&given);
    return self;
}

static PyObject *
distributed_repr(PyObject *self)
{
    PyObject *name = object_name((MemObject *)self);
    PyObject *array = name != NULL ? distributed_array(self) : NULL;
    PyObject *shape = array != NULL ? mpiarray_global_shape(state_of(self), array) : NULL;
    PyObject *type =
        shape != NULL ? PyObject_Str((PyObject *)PyArray_DESCR((PyArrayObject *)array)) : NULL;
    PyObject *text = NULL;
    if (type != NULL) {
        text = PyUnicode_FromFormat(
            "<memh5 distributed dataset %R: global_shape %R, dist_axis %d, type %R>", name, shape,
            mpiarray_fields(array)->axis, type);
    }
    Py_XDECREF(shape);
    Py_XDECREF(type);
    return text;
}

/* ---- the type ---- */

PyDoc_STRVAR(distributed_doc,
"MemDatasetDistributed(shape, dtype, axis=0, comm=None, chunks=None, compression=None, "
"compression_opts=None, **kw)\n--\n\n"
"A dataset in memory that is cut along one axis over the ranks of a communicator.\n\n"
"Indices are those of the whole array, see `MPIArray.global_slice`; they never communicate.\n\n"
"Parameters\n----------\n"
"shape : tuple of int\n    Shape of the whole array; the data are zero.\n"
"dtype : data-type\n    Type of the elements.\n"
"axis : int\n    The distributed axis.\n"
"comm : mpi4py.MPI.Comm or None\n    None is the world.\n"
"chunks, compression, compression_opts\n    As for `MemDatasetCommon`, for the whole array.\n"
"**kw\n    `storage_root` and `name`.\n");

static PyGetSetDef distributed_getset[] = {
    {"data", get_data, NULL, "The MPIArray itself, not a copy.", NULL},
    {"local_data", get_local_data, NULL, "This rank's part as a plain ndarray; shared.", NULL},
    {"__array__", get_dunder_array, NULL,
     "For NumPy: the local part as an ndarray, not copied unless asked.", NULL},
    {"shape", get_shape, NULL, "Shape of the whole array.", NULL},
    {"global_shape", get_shape, NULL, "Shape of the whole array.", NULL},
    {"local_shape", get_from_array, NULL, "Shape of this rank's part.", "local_shape"},
    {"local_offset", get_from_array, NULL, "Where this rank's part begins.", "local_offset"},
    {"distributed_axis", get_from_array, NULL, "The distributed axis.", "axis"},
    {"comm", get_from_array, NULL, "The communicator.", "comm"},
    {"dtype", get_from_array, NULL, "Type of the elements.", "dtype"},
    {"ndim", get_from_array, NULL, "Number of axes.", "ndim"},
    {"common", get_constant, NULL, "False: each rank has a part.", NULL},
    {"distributed", get_constant, NULL, "True: each rank has a part.", "yes"},
    {"chunks", dataset_get_chunks, dataset_set_chunks,
     "Chunk shape for saving: None, or one length per axis. Settable.", NULL},
    {"compression", dataset_get_compression, dataset_set_compression,
     "Filter for saving. Settable.", NULL},
    {"compression_opts", dataset_get_compression_opts, dataset_set_compression_opts,
     "Options of the filter. Settable.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef distributed_methods[] = {
    {"from_mpi_array", SLOT_FUNC(PyCFunctionWithKeywords, distributed_from_mpi_array),
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, from_mpi_array_doc},
    {"redistribute", SLOT_FUNC(PyCFunctionWithKeywords, distributed_redistribute),
     METH_VARARGS | METH_KEYWORDS, redistribute_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot distributed_slots[] = {
    {Py_tp_doc, (void *)distributed_doc},
    {Py_tp_init, SLOT_FUNC(initproc, distributed_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, dataset_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, dataset_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, dataset_clear)},
    {Py_tp_repr, SLOT_FUNC(reprfunc, distributed_repr)},
    {Py_tp_iter, SLOT_FUNC(getiterfunc, distributed_iter)},
    {Py_tp_getset, distributed_getset},
    {Py_tp_methods, distributed_methods},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, distributed_subscript)},
    {Py_mp_ass_subscript, SLOT_FUNC(objobjargproc, distributed_ass_subscript)},
    {Py_mp_length, SLOT_FUNC(lenfunc, distributed_length)},
    {0, NULL},
};

static PyType_Spec distributed_spec = {
    .name = "memdata.MemDatasetDistributed",
    .basicsize = sizeof(Dataset),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = distributed_slots,
};

int
distributed_init(PyObject *module, module_state *state)
{
    return add_type(module, &distributed_spec, state->dataset_type, &state->distributed_type);
}
