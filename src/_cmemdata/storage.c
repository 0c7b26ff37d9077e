/* A tree in memory is dicts in dicts:

       _StorageRoot {"index_map": _Storage {"freq": MemDatasetCommon}, "vis": MemDatasetCommon}

   References go downwards only. Nodes know neither their name nor their parent, so a tree has no
   cycle (but for circles of hard links, which somebody made) and goes when its last owner goes.

   Beside nodes a group may hold links and named types, which belong to the Python layer: it tells
   (`link_target`) what a link leads to. Whoever asks for nodes pays nothing for that. */
#include "storage.h"
#include "attrs.h"
#include "copytree.h"
#include "dataset.h"
#include "equal.h"

PyObject *
storage_new(module_state *state)
{
    PyObject *empty = PyTuple_New(0);
    if (empty == NULL) {
        return NULL;
    }
    PyObject *storage = PyDict_Type.tp_new(state->storage_type, empty, NULL);
    Py_DECREF(empty);
    return storage;
}

/* ---- walking ---- */

/* Links in one look-up: more are a circle. HDF5 stops at 16. */
#define LINKS_MAX 64

static inline bool
is_node(module_state *state, PyObject *object)
{
    return Py_IS_TYPE(object, state->common_type) || is_storage(state, object) ||
           is_dataset(state, object);
}

/* What the Python layer says of an object that is no node: the path of a soft link (str), something else
   of a link that is not followed in memory, None of what is no link. New reference. */
static PyObject *
link_target(module_state *state, PyObject *object)
{
    return state->link_target != NULL ? PyObject_CallOneArg(state->link_target, object)
                                      : Py_NewRef(Py_None);
}

static int walk(module_state *state, PyObject *tree, PyObject *node, PyObject *const *names,
                Py_ssize_t count, int *links, PyObject **found, walk_end *end);

/* `path`, of a soft link in the group `holder`. */
static int
walk_link(module_state *state, PyObject *tree, PyObject *holder, PyObject *path, int *links,
          PyObject **found)
{
    split_path split;
    if (--*links < 0 || PyUnicode_GET_LENGTH(path) == 0) {
        return 0;
    }
    while (tree != NULL && PyObject_TypeCheck(tree, state->group_type)) {
        tree = ((MemObject *)tree)->root;
    }
    if (split_path_init(state, path, &split) < 0) {
        return -1;
    }
    PyObject *start = split.absolute ? tree : holder;
    walk_end end = {0, NULL};
    int there = 0;
    if (start != NULL && is_storage(state, start)) {
        Py_INCREF(start);
        there = walk(state, tree, start, split.names, split.count, links, found, &end);
        Py_DECREF(start);
    }
    Py_XDECREF(end.link);
    split_path_clear(&split);
    return there;
}

static int
follow(module_state *state, PyObject *tree, PyObject *holder, PyObject **child, int *links)
{
    PyObject *target = link_target(state, *child), *found = NULL;
    if (target == NULL || target == Py_None) {
        Py_XDECREF(target);
        return target != NULL ? 1 : -1;
    }
    int there = PyUnicode_Check(target) ? walk_link(state, tree, holder, target, links, &found) : 0;
    Py_DECREF(target);
    if (there == 1) {
        Py_SETREF(*child, found);
    }
    return there;
}

int
storage_follow(module_state *state, PyObject *tree, PyObject *holder, PyObject **child)
{
    int links = LINKS_MAX;
    return is_node(state, *child) ? 1 : follow(state, tree, holder, child, &links);
}

static int
walk(module_state *state, PyObject *tree, PyObject *node, PyObject *const *names, Py_ssize_t count,
     int *links, PyObject **found, walk_end *end)
{
    PyObject *at = Py_NewRef(node);
    end->link = NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *child = NULL;
        int there = i == 0 || is_storage(state, at) ? dict_get(at, names[i], &child) : 0;
        if (there == 1 && !is_node(state, child)) {
            there = follow(state, tree, at, &child, links);
            if (there != 1) {
                end->link = there == 0 ? Py_NewRef(child) : NULL;
                Py_DECREF(child);
            }
        }
        Py_DECREF(at);
        if (there != 1) {
            end->depth = i;
            return there;
        }
        at = child;
    }
    *found = at;
    return 1;
}

