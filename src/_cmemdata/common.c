/* MemDatasetCommon: a dataset whose data are one ndarray, the same on every rank.

   Indexing is NumPy's own: `d[idx]` is `d.data[idx]`, so a basic slice is a view of the stored
   data. The array may instead be somebody's null dataspace (h5py.Empty): an object whose shape is
   None. It is handed out for `d[()]` and `d[...]`, as h5py does. */
#include "arrays.h"
#include "attrs.h"
#include "dataset.h"
#include "npyapi.h"

/* The ndarray, borrowed; NULL with TypeError for a null dataspace. */
static PyArrayObject *
common_array(PyObject *self)
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body == NULL) {
        return NULL;
    }
    if (!PyArray_Check(body->array)) {
        PyErr_SetString(PyExc_TypeError, "a dataset with a null dataspace has no elements");
        return NULL;
    }
    return (PyArrayObject *)body->array;
}

/* ---- indexing ---- */

/* NumPy has refused an index (the error is set): the Python layer may know what h5py means by it. It returns
   NotImplemented where it does not, and NumPy's error stays. `value` NULL: read. */
static PyObject *
other_index(PyObject *self, PyObject *key, PyObject *value)
{
    module_state *state = state_of(self);
    PyObject *type, *error, *traceback, *result;
    if (state->other_index == NULL ||
        !(PyErr_ExceptionMatches(PyExc_IndexError) || PyErr_ExceptionMatches(PyExc_TypeError) ||
          PyErr_ExceptionMatches(PyExc_ValueError))) {
        return NULL;
    }
    PyErr_Fetch(&type, &error, &traceback);
    result = value != NULL
                 ? PyObject_CallFunctionObjArgs(state->other_index, self, key, value, NULL)
                 : PyObject_CallFunctionObjArgs(state->other_index, self, key, NULL);
    if (result != Py_NotImplemented) {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
        return result;
    }
    Py_DECREF(result);
    PyErr_Restore(type, error, traceback);
    return NULL;
}

/* Elements that are arrays themselves: an index counts the axes before theirs. */
static PyObject *
index_of_arrays(PyObject *self, PyObject *key, PyObject *value)
{
    module_state *state = state_of(self);
    if (state->other_index == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "memdata is not imported");
        return NULL;
    }
    return PyObject_CallFunctionObjArgs(state->other_index, self, key, value, NULL);
}

static PyObject *
common_subscript(PyObject *self, PyObject *key)
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body == NULL) {
        return NULL;
    }
    if (body_inner_axes(body) > 0) {
        return index_of_arrays(self, key, NULL);
    }
    if (PyArray_Check(body->array)) {
        PyObject *array = Py_NewRef(body->array);
        PyObject *part = PyObject_GetItem(array, key);
        Py_DECREF(array);
        return part != NULL ? part : other_index(self, key, NULL);
    }
    if (key == Py_Ellipsis || (PyTuple_Check(key) && PyTuple_GET_SIZE(key) == 0)) {
        return Py_NewRef(body->array);
    }
    return PyErr_Format(PyExc_ValueError,
                        "a null dataspace can be read with () or ... only, not %R", key);
}

/* Does the type carry more than NumPy knows of (h5py's variable lengths, references)? */
static bool
has_metadata(PyArrayObject *array)
{
    PyObject *metadata = get_attribute((PyObject *)PyArray_DESCR(array), "metadata");
    bool has = metadata != NULL && metadata != Py_None;
    Py_XDECREF(metadata);
    return has;
}

/* Set elements that are objects of a certain kind: the Python layer makes them so. */
static int
set_special(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *done =
        PyObject_CallMethodObjArgs(self, state_of(self)->str__set_special, key, value, NULL);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static int
common_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    PyArrayObject *array = common_array(self);
    if (array == NULL) {
        return -1;
    }
    if (value == NULL) {
        return PyObject_DelItem((PyObject *)array, key);
    }
    if (body_inner_axes(((Dataset *)self)->body) > 0) {
        PyObject *none = index_of_arrays(self, key, value);
        Py_XDECREF(none);
        return none != NULL ? 0 : -1;
    }
    if (PyArray_TYPE(array) == NPY_OBJECT && has_metadata(array)) {
        return set_special(self, key, value);
    }
    Py_INCREF(array);
    int done = PyObject_SetItem((PyObject *)array, key, value);
    Py_DECREF(array);
    if (done < 0) {
        PyObject *none = other_index(self, key, value);
        Py_XDECREF(none);
        done = none != NULL ? 0 : -1;
    }
    return done;
}

