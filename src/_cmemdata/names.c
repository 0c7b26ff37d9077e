/* Splitting a path makes a string a component and costs more than walking it through dicts, and
   programs use the same few paths again and again. So the last few hundred are kept split:

       paths[hash & 511] = ("index_map/freq", ("index_map", "freq"))

   The names carry their hashes, so that walking is one dict look-up a component. Nothing in here
   depends on a tree, so nothing is ever invalidated. A path of one name is used as it is.

   The cache belongs to the module state and is touched only with the GIL held. */
#include "names.h"

#include <string.h>

static inline path_text
text_of(PyObject *str)
{
    return (path_text){PyUnicode_DATA(str), (size_t)PyUnicode_GET_LENGTH(str),
                       (int)PyUnicode_KIND(str)};
}

PyObject *
path_as_str(PyObject *path)
{
    if (PyUnicode_CheckExact(path)) {
        return Py_NewRef(path);
    }
    if (PyUnicode_Check(path)) {
        return PyUnicode_FromObject(path);
    }
    if (PyBytes_Check(path)) {
        return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path),
                                    "surrogateescape");
    }
    PyErr_Format(PyExc_TypeError, "a path must be a str, not %.200s: %.200R",
                 Py_TYPE(path)->tp_name, path);
    return NULL;
}

static PyObject *
parts_of(PyObject *path)
{
    path_text text = text_of(path);
    size_t position = 0;
    path_part part;
    Py_ssize_t count = 0;
    while (path_next(&text, &position, &part)) {
        count++;
    }
    PyObject *parts = PyTuple_New(count);
    if (parts == NULL) {
        return NULL;
    }
    position = 0;
    for (Py_ssize_t i = 0; path_next(&text, &position, &part); i++) {
        PyObject *name = PyUnicode_Substring(path, (Py_ssize_t)part.start, (Py_ssize_t)part.end);
        if (name == NULL || PyObject_Hash(name) == -1) {
            Py_XDECREF(name);
            Py_DECREF(parts);
            return NULL;
        }
        PyTuple_SET_ITEM(parts, i, name);
    }
    return parts;
}

/* The parts of a path with a slash in it, from the cache where it is there. New reference. */
static PyObject *
cached_parts(module_state *state, PyObject *path)
{
    Py_hash_t hash = PyObject_Hash(path);
    path_cache_entry *entry = &state->paths[(size_t)hash & (PATH_CACHE_SIZE - 1)];
    if (entry->path == path || (entry->path != NULL && PyUnicode_Compare(entry->path, path) == 0)) {
        return Py_NewRef(entry->parts);
    }
    PyObject *parts = parts_of(path);
    if (parts != NULL && PyUnicode_GET_LENGTH(path) <= PATH_CACHE_LONGEST) {
        Py_XSETREF(entry->parts, Py_NewRef(parts));
        Py_XSETREF(entry->path, Py_NewRef(path));
    }
    return parts;
}

void
split_path_from_owner(PyObject *owner, split_path *split)
{
    split->owner = Py_NewRef(owner);
    if (PyTuple_Check(owner)) {
        split->names = ((PyTupleObject *)owner)->ob_item;
        split->count = PyTuple_GET_SIZE(owner);
    }
    else {
        split->names = &split->owner;
        split->count = 1;
    }
    split->absolute = false;
}

int
split_path_init(module_state *state, PyObject *path, split_path *split)
{
    PyObject *str = path_as_str(path);
    if (str == NULL) {
        split->owner = NULL;
        return -1;
    }
    path_text text = text_of(str);
    if (path_is_name(&text)) {
        split->owner = str;
        split->names = &split->owner;
        split->count = 1;
        split->absolute = false;
        return 0;
    }
    split->owner = cached_parts(state, str);
    split->absolute = path_is_absolute(&text);
    Py_DECREF(str);
    if (split->owner == NULL) {
        return -1;
    }
    split->names = ((PyTupleObject *)split->owner)->ob_item;
    split->count = PyTuple_GET_SIZE(split->owner);
    return 0;
}

void
split_path_clear(split_path *split)
{
    Py_CLEAR(split->owner);
}

