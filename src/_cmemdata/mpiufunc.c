/* `__array_ufunc__` of _MPIArray: ufuncs work on the local parts, if these belong together.

   Operands are aligned at their last axes, as NumPy broadcasts. So the place of the distributed axis
   is counted from the end; it must be the same, with the same length and offset, for all:

       (freq*, time)  +  (freq*, 1)       ok: both 2 from the end
       (freq*, time)  +  (time*)          AxisException
       (freq*, time)  +  ndarray(time)    ok: has no axis there
       (freq*, time)  +  ndarray(n, time) ok for n == 1; with a warning for n == the local length */
#include "mpiarray.h"

#define NO_IMPORT_UFUNC
#include <numpy/ufuncobject.h>

/* What the operands have in common. */
typedef struct {
    module_state *state;
    PyObject *ufunc;    /* for messages */
    PyTypeObject *type; /* of the results */
    distribution dist;  /* of the first operand that is distributed; borrowed */
    int from_end;       /* its axis: 1 is the last; counted without core axes */
    int ndim;           /* loop axes of the result */
} operation;

/* A keyword, borrowed; NULL: not given. */
static inline PyObject *
keyword(PyObject *kwargs, PyObject *name)
{
    return kwargs != NULL ? PyDict_GetItemWithError(kwargs, name) : NULL;
}

/* Core axes of operand `i` of a generalised ufunc; 0 for the others. */
static int
core_axes(PyObject *ufunc, Py_ssize_t i)
{
    PyUFuncObject *function = (PyUFuncObject *)ufunc;
    return function->core_enabled ? function->core_num_dims[i] : 0;
}

static int
add_distributed(operation *op, PyObject *operand, int core)
{
    distribution *dist = mpiarray_known(op->state, operand);
    if (dist == NULL) {
        return -1;
    }
    int from_end = PyArray_NDIM((PyArrayObject *)operand) - core - dist->axis;
    if (from_end < 1) {
        raise_unsupported(op->state, "%R works along the distributed axis %d", op->ufunc,
                          dist->axis);
        return -1;
    }
    if (op->type == NULL) {
        op->type = Py_TYPE(operand);
        op->dist = *dist;
        op->from_end = from_end;
        return 0;
    }
    int same = same_comm(op->dist.comm, dist->comm);
    if (same < 1) {
        if (same == 0) {
            PyErr_Format(PyExc_ValueError, "%R: the arrays have different communicators",
                         op->ufunc);
        }
        return -1;
    }
    if (op->from_end != from_end || op->dist.length != dist->length ||
        op->dist.offset != dist->offset || op->dist.local != dist->local) {
        raise_axis(op->state,
                   "%R: the arrays are distributed differently: axis %d from the end, length %zd, "
                   "from %zd on; and axis %d from the end, length %zd, from %zd on",
                   op->ufunc, op->from_end, (Py_ssize_t)op->dist.length,
                   (Py_ssize_t)op->dist.offset, from_end, (Py_ssize_t)dist->length,
                   (Py_ssize_t)dist->offset);
        return -1;
    }
    return 0;
}

static int
check_plain(operation *op, PyArrayObject *operand, int core)
{
    int axis = PyArray_NDIM(operand) - core - op->from_end;
    npy_intp length = axis >= 0 ? PyArray_DIM(operand, axis) : 1;
    if (length == 1) {
        return 0;
    }
    if (length == op->dist.local) {
        return PyErr_WarnFormat(
            PyExc_UserWarning, 1,
            "%R: a plain array has the length %zd of this rank's part along the "
            "distributed axis and is taken for a part; use MPIArray.wrap",
            op->ufunc, (Py_ssize_t)length);
    }
    raise_axis(op->state,
               "%R: a plain array has the length %zd along the distributed axis, expected 1 or a "
               "distributed array (length %zd, %zd of it here)",
               op->ufunc, (Py_ssize_t)length, (Py_ssize_t)op->dist.length,
               (Py_ssize_t)op->dist.local);
    return -1;
}

/* The operand for NumPy: a plain view of a distributed one; new reference. */
static PyObject *
plain_operand(operation *op, PyObject *operand)
{
    return is_mpiarray(op->state, operand) ? mpiarray_local(operand) : Py_NewRef(operand);
}

