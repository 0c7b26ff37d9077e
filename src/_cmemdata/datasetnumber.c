/* Datasets as operands: `d + 1` is `d.data + 1`, NumPy's result; `d += 1` changes the data in place. `==` stays
   a question about datasets (dataset.c); the other comparisons are NumPy's as well. */
#include "datasetnumber.h"
#include "dataset.h"
#include "npyapi.h"

/* What NumPy computes with in place of an operand: new reference; NULL with TypeError. */
static PyObject *
operand(module_state *state, PyObject *object)
{
    if (!is_dataset(state, object)) {
        return Py_NewRef(object);
    }
    DatasetBody *body = dataset_body((Dataset *)object);
    if (body != NULL && !PyArray_Check(body->array)) {
        PyErr_SetString(PyExc_TypeError, "a dataset with a null dataspace has no elements");
        return NULL;
    }
    return body != NULL ? Py_NewRef(body->array) : NULL;
}

/* Which of two operands knows our types: a slot of ours may be asked for either. */
static module_state *
state_of_operands(PyObject *a, PyObject *b)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(a), &memdata_module);
    if (module == NULL) {
        PyErr_Clear();
        module = PyType_GetModuleByDef(Py_TYPE(b), &memdata_module);
    }
    return module != NULL ? state_of_module(module) : NULL;
}

static PyObject *
binary(PyObject *a, PyObject *b, binaryfunc function)
{
    module_state *state = state_of_operands(a, b);
    PyObject *left = state != NULL ? operand(state, a) : NULL;
    PyObject *right = left != NULL ? operand(state, b) : NULL;
    PyObject *result = right != NULL ? function(left, right) : NULL;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

static PyObject *
in_place(PyObject *self, PyObject *other, binaryfunc function)
{
    PyObject *result = binary(self, other, function);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result); /* the dataset's own array */
    return Py_NewRef(self);
}

static PyObject *
unary(PyObject *self, unaryfunc function)
{
    PyObject *array = operand(state_of(self), self);
    PyObject *result = array != NULL ? function(array) : NULL;
    Py_XDECREF(array);
    return result;
}

#define X(slot, function)                                                                          \
    PyObject *dataset_nb_##slot(PyObject *a, PyObject *b)                                          \
    {                                                                                              \
        return binary(a, b, function);                                                             \
    }
DATASET_BINARY(X)
#undef X

#define X(slot, function)                                                                          \
    PyObject *dataset_nb_##slot(PyObject *a, PyObject *b)                                          \
    {                                                                                              \
        return in_place(a, b, function);                                                           \
    }
DATASET_IN_PLACE(X)
#undef X

#define X(slot, function)                                                                          \
    PyObject *dataset_nb_##slot(PyObject *self)                                                    \
    {                                                                                              \
        return unary(self, function);                                                              \
    }
DATASET_UNARY(X)
#undef X

static PyObject *
power_of_two(PyObject *a, PyObject *b)
{
    return PyNumber_Power(a, b, Py_None);
}

PyObject *
dataset_nb_power(PyObject *a, PyObject *b, PyObject *modulus)
{
    if (modulus != Py_None) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return binary(a, b, power_of_two);
}

static PyObject *
in_place_power(PyObject *a, PyObject *b)
{
    return PyNumber_InPlacePower(a, b, Py_None);
}

PyObject *
dataset_nb_inplace_power(PyObject *self, PyObject *other, PyObject *Py_UNUSED(modulus))
{
    return in_place(self, other, in_place_power);
}

/* As in h5py, a dataset is true, whatever it holds: `if dataset:` asks whether there is one. */
int
dataset_nb_bool(PyObject *Py_UNUSED(self))
{
    return 1;
}

PyObject *
dataset_compare_elements(PyObject *self, PyObject *other, int op)
{
    module_state *state = state_of(self);
    PyObject *left = operand(state, self);
    PyObject *right = left != NULL ? operand(state, other) : NULL;
    PyObject *result = right != NULL ? PyObject_RichCompare(left, right, op) : NULL;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}