int
storage_walk(module_state *state, PyObject *tree, PyObject *node, PyObject *const *names,
             Py_ssize_t count, PyObject **found, walk_end *end)
{
    int links = LINKS_MAX;
    return walk(state, tree, node, names, count, &links, found, end);
}

/* Whether two names differ by one letter: another one, one more, or two that changed places. */
static bool
is_close(PyObject *a, PyObject *b)
{
    Py_ssize_t m = PyUnicode_GET_LENGTH(a), n = PyUnicode_GET_LENGTH(b), first = 0, last = 0;
    if (m < 2 || n < 2 || m - n > 1 || n - m > 1) {
        return false;
    }
    while (first < m && first < n &&
           PyUnicode_READ_CHAR(a, first) == PyUnicode_READ_CHAR(b, first)) {
        first++;
    }
    while (last < m - first && last < n - first &&
           PyUnicode_READ_CHAR(a, m - last - 1) == PyUnicode_READ_CHAR(b, n - last - 1)) {
        last++;
    }
    Py_ssize_t left = (m > n ? m : n) - first - last;
    return left < 2 || (left == 2 && m == n &&
                        PyUnicode_READ_CHAR(a, first) == PyUnicode_READ_CHAR(b, first + 1) &&
                        PyUnicode_READ_CHAR(a, first + 1) == PyUnicode_READ_CHAR(b, first));
}

#define MOST_COMPARED 1000

/* A name in the group where a walk ended that was perhaps meant: borrowed from *holder, which is new. */
static PyObject *
close_name(module_state *state, PyObject *tree, PyObject *node, const split_path *split,
           const walk_end *end, PyObject **holder)
{
    walk_end again = {0, NULL};
    Py_ssize_t place = 0, count = 0;
    PyObject *name;
    if (storage_walk(state, tree, node, split->names, end->depth, holder, &again) == 1 &&
        is_storage(state, *holder)) {
        while (count++ < MOST_COMPARED && PyDict_Next(*holder, &place, &name, NULL)) {
            if (PyUnicode_Check(name) && is_close(name, split->names[end->depth])) {
                return name;
            }
        }
    }
    Py_XDECREF(again.link);
    return NULL;
}

void
raise_missing(module_state *state, PyObject *tree, PyObject *node, PyObject *where,
              const split_path *split, walk_end *end)
{
    PyObject *wanted = join_names(where, split->owner);
    PyObject *upto = split->count == 1 ? Py_NewRef(where) : NULL;
    PyObject *name = split->names[end->depth], *text = NULL;
    if (upto == NULL && wanted != NULL) {
        PyObject *names = PyTuple_GetSlice(split->owner, 0, end->depth);
        upto = names != NULL ? join_names(where, names) : NULL;
        Py_XDECREF(names);
    }
    if (wanted != NULL && upto != NULL && end->link != NULL) {
        text = PyUnicode_FromFormat("%U is missing: %R in the group %U is %R, which leads nowhere",
                                    wanted, name, upto, end->link);
    }
    else if (wanted != NULL && upto != NULL) {
        PyObject *holder = NULL, *meant = close_name(state, tree, node, split, end, &holder);
        bool inside = holder != NULL && !is_storage(state, holder);
        const char *format = inside ? "%U is missing: there is no %R in the dataset %U"
                             : meant != NULL
                                 ? "%U is missing: there is no %R in the group %U; did you mean %R?"
                                 : "%U is missing: there is no %R in the group %U";
        if (!PyErr_Occurred()) {
            text = PyUnicode_FromFormat(format, wanted, name, upto, meant);
        }
        Py_XDECREF(holder);
    }
    if (text != NULL) {
        PyErr_SetObject(PyExc_KeyError, text);
        Py_DECREF(text);
    }
    Py_CLEAR(end->link);
    Py_XDECREF(wanted);
    Py_XDECREF(upto);
}

/* ---- _Storage ---- */

