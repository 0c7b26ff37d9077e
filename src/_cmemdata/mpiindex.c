/* Indexing an _MPIArray, with local indices and (`global_slice`) with global ones.

   An index is read item by item, as NumPy reads it, to learn two things: what it does to the
   distributed axis, and where that axis is in the result. NumPy then does the indexing.

       a[None, 2, :, [0, 3]]      of a (4, 10*, 5) array, * distributed
         new int whole array
       advanced items (2 and the array) stand apart: their axis comes first, then new, then 10*  */
#include "mpiarray.h"
#include "split.h"

typedef enum { ITEM_SLICE, ITEM_INT, ITEM_NEW, ITEM_ELLIPSIS, ITEM_ARRAY } item_kind;

#define MAX_ITEMS (2 * NPY_MAXDIMS + 1)

typedef struct {
    PyObject *keys[MAX_ITEMS]; /* owned; lists have become arrays */
    item_kind kinds[MAX_ITEMS];
    int axes[MAX_ITEMS]; /* axes of the array that the item stands for */
    int count;
    int at;      /* item that stands for the distributed axis; -1: none does, or the ellipsis */
    int before;  /* axes of the result, but those of advanced items, before the distributed one */
    int basic;   /* axes of the result, but those of advanced items */
    bool arrays; /* are there any? Then integers are advanced items as well */
    bool apart;  /* basic items stand between advanced ones */
    bool advanced_before; /* an advanced item stands before the distributed axis */
} index_items;

static void
items_clear(index_items *items)
{
    for (int i = 0; i < items->count; i++) {
        Py_CLEAR(items->keys[i]);
    }
    items->count = 0;
}

/* One item of an index: its kind and the axes it stands for. 0; -1 error; 1: not an index by
   position (field names). `key` (owned by items) may be replaced. */
static int
read_item(PyObject **key, item_kind *kind, int *axes)
{
    PyObject *item = *key;
    *axes = 1;
    if (PySlice_Check(item)) {
        *kind = ITEM_SLICE;
    }
    else if (item == Py_Ellipsis) {
        *kind = ITEM_ELLIPSIS;
        *axes = 0;
    }
    else if (item == Py_None) {
        *kind = ITEM_NEW;
        *axes = 0;
    }
    else if (PyLong_CheckExact(item) || PyArray_IsScalar(item, Integer) ||
             (PyIndex_Check(item) && !PyArray_Check(item) && !PyBool_Check(item))) {
        *kind = ITEM_INT;
    }
    else {
        PyObject *array = PyArray_FROM_O(item);
        if (array == NULL) {
            return -1;
        }
        PyArrayObject *indices = (PyArrayObject *)array;
        if (!PyArray_Check(item) && PyArray_SIZE(indices) == 0 && PyArray_NDIM(indices) == 1) {
            Py_SETREF(array, PyArray_FROM_OT(item, NPY_INTP)); /* an empty list is float */
            if (array == NULL) {
                return -1;
            }
            indices = (PyArrayObject *)array;
        }
        Py_SETREF(*key, array);
        *kind = ITEM_ARRAY;
        if (PyArray_ISBOOL(indices)) {
            *axes = PyArray_NDIM(indices);
        }
        else if (PyArray_ISINTEGER(indices)) {
            *kind = PyArray_NDIM(indices) == 0 ? ITEM_INT : ITEM_ARRAY;
        }
        else {
            return 1;
        }
    }
    return 0;
}

