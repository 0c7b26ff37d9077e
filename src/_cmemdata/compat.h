/* CPython 3.11 to 3.15 behind one set of names. Every C file of memdata that needs Python starts here. */
#ifndef MEMDATA_COMPAT_H
#define MEMDATA_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stddef.h>

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#endif

/* Without the GIL: the object's own lock. */
#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* A look-up in a type's method resolution order: no descriptor call, no error, a borrowed
   reference. NumPy and Cython rely on it being exported too. */
static inline PyObject *
type_lookup(PyTypeObject *type, PyObject *name)
{
    return _PyType_Lookup(type, name);
}

/* 1: *value is a new reference; 0: missing; -1: error. Keys are nearly always exact str. */
static inline int
dict_get(PyObject *dict, PyObject *key, PyObject **value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyDict_GetItemRef(dict, key, value);
#else
    *value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    return *value != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
#endif
}

/* getattr(object, name). Not PyObject_GetAttrString: CPython's cache of what types have keeps the strings that
   it was asked with, so the name must be the same string each time. */
static inline PyObject *
get_attribute(PyObject *object, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *value = interned != NULL ? PyObject_GetAttr(object, interned) : NULL;
    Py_XDECREF(interned);
    return value;
}

/* What `dict` has under `key`, or else `value`, put there at the same moment. A new reference. In place of
   PyDict_SetDefault, which in CPython 3.13.0 counts an entry that it had no memory for. */
static inline PyObject *
dict_setdefault(PyObject *dict, PyObject *key, PyObject *value)
{
    PyObject *there = NULL;
    Py_BEGIN_CRITICAL_SECTION(dict);
    if (dict_get(dict, key, &there) == 0 && PyDict_SetItem(dict, key, value) == 0) {
        there = Py_NewRef(value);
    }
    Py_END_CRITICAL_SECTION();
    return there;
}

/* Let the compiler check that a slot function is what the slot wants, then forget its type. */
#define SLOT_FUNC(type, function) ((void *)(type)(function))

#endif