static int
storage_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0) {
        PyErr_Format(PyExc_TypeError, "%.200s() takes keywords only, the children by name",
                     Py_TYPE(self)->tp_name);
        return -1;
    }
    return kwargs != NULL ? PyDict_Update(self, kwargs) : 0;
}

static PyObject *
storage_get_attrs(PyObject *self, void *Py_UNUSED(closure))
{
    return attrs_at(state_of(self), &((Storage *)self)->attrs);
}

static PyObject *
storage_get_creation(PyObject *self, void *Py_UNUSED(closure))
{
    return creation_at(&((Storage *)self)->creation);
}

static int nodes_equal(module_state *state, PyObject *a, PyObject *b, PyObject **met);

static int
children_equal(module_state *state, PyObject *a, PyObject *b, PyObject **met)
{
    if (PyDict_GET_SIZE(a) != PyDict_GET_SIZE(b)) {
        return 0;
    }
    PyObject *items = PyDict_Items(a); /* a snapshot: comparing calls into Python */
    if (items == NULL) {
        return -1;
    }
    int equal = 1;
    for (Py_ssize_t i = 0; equal == 1 && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i), *other;
        equal = dict_get(b, PyTuple_GET_ITEM(item, 0), &other);
        if (equal == 1) {
            equal = nodes_equal(state, PyTuple_GET_ITEM(item, 1), other, met);
            Py_DECREF(other);
        }
    }
    Py_DECREF(items);
    return equal;
}

/* Was this pair of groups met before? Then its comparison is done, or going on in a circle: only another
   pair can still tell the trees apart. */
static int
pair_met(PyObject **met, PyObject *a, PyObject *b)
{
    if (*met == NULL && (*met = PySet_New(NULL)) == NULL) {
        return -1;
    }
    PyObject *pair = Py_BuildValue("(NN)", PyLong_FromVoidPtr(a), PyLong_FromVoidPtr(b));
    int there = pair != NULL ? PySet_Contains(*met, pair) : -1;
    if (there == 0) {
        there = PySet_Add(*met, pair);
    }
    Py_XDECREF(pair);
    return there;
}

/* Links, named types, and what somebody put into the dict. */
static int
others_equal(module_state *state, PyObject *a, PyObject *b)
{
    PyObject *left = link_target(state, a);
    PyObject *right = left != NULL ? link_target(state, b) : NULL;
    int equal = right == NULL                         ? -1
                : left != Py_None && right != Py_None ? values_equal(left, right)
                                                      : values_equal(a, b);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return equal;
}

/* Contents alone: where in its tree a node lives does not matter here. */
static int
nodes_equal(module_state *state, PyObject *a, PyObject *b, PyObject **met)
{
    if (a == b) {
        return 1;
    }
    if (is_dataset(state, a) && is_dataset(state, b)) {
        return dataset_contents_equal(a, b);
    }
    if (!is_storage(state, a) || !is_storage(state, b)) {
        return others_equal(state, a, b);
    }
    int known = pair_met(met, a, b);
    if (known != 0 || Py_EnterRecursiveCall(" while comparing trees")) {
        return known != 0 ? known : -1;
    }
    int equal = attrs_equal(((Storage *)a)->attrs, ((Storage *)b)->attrs);
    if (equal == 1) {
        equal = children_equal(state, a, b, met);
    }
    Py_LeaveRecursiveCall();
    return equal;
}