static Py_ssize_t
common_length(PyObject *self)
{
    PyArrayObject *array = common_array(self);
    if (array == NULL) {
        return -1;
    }
    if (PyArray_NDIM(array) > 0 &&
        body_inner_axes(((Dataset *)self)->body) == PyArray_NDIM(array)) {
        PyErr_SetString(PyExc_TypeError, "a scalar dataset has no length");
        return -1;
    }
    return PyObject_Size((PyObject *)array);
}

static PyObject *
common_iter(PyObject *self)
{
    PyArrayObject *array = common_array(self);
    return array != NULL ? PyObject_GetIter((PyObject *)array) : NULL;
}

static int
common_contains(PyObject *self, PyObject *value)
{
    PyArrayObject *array = common_array(self);
    return array != NULL ? PySequence_Contains((PyObject *)array, value) : -1;
}

/* ---- properties ---- */

static PyObject *
common_get_data(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body != NULL ? Py_NewRef(body->array) : NULL;
}

static PyObject *
common_get_shape(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body == NULL || !PyArray_Check(body->array)) {
        return body != NULL ? Py_NewRef(Py_None) : NULL;
    }
    PyArrayObject *array = (PyArrayObject *)body->array;
    return PyArray_IntTupleFromIntp(PyArray_NDIM(array) - body_inner_axes(body),
                                    PyArray_DIMS(array));
}

/* The type of elements that are arrays, as the last `inner` axes say. */
static PyObject *
type_of_arrays(PyArrayObject *array, int inner)
{
    PyObject *shape =
        PyArray_IntTupleFromIntp(inner, PyArray_DIMS(array) + PyArray_NDIM(array) - inner);
    PyObject *pair =
        shape != NULL ? PyTuple_Pack(2, (PyObject *)PyArray_DESCR(array), shape) : NULL;
    PyArray_Descr *dtype = NULL;
    if (pair != NULL && PyArray_DescrConverter(pair, &dtype) == NPY_FAIL) {
        dtype = NULL;
    }
    Py_XDECREF(shape);
    Py_XDECREF(pair);
    return (PyObject *)dtype;
}

static PyObject *
common_get_dtype(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body == NULL) {
        return NULL;
    }
    if (PyArray_Check(body->array)) {
        PyArrayObject *array = (PyArrayObject *)body->array;
        int inner = body_inner_axes(body);
        return inner > 0 ? type_of_arrays(array, inner)
                         : Py_NewRef((PyObject *)PyArray_DESCR(array));
    }
    return PyObject_GetAttr(body->array, state_of(self)->str_dtype);
}

/* The data, borrowed, or Py_None for a null dataspace; NULL with an error. */
static PyObject *
array_or_none(PyObject *self)
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body == NULL ? NULL : PyArray_Check(body->array) ? body->array : Py_None;
}

static PyObject *
common_get_ndim(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *array = array_or_none(self);
    return array == NULL
               ? NULL
               : PyLong_FromLong(array != Py_None ? PyArray_NDIM((PyArrayObject *)array) -
                                                        body_inner_axes(((Dataset *)self)->body)
                                                  : 0);
}

static PyObject *
common_get_size(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *array = array_or_none(self);
    if (array == NULL || array == Py_None) {
        return Py_XNewRef(array);
    }
    int ndim = PyArray_NDIM((PyArrayObject *)array) - body_inner_axes(((Dataset *)self)->body);
    return PyLong_FromSsize_t(PyArray_MultiplyList(PyArray_DIMS((PyArrayObject *)array), ndim));
}

static PyObject *
common_get_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *array = array_or_none(self);
    return array == NULL
               ? NULL
               : PyLong_FromSsize_t(array != Py_None ? PyArray_NBYTES((PyArrayObject *)array) : 0);
}

static PyObject *
common_get_constant(PyObject *Py_UNUSED(self), void *closure)
{
    return Py_NewRef(closure != NULL ? Py_True : Py_False);
}

static PyObject *
common_get_comm(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    Py_RETURN_NONE;
}

/* ---- for NumPy ---- */

/* `__array__` is the array's own: one call less between np.asarray and the data. There is neither a buffer nor
   `__array_interface__`: NumPy asks for those first, which is slower and loses the type's metadata. */