/* Look at operands first to last; `inputs` gets what NumPy is to work on. */
static int
read_inputs(operation *op, PyObject *args, PyObject *inputs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    for (Py_ssize_t i = 2; i < count; i++) {
        PyObject *operand = PyTuple_GET_ITEM(args, i);
        int core = core_axes(op->ufunc, i - 2);
        if (is_mpiarray(op->state, operand) && add_distributed(op, operand, core) < 0) {
            return -1;
        }
        PyObject *plain = plain_operand(op, operand);
        if (plain == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(inputs, i - 2, plain);
        if (!PyArray_Check(plain) && (PyList_Check(plain) || PyTuple_Check(plain))) {
            PyObject *array = PyArray_FROM_O(plain);
            if (array == NULL) {
                return -1;
            }
            PyTuple_SET_ITEM(inputs, i - 2, array);
            Py_DECREF(plain);
            plain = array;
        }
        int ndim = PyArray_Check(plain) ? PyArray_NDIM((PyArrayObject *)plain) - core : 0;
        op->ndim = ndim > op->ndim ? ndim : op->ndim;
    }
    for (Py_ssize_t i = 2; op->type != NULL && i < count; i++) {
        PyObject *plain = PyTuple_GET_ITEM(inputs, i - 2);
        if (PyArray_Check(plain) && !is_mpiarray(op->state, PyTuple_GET_ITEM(args, i)) &&
            check_plain(op, (PyArrayObject *)plain, core_axes(op->ufunc, i - 2)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Where the results are distributed. */
typedef struct {
    int axis;
    npy_intp length, offset;
} result_place;

/* Check `out=` (a tuple of arrays and None) against the place of the results, and put plain views
   into `kwargs` (ours to change). */
static int
read_outputs(operation *op, PyObject *out, PyObject *kwargs, const result_place *place)
{
    PyObject *plain = PyTuple_New(PyTuple_GET_SIZE(out));
    for (Py_ssize_t i = 0; plain != NULL && i < PyTuple_GET_SIZE(out); i++) {
        PyObject *array = PyTuple_GET_ITEM(out, i);
        if (array != Py_None && !is_mpiarray(op->state, array)) {
            PyErr_Format(PyExc_TypeError, "%R: out must be an MPIArray, not %.200s", op->ufunc,
                         Py_TYPE(array)->tp_name);
            Py_CLEAR(plain);
            break;
        }
        if (array != Py_None) {
            distribution *dist = mpiarray_known(op->state, array);
            int same = dist != NULL ? same_comm(dist->comm, op->dist.comm) : -1;
            if (same < 0) {
                Py_CLEAR(plain);
                break;
            }
            if (same == 0 || dist->axis != place->axis || dist->length != place->length ||
                dist->offset != place->offset) {
                PyErr_Format(
                    PyExc_ValueError,
                    "%R: out is distributed differently: axis %d, length %zd, from %zd on; "
                    "expected axis %d, length %zd, from %zd on",
                    op->ufunc, dist->axis, (Py_ssize_t)dist->length, (Py_ssize_t)dist->offset,
                    place->axis, (Py_ssize_t)place->length, (Py_ssize_t)place->offset);
                Py_CLEAR(plain);
                break;
            }
        }
        PyObject *view = plain_operand(op, array);
        if (view == NULL) {
            Py_CLEAR(plain);
            break;
        }
        PyTuple_SET_ITEM(plain, i, view);
    }
    int done = plain != NULL ? PyDict_SetItem(kwargs, op->state->str_out, plain) : -1;
    Py_XDECREF(plain);
    return done;
}

/* One result: what was given as its `out`, or a distributed array around it. */
static PyObject *
wrap_result(operation *op, PyObject *result, PyObject *out, const result_place *place)
{
    if (out != NULL && out != Py_None) {
        return Py_NewRef(out);
    }
    PyObject *local = PyArray_Check(result) ? Py_NewRef(result) : PyArray_FROM_O(result);
    if (local != NULL && PyArray_NDIM((PyArrayObject *)local) <= place->axis) {
        return local; /* nothing to be distributed along; NumPy's answer is all there is */
    }
    return mpiarray_around(op->type, local, op->dist.comm, place->axis, place->length,
                           place->offset);
}

static PyObject *
wrap_results(operation *op, PyObject *result, PyObject *out, const result_place *place)
{
    if (result == NULL || result == Py_NotImplemented) {
        return Py_XNewRef(result);
    }
    if (!PyTuple_Check(result)) {
        return wrap_result(op, result, out != NULL ? PyTuple_GET_ITEM(out, 0) : NULL, place);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(result);
    PyObject *results = PyTuple_New(count);
    for (Py_ssize_t i = 0; results != NULL && i < count; i++) {
        PyObject *given =
            out != NULL && i < PyTuple_GET_SIZE(out) ? PyTuple_GET_ITEM(out, i) : NULL;
        PyObject *wrapped = wrap_result(op, PyTuple_GET_ITEM(result, i), given, place);
        if (wrapped == NULL) {
            Py_CLEAR(results);
            break;
        }
        PyTuple_SET_ITEM(results, i, wrapped);
    }
    return results;
}

/* ---- reductions ---- */

typedef struct {
    bool all; /* axis=None */
    bool keepdims;
    bool axes[NPY_MAXDIMS];
} reduction;

static int
add_reduced_axis(operation *op, reduction *what, PyObject *value, int ndim)
{
    int axis = PyArray_PyIntAsInt(value);
    if (axis == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (axis < -ndim || axis >= ndim) {
        raise_axis(op->state, "%R: axis %d does not exist in an array of %d axes", op->ufunc, axis,
                   ndim);
        return -1;
    }
    what->axes[axis < 0 ? axis + ndim : axis] = true;
    return 0;
}

/* The arguments of reduce and accumulate: axis, dtype, out come as keywords or by position. */
static int
read_reduction(operation *op, PyObject *kwargs, int ndim, reduction *what)
{
    PyObject *axis = keyword(kwargs, op->state->str_axis);
    PyObject *keepdims = keyword(kwargs, op->state->str_keepdims);
    what->keepdims = keepdims != NULL && PyObject_IsTrue(keepdims) == 1;
    what->all = axis == Py_None;
    if (axis == NULL) {
        what->axes[0] = true; /* NumPy's default for ufunc methods */
        return 0;
    }
    if (what->all) {
        return 0;
    }
    if (!PyTuple_Check(axis)) {
        return add_reduced_axis(op, what, axis, ndim);
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(axis); i++) {
        if (add_reduced_axis(op, what, PyTuple_GET_ITEM(axis, i), ndim) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Where the result of a reduction is distributed. */
static int
place_reduced(operation *op, const reduction *what, result_place *place)
{
    int axis = op->dist.axis;
    *place = (result_place){axis, op->dist.length, op->dist.offset};
    if (what->all) {
        PyObject *comm = op->dist.comm;
        PyObject *size = comm != NULL ? PyObject_GetAttr(comm, op->state->str_size) : NULL;
        PyObject *rank = size != NULL ? PyObject_GetAttr(comm, op->state->str_rank) : NULL;
        place->axis = what->keepdims ? axis : 0;
        place->length = comm == NULL ? 1 : rank != NULL ? PyLong_AsSsize_t(size) : -1;
        place->offset = comm == NULL ? 0 : rank != NULL ? PyLong_AsSsize_t(rank) : -1;
        Py_XDECREF(size);
        Py_XDECREF(rank);
        return PyErr_Occurred() ? -1 : 0;
    }
    if (what->axes[axis]) {
        raise_axis(op->state,
                   "%R along the distributed axis %d needs communication: redistribute first, or "
                   "use reduce_global",
                   op->ufunc, axis);
        return -1;
    }
    for (int i = 0; !what->keepdims && i < axis; i++) {
        place->axis -= what->axes[i];
    }
    return 0;
}

/* A full reduction gives one element a rank: a scalar becomes an array of shape (1,). */
static PyObject *
at_least_1d(PyObject *result)
{
    PyObject *array = PyArray_FROM_O(result);
    if (array == NULL || PyArray_NDIM((PyArrayObject *)array) > 0) {
        return array;
    }
    npy_intp one = 1;
    PyArray_Dims shape = {&one, 1};
    PyObject *reshaped = PyArray_Newshape((PyArrayObject *)array, &shape, NPY_CORDER);
    Py_DECREF(array);
    return reshaped;
}

static PyObject *
call_method(operation *op, const char *method, PyObject *inputs, PyObject *kwargs)
{
    PyObject *function = get_attribute(op->ufunc, method);
    PyObject *result = function != NULL ? PyObject_Call(function, inputs, kwargs) : NULL;
    Py_XDECREF(function);
    return result;
}

static PyObject *
reduce_or_accumulate(operation *op, const char *method, PyObject *inputs, PyObject *kwargs)
{
    PyObject *out = Py_XNewRef(keyword(kwargs, op->state->str_out));
    reduction what = {0};
    result_place place;
    PyObject *result = NULL, *wrapped = NULL;
    bool reduces = method[0] == 'r';
    int ndim = PyArray_NDIM((PyArrayObject *)PyTuple_GET_ITEM(inputs, 0));
    if (out == Py_None) {
        Py_CLEAR(out);
    }
    if (read_reduction(op, kwargs, ndim, &what) < 0) {
        goto done;
    }
    what.keepdims = what.keepdims || !reduces;
    if (place_reduced(op, &what, &place) < 0) {
        goto done;
    }
    if (out != NULL) {
        if (!PyTuple_Check(out)) {
            Py_SETREF(out, PyTuple_Pack(1, out));
        }
        if (out == NULL || read_outputs(op, out, kwargs, &place) < 0) {
            goto done;
        }
    }
    result = call_method(op, method, inputs, kwargs);
    if (result != NULL && what.all && out == NULL) {
        Py_SETREF(result, at_least_1d(result));
    }
    wrapped = wrap_results(op, result, out, &place);
done:
    Py_XDECREF(out);
    Py_XDECREF(result);
    return wrapped;
}

static PyObject *
call_elementwise(operation *op, PyObject *inputs, PyObject *kwargs)
{
    result_place place = {op->ndim - op->from_end, op->dist.length, op->dist.offset};
    PyObject *out = Py_XNewRef(keyword(kwargs, op->state->str_out));
    PyObject *wrapped = NULL;
    if (out == NULL || read_outputs(op, out, kwargs, &place) == 0) {
        PyObject *result = PyObject_Call(op->ufunc, inputs, kwargs);
        wrapped = wrap_results(op, result, out, &place);
        Py_XDECREF(result);
    }
    Py_XDECREF(out);
    return wrapped;
}

/* Does an axis that the ufunc works along (of matrices, say) belong to the distributed ones? */
static int
has_distributed_core(operation *op, PyObject *args)
{
    for (Py_ssize_t i = 2; i < PyTuple_GET_SIZE(args); i++) {
        PyObject *operand = PyTuple_GET_ITEM(args, i);
        if (is_mpiarray(op->state, operand)) {
            distribution *dist = mpiarray_known(op->state, operand);
            if (dist == NULL) {
                return -1;
            }
            int ndim = PyArray_NDIM((PyArrayObject *)operand);
            if (ndim - core_axes(op->ufunc, i - 2) - dist->axis < 1) {
                return 1;
            }
        }
    }
    return 0;
}

/* What the Python layer makes of such a ufunc. */
static PyObject *
call_along_core(operation *op, PyObject *args, PyObject *kwargs)
{
    PyObject *operands = PyTuple_New(PyTuple_GET_SIZE(args) - 1);
    if (operands == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(operands, 0, Py_NewRef(op->ufunc));
    for (Py_ssize_t i = 2; i < PyTuple_GET_SIZE(args); i++) {
        PyTuple_SET_ITEM(operands, i - 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
    }
    PyObject *result = PyObject_Call(op->state->core_ufunc, operands, kwargs);
    Py_DECREF(operands);
    return result;
}

PyObject *
mpiarray_ufunc(PyObject *self, PyObject *args, PyObject *kwargs)
{
    operation op = {.state = state_of(self)};
    if (PyTuple_GET_SIZE(args) < 3 ||
        !PyObject_TypeCheck(PyTuple_GET_ITEM(args, 0), op.state->ufunc_type) ||
        !PyUnicode_Check(PyTuple_GET_ITEM(args, 1))) {
        return PyErr_Format(PyExc_TypeError,
                            "__array_ufunc__ takes a ufunc, a method and operands");
    }
    op.ufunc = PyTuple_GET_ITEM(args, 0);
    const char *method = PyUnicode_AsUTF8(PyTuple_GET_ITEM(args, 1));
    if (method == NULL) {
        return NULL;
    }
    bool call = strcmp(method, "__call__") == 0;
    if (!call && strcmp(method, "reduce") != 0 && strcmp(method, "accumulate") != 0) {
        raise_unsupported(op.state, "%R.%s does not work on distributed arrays", op.ufunc, method);
        return NULL;
    }
    PyObject *where = keyword(kwargs, op.state->str_where);
    if (where != NULL && where != Py_True) {
        raise_unsupported(op.state, "%R: where= does not work on distributed arrays", op.ufunc);
        return NULL;
    }
    bool core = ((PyUFuncObject *)op.ufunc)->core_enabled;
    if (core && kwargs != NULL &&
        (keyword(kwargs, op.state->str_axes) || keyword(kwargs, op.state->str_axis))) {
        raise_unsupported(op.state, "%R: axes= does not work on distributed arrays", op.ufunc);
        return NULL;
    }
    if (core && call && op.state->core_ufunc != NULL) {
        int along = has_distributed_core(&op, args);
        if (along != 0) {
            return along < 0 ? NULL : call_along_core(&op, args, kwargs);
        }
    }
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) == 0) {
        kwargs = NULL;
    }
    PyObject *own = kwargs != NULL ? PyDict_Copy(kwargs) : call ? NULL : PyDict_New();
    PyObject *inputs = PyTuple_New(PyTuple_GET_SIZE(args) - 2);
    PyObject *result = NULL;
    if (inputs != NULL && (own != NULL || (call && kwargs == NULL)) &&
        read_inputs(&op, args, inputs) == 0) {
        if (op.type == NULL) { /* only `out` is ours */
            PyErr_Format(PyExc_TypeError, "%R: out is distributed, but no operand is", op.ufunc);
        }
        else {
            result = call ? call_elementwise(&op, inputs, own)
                          : reduce_or_accumulate(&op, method, inputs, own);
        }
    }
    Py_XDECREF(own);
    Py_XDECREF(inputs);
    return result;
}
