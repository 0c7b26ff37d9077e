#include "arrays.h"
#include "kernels.h"
#include "npyapi.h"

#include <string.h>

int
is_null_dataspace(module_state *state, PyObject *object)
{
    if (PyType_Check(object) || PyArray_Check(object)) {
        return 0;
    }
    PyObject *shape = PyObject_GetAttr(object, state->str_shape);
    if (shape == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(shape);
    return shape == Py_None ? PyObject_HasAttr(object, state->str_dtype) : 0;
}

/* ---- copying ---- */

static NPY_ORDER
npy_order(char order)
{
    switch (order) {
    case 'C':
        return NPY_CORDER;
    case 'F':
        return NPY_FORTRANORDER;
    case 'K':
        return NPY_KEEPORDER;
    default:
        return NPY_ANYORDER;
    }
}

static int
copy_elements(PyArrayObject *target, PyArrayObject *source)
{
    size_t bytes = (size_t)PyArray_NBYTES(source);
    bool same_layout = (PyArray_IS_C_CONTIGUOUS(source) && PyArray_IS_C_CONTIGUOUS(target)) ||
                       (PyArray_IS_F_CONTIGUOUS(source) && PyArray_IS_F_CONTIGUOUS(target));
    if (bytes < COPY_THREADED_MIN || !same_layout || PyDataType_REFCHK(PyArray_DESCR(source)) ||
        !PyArray_EquivTypes(PyArray_DESCR(source), PyArray_DESCR(target))) {
        return PyArray_CopyInto(target, source);
    }
    char *to = PyArray_BYTES(target);
    const char *from = PyArray_BYTES(source);
    Py_BEGIN_ALLOW_THREADS
    kernel_copy(to, from, bytes, kernel_threads(4));
    Py_END_ALLOW_THREADS
    return 0;
}

/* Replace each object in one element by a deep copy of itself, down through fields and subarrays.
   (ndarray.__deepcopy__ leaves the objects in subarrays shared.) */
static int
own_objects(module_state *state, PyArray_Descr *descr, char *element, PyObject *memo)
{
    if (descr->type_num == NPY_OBJECT) {
        PyObject *shared, *own = NULL;
        memcpy(&shared, element, sizeof shared); /* packed types do not align it */
        if (shared != NULL) {
            own = PyObject_CallFunctionObjArgs(state->deepcopy, shared, memo, NULL);
            if (own == NULL) {
                return -1;
            }
            memcpy(element, &own, sizeof own);
            Py_DECREF(shared);
        }
        return 0;
    }
    if (PyDataType_HASSUBARRAY(descr)) {
        PyArray_Descr *base = PyDataType_SUBARRAY(descr)->base;
        npy_intp size = PyDataType_ELSIZE(base), all = PyDataType_ELSIZE(descr);
        for (npy_intp at = 0; size > 0 && at < all; at += size) {
            if (own_objects(state, base, element + at, memo) < 0) {
                return -1;
            }
        }
        return 0;
    }
    PyObject *names = PyDataType_HASFIELDS(descr) ? PyDataType_NAMES(descr) : NULL;
    for (Py_ssize_t i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *field =
            PyDict_GetItemWithError(PyDataType_FIELDS(descr), PyTuple_GET_ITEM(names, i));
        if (field == NULL) {
            return -1;
        }
        PyArray_Descr *type = (PyArray_Descr *)PyTuple_GET_ITEM(field, 0);
        Py_ssize_t offset = PyLong_AsSsize_t(PyTuple_GET_ITEM(field, 1));
        if (PyDataType_REFCHK(type) && own_objects(state, type, element + offset, memo) < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *
copy_with_objects(module_state *state, PyArrayObject *source, char order, PyObject *memo)
{
    PyObject *copy = PyArray_NewCopy(source, npy_order(order));
    PyObject *own_memo = copy == NULL ? NULL : memo != NULL ? Py_NewRef(memo) : PyDict_New();
    if (own_memo == NULL) {
        Py_XDECREF(copy);
        return NULL;
    }
    /* A new copy is dense: its elements follow each other in whatever order. */
    PyArray_Descr *descr = PyArray_DESCR((PyArrayObject *)copy);
    npy_intp size = PyDataType_ELSIZE(descr), count = PyArray_SIZE((PyArrayObject *)copy);
    for (npy_intp i = 0; copy != NULL && i < count; i++) {
        char *element = PyArray_BYTES((PyArrayObject *)copy) + i * size;
        if (own_objects(state, descr, element, own_memo) < 0) {
            Py_CLEAR(copy);
        }
    }
    Py_DECREF(own_memo);
    return copy;
}

PyObject *
array_copy(module_state *state, PyObject *array, char order, PyObject *memo)
{
    PyArrayObject *source = (PyArrayObject *)array;
    if (PyDataType_REFCHK(PyArray_DESCR(source))) {
        return copy_with_objects(state, source, order, memo);
    }
    if ((size_t)PyArray_NBYTES(source) < COPY_THREADED_MIN) {
        return PyArray_NewCopy(source, npy_order(order));
    }
    PyObject *copy = PyArray_NewLikeArray(source, npy_order(order), NULL, 1);
    if (copy != NULL && copy_elements((PyArrayObject *)copy, source) < 0) {
        Py_CLEAR(copy);
    }
    return copy;
}

/* ---- the array of a new dataset ---- */

static bool
has_attribute(PyObject *object, const char *name)
{
    PyObject *value = get_attribute(object, name);
    PyErr_Clear();
    Py_XDECREF(value);
    return value != NULL;
}

/* Refuse what would lose something without a word; otherwise a plain ndarray on the same memory. */
static PyObject *
as_base_array(PyObject *data)
{
    if (PyArray_CheckExact(data)) {
        return Py_NewRef(data);
    }
    if (has_attribute(data, "mask") && has_attribute(data, "filled")) {
        return PyErr_Format(PyExc_TypeError,
                            "data is a masked array (%.200s): a dataset has no mask, use "
                            "data.filled(value) or store data.mask beside it",
                            Py_TYPE(data)->tp_name);
    }
    return PyArray_View((PyArrayObject *)data, NULL, &PyArray_Type);
}

/* `array` (stolen) as `descr` (borrowed): itself where that is its type, else cast. */
static PyObject *
with_dtype(PyObject *array, PyArray_Descr *descr)
{
    PyArray_Descr *own = PyArray_DESCR((PyArrayObject *)array);
    PyObject *result;
    if (own == descr) {
        return array;
    }
    Py_INCREF(descr); /* both calls below steal it */
    if (PyArray_EquivTypes(own, descr)) {
        /* Equal but for what NumPy carries along without looking: h5py's metadata. */
        result = PyArray_View((PyArrayObject *)array, descr, &PyArray_Type);
    }
    else {
        result = PyArray_FromArray((PyArrayObject *)array, descr,
                                   NPY_ARRAY_FORCECAST | NPY_ARRAY_ENSURECOPY);
    }
    Py_DECREF(array);
    return result;
}

/* `array` (stolen) with the shape asked for; the number of elements must be the same. */
static PyObject *
with_shape(PyObject *array, PyArray_Dims *wanted)
{
    PyArrayObject *given = (PyArrayObject *)array;
    if (PyArray_NDIM(given) == wanted->len &&
        PyArray_CompareLists(PyArray_DIMS(given), wanted->ptr, wanted->len)) {
        return array;
    }
    PyObject *result = NULL;
    bool negative = false;
    for (int i = 0; i < wanted->len; i++) {
        negative = negative || wanted->ptr[i] < 0;
    }
    if (negative || PyArray_MultiplyList(wanted->ptr, wanted->len) != PyArray_SIZE(given)) {
        PyObject *has = PyArray_IntTupleFromIntp(PyArray_NDIM(given), PyArray_DIMS(given));
        PyObject *want = PyArray_IntTupleFromIntp(wanted->len, wanted->ptr);
        if (has != NULL && want != NULL) {
            PyErr_Format(PyExc_ValueError, "data of shape %R do not fit the shape %R", has, want);
        }
        Py_XDECREF(has);
        Py_XDECREF(want);
    }
    else {
        result = PyArray_Newshape(given, wanted, NPY_CORDER);
    }
    Py_DECREF(array);
    return result;
}

static PyObject *
from_data(PyObject *data, PyArray_Descr *descr, PyArray_Dims *shape)
{
    PyObject *array;
    if (PyArray_Check(data)) {
        array = as_base_array(data);
        if (array != NULL && descr != NULL) {
            array = with_dtype(array, descr);
        }
    }
    else {
        Py_XINCREF(descr);
        array = PyArray_FromAny(data, descr, 0, 0,
                                NPY_ARRAY_ENSURECOPY | NPY_ARRAY_FORCECAST | NPY_ARRAY_ENSUREARRAY,
                                NULL);
    }
    return array != NULL && shape != NULL ? with_shape(array, shape) : array;
}

/* PyArray_IntpConverter reads a list without holding its items, while `__index__` may change it. */
static int
shape_dims(PyObject *shape, PyArray_Dims *dims)
{
    if (PyIndex_Check(shape) || !PySequence_Check(shape)) {
        return PyArray_IntpConverter(shape, dims);
    }
    PyObject *fixed = PySequence_Tuple(shape);
    int done = fixed != NULL ? PyArray_IntpConverter(fixed, dims) : NPY_FAIL;
    Py_XDECREF(fixed);
    return done;
}

/* NumPy's errors do not say what was asked for. */
static void
add_request_to_error(PyObject *shape, PyObject *dtype)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == PyExc_ValueError || type == PyExc_TypeError) {
        PyErr_Format(type, "%S (asked for: shape %R, dtype %R)", value,
                     shape != NULL ? shape : Py_None, dtype != NULL ? dtype : Py_None);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return;
    }
    PyErr_Restore(type, value, traceback);
}

PyObject *
array_for(module_state *state, PyObject *shape, PyObject *dtype, PyObject *data)
{
    PyArray_Dims dims = {NULL, 0};
    PyArray_Descr *descr = NULL;
    PyObject *array = NULL;
    bool has_shape = shape != NULL && shape != Py_None;
    (void)state;
    if (dtype != NULL && !PyArray_DescrConverter2(dtype, &descr)) {
        goto done;
    }
    if (has_shape && !shape_dims(shape, &dims)) {
        goto done;
    }
    if (data != NULL && data != Py_None) {
        array = from_data(data, descr, has_shape ? &dims : NULL);
    }
    else if (!has_shape) {
        PyErr_SetString(PyExc_ValueError, "a new dataset needs a shape or data");
    }
    else {
        if (descr == NULL) {
            descr = PyArray_DescrFromType(NPY_DOUBLE);
        }
        array = PyArray_Zeros(dims.len, dims.ptr, descr, 0); /* steals descr */
        descr = NULL;
    }
done:
    if (array == NULL) {
        PyObject *asked = descr != NULL ? (PyObject *)descr : dtype;
        add_request_to_error(shape, asked);
    }
    PyDimMem_FREE(dims.ptr);
    Py_XDECREF(descr);
    return array;
}
