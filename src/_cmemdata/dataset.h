/* MemDataset and MemDatasetCommon: handles on datasets, and the objects stored in a tree. */
#ifndef MEMDATA_DATASET_H
#define MEMDATA_DATASET_H

#include "body.h"
#include "object.h"

typedef struct {
    MemObject object;  /* a stored dataset has no root */
    DatasetBody *body; /* NULL before __init__ */
} Dataset;

static inline bool
is_dataset(module_state *state, PyObject *object)
{
    return Py_IS_TYPE(object, state->common_type) ||
           PyObject_TypeCheck(object, state->dataset_type);
}

/* The body, or NULL with RuntimeError when `__init__` was not called. Borrowed. */
DatasetBody *dataset_body(Dataset *self);

/* A dataset of `type` around `body`, with no tree and no name. Takes the reference to `body`,
   which may be NULL with an error set. */
PyObject *dataset_around(PyTypeObject *type, DatasetBody *body);

/* A handle on `stored` (its class, its body) with a place in a tree. */
PyObject *dataset_handle(PyObject *stored, PyObject *root, PyObject *prefix, PyObject *tail);

/* 1 when attributes, data, chunks and compression are equal, wherever the two live. */
int dataset_contents_equal(PyObject *a, PyObject *b);

/* The arguments that constructors of all kinds share. Owned; NULL: not given. */
typedef struct {
    PyObject *chunks, *compression, *options;
    PyObject *place; /* dict of the keywords that are left: `storage_root` and `name` */
} dataset_keywords;

/* Before them come those named in `first`, `count` of them, into `values` (owned), the first
   `required` of which must be there. By position or by name; 0 or -1. Clear in either case. */
int dataset_keywords_parse(PyObject *args, PyObject *kwargs, const char *const *first,
                           PyObject **values, Py_ssize_t count, Py_ssize_t required,
                           dataset_keywords *given);
void dataset_keywords_clear(dataset_keywords *given);

/* A body around `array` (NULL: error set) with these, checked against its shape. */
DatasetBody *dataset_body_from(module_state *state, PyObject *array, const dataset_keywords *given);

/* Getters and setters. */
PyObject *dataset_get_chunks(PyObject *self, void *closure);
int dataset_set_chunks(PyObject *self, PyObject *value, void *closure);
PyObject *dataset_get_compression(PyObject *self, void *closure);
int dataset_set_compression(PyObject *self, PyObject *value, void *closure);
PyObject *dataset_get_compression_opts(PyObject *self, void *closure);
int dataset_set_compression_opts(PyObject *self, PyObject *value, void *closure);

/* For subtypes. */
int dataset_traverse(PyObject *self, visitproc visit, void *arg);
int dataset_clear(PyObject *self);
void dataset_dealloc(PyObject *self); /* the whole object, type included */

#endif