/* What the items do to the distributed axis; the ellipsis, or the end, stands for `rest` axes. */
static void
place_axis(index_items *items, int ndim, int axis, int rest)
{
    int from = 0; /* axes of the array that the items so far stand for */
    bool advanced = false, basic_since = false, passed = false;
    for (int i = 0; i < items->count; i++) {
        item_kind kind = items->kinds[i];
        int axes = kind == ITEM_ELLIPSIS ? rest : items->axes[i];
        bool here = from <= axis && axis < from + axes;
        if (here) {
            items->at = kind != ITEM_ELLIPSIS ? i : -1;
            items->advanced_before = advanced;
            passed = true;
        }
        if (kind == ITEM_ARRAY || kind == ITEM_INT) {
            items->arrays = items->arrays || kind == ITEM_ARRAY;
            items->apart = items->apart || (advanced && basic_since);
            advanced = true;
            basic_since = false;
        }
        else {
            int made = kind == ITEM_NEW ? 1 : axes;
            items->before += here ? axis - from : !passed ? made : 0;
            items->basic += made;
            basic_since = true;
        }
        from += axes;
    }
    if (!passed) { /* a trailing axis that no item stands for */
        items->before += axis - from;
        items->advanced_before = advanced;
    }
    items->basic += ndim - from;
}

/* Read `key`. 0; 1: NumPy must say what it is, the distribution is not touched; -1: error. */
static int
items_read(PyObject *key, int ndim, int axis, index_items *items)
{
    bool tuple = PyTuple_Check(key);
    Py_ssize_t given = tuple ? PyTuple_GET_SIZE(key) : 1;
    int consumed = 0, ellipses = 0;
    items->count = items->before = items->basic = 0; /* the rest is set item by item */
    items->at = -1;
    items->arrays = items->apart = items->advanced_before = false;
    if (given > MAX_ITEMS || PyUnicode_Check(key)) {
        return 1;
    }
    for (Py_ssize_t i = 0; i < given; i++) {
        items->keys[i] = Py_NewRef(tuple ? PyTuple_GET_ITEM(key, i) : key);
        items->count++;
        int done = read_item(&items->keys[i], &items->kinds[i], &items->axes[i]);
        if (done != 0) {
            return done;
        }
        consumed += items->axes[i];
        ellipses += items->kinds[i] == ITEM_ELLIPSIS;
    }
    if (ellipses > 1) {
        PyErr_SetString(PyExc_IndexError, "an index can only have a single ellipsis ('...')");
        return -1;
    }
    if (consumed > ndim) {
        PyErr_Format(PyExc_IndexError,
                     "too many indices for array: array is %d-dimensional, but %d were indexed",
                     ndim, consumed);
        return -1;
    }
    place_axis(items, ndim, axis, ndim - consumed);
    return 0;
}

static bool
is_whole(const index_items *items)
{
    if (items->at < 0) {
        return true;
    }
    if (items->kinds[items->at] != ITEM_SLICE) {
        return false;
    }
    PySliceObject *slice = (PySliceObject *)items->keys[items->at];
    return slice->start == Py_None && slice->stop == Py_None &&
           (slice->step == Py_None ||
            (PyLong_CheckExact(slice->step) && PyLong_AsLong(slice->step) == 1));
}

/* Where the distributed axis is in a result of `result_ndim` axes. With arrays among the items,
   integers are advanced as well; NumPy puts their common axes in front when basic items stand
   between them, else where the first of them is. */
static int
result_axis(const index_items *items, int result_ndim)
{
    int advanced = result_ndim - items->basic;
    bool in_front = items->arrays && (items->apart || items->advanced_before);
    return in_front ? items->before + advanced : items->before;
}

/* The index as NumPy wants it: a tuple of the items, one of them replaced. */
static PyObject *
items_key(const index_items *items, PyObject *replacement)
{
    PyObject *key = PyTuple_New(items->count);
    for (int i = 0; key != NULL && i < items->count; i++) {
        PyTuple_SET_ITEM(
            key, i,
            Py_NewRef(i == items->at && replacement != NULL ? replacement : items->keys[i]));
    }
    return key;
}

static PyObject *
index_local(PyObject *self, PyObject *key)
{
    PyObject *local = mpiarray_local(self);
    PyObject *result = local != NULL ? PyObject_GetItem(local, key) : NULL;
    Py_XDECREF(local);
    return result;
}

/* The distributed axis is left whole: an array of the same class that knows where it is now. */
static PyObject *
index_whole(PyObject *self, PyObject *key, const index_items *items)
{
    const distribution *dist = mpiarray_fields(self);
    PyObject *result = PyArray_Type.tp_as_mapping->mp_subscript(self, key);
    if (result != NULL && PyObject_TypeCheck(result, Py_TYPE(self))) {
        int axis = result_axis(items, PyArray_NDIM((PyArrayObject *)result));
        mpiarray_set(result, dist->comm, axis, dist->length, dist->offset);
    }
    return result;
}