static PyObject *
storage_richcompare(PyObject *self, PyObject *other, int op)
{
    module_state *state = state_of(self);
    if ((op != Py_EQ && op != Py_NE) || !is_storage(state, other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *met = NULL;
    int equal = nodes_equal(state, self, other, &met);
    Py_XDECREF(met);
    return equal_result(equal, op);
}

static int
storage_traverse(PyObject *self, visitproc visit, void *arg)
{
    Storage *storage = (Storage *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(storage->attrs);
    Py_VISIT(storage->creation);
    Py_VISIT(storage->instance_dict);
    return PyDict_Type.tp_traverse(self, visit, arg);
}

static int
storage_clear(PyObject *self)
{
    Storage *storage = (Storage *)self;
    Py_CLEAR(storage->attrs);
    Py_CLEAR(storage->creation);
    Py_CLEAR(storage->instance_dict);
    return PyDict_Type.tp_clear(self);
}

static void
storage_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Storage *storage = (Storage *)self;
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, storage_dealloc); /* trees may be deep */
    if (storage->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Py_CLEAR(storage->attrs);
    Py_CLEAR(storage->creation);
    Py_CLEAR(storage->instance_dict);
    PyDict_Type.tp_dealloc(self);
    Py_DECREF(type);
    Py_TRASHCAN_END;
}

PyDoc_STRVAR(storage_deepcopy_doc,
"__deepcopy__($self, memo, /)\n--\n\n"
"A copy of the subtree: data and attributes are copied, of one moment.");

static PyObject *
storage_deepcopy(PyObject *self, PyObject *memo)
{
    module_state *state = state_of(self);
    PyObject *target = PyObject_CallNoArgs((PyObject *)Py_TYPE(self));
    if (target == NULL || !is_storage(state, target)) {
        Py_XDECREF(target);
        return PyErr_Occurred() ? NULL
                                : PyErr_Format(PyExc_TypeError, "%s() did not make a _Storage",
                                               Py_TYPE(self)->tp_name);
    }
    PyObject *attrs = copy_tree(state, self, target, &(copy_options){.memo = memo});
    if (attrs == NULL) {
        Py_DECREF(target);
        return NULL;
    }
    Py_DECREF(attrs);
    return target;
}

PyDoc_STRVAR(storage_getstate_doc, "__getstate__($self, /)\n--\n\nWhat pickle keeps.");

static PyObject *
storage_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Storage *storage = (Storage *)self;
    return Py_BuildValue("(NNN)", or_none(storage->attrs), or_none(storage->instance_dict),
                         or_none(storage->creation));
}

/* `dict` may be None or NULL: nothing was kept. */
static int
set_dict(PyObject **place, PyObject *dict)
{
    if (dict == NULL || dict == Py_None) {
        return 0;
    }
    if (!PyDict_Check(dict)) {
        PyErr_Format(PyExc_TypeError, "expected a dict in the state, got %.200s",
                     Py_TYPE(dict)->tp_name);
        return -1;
    }
    Py_XSETREF(*place, Py_NewRef(dict));
    return 0;
}

static int
storage_set_attrs(PyObject *self, PyObject *attrs)
{
    if (attrs != Py_None) {
        if (!PyObject_TypeCheck(attrs, state_of(self)->attrs_type)) {
            PyErr_SetString(PyExc_TypeError, "the state's attributes must be a MemAttrs");
            return -1;
        }
        Py_XSETREF(((Storage *)self)->attrs, Py_NewRef(attrs));
    }
    return 0;
}

PyDoc_STRVAR(storage_setstate_doc, "__setstate__($self, state, /)\n--\n\nTake what pickle kept.");

static PyObject *
storage_setstate(PyObject *self, PyObject *pickled)
{
    PyObject *attrs, *dict, *creation;
    if (!PyArg_Parse(pickled, "(OOO)", &attrs, &dict, &creation) ||
        storage_set_attrs(self, attrs) < 0 ||
        set_dict(&((Storage *)self)->instance_dict, dict) < 0 ||
        set_dict(&((Storage *)self)->creation, creation) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(storage_doc,
"_Storage(**kw)\n--\n\n"
"A group's node in a tree in memory: a dict of its children, in order of creation.\n\n"
"Values are `_Storage` (groups), the stored `MemDataset` objects, `h5py.SoftLink` and\n"
"`h5py.ExternalLink`, and `NamedType`. The same object under two names is a hard link. It knows\n"
"neither its name nor its parent; that is what `MemGroup` is for.\n\n"
"Parameters\n----------\n"
"**kw\n    Children by name.\n\n"
"Examples\n--------\n"
">>> from memdata import _Storage\n"
">>> node = _Storage(inner=_Storage())\n"
">>> list(node), node.attrs\n"
"(['inner'], {})\n");

static PyMemberDef storage_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(Storage, weakrefs), Py_READONLY, NULL},
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(Storage, instance_dict), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef storage_getset[] = {
    {"attrs", storage_get_attrs, NULL, "The group's attributes (`MemAttrs`), shared.", NULL},
    {"_creation", storage_get_creation, NULL,
     "How a file made the group, in h5py's keywords; a dict, empty by default.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef storage_methods[] = {
    {"__deepcopy__", storage_deepcopy, METH_O, storage_deepcopy_doc},
    {"__getstate__", storage_getstate, METH_NOARGS, storage_getstate_doc},
    {"__setstate__", storage_setstate, METH_O, storage_setstate_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot storage_slots[] = {
    {Py_tp_doc, (void *)storage_doc},
    {Py_tp_init, SLOT_FUNC(initproc, storage_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, storage_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, storage_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, storage_clear)},
    {Py_tp_richcompare, SLOT_FUNC(richcmpfunc, storage_richcompare)},
    {Py_tp_hash, SLOT_FUNC(hashfunc, PyObject_HashNotImplemented)},
    {Py_tp_members, storage_members},
    {Py_tp_getset, storage_getset},
    {Py_tp_methods, storage_methods},
    {0, NULL},
};

static PyType_Spec storage_spec = {
    .name = "memdata._Storage",
    .basicsize = sizeof(Storage),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = storage_slots,
};

/* ---- _StorageRoot ---- */

static int
root_init_slot(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"distributed", "comm", NULL};
    StorageRoot *root = (StorageRoot *)self;
    int distributed = 0;
    PyObject *comm = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:_StorageRoot", keywords, &distributed,
                                     &comm)) {
        return -1;
    }
    root->distributed = distributed;
    Py_XSETREF(root->comm, comm != Py_None ? Py_NewRef(comm) : NULL);
    return 0;
}

/* What `key` names: 1 found, 0 missing, -1 error. A key without a slash is a plain dict key. */
static int
root_find(PyObject *self, PyObject *key, PyObject **found)
{
    module_state *state = state_of(self);
    if (!PyUnicode_Check(key) ||
        PyUnicode_FindChar(key, '/', 0, PyUnicode_GET_LENGTH(key), 1) < 0) {
        return dict_get(self, key, found);
    }
    split_path split;
    if (split_path_init(state, key, &split) < 0) {
        return -1;
    }
    int there = -1;
    walk_end end = {0, NULL};
    if (split.absolute) {
        there = storage_walk(state, self, self, split.names, split.count, found, &end);
        Py_XDECREF(end.link);
    }
    else {
        PyErr_Format(PyExc_ValueError, "expected an absolute path or a plain name, got %.1000R",
                     key);
    }
    split_path_clear(&split);
    return there;
}

static PyObject *
root_subscript(PyObject *self, PyObject *key)
{
    PyObject *found = NULL;
    int there = root_find(self, key, &found);
    if (there == 0) {
        PyErr_SetObject(PyExc_KeyError, key);
    }
    return there == 1 ? found : NULL;
}

static int
root_contains(PyObject *self, PyObject *key)
{
    PyObject *found = NULL;
    int there = root_find(self, key, &found);
    if (there == 1) {
        Py_DECREF(found);
    }
    return there;
}

PyDoc_STRVAR(root_get_doc,
"get($self, key, default=None, /)\n--\n\n"
"``self[key]`` where that exists, else `default`.");

static PyObject *
root_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2) {
        return PyErr_Format(PyExc_TypeError, "get expected 1 or 2 arguments, got %zd", nargs);
    }
    PyObject *found = NULL;
    int there = root_find(self, args[0], &found);
    return there < 0 ? NULL : there ? found : Py_NewRef(nargs == 2 ? args[1] : Py_None);
}

