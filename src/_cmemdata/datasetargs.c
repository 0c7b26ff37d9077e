/* What the constructors of all kinds of dataset share: chunks, compression, the place in a tree; and
   the properties for the first two. */
#include "dataset.h"

DatasetBody *
dataset_body_from(module_state *state, PyObject *array, const dataset_keywords *given)
{
    DatasetBody *body = array != NULL ? body_new(state, array) : NULL;
    if (body != NULL) {
        if (body_set_chunks(body, given->chunks) < 0) {
            Py_DECREF(body);
            return NULL;
        }
        body_set_compression(body, given->compression, given->options);
    }
    return body;
}

static int
take_keyword(PyObject *kwargs, const char *name, PyObject **value)
{
    PyObject *key = PyUnicode_InternFromString(name);
    if (key == NULL) {
        return -1;
    }
    PyObject *found = NULL;
    int there = dict_get(kwargs, key, &found);
    if (there == 1) {
        if (*value != NULL) {
            PyErr_Format(PyExc_TypeError, "got several values for the argument %R", key);
            there = -1;
            Py_DECREF(found);
        }
        else {
            *value = found;
            there = PyDict_DelItem(kwargs, key);
        }
    }
    Py_DECREF(key);
    return there < 0 ? -1 : 0;
}

void
dataset_keywords_clear(dataset_keywords *given)
{
    Py_CLEAR(given->chunks);
    Py_CLEAR(given->compression);
    Py_CLEAR(given->options);
    Py_CLEAR(given->place);
}

int
dataset_keywords_parse(PyObject *args, PyObject *kwargs, const char *const *first,
                       PyObject **values, Py_ssize_t count, Py_ssize_t required,
                       dataset_keywords *given)
{
    const char *shared[] = {"chunks", "compression", "compression_opts"};
    PyObject **places[] = {&given->chunks, &given->compression, &given->options};
    Py_ssize_t nargs = PyTuple_GET_SIZE(args);
    if (nargs > count + 3) {
        PyErr_Format(PyExc_TypeError, "expected at most %zd positional arguments, got %zd",
                     count + 3, nargs);
        return -1;
    }
    given->place = kwargs != NULL ? PyDict_Copy(kwargs) : PyDict_New();
    if (given->place == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count + 3; i++) {
        PyObject **place = i < count ? &values[i] : places[i - count];
        const char *name = i < count ? first[i] : shared[i - count];
        if (i < nargs) {
            *place = Py_NewRef(PyTuple_GET_ITEM(args, i));
        }
        if (take_keyword(given->place, name, place) < 0) {
            return -1;
        }
        if (i < required && *place == NULL) {
            PyErr_Format(PyExc_TypeError, "missing the argument '%s'", name);
            return -1;
        }
    }
    return 0;
}

PyObject *
dataset_get_chunks(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body != NULL ? or_none(body->chunks) : NULL;
}

int
dataset_set_chunks(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body == NULL || body_set_chunks(body, value) == 0) {
        return body != NULL ? 0 : -1;
    }
    object_name_in_error((MemObject *)self, NULL);
    return -1;
}

PyObject *
dataset_get_compression(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body != NULL ? or_none(body->compression) : NULL;
}

int
dataset_set_compression(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body != NULL) {
        body_set_compression(body, value, Py_XNewRef(body->compression_opts));
        Py_XDECREF(body->compression_opts);
    }
    return body != NULL ? 0 : -1;
}

PyObject *
dataset_get_compression_opts(PyObject *self, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    return body != NULL ? or_none(body->compression_opts) : NULL;
}

int
dataset_set_compression_opts(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    DatasetBody *body = dataset_body((Dataset *)self);
    if (body != NULL) {
        body_set_compression(body, Py_XNewRef(body->compression), value);
        Py_XDECREF(body->compression);
    }
    return body != NULL ? 0 : -1;
}