/* Fields, by name: their axes, if any, come last. */
static PyObject *
index_fields(PyObject *self, PyObject *key)
{
    const distribution *dist = mpiarray_fields(self);
    PyObject *result = PyArray_Type.tp_as_mapping->mp_subscript(self, key);
    if (result != NULL && PyObject_TypeCheck(result, Py_TYPE(self))) {
        mpiarray_set(result, dist->comm, dist->axis, dist->length, dist->offset);
    }
    return result;
}

/* Assigning is to the local part. NumPy's own way would read from this array first, and so warn. */
int
mpiarray_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    PyObject *local = mpiarray_local(self);
    if (local == NULL) {
        return -1;
    }
    int done = value != NULL ? PyObject_SetItem(local, key, value) : PyObject_DelItem(local, key);
    Py_DECREF(local);
    return done;
}

PyObject *
mpiarray_subscript(PyObject *self, PyObject *key)
{
    const distribution *dist = mpiarray_fields(self);
    PyArrayObject *array = (PyArrayObject *)self;
    if (dist->axis < 0 || dist->axis >= PyArray_NDIM(array) ||
        PyArray_DIM(array, dist->axis) != dist->local) {
        return index_local(self, key);
    }
    index_items items;
    int done = items_read(key, PyArray_NDIM(array), dist->axis, &items);
    PyObject *result = NULL;
    if (done == 1) {
        result = index_fields(self, key);
    }
    else if (done == 0 && is_whole(&items)) {
        result = index_whole(self, key, &items);
    }
    else if (done == 0) {
        result = index_local(self, key);
        if (result != NULL &&
            PyErr_WarnFormat(PyExc_UserWarning, 1,
                             "indexing into the distributed axis %d gives a local array: use "
                             "global_slice for global indices, local_array for local ones",
                             dist->axis) < 0) {
            Py_CLEAR(result);
        }
    }
    items_clear(&items);
    return result;
}

/* ---- global indices ---- */

typedef struct {
    PyObject_HEAD
    PyObject *array; /* an _MPIArray */
} GlobalSlice;

static PyObject *
global_slice_of(PyTypeObject *type, PyObject *array)
{
    GlobalSlice *slice = PyObject_GC_New(GlobalSlice, type);
    if (slice != NULL) {
        slice->array = Py_NewRef(array);
        PyObject_GC_Track(slice);
    }
    return (PyObject *)slice;
}

PyObject *
mpiarray_global_slice(PyObject *self, void *Py_UNUSED(closure))
{
    return global_slice_of(state_of(self)->global_slice_type, self);
}

static PyObject *
global_slice_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"array", NULL};
    PyObject *array;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:_GlobalSlice", names, &array)) {
        return NULL;
    }
    if (!is_mpiarray(state_of_type(type), array)) {
        PyErr_Format(PyExc_TypeError, "array: expected an MPIArray, got %.100s",
                     Py_TYPE(array)->tp_name);
        return NULL;
    }
    return global_slice_of(type, array);
}

/* The part of a global slice that is here, as a local slice. 1: some; 0: none; -1: error. */
static int
local_slice(const distribution *dist, PyObject *slice, PyObject **local)
{
    Py_ssize_t start, stop, step, skip_to;
    int64_t skip;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        return -1;
    }
    Py_ssize_t count = PySlice_AdjustIndices(dist->length, &start, &stop, step);
    split_part part = {dist->offset, dist->local};
    int64_t here = split_select(start, step, count, part, &skip);
    skip_to = here > 0 ? start + skip * step - dist->offset : 0;
    Py_ssize_t end = skip_to + here * step;
    PyObject *first = PyLong_FromSsize_t(skip_to);
    PyObject *last = here > 0 && end < 0 ? Py_NewRef(Py_None) : PyLong_FromSsize_t(end);
    PyObject *stride = PyLong_FromSsize_t(here > 0 ? step : 1);
    *local = first && last && stride ? PySlice_New(first, last, stride) : NULL;
    Py_XDECREF(first);
    Py_XDECREF(last);
    Py_XDECREF(stride);
    return *local == NULL ? -1 : here > 0;
}