static PyObject *
root_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    StorageRoot *root = (StorageRoot *)self;
    Storage *storage = (Storage *)self;
    return Py_BuildValue("(NNONN)", or_none(storage->attrs), or_none(storage->instance_dict),
                         root->distributed ? Py_True : Py_False, or_none(root->comm),
                         or_none(storage->creation));
}

static PyObject *
root_setstate(PyObject *self, PyObject *pickled)
{
    StorageRoot *root = (StorageRoot *)self;
    PyObject *attrs, *dict, *comm, *creation;
    int distributed;
    if (!PyArg_Parse(pickled, "(OOpOO)", &attrs, &dict, &distributed, &comm, &creation) ||
        storage_set_attrs(self, attrs) < 0 || set_dict(&root->storage.instance_dict, dict) < 0 ||
        set_dict(&root->storage.creation, creation) < 0) {
        return NULL;
    }
    root->distributed = distributed;
    Py_XSETREF(root->comm, comm != Py_None ? Py_NewRef(comm) : NULL);
    Py_RETURN_NONE;
}

static PyObject *
root_deepcopy(PyObject *self, PyObject *memo)
{
    StorageRoot *root = (StorageRoot *)self;
    PyObject *copy = storage_deepcopy(self, memo);
    if (copy != NULL && PyObject_TypeCheck(copy, state_of(self)->root_type)) {
        /* A communicator is a name for something outside the process: shared, never copied. */
        ((StorageRoot *)copy)->distributed = root->distributed;
        Py_XSETREF(((StorageRoot *)copy)->comm, Py_XNewRef(root->comm));
    }
    return copy;
}

