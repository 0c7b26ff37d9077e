/* _MemObjMixin: what every handle is: a tree and an absolute name in it. */
#ifndef MEMDATA_OBJECT_H
#define MEMDATA_OBJECT_H

#include "names.h"

/*      group["b/c"]                name:   NULL until somebody asks
            root ──> the tree       prefix: "/a"          the group it was looked up in
                                    tail:   ("b", "c")    what was looked up
   An object owns its references; the tree never refers back. */
typedef struct {
    PyObject_HEAD
    PyObject *root;   /* _StorageRoot; for a container MemGroup or an open file; NULL: no tree */
    PyObject *name;   /* str: absolute, "" when never given; NULL: join prefix and tail */
    PyObject *prefix; /* str */
    PyObject *tail;   /* str or tuple of str */
    PyObject *weakrefs;
    PyObject *instance_dict;
} MemObject;

static inline bool
is_object(module_state *state, PyObject *object)
{
    return PyObject_TypeCheck(object, state->object_type);
}

/* Give a new object its place. Nothing may be NULL. */
void object_place(MemObject *self, PyObject *root, PyObject *prefix, PyObject *tail);

/* The name: a borrowed reference to the object's own, "" for one without; NULL: no memory. */
PyObject *object_name(MemObject *self);

/* The current error, if it is a ValueError, TypeError (exactly) or MemoryError, says for which object; `tail` is
   what was named in it, NULL: itself. */
void object_name_in_error(MemObject *self, PyObject *tail);

/* The parent's absolute name; new reference. */
PyObject *parent_name(PyObject *name);

/* 1 when both are the same object of the same tree, 0 not, -1 error. */
int object_same(MemObject *a, MemObject *b);

/* `cls._from_storage_root(root, name)`, by the fast way where the class has the default one. */
PyObject *object_from_root(module_state *state, PyObject *cls, PyObject *root, PyObject *name);

/* For the types below: these visit, clear and free the fields above. */
int object_traverse(PyObject *self, visitproc visit, void *arg);
int object_clear(PyObject *self);
void object_dealloc(PyObject *self); /* the whole object, type included */
Py_hash_t object_hash(PyObject *self);

/* First thing in a dealloc that may run other people's code: nobody may find `self` any more. */
static inline void
object_forget_weakrefs(PyObject *self)
{
    if (((MemObject *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
}

/* `type.__new__(type)` with a place in a tree (None: none), without `__init__`. */
PyObject *object_made(PyTypeObject *type, PyObject *root, PyObject *name);

/* `__reduce__`: `type._restore(root, name, more)` and the instance's own state; `more` may be NULL. */
PyObject *object_reduce_with(PyObject *self, PyObject *more);

/* Parse `storage_root` and `name` keywords (and nothing else) into the object. */
int object_init_keywords(MemObject *self, PyObject *kwargs);

#endif
