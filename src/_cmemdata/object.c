#include "object.h"
#include "storage.h"

void
object_place(MemObject *self, PyObject *root, PyObject *prefix, PyObject *tail)
{
    Py_XSETREF(self->root, Py_NewRef(root));
    Py_XSETREF(self->prefix, Py_NewRef(prefix));
    Py_XSETREF(self->tail, Py_NewRef(tail));
    Py_CLEAR(self->name);
}

PyObject *
object_name(MemObject *self)
{
    if (self->name == NULL) {
        self->name =
            self->tail != NULL ? join_names(self->prefix, self->tail) : PyUnicode_FromString("");
    }
    return self->name;
}

void
object_name_in_error(MemObject *self, PyObject *tail)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *name = object_name(self);
    PyErr_Restore(type, value, traceback);
    name_in_error(name, tail);
}

PyObject *
parent_name(PyObject *name)
{
    Py_ssize_t slash = PyUnicode_FindChar(name, '/', 0, PyUnicode_GET_LENGTH(name), -1);
    return slash > 0 ? PyUnicode_Substring(name, 0, slash) : PyUnicode_FromString("/");
}

int
object_same(MemObject *a, MemObject *b)
{
    if (a == b) {
        return 1;
    }
    if (a->root != b->root) {
        return 0;
    }
    PyObject *left = object_name(a), *right = left != NULL ? object_name(b) : NULL;
    return right == NULL ? -1 : PyObject_RichCompareBool(left, right, Py_EQ);
}

/* `storage_root=None, name=""`: what the constructors share. */
static int
object_set_place(MemObject *self, PyObject *root, PyObject *name)
{
    PyObject *str = path_as_str(name);
    if (str == NULL) {
        return -1;
    }
    if (root != Py_None && (PyUnicode_GET_LENGTH(str) == 0 || PyUnicode_READ_CHAR(str, 0) != '/')) {
        PyErr_Format(PyExc_ValueError,
                     "an object in a tree needs an absolute name (\"/...\"), got %.1000R", str);
        Py_DECREF(str);
        return -1;
    }
    Py_XSETREF(self->root, root != Py_None ? Py_NewRef(root) : NULL);
    Py_XSETREF(self->name, str);
    return 0;
}

int
object_init_keywords(MemObject *self, PyObject *kwargs)
{
    PyObject *root = Py_None, *name = NULL;
    Py_ssize_t position = 0;
    PyObject *key, *value;
    while (kwargs != NULL && PyDict_Next(kwargs, &position, &key, &value)) {
        if (PyUnicode_CompareWithASCIIString(key, "storage_root") == 0) {
            root = value;
        }
        else if (PyUnicode_CompareWithASCIIString(key, "name") == 0) {
            name = value;
        }
        else {
            PyErr_Format(PyExc_TypeError, "%.200s() got an unexpected keyword argument %R",
                         Py_TYPE(self)->tp_name, key);
            return -1;
        }
    }
    if (name != NULL) {
        return object_set_place(self, root, name);
    }
    PyObject *none = PyUnicode_FromString("");
    int done = none != NULL ? object_set_place(self, root, none) : -1;
    Py_XDECREF(none);
    return done;
}

static int
object_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"storage_root", "name", NULL};
    PyObject *root = Py_None, *name = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:_MemObjMixin", keywords, &root, &name)) {
        return -1;
    }
    PyObject *given = name != NULL ? Py_NewRef(name) : PyUnicode_FromString("");
    int done = given != NULL ? object_set_place((MemObject *)self, root, given) : -1;
    Py_XDECREF(given);
    return done;
}

/* Takes any arguments: classes built on ours call `Class.__new__(Class)` first and `__init__`
   later, or have an `__init__` with arguments of its own. */
static PyObject *
object_new_slot(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)) {
        return type->tp_alloc(type, 0);
    }
    PyObject *none = PyTuple_New(0); /* object's own __new__ names the abstract methods */
    PyObject *self = none != NULL ? PyBaseObject_Type.tp_new(type, none, NULL) : NULL;
    Py_XDECREF(none);
    return self;
}

PyObject *
object_from_root(module_state *state, PyObject *cls, PyObject *root, PyObject *name)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    if (PyType_Check(cls) && PyType_IsSubtype(type, state->object_type) &&
        type_lookup(type, state->str__from_storage_root) == state->default_from_storage_root &&
        type->tp_new == object_new_slot) {
        PyObject *self = object_new_slot(type, NULL, NULL);
        if (self != NULL && object_set_place((MemObject *)self, root, name) < 0) {
            Py_CLEAR(self);
        }
        return self;
    }
    return PyObject_CallMethodObjArgs(cls, state->str__from_storage_root, root, name, NULL);
}