static PyObject *
root_get_comm(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *comm = ((StorageRoot *)self)->comm;
    return Py_NewRef(comm != NULL ? comm : Py_None);
}

static PyObject *
root_get_distributed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((StorageRoot *)self)->distributed);
}

static int
root_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((StorageRoot *)self)->comm);
    return storage_traverse(self, visit, arg);
}

static int
root_clear(PyObject *self)
{
    Py_CLEAR(((StorageRoot *)self)->comm);
    return storage_clear(self);
}

static void
root_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((StorageRoot *)self)->comm);
    storage_dealloc(self);
}

PyDoc_STRVAR(root_doc,
"_StorageRoot(distributed=False, comm=None)\n--\n\n"
"The root node of a tree in memory; it owns the whole tree.\n\n"
"Indexing it with an absolute path walks the tree, with a plain name it is a dict.\n\n"
"Parameters\n----------\n"
"distributed : bool\n    Whether the tree may hold distributed datasets.\n"
"comm : mpi4py.MPI.Comm or None\n    The communicator they are distributed over.\n\n"
"Raises\n------\n"
"KeyError\n    Nothing has that name.\n"
"ValueError\n    A relative path with a slash in it.\n\n"
"Examples\n--------\n"
">>> from memdata import _Storage, _StorageRoot\n"
">>> root = _StorageRoot()\n"
">>> root[\"a\"] = _Storage(b=_Storage())\n"
">>> root[\"/a/b\"] is root[\"a\"][\"b\"], root[\"/\"] is root\n"
"(True, True)\n");

static PyGetSetDef root_getset[] = {
    {"comm", root_get_comm, NULL, "The communicator of the tree, or None.", NULL},
    {"distributed", root_get_distributed, NULL, "Whether datasets may be distributed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef root_methods[] = {
    {"get", SLOT_FUNC(_PyCFunctionFast, root_get), METH_FASTCALL, root_get_doc},
    {"__deepcopy__", root_deepcopy, METH_O, storage_deepcopy_doc},
    {"__getstate__", root_getstate, METH_NOARGS, storage_getstate_doc},
    {"__setstate__", root_setstate, METH_O, storage_setstate_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot root_slots[] = {
    {Py_tp_doc, (void *)root_doc},
    {Py_tp_init, SLOT_FUNC(initproc, root_init_slot)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, root_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, root_traverse)},
    {Py_tp_clear, SLOT_FUNC(inquiry, root_clear)},
    {Py_tp_getset, root_getset},
    {Py_tp_methods, root_methods},
    {Py_mp_subscript, SLOT_FUNC(binaryfunc, root_subscript)},
    {Py_sq_contains, SLOT_FUNC(objobjproc, root_contains)},
    {0, NULL},
};

static PyType_Spec root_spec = {
    .name = "memdata._cmemdata._StorageRoot",
    .basicsize = sizeof(StorageRoot),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = root_slots,
};

int
storage_init(PyObject *module, module_state *state)
{
    if (add_type(module, &storage_spec, &PyDict_Type, &state->storage_type) < 0) {
        return -1;
    }
    return add_type(module, &root_spec, state->storage_type, &state->root_type);
}
