/* What one loaded module owns: its types, the names it looks up, the split paths it keeps. */
#ifndef MEMDATA_STATE_H
#define MEMDATA_STATE_H

#include "compat.h"

/* Direct mapped: a path lives in the place its hash names, the newest wins. A power of two. */
#define PATH_CACHE_SIZE 512
/* Longer paths are split each time: they must not keep memory. Code points. */
#define PATH_CACHE_LONGEST 256

typedef struct {
    PyObject *path;  /* exact str, owned; NULL: free place */
    PyObject *parts; /* tuple of exact str, owned */
} path_cache_entry;

/* Names that C looks up: interned once. */
#define MEMDATA_NAMES(X)                                                                           \
    X(__array__)                                                                                   \
    X(__getstate__)                                                                                \
    X(_dereference)                                                                                \
    X(_assign)                                                                                     \
    X(_at)                                                                                         \
    X(_get_kind)                                                                                   \
    X(_restore)                                                                                    \
    X(_set_special)                                                                                \
    X(_handle_class)                                                                               \
    X(file)                                                                                        \
    X(_from_storage_root)                                                                          \
    X(_group_class)                                                                                \
    X(attrs)                                                                                       \
    X(axes)                                                                                        \
    X(axis)                                                                                        \
    X(comm)                                                                                        \
    X(create_group)                                                                                \
    X(dataset_name_allowed)                                                                        \
    X(distributed)                                                                                 \
    X(dtype)                                                                                       \
    X(group_name_allowed)                                                                          \
    X(inner_axes)                                                                                  \
    X(isdisjoint)                                                                                  \
    X(items)                                                                                       \
    X(keepdims)                                                                                    \
    X(keys)                                                                                        \
    X(out)                                                                                         \
    X(rank)                                                                                        \
    X(redistribute)                                                                                \
    X(shape)                                                                                       \
    X(size)                                                                                        \
    X(values)                                                                                      \
    X(where)

typedef struct {
    PyTypeObject *storage_type;
    PyTypeObject *root_type;
    PyTypeObject *attrs_type;
    PyTypeObject *object_type;
    PyTypeObject *group_type;
    PyTypeObject *group_view_types[3]; /* by view_kind */
    PyTypeObject *group_iter_type;
    PyTypeObject *body_type;
    PyTypeObject *dataset_type;
    PyTypeObject *common_type;
    PyTypeObject *ro_dict_type;
    PyTypeObject *mpiarray_type;
    PyTypeObject *global_slice_type;
    PyTypeObject *distributed_type;
    PyTypeObject *output_type;
    PyTypeObject *ufunc_type; /* numpy.ufunc */
    /* What the Python layer tells once, at import, with _bind(): */
    PyObject *group_class;           /* of the groups that a dataset's `parent` and `file` give */
    PyObject *array_class;           /* MPIArray */
    PyObject *axis_exception;        /* AxisException */
    PyObject *unsupported_operation; /* UnsupportedOperation */
    PyObject *world;                 /* () -> the world communicator, or None */
    PyObject *world_comm;            /* what that gave, once it was asked */
    PyObject *global_get; /* (array, index) -> element of array.global_slice by an index array */
    PyObject *global_set; /* (array, index, value): array.global_slice[index] = value */
    PyObject
        *other_index; /* (dataset, index[, value]) -> what h5py means by it, or NotImplemented */
    PyObject *value_refused;   /* the ValueError of a value that h5py refuses with a TypeError */
    PyObject *foreign_dataset; /* (dataset found in an open file) -> what a look-up gives */
    PyObject *core_ufunc;      /* (ufunc, *operands, **keywords) along axes of matrices */
    PyObject *link_target;     /* (object in a _Storage) -> what it leads to; see storage.c */
    /* What `_BaseGroup` itself has under these names: a class that still has the same object
       has not overridden it, and need not be called. */
    PyObject *default_group_hook;
    PyObject *default_dataset_hook;
    PyObject *default_group_class;
    PyObject *default_from_storage_root;
    PyObject *slash;    /* "/" */
    PyObject *deepcopy; /* copy.deepcopy */
#define X(name) PyObject *str_##name;
    MEMDATA_NAMES(X)
#undef X
    path_cache_entry paths[PATH_CACHE_SIZE];
} module_state;

extern struct PyModuleDef memdata_module;

static inline module_state *
state_of_module(PyObject *module)
{
    return (module_state *)PyModule_GetState(module);
}

/* The state behind a type of ours or a subclass of one, made in Python or not: slots see no other. */
static inline module_state *
state_of_type(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &memdata_module);
    assert(module != NULL);
    return state_of_module(module);
}

static inline module_state *
state_of(PyObject *self)
{
    return state_of_type(Py_TYPE(self));
}

/* Each file adds its own types. */
int names_init(PyObject *module, module_state *state);
int attrs_init(PyObject *module, module_state *state);
int storage_init(PyObject *module, module_state *state);
int object_init(PyObject *module, module_state *state);
int body_init(PyObject *module, module_state *state);
int dataset_init(PyObject *module, module_state *state);
int common_init(PyObject *module, module_state *state);
int group_init(PyObject *module, module_state *state);
int group_view_init(PyObject *module, module_state *state);
int ro_dict_init(PyObject *module, module_state *state);
int mpiarray_init(PyObject *module, module_state *state);
int global_slice_init(PyObject *module, module_state *state);
int distributed_init(PyObject *module, module_state *state);
int filters_init(PyObject *module);
int bitshuffled_init(PyObject *module);
int output_init(PyObject *module, module_state *state);

/* Make a type from its spec, keep it in *place and add it to the module under its name.
   `base` may be NULL. */
int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base, PyTypeObject **place);

#endif