PyObject *
join_names(PyObject *prefix, PyObject *owner)
{
    split_path split;
    split_path_from_owner(owner, &split);
    bool at_root = PyUnicode_GET_LENGTH(prefix) == 1; /* "/": its slash is the separator */
    if (split.count == 0) {
        split_path_clear(&split);
        return Py_NewRef(prefix);
    }
    Py_ssize_t length = at_root ? 0 : PyUnicode_GET_LENGTH(prefix);
    Py_UCS4 widest = PyUnicode_MAX_CHAR_VALUE(prefix);
    for (Py_ssize_t i = 0; i < split.count; i++) {
        if (!PyUnicode_Check(split.names[i])) { /* put into the dict by somebody */
            PyErr_Format(PyExc_TypeError, "%U holds a child whose name is not a str: %.200R",
                         prefix, split.names[i]);
            split_path_clear(&split);
            return NULL;
        }
        Py_UCS4 wide = PyUnicode_MAX_CHAR_VALUE(split.names[i]);
        widest = wide > widest ? wide : widest;
        length += 1 + PyUnicode_GET_LENGTH(split.names[i]);
    }
    PyObject *name = PyUnicode_New(length, widest);
    if (name != NULL) {
        Py_ssize_t at = 0;
        if (!at_root) {
            at = PyUnicode_GET_LENGTH(prefix);
            PyUnicode_CopyCharacters(name, 0, prefix, 0, at);
        }
        for (Py_ssize_t i = 0; i < split.count; i++) {
            Py_ssize_t n = PyUnicode_GET_LENGTH(split.names[i]);
            PyUnicode_WRITE(PyUnicode_KIND(name), PyUnicode_DATA(name), at, '/');
            PyUnicode_CopyCharacters(name, at + 1, split.names[i], 0, n);
            at += 1 + n;
        }
    }
    split_path_clear(&split);
    return name;
}

int
check_new_path(PyObject *path)
{
    PyObject *str = path_as_str(path);
    if (str == NULL) {
        return -1;
    }
    path_text text = text_of(str);
    const char *why = path_refused(&text);
    if (why != NULL) {
        PyErr_Format(PyExc_ValueError, "%.1000R cannot name a group or dataset: %s", str, why);
    }
    Py_DECREF(str);
    return why != NULL ? -1 : 0;
}

/* Is it one of these classes, or a class of ours below one, which takes a message as they do? */
static bool
takes_message(PyObject *type)
{
    return type == PyExc_MemoryError ||
           ((PyErr_GivenExceptionMatches(type, PyExc_ValueError) ||
             PyErr_GivenExceptionMatches(type, PyExc_TypeError)) &&
            ((PyTypeObject *)type)->tp_init == ((PyTypeObject *)PyExc_ValueError)->tp_init);
}

void
name_in_error(PyObject *prefix, PyObject *tail)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *path = NULL;
    if (type != NULL && PyErr_GivenExceptionMatches(type, PyExc_MemoryError) && value != NULL) {
        Py_SETREF(type, Py_NewRef(PyExc_MemoryError)); /* NumPy's own cannot be made here */
    }
    if (prefix != NULL && type != NULL && takes_message(type)) {
        path = tail != NULL ? join_names(prefix, tail) : Py_NewRef(prefix);
    }
    if (path == NULL || PyUnicode_GET_LENGTH(path) == 0) {
        PyErr_Restore(type, value, traceback);
    }
    else {
        PyErr_Format(type, "%U: %S", path, value);
        Py_DECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    }
    Py_XDECREF(path);
}

PyDoc_STRVAR(format_abs_path_doc,
"format_abs_path(path, /)\n--\n\n"
"Normalise an absolute path.\n\n"
"Parameters\n----------\n"
"path : str\n    Absolute path; extra slashes are dropped.\n\n"
"Returns\n-------\n"
"str\n    The path with one slash before each name and none behind; \"/\" for the root.\n\n"
"Raises\n------\n"
"ValueError\n    The path is relative.\n\n"
"Examples\n--------\n"
">>> from memdata._cmemdata import format_abs_path\n"
">>> format_abs_path(\"//a///b/\")\n"
"'/a/b'\n");

static PyObject *
format_abs_path(PyObject *module, PyObject *path)
{
    module_state *state = state_of_module(module);
    split_path split;
    if (split_path_init(state, path, &split) < 0) {
        return NULL;
    }
    PyObject *name = NULL;
    if (split.absolute) {
        name = join_names(state->slash, split.owner);
    }
    else {
        PyErr_Format(PyExc_ValueError, "expected an absolute path, got %.1000R", path);
    }
    split_path_clear(&split);
    return name;
}

PyDoc_STRVAR(check_new_path_doc,
"check_new_path(path, /)\n--\n\n"
"Raise ValueError unless `path` may name a new group or dataset.\n\n"
"It may not be empty or the root, nor have a component \".\" or \"..\" or a NUL character.\n");

static PyObject *
check_new_path_function(PyObject *Py_UNUSED(module), PyObject *path)
{
    if (check_new_path(path) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef names_functions[] = {
    {"check_new_path", check_new_path_function, METH_O, check_new_path_doc},
    {"format_abs_path", format_abs_path, METH_O, format_abs_path_doc},
    {NULL, NULL, 0, NULL},
};

int
names_init(PyObject *module, module_state *state)
{
    state->slash = PyUnicode_InternFromString("/");
    if (state->slash == NULL) {
        return -1;
    }
#define X(name)                                                                                    \
    state->str_##name = PyUnicode_InternFromString(#name);                                         \
    if (state->str_##name == NULL) {                                                               \
        return -1;                                                                                 \
    }
    MEMDATA_NAMES(X)
#undef X
    return PyModule_AddFunctions(module, names_functions);
}