static PyObject *
common_get_dunder_array(PyObject *self, void *Py_UNUSED(closure))
{
    PyArrayObject *array = common_array(self);
    if (array == NULL) {
        return NULL;
    }
    DatasetBody *body = ((Dataset *)self)->body;
    if (body->as_array == NULL) {
        body->as_array = PyObject_GetAttr((PyObject *)array, state_of(self)->str___array__);
    }
    return Py_XNewRef(body->as_array);
}

PyDoc_STRVAR(set_data_doc,
"_set_data($self, array, /)\n--\n\n"
"Put another ndarray in place of the data, for all handles. Chunks are left as they are.");

static PyObject *
common_set_data(PyObject *self, PyObject *array)
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body == NULL) {
        return NULL;
    }
    if (!PyArray_CheckExact(array)) {
        return PyErr_Format(PyExc_TypeError, "a dataset's data must be an ndarray, not %.200s",
                            Py_TYPE(array)->tp_name);
    }
    body_set_array(body, Py_NewRef(array));
    Py_RETURN_NONE;
}

/* ---- making one ---- */

static int
common_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *const first[] = {"shape", "dtype"};
    module_state *state = state_of(self);
    dataset_keywords given = {NULL, NULL, NULL, NULL};
    PyObject *values[2] = {NULL, NULL}, *array = NULL;
    int done = dataset_keywords_parse(args, kwargs, first, values, 2, 2, &given);
    if (done == 0) {
        done = object_init_keywords((MemObject *)self, given.place);
    }
    if (done == 0) {
        array = array_for(state, values[0], values[1], NULL);
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
    Py_XDECREF(values[0]);
    Py_XDECREF(values[1]);
    dataset_keywords_clear(&given);
    return done;
}

PyDoc_STRVAR(from_numpy_array_doc,
"from_numpy_array($type, /, data, chunks=None, compression=None, compression_opts=None, **kw)\n"
"--\n\n"
"A dataset around an existing array; the memory is shared, nothing is copied.\n\n"
"Parameters\n----------\n"
"data : numpy.ndarray\n    Becomes the dataset's data. Or an `h5py.Empty`: a null dataspace.\n"
"chunks : tuple of int or None\n    One length per axis, cut down to the axis.\n"
"compression, compression_opts\n    Filter and options for saving, as h5py takes them.\n"
"**kw\n    `storage_root` and `name`.\n\n"
"Raises\n------\n"
"TypeError\n    `data` is not an ndarray.\n"
"ValueError\n    The chunks do not fit the shape.\n\n"
"Examples\n--------\n"
">>> import numpy as np\n"
">>> from memdata import MemDatasetCommon\n"
">>> a = np.zeros(3)\n"
">>> d = MemDatasetCommon.from_numpy_array(a)\n"
">>> a[0] = 1.0\n"
">>> print(d[0])\n"
"1.0\n");

static PyObject *
common_from_numpy_array(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    static const char *const first[] = {"data"};
    PyTypeObject *type = (PyTypeObject *)cls;
    module_state *state = state_of_type(type);
    dataset_keywords given = {NULL, NULL, NULL, NULL};
    PyObject *data = NULL, *array = NULL, *self = NULL;
    if (dataset_keywords_parse(args, kwargs, first, &data, 1, 1, &given) < 0) {
        goto done;
    }
    if (PyArray_Check(data)) {
        array = array_for(state, NULL, NULL, data);
    }
    else if (is_null_dataspace(state, data) == 1) {
        array = Py_NewRef(data);
    }
    else if (!PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "data must be a numpy.ndarray, not %.200s",
                     Py_TYPE(data)->tp_name);
    }
    self = dataset_around(type, dataset_body_from(state, array, &given));
    if (self != NULL && object_init_keywords((MemObject *)self, given.place) < 0) {
        Py_CLEAR(self);
    }
done:
    Py_XDECREF(data);
    Py_XDECREF(array);
    dataset_keywords_clear(&given);
    return self;
}

static PyObject *
common_repr(PyObject *self)
{
    PyObject *name = object_name((MemObject *)self);
    PyObject *shape = name != NULL ? common_get_shape(self, NULL) : NULL;
    PyObject *dtype = shape != NULL ? common_get_dtype(self, NULL) : NULL;
    PyObject *type = dtype != NULL ? PyObject_Repr(dtype) : NULL;
    PyObject *text = NULL;
    if (type != NULL) {
        text =
            PyUnicode_FromFormat("<memh5 common dataset %R: shape %R, type %R>", name, shape, type);
    }
    Py_XDECREF(shape);
    Py_XDECREF(dtype);
    Py_XDECREF(type);
    return text;
}