/* The same for an integer. Where it is not here, *local is an empty slice, so that NumPy can still
   check the rest of the index. */
static int
local_int(const distribution *dist, PyObject *value, PyObject **local)
{
    Py_ssize_t index = PyNumber_AsSsize_t(value, PyExc_IndexError);
    if (index == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (index < -dist->length || index >= dist->length) {
        PyErr_Format(PyExc_IndexError, "index %zd is out of bounds for axis %d with size %zd",
                     index, dist->axis, (Py_ssize_t)dist->length);
        return -1;
    }
    index += index < 0 ? dist->length : 0;
    bool here = index >= dist->offset && index < dist->offset + dist->local;
    if (here) {
        *local = PyLong_FromSsize_t(index - dist->offset);
    }
    else {
        PyObject *zero = PyLong_FromLong(0);
        *local = zero != NULL ? PySlice_New(zero, zero, NULL) : NULL;
        Py_XDECREF(zero);
    }
    return *local == NULL ? -1 : here;
}

static PyObject *
global_slice_subscript(PyObject *self, PyObject *key)
{
    module_state *state = state_of(self);
    PyObject *array = ((GlobalSlice *)self)->array;
    const distribution *dist = mpiarray_known(state, array);
    index_items items;
    if (dist == NULL) {
        return NULL;
    }
    PyObject *result = NULL, *replacement = NULL, *local_key = NULL;
    int done = items_read(key, PyArray_NDIM((PyArrayObject *)array), dist->axis, &items);
    if (done == 1) {
        result = index_fields(array, key);
    }
    else if (done == 0 && is_whole(&items)) {
        result = index_whole(array, key, &items);
    }
    else if (done == 0 && items.kinds[items.at] == ITEM_ARRAY) {
        result = PyObject_CallFunctionObjArgs(state->global_get, array, key, NULL);
    }
    else if (done == 0) {
        bool slice = items.kinds[items.at] == ITEM_SLICE;
        int here = slice ? local_slice(dist, items.keys[items.at], &replacement)
                         : local_int(dist, items.keys[items.at], &replacement);
        local_key = here >= 0 ? items_key(&items, replacement) : NULL;
        result = local_key != NULL ? index_local(array, local_key) : NULL;
        if (result != NULL && here == 0) {
            Py_SETREF(result, Py_NewRef(Py_None));
        }
    }
    Py_XDECREF(replacement);
    Py_XDECREF(local_key);
    items_clear(&items);
    return result;
}

static int
global_slice_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    module_state *state = state_of(self);
    if (value == NULL) {
        PyErr_SetString(PyExc_ValueError, "cannot delete array elements");
        return -1;
    }
    PyObject *done = PyObject_CallFunctionObjArgs(state->global_set, ((GlobalSlice *)self)->array,
                                                  key, value, NULL);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static int
global_slice_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((GlobalSlice *)self)->array);
    return 0;
}

static void
global_slice_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(((GlobalSlice *)self)->array);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot global_slice_slots[] = {
    {Py_tp_doc, (void *)"_GlobalSlice(array)\n--\n\n"
                        "Indexing of a distributed array with indices of the whole array."},
    {Py_tp_new, SLOT_FUNC(newfunc, global_slice_new)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, global_slice_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, global_slice_traverse)},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, global_slice_subscript)},
    {Py_mp_ass_subscript, SLOT_FUNC(objobjargproc, global_slice_ass_subscript)},
    {0, NULL},
};

static PyType_Spec global_slice_spec = {
    .name = "memdata._cmemdata._GlobalSlice",
    .basicsize = sizeof(GlobalSlice),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = global_slice_slots,
};

int
global_slice_init(PyObject *module, module_state *state)
{
    return add_type(module, &global_slice_spec, NULL, &state->global_slice_type);
}
