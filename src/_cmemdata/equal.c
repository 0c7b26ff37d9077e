/* Python's == of arrays is an array; here it is one answer: same shape and equal elements. NaN
   (NaT) equals NaN in the same place, so that a fresh copy equals its original whatever it holds. */
#include "equal.h"
#include "npyapi.h"

#include <string.h>

PyObject *
equal_result(int equal, int op)
{
    return equal < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? equal : !equal);
}

/* The truth of a comparison's result, which may be an array. */
static int
all_true(PyObject *result)
{
    if (result == NULL) {
        return -1;
    }
    int answer;
    if (PyArray_Check(result)) {
        PyObject *all = PyArray_All((PyArrayObject *)result, NPY_RAVEL_AXIS, NULL);
        answer = all != NULL ? PyObject_IsTrue(all) : -1;
        Py_XDECREF(all);
    }
    else {
        answer = PyObject_IsTrue(result);
    }
    Py_DECREF(result);
    return answer;
}

static bool
may_be_nan(PyArrayObject *array)
{
    int type = PyArray_TYPE(array);
    return PyTypeNum_ISFLOAT(type) || PyTypeNum_ISCOMPLEX(type) || PyTypeNum_ISDATETIME(type);
}

static int
same_bytes(PyArrayObject *a, PyArrayObject *b)
{
    return PyArray_EquivTypes(PyArray_DESCR(a), PyArray_DESCR(b)) &&
           !PyDataType_REFCHK(PyArray_DESCR(a)) && PyArray_IS_C_CONTIGUOUS(a) &&
           PyArray_IS_C_CONTIGUOUS(b) &&
           memcmp(PyArray_DATA(a), PyArray_DATA(b), (size_t)PyArray_NBYTES(a)) == 0;
}

/* Elements as Python objects, one by one: object arrays may hold arrays. */
static int
objects_equal(PyArrayObject *a, PyArrayObject *b)
{
    PyObject *left = PyArray_ToList(a);
    PyObject *right = left != NULL ? PyArray_ToList(b) : NULL;
    int equal = right != NULL ? values_equal(left, right) : -1;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return equal;
}

static int
elements_equal(PyObject *a, PyObject *b)
{
    PyObject *same = PyObject_RichCompare(a, b, Py_EQ);
    if (same == NULL || !may_be_nan((PyArrayObject *)a) || !may_be_nan((PyArrayObject *)b)) {
        return all_true(same);
    }
    PyObject *a_nan = PyObject_RichCompare(a, a, Py_NE);
    PyObject *b_nan = a_nan != NULL ? PyObject_RichCompare(b, b, Py_NE) : NULL;
    PyObject *both = b_nan != NULL ? PyNumber_And(a_nan, b_nan) : NULL;
    PyObject *equal = both != NULL ? PyNumber_Or(same, both) : NULL;
    Py_DECREF(same);
    Py_XDECREF(a_nan);
    Py_XDECREF(b_nan);
    Py_XDECREF(both);
    return all_true(equal);
}

/* Of subclasses the elements count, not what they make of comparing. */
static int
base_arrays_equal(PyObject *a, PyObject *b)
{
    PyObject *left = PyArray_View((PyArrayObject *)a, NULL, &PyArray_Type);
    PyObject *right = left != NULL ? PyArray_View((PyArrayObject *)b, NULL, &PyArray_Type) : NULL;
    int equal = right != NULL ? arrays_equal(left, right) : -1;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return equal;
}

int
arrays_equal(PyObject *a, PyObject *b)
{
    if (!PyArray_Check(a) || !PyArray_Check(b)) {
        return 0;
    }
    if (!PyArray_CheckExact(a) || !PyArray_CheckExact(b)) {
        return base_arrays_equal(a, b);
    }
    PyArrayObject *left = (PyArrayObject *)a, *right = (PyArrayObject *)b;
    if (PyArray_NDIM(left) != PyArray_NDIM(right) ||
        !PyArray_CompareLists(PyArray_DIMS(left), PyArray_DIMS(right), PyArray_NDIM(left))) {
        return 0;
    }
    if (a == b || same_bytes(left, right)) {
        return 1;
    }
    if (PyArray_TYPE(left) == NPY_OBJECT && PyArray_TYPE(right) == NPY_OBJECT) {
        return objects_equal(left, right);
    }
    int equal = elements_equal(a, b);
    if (equal < 0 &&
        (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError))) {
        /* NumPy has no == for the two types: they are not equal. */
        PyErr_Clear();
        return 0;
    }
    return equal;
}

int
dicts_equal(PyObject *a, PyObject *b)
{
    if (PyDict_GET_SIZE(a) != PyDict_GET_SIZE(b)) {
        return 0;
    }
    /* A snapshot: comparing calls into Python, which may change either. */
    PyObject *items = PyDict_Items(a);
    if (items == NULL) {
        return -1;
    }
    int equal = 1;
    for (Py_ssize_t i = 0; equal == 1 && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i), *other;
        equal = dict_get(b, PyTuple_GET_ITEM(item, 0), &other);
        if (equal == 1) {
            equal = values_equal(PyTuple_GET_ITEM(item, 1), other);
            Py_DECREF(other);
        }
    }
    Py_DECREF(items);
    return equal;
}

static int
sequences_equal(PyObject *a, PyObject *b)
{
    int equal = PySequence_Fast_GET_SIZE(a) == PySequence_Fast_GET_SIZE(b);
    for (Py_ssize_t i = 0; equal == 1; i++) {
        /* Lists may shrink while their elements are compared. */
        if (i >= PySequence_Fast_GET_SIZE(a) || i >= PySequence_Fast_GET_SIZE(b)) {
            return PySequence_Fast_GET_SIZE(a) == PySequence_Fast_GET_SIZE(b);
        }
        PyObject *left = Py_NewRef(PySequence_Fast_GET_ITEM(a, i));
        PyObject *right = Py_NewRef(PySequence_Fast_GET_ITEM(b, i));
        equal = values_equal(left, right);
        Py_DECREF(left);
        Py_DECREF(right);
    }
    return equal;
}

int
values_equal(PyObject *a, PyObject *b)
{
    if (a == b) {
        return 1;
    }
    if (PyArray_Check(a) || PyArray_Check(b)) {
        return arrays_equal(a, b);
    }
    if (Py_EnterRecursiveCall(" while comparing values")) {
        return -1;
    }
    int equal;
    if (PyDict_CheckExact(a) && PyDict_CheckExact(b)) {
        equal = dicts_equal(a, b);
    }
    else if ((PyList_Check(a) && PyList_Check(b)) || (PyTuple_Check(a) && PyTuple_Check(b))) {
        equal = sequences_equal(a, b);
    }
    else {
        equal = all_true(PyObject_RichCompare(a, b, Py_EQ));
    }
    Py_LeaveRecursiveCall();
    return equal;
}
