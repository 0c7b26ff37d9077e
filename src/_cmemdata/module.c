/* memdata._cmemdata: in-memory trees of groups, datasets and attributes. */
#define MEMDATA_IMPORT_NUMPY
#include "npyapi.h"

#include "copytree.h"
#include "equal.h"
#include "moving.h"
#include "state.h"

int
add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base, PyTypeObject **place)
{
    PyObject *bases = NULL;
    if (base != NULL) {
        bases = PyTuple_Pack(1, base);
        if (bases == NULL) {
            return -1;
        }
    }
    *place = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, bases);
    Py_XDECREF(bases);
    return *place != NULL ? PyModule_AddType(module, *place) : -1;
}

PyDoc_STRVAR(values_equal_doc,
"values_equal(a, b, /)\n--\n\n"
"Compare by value: NumPy arrays, also nested in dicts, lists and tuples, give one answer.\n\n"
"Arrays are equal with the same shape and equal elements; NaN equals NaN in the same place.\n\n"
"Examples\n--------\n"
">>> import numpy as np\n"
">>> from memdata._cmemdata import values_equal\n"
">>> values_equal({\"a\": [np.arange(3)]}, {\"a\": [np.arange(3)]})\n"
"True\n");

static PyObject *
values_equal_function(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *a, *b;
    if (!PyArg_ParseTuple(args, "OO:values_equal", &a, &b)) {
        return NULL;
    }
    return equal_result(values_equal(a, b), Py_EQ);
}

PyDoc_STRVAR(bind_doc,
"_bind(*, group_class=None, array_class=None, axis_exception=None, unsupported_operation=None, "
"world=None, global_get=None, global_set=None, link_target=None, "
"other_index=None, value_refused=None, foreign_dataset=None, core_ufunc=None)\n--\n\n"
"Tell what the Python layer has; what is None stays as it is. See state.h.\n");