PyObject *
object_made(PyTypeObject *type, PyObject *root, PyObject *name)
{
    PyObject *none = PyTuple_New(0);
    PyObject *self = none != NULL ? type->tp_new(type, none, NULL) : NULL;
    Py_XDECREF(none);
    if (self == NULL) {
        return NULL;
    }
    if (!is_object(state_of_type(type), self)) {
        PyErr_Format(PyExc_TypeError, "%.200s.__new__ made a %.200s, which is no memdata object",
                     type->tp_name, Py_TYPE(self)->tp_name);
        Py_CLEAR(self);
    }
    else if (object_set_place((MemObject *)self, root, name) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

PyDoc_STRVAR(from_storage_root_doc,
"_from_storage_root($type, /, root, name)\n--\n\n"
"A handle on what `root` holds under the absolute `name`, built without ``__init__``.");

static PyObject *
object_from_storage_root(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"root", "name", NULL};
    PyObject *root, *name;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:_from_storage_root", keywords, &root,
                                     &name)) {
        return NULL;
    }
    return object_made((PyTypeObject *)cls, root, name);
}

/* ---- the properties ---- */

static PyObject *
object_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(object_name((MemObject *)self));
}

static int
object_set_name(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyUnicode_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "_name must be a str");
        return -1;
    }
    Py_XSETREF(((MemObject *)self)->name, Py_NewRef(value));
    return 0;
}

static PyObject *
object_get_root(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *root = ((MemObject *)self)->root;
    return Py_NewRef(root != NULL ? root : Py_None);
}

static int
object_set_root(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(((MemObject *)self)->root,
               value != NULL && value != Py_None ? Py_NewRef(value) : NULL);
    return 0;
}

/* The class of the groups that things in a tree give: what the tree's root says (new reference), or NULL
   without an error where it says nothing. */
static PyObject *
handle_class(module_state *state, PyObject *root)
{
    PyObject *found =
        is_storage(state, root) ? PyObject_GetAttr(root, state->str__handle_class) : NULL;
    if (found == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    if (found == Py_None) {
        Py_CLEAR(found);
    }
    return found;
}

static PyObject *
group_named(PyObject *self, PyObject *name)
{
    module_state *state = state_of(self);
    PyObject *root = ((MemObject *)self)->root;
    if (root == NULL || name == NULL) {
        return name == NULL ? NULL : Py_NewRef(Py_None);
    }
    if (state->group_class == NULL) {
        return PyErr_Format(PyExc_RuntimeError, "memdata is not completely imported");
    }
    PyObject *group = NULL;
    PyObject *class = handle_class(state, root);
    if (class != NULL || !PyErr_Occurred()) {
        group = object_from_root(state, class != NULL ? class : state->group_class, root, name);
    }
    Py_XDECREF(class);
    return group;
}

static PyObject *
object_get_parent(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *name = object_name((MemObject *)self);
    PyObject *parent = name != NULL ? parent_name(name) : NULL;
    PyObject *group = group_named(self, parent);
    Py_XDECREF(parent);
    return group;
}

static PyObject *
object_get_file(PyObject *self, void *Py_UNUSED(closure))
{
    module_state *state = state_of(self);
    PyObject *group = group_named(self, state->slash);
    PyObject *class =
        group != NULL && group != Py_None ? handle_class(state, ((MemObject *)self)->root) : NULL;
    if (class != NULL) { /* its groups know their file */
        PyObject *file = PyObject_GetAttr(group, state->str_file);
        Py_SETREF(group, file);
        Py_DECREF(class);
    }
    else if (PyErr_Occurred()) {
        Py_CLEAR(group);
    }
    return group;
}

/* ---- slots ---- */

static PyObject *
object_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !is_object(state_of(self), other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int same = object_same((MemObject *)self, (MemObject *)other);
    return same < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? same : !same);
}

/* Equal objects have the same tree and name, also where equality asks for more (datasets). */
Py_hash_t
object_hash(PyObject *self)
{
    MemObject *object = (MemObject *)self;
    PyObject *name = object_name(object);
    Py_hash_t hash = name != NULL ? PyObject_Hash(name) : -1;
    if (hash == -1) {
        return -1;
    }
    hash ^= (Py_hash_t)((size_t)object->root >> 4);
    return hash == -1 ? -2 : hash;
}