/* ---- the type ---- */

PyDoc_STRVAR(common_doc,
"MemDatasetCommon(shape, dtype, chunks=None, compression=None, compression_opts=None, **kw)\n"
"--\n\n"
"A dataset in memory that is the same on every rank: an ndarray with attributes.\n\n"
"Indexing is NumPy's: a basic slice is a view of the stored data.\n\n"
"Parameters\n----------\n"
"shape : int or tuple of int\n    Shape; the data are zero.\n"
"dtype : data-type\n    Type of the elements.\n"
"chunks : tuple of int or None\n    Chunk shape for saving: one length per axis, cut down to it.\n"
"compression, compression_opts\n    Filter and options for saving, as h5py takes them.\n"
"**kw\n    `storage_root` and `name`.\n\n"
"Raises\n------\n"
"ValueError\n    The chunks do not fit the shape.\n\n"
"Examples\n--------\n"
">>> from memdata import MemDatasetCommon\n"
">>> d = MemDatasetCommon((4, 5), \"f4\", chunks=(4, 100), name=\"/x\")\n"
">>> d\n"
"<memh5 common dataset '/x': shape (4, 5), type \"dtype('float32')\">\n"
">>> d.chunks\n"
"(4, 5)\n");

static PyGetSetDef common_getset[] = {
    {"data", common_get_data, NULL, "The ndarray itself, not a copy.", NULL},
    {"local_data", common_get_data, NULL, "The ndarray itself: all of it is on this rank.", NULL},
    {"shape", common_get_shape, NULL, "Shape; None for a null dataspace.", NULL},
    {"dtype", common_get_dtype, NULL, "Type of the elements.", NULL},
    {"ndim", common_get_ndim, NULL, "Number of axes; 0 for a null dataspace.", NULL},
    {"size", common_get_size, NULL, "Number of elements; None for a null dataspace.", NULL},
    {"nbytes", common_get_nbytes, NULL, "Bytes of the elements; 0 for a null dataspace.", NULL},
    {"__array__", common_get_dunder_array, NULL,
     "For NumPy: the data as an ndarray, not copied unless asked.", NULL},
    {"common", common_get_constant, NULL, "True: the same on every rank.", "yes"},
    {"distributed", common_get_constant, NULL, "False: the same on every rank.", NULL},
    {"comm", common_get_comm, NULL, "None: no communicator.", NULL},
    {"chunks", dataset_get_chunks, dataset_set_chunks,
     "Chunk shape for saving: None, or one length per axis. Settable.", NULL},
    {"compression", dataset_get_compression, dataset_set_compression,
     "Filter for saving. Settable.", NULL},
    {"compression_opts", dataset_get_compression_opts, dataset_set_compression_opts,
     "Options of the filter. Settable.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef common_methods[] = {
    {"from_numpy_array", SLOT_FUNC(PyCFunctionWithKeywords, common_from_numpy_array),
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, from_numpy_array_doc},
    {"_set_data", common_set_data, METH_O, set_data_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot common_slots[] = {
    {Py_tp_doc, (void *)common_doc},
    {Py_tp_init, SLOT_FUNC(initproc, common_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, dataset_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, dataset_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, dataset_clear)},
    {Py_tp_repr, SLOT_FUNC(reprfunc, common_repr)},
    {Py_tp_iter, SLOT_FUNC(getiterfunc, common_iter)},
    {Py_tp_getset, common_getset},
    {Py_tp_methods, common_methods},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, common_subscript)},
    {Py_mp_ass_subscript, SLOT_FUNC(objobjargproc, common_ass_subscript)},
    {Py_mp_length, SLOT_FUNC(lenfunc, common_length)},
    {Py_sq_contains, SLOT_FUNC(objobjproc, common_contains)},
    {0, NULL},
};

static PyType_Spec common_spec = {
    .name = "memdata.MemDatasetCommon",
    .basicsize = sizeof(Dataset),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = common_slots,
};

int
common_init(PyObject *module, module_state *state)
{
    return add_type(module, &common_spec, state->dataset_type, &state->common_type);
}