static PyObject *
bind(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {
        "group_class", "array_class",   "axis_exception",  "unsupported_operation",
        "world",       "global_get",    "global_set",      "link_target",
        "other_index", "value_refused", "foreign_dataset", "core_ufunc"};
    module_state *state = state_of_module(module);
    PyObject **places[] = {&state->group_class,     &state->array_class,
                           &state->axis_exception,  &state->unsupported_operation,
                           &state->world,           &state->global_get,
                           &state->global_set,      &state->link_target,
                           &state->other_index,     &state->value_refused,
                           &state->foreign_dataset, &state->core_ufunc};
    PyObject *key, *value;
    Py_ssize_t position = 0;
    if (PyTuple_GET_SIZE(args) > 0) {
        return PyErr_Format(PyExc_TypeError, "_bind() takes keywords only");
    }
    while (kwargs != NULL && PyDict_Next(kwargs, &position, &key, &value)) {
        size_t i = 0, count = sizeof names / sizeof names[0];
        while (i < count && PyUnicode_CompareWithASCIIString(key, names[i]) != 0) {
            i++;
        }
        if (i == count) {
            return PyErr_Format(PyExc_TypeError, "_bind() got an unexpected keyword %R", key);
        }
        if (value != Py_None) {
            Py_XSETREF(*places[i], Py_NewRef(value));
        }
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(extend_doc,
"_extend(cls, members, /)\n--\n\n"
"Give a native type methods and properties that are written in Python: once, at import.\n\n"
"They are not to replace what the type has itself (TypeError), nor to be slots.");

static PyObject *
extend(PyObject *module, PyObject *args)
{
    PyTypeObject *type;
    PyObject *members, *name, *member;
    Py_ssize_t position = 0;
    if (!PyArg_ParseTuple(args, "O!O!:_extend", &PyType_Type, &type, &PyDict_Type, &members)) {
        return NULL;
    }
    if (PyType_GetModuleByDef(type, &memdata_module) != module) {
        return PyErr_Occurred()
                   ? NULL
                   : PyErr_Format(PyExc_TypeError, "%.200s is not of here", type->tp_name);
    }
    while (PyDict_Next(members, &position, &name, &member)) {
        if (PyDict_Contains(type->tp_dict, name) != 0) {
            return PyErr_Occurred()
                       ? NULL
                       : PyErr_Format(PyExc_TypeError, "%.200s has %R itself", type->tp_name, name);
        }
    }
    if (PyDict_Update(type->tp_dict, members) < 0) {
        return NULL;
    }
    PyType_Modified(type);
    Py_RETURN_NONE;
}

static PyMethodDef module_functions[] = {
    {"_bind", SLOT_FUNC(PyCFunctionWithKeywords, bind), METH_VARARGS | METH_KEYWORDS, bind_doc},
    {"_extend", extend, METH_VARARGS, extend_doc},
    {"values_equal", values_equal_function, METH_VARARGS, values_equal_doc},
    {NULL, NULL, 0, NULL},
};

/* What `import module` has under a name; a new reference. */
static PyObject *
imported(const char *module, const char *name)
{
    PyObject *from = PyImport_ImportModule(module);
    PyObject *object = from != NULL ? PyObject_GetAttrString(from, name) : NULL;
    Py_XDECREF(from);
    return object;
}

static int
module_exec(PyObject *module)
{
    module_state *state = state_of_module(module);
    if (PyArray_ImportNumPyAPI() < 0) {
        return -1;
    }
    state->deepcopy = imported("copy", "deepcopy");
    state->ufunc_type = (PyTypeObject *)imported("numpy", "ufunc");
    if (state->deepcopy == NULL || state->ufunc_type == NULL || names_init(module, state) < 0 ||
        attrs_init(module, state) < 0 || storage_init(module, state) < 0 ||
        object_init(module, state) < 0 || body_init(module, state) < 0 ||
        dataset_init(module, state) < 0 || common_init(module, state) < 0 ||
        group_init(module, state) < 0 || group_view_init(module, state) < 0 ||
        ro_dict_init(module, state) < 0 || mpiarray_init(module, state) < 0 ||
        global_slice_init(module, state) < 0 || distributed_init(module, state) < 0 ||
        output_init(module, state) < 0 || copytree_init(module) < 0 || filters_init(module) < 0 ||
        bitshuffled_init(module) < 0 || moving_init(module) < 0 || recycling_init(module) < 0) {
        return -1;
    }
    return 0;
}

/* Every object in the state, for traverse and clear. */
#define STATE_OBJECTS(X)                                                                           \
    X(storage_type)                                                                                \
    X(root_type)                                                                                   \
    X(attrs_type)                                                                                  \
    X(object_type)                                                                                 \
    X(group_type)                                                                                  \
    X(group_view_types[0])                                                                         \
    X(group_view_types[1])                                                                         \
    X(group_view_types[2])                                                                         \
    X(group_iter_type)                                                                             \
    X(body_type)                                                                                   \
    X(dataset_type)                                                                                \
    X(common_type)                                                                                 \
    X(ro_dict_type)                                                                                \
    X(mpiarray_type)                                                                               \
    X(global_slice_type)                                                                           \
    X(distributed_type)                                                                            \
    X(output_type)                                                                                 \
    X(ufunc_type)                                                                                  \
    X(group_class)                                                                                 \
    X(array_class)                                                                                 \
    X(axis_exception)                                                                              \
    X(unsupported_operation)                                                                       \
    X(world)                                                                                       \
    X(world_comm)                                                                                  \
    X(global_get)                                                                                  \
    X(global_set)                                                                                  \
    X(link_target)                                                                                 \
    X(other_index)                                                                                 \
    X(foreign_dataset)                                                                             \
    X(core_ufunc)                                                                                  \
    X(value_refused)                                                                               \
    X(default_group_hook)                                                                          \
    X(default_dataset_hook)                                                                        \
    X(default_group_class)                                                                         \
    X(default_from_storage_root)                                                                   \
    X(slash)                                                                                       \
    X(deepcopy)

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = state_of_module(module);
#define X(field) Py_VISIT(state->field);
    STATE_OBJECTS(X)
#undef X
    return 0;
}

static int
module_clear(PyObject *module)
{
    module_state *state = state_of_module(module);
#define X(field) Py_CLEAR(state->field);
    STATE_OBJECTS(X)
#undef X
#define X(name) Py_CLEAR(state->str_##name);
    MEMDATA_NAMES(X)
#undef X
    for (size_t i = 0; i < PATH_CACHE_SIZE; i++) {
        Py_CLEAR(state->paths[i].path);
        Py_CLEAR(state->paths[i].parts);
    }
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, SLOT_FUNC(int (*)(PyObject *), module_exec)},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED}, /* as NumPy */
#endif
    {0, NULL},
};

struct PyModuleDef memdata_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "memdata._cmemdata",
    .m_doc = "In-memory trees of groups, datasets and attributes: the native types of memdata.",
    .m_size = sizeof(module_state),
    .m_methods = module_functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__cmemdata(void)
{
    return PyModuleDef_Init(&memdata_module);
}
