/* Names and paths as Python strings: splitting (with a cache), joining, checking. */
#ifndef MEMDATA_NAMES_H
#define MEMDATA_NAMES_H

#include "path.h"
#include "state.h"

/* A path taken apart. `names` points into what `owner` keeps alive. */
typedef struct {
    PyObject *owner; /* a str (the path is one name) or a tuple of str; owned */
    PyObject *const *names;
    Py_ssize_t count;
    bool absolute;
} split_path;

/* Fill `split` from a str or bytes path; 0, or -1 with TypeError (another type) or an error of
   decoding. Release with split_path_clear. The struct must not be moved meanwhile: `names` may
   point to `owner`. */
int split_path_init(module_state *state, PyObject *path, split_path *split);
void split_path_clear(split_path *split);

/* The same from what `owner` was. */
void split_path_from_owner(PyObject *owner, split_path *split);

/* A new str: the absolute `prefix` followed by the names of `owner` (str or tuple of str). */
PyObject *join_names(PyObject *prefix, PyObject *owner);

/* 0, or -1 with ValueError when `path` (str) may not name something new. */
int check_new_path(PyObject *path);

/* The current error, if it is a ValueError, TypeError (or a plain class below) or MemoryError, says for which path: `prefix` with
   the names of `tail` (NULL: none) behind. Errors of other people's code stay as they are; an empty
   path adds nothing. */
void name_in_error(PyObject *prefix, PyObject *tail);

/* The path as an exact str; bytes are decoded as HDF5's names are. New reference. */
PyObject *path_as_str(PyObject *path);

#endif