int
object_traverse(PyObject *self, visitproc visit, void *arg)
{
    MemObject *object = (MemObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(object->root);
    Py_VISIT(object->instance_dict);
    return 0;
}

int
object_clear(PyObject *self)
{
    MemObject *object = (MemObject *)self;
    Py_CLEAR(object->root);
    Py_CLEAR(object->instance_dict);
    return 0;
}

void
object_dealloc(PyObject *self)
{
    MemObject *object = (MemObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    object_forget_weakrefs(self);
    Py_XDECREF(object->root);
    Py_XDECREF(object->name);
    Py_XDECREF(object->prefix);
    Py_XDECREF(object->tail);
    Py_XDECREF(object->instance_dict);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- pickling ---- */

PyObject *
object_reduce_with(PyObject *self, PyObject *more)
{
    /* What a class or its user keeps besides is the state, which they may override. */
    module_state *state = state_of(self);
    PyObject *name = object_name((MemObject *)self);
    PyObject *restore =
        name != NULL ? PyObject_GetAttr((PyObject *)Py_TYPE(self), state->str__restore) : NULL;
    PyObject *own =
        restore != NULL ? PyObject_CallMethodNoArgs(self, state->str___getstate__) : NULL;
    PyObject *root = ((MemObject *)self)->root, *reduced = NULL;
    root = Py_NewRef(root != NULL ? root : Py_None);
    if (own != NULL) {
        reduced = more != NULL ? Py_BuildValue("O(OOO)O", restore, root, name, more, own)
                               : Py_BuildValue("O(OO)O", restore, root, name, own);
    }
    Py_DECREF(root);
    Py_XDECREF(restore);
    Py_XDECREF(own);
    return reduced;
}

PyDoc_STRVAR(reduce_doc, "__reduce__($self, /)\n--\n\nFor pickle, which keeps the whole tree.");

static PyObject *
object_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return object_reduce_with(self, NULL);
}

PyDoc_STRVAR(restore_doc,
"_restore($type, root, name, /)\n--\n\nMake again what pickle kept, without ``__init__``.");

static PyObject *
object_restore(PyObject *cls, PyObject *args)
{
    PyObject *root, *name;
    if (!PyArg_ParseTuple(args, "OO:_restore", &root, &name)) {
        return NULL;
    }
    return object_made((PyTypeObject *)cls, root, name);
}

/* ---- the type ---- */

PyDoc_STRVAR(object_doc,
"_MemObjMixin(storage_root=None, name=\"\")\n--\n\n"
"What groups and datasets share: a tree and an absolute name in it.\n\n"
"Two are equal when their trees are the same object and their names are equal.\n\n"
"Parameters\n----------\n"
"storage_root : object or None\n    The tree. It is kept alive; it does not know of this handle.\n"
"name : str\n    Absolute name in the tree.\n\n"
"Raises\n------\n"
"ValueError\n    A relative name together with a tree.\n");

static PyMemberDef object_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(MemObject, weakrefs), Py_READONLY, NULL},
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(MemObject, instance_dict), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef object_getset[] = {
    {"name", object_get_name, NULL, "Absolute name in the tree.", NULL},
    {"_name", object_get_name, object_set_name, "The name, settable.", NULL},
    {"_storage_root", object_get_root, object_set_root, "The tree, or None.", NULL},
    {"parent", object_get_parent, NULL, "The group that holds it; None without a tree.", NULL},
    {"file", object_get_file, NULL, "The root group; None without a tree.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef object_methods[] = {
    {"_from_storage_root", SLOT_FUNC(PyCFunctionWithKeywords, object_from_storage_root),
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, from_storage_root_doc},
    {"__reduce__", object_reduce, METH_NOARGS, reduce_doc},
    {"_restore", object_restore, METH_VARARGS | METH_CLASS, restore_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot object_slots[] = {
    {Py_tp_doc, (void *)object_doc},
    {Py_tp_new, SLOT_FUNC(newfunc, object_new_slot)},
    {Py_tp_init, SLOT_FUNC(initproc, object_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, object_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, object_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, object_clear)},
    {Py_tp_richcompare, SLOT_FUNC(richcmpfunc, object_richcompare)},
    {Py_tp_hash, SLOT_FUNC(hashfunc, object_hash)},
    {Py_tp_members, object_members},
    {Py_tp_getset, object_getset},
    {Py_tp_methods, object_methods},
    {0, NULL},
};

static PyType_Spec object_spec = {
    .name = "memdata._MemObjMixin",
    .basicsize = sizeof(MemObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = object_slots,
};

int
object_init(PyObject *module, module_state *state)
{
    if (add_type(module, &object_spec, NULL, &state->object_type) < 0) {
        return -1;
    }
    state->default_from_storage_root =
        Py_XNewRef(type_lookup(state->object_type, state->str__from_storage_root));
    return state->default_from_storage_root != NULL ? 0 : -1;
}
