/* Making groups and datasets in a tree in memory.

   What may fail comes first: the name, the hooks, what is there already, the data. Only then are
   missing parents made and the new node put in, which runs no Python code. */
#include "group.h"
#include "arrays.h"
#include "dataset.h"
#include "storage.h"

/* Check and split the name of something new; the node that the path counts from. A new reference: the
   hooks may give the group another place meanwhile. */
static PyObject *
start_of_new(module_state *state, Group *self, PyObject *name, split_path *split)
{
    PyObject *top = group_top(state, self);
    if (top == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "the group is not in memory");
        }
        return NULL;
    }
    if (check_new_path(name) < 0 || split_path_init(state, name, split) < 0) {
        return NULL;
    }
    PyObject *start = split->absolute ? top : group_node(state, self);
    if (start == NULL) {
        split_path_clear(split);
    }
    return Py_XNewRef(start);
}

static void
raise_exists(module_state *state, Group *self, const split_path *split, Py_ssize_t depth,
             PyObject *there)
{
    PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
    PyObject *wanted = prefix != NULL ? join_names(prefix, split->owner) : NULL;
    PyObject *names = NULL, *upto = NULL;
    if (wanted != NULL) {
        names = PyTuple_New(depth + 1);
    }
    for (Py_ssize_t i = 0; names != NULL && i <= depth; i++) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(split->names[i]));
    }
    upto = names != NULL ? join_names(prefix, names) : NULL;
    if (upto != NULL) {
        const char *kind = is_storage(state, there)   ? "group"
                           : is_dataset(state, there) ? "dataset"
                                                      : Py_TYPE(there)->tp_name;
        PyErr_Format(PyExc_ValueError, "cannot create %U: %U is already there, a %s", wanted, upto,
                     kind);
    }
    Py_XDECREF(wanted);
    Py_XDECREF(names);
    Py_XDECREF(upto);
}

/* What has the name `i` of `split` in `at`: through a link, but what is under the last name counts as what it
   is. As dict_get. */
static int
child_of(module_state *state, Group *self, PyObject *at, const split_path *split, Py_ssize_t i,
         PyObject **child)
{
    int there = dict_get(at, split->names[i], child);
    if (there == 1 && i < split->count - 1 &&
        storage_follow(state, self->object.root, at, child) < 0) {
        Py_CLEAR(*child);
        return -1;
    }
    return there;
}

/* Can the last name of `split` be made: is all before it a group or missing, and is nothing there
   (or, for `replace`, a dataset)? 0 or -1 with ValueError. */
static int
check_free(module_state *state, Group *self, PyObject *start, const split_path *split, bool replace)
{
    PyObject *at = Py_NewRef(start);
    for (Py_ssize_t i = 0; i < split->count; i++) {
        PyObject *child = NULL;
        int there = child_of(state, self, at, split, i, &child);
        Py_DECREF(at);
        if (there != 1) {
            return there;
        }
        bool last = i == split->count - 1;
        if (last ? !replace || !is_dataset(state, child) : !is_storage(state, child)) {
            raise_exists(state, self, split, i, child);
            Py_DECREF(child);
            return -1;
        }
        at = child;
    }
    Py_DECREF(at);
    return 0;
}

/* The group that the last name goes into, made with its parents where missing; new reference.
   Making a node may let other threads run: one that was faster has made the group. */
static PyObject *
make_parents(module_state *state, Group *self, PyObject *start, const split_path *split)
{
    PyObject *at = Py_NewRef(start);
    for (Py_ssize_t i = 0; at != NULL && i < split->count - 1; i++) {
        PyObject *child = NULL;
        int there = child_of(state, self, at, split, i, &child);
        if (there == 0) {
            PyObject *made = storage_new(state);
            child = made != NULL ? dict_setdefault(at, split->names[i], made) : NULL;
            Py_XDECREF(made);
        }
        if (child != NULL && !is_storage(state, child)) {
            raise_exists(state, self, split, i, child);
            Py_CLEAR(child);
        }
        Py_SETREF(at, child);
    }
    return at;
}

/* Put `node` under the last name of `split`, where nothing is or, for `replace`, a dataset; returns
   the handle on it. Between looking and putting no other thread can run. */
static PyObject *
insert(module_state *state, Group *self, PyObject *start, const split_path *split, PyObject *node,
       bool replace)
{
    PyObject *parent = make_parents(state, self, start, split);
    PyObject *name = split->names[split->count - 1], *old = NULL;
    int there = parent != NULL ? dict_get(parent, name, &old) : -1;
    int done = -1;
    if (there == 1 && (!replace || !is_dataset(state, old))) {
        raise_exists(state, self, split, split->count - 1, old);
    }
    else if (there >= 0) {
        done = PyDict_SetItem(parent, name, node);
    }
    Py_XDECREF(parent);
    PyObject *handle = done == 0 ? group_handle(state, self, node, split) : NULL;
    Py_XDECREF(old); /* last: letting a dataset go may run code */
    return handle;
}

/* The hooks' say on a new name: 0 allowed, -1 with ValueError. */
static int
check_allowed(module_state *state, Group *self, bool is_group, const split_path *split)
{
    if (!group_has_hooks(state, (PyObject *)self)) {
        return 0;
    }
    int allowed = group_allows(state, self, is_group, split);
    if (allowed == 0) {
        PyObject *prefix = split->absolute ? state->slash : object_name(&self->object);
        PyObject *path = prefix != NULL ? join_names(prefix, split->owner) : NULL;
        if (path != NULL) {
            group_raise_refused((PyObject *)self, PyExc_ValueError, is_group, path);
            Py_DECREF(path);
        }
    }
    return allowed == 1 ? 0 : -1;
}

const char group_create_group_doc[] = PyDoc_STR(
    "_create_group($self, name, /)\n--\n\n"
    "A new group in memory, with the parents that are missing. ValueError: something is there.");

PyObject *
group_create_group(PyObject *object, PyObject *name)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    split_path split;
    PyObject *start = start_of_new(state, self, name, &split);
    if (start == NULL) {
        return NULL;
    }
    PyObject *handle = NULL;
    if (check_allowed(state, self, true, &split) == 0 &&
        check_free(state, self, start, &split, false) == 0) {
        PyObject *node = storage_new(state);
        handle = node != NULL ? insert(state, self, start, &split, node, false) : NULL;
        Py_XDECREF(node);
    }
    Py_DECREF(start);
    split_path_clear(&split);
    return handle;
}

const char group_insert_dataset_doc[] = PyDoc_STR(
    "_insert_dataset($self, name, dataset, /)\n--\n\n"
    "Store a dataset object under a name, with the parents that are missing; a dataset there is\n"
    "replaced. Returns a handle on it. ValueError: a group is there, or a dataset on the way.");

static PyObject *
insert_dataset(module_state *state, Group *self, PyObject *start, split_path *split,
               PyObject *stored)
{
    PyObject *root, *prefix;
    if (group_tree(state, self, split->absolute, &root, &prefix) < 0) {
        return NULL;
    }
    MemObject *place = (MemObject *)stored;
    Py_DECREF(root);
    Py_CLEAR(place->root); /* the tree never refers to itself */
    Py_CLEAR(place->name);
    Py_XSETREF(place->prefix, prefix);
    Py_XSETREF(place->tail, Py_NewRef(split->owner));
    return insert(state, self, start, split, stored, true);
}

PyObject *
group_insert_dataset(PyObject *object, PyObject *args)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    PyObject *name, *stored, *handle = NULL;
    split_path split;
    if (!PyArg_ParseTuple(args, "OO!:_insert_dataset", &name, state->dataset_type, &stored)) {
        return NULL;
    }
    PyObject *start = start_of_new(state, self, name, &split);
    if (start == NULL) {
        return NULL;
    }
    if (check_allowed(state, self, false, &split) == 0 &&
        check_free(state, self, start, &split, true) == 0) {
        handle = insert_dataset(state, self, start, &split, stored);
    }
    Py_DECREF(start);
    split_path_clear(&split);
    return handle;
}

const char group_insert_node_doc[] =
    PyDoc_STR("_insert_node($self, name, node, /)\n--\n\n"
              "Store a `_Storage`, link or named type under a name, with the parents that are "
              "missing: another\n"
              "name for it where it has one already. ValueError: something is there.");

PyObject *
group_insert_node(PyObject *object, PyObject *args)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    PyObject *name, *node, *handle = NULL;
    split_path split;
    if (!PyArg_ParseTuple(args, "OO:_insert_node", &name, &node)) {
        return NULL;
    }
    PyObject *start = start_of_new(state, self, name, &split);
    if (start == NULL) {
        return NULL;
    }
    if (check_allowed(state, self, is_storage(state, node), &split) == 0 &&
        check_free(state, self, start, &split, false) == 0) {
        handle = insert(state, self, start, &split, node, false);
    }
    Py_DECREF(start);
    split_path_clear(&split);
    return handle;
}

const char group_create_common_doc[] = PyDoc_STR(
    "_create_common($self, name, shape, dtype, data, chunks, compression, compression_opts, /)\n"
    "--\n\n"
    "A new common dataset in memory; what `MemGroup.create_dataset` does for one. None: not "
    "given.");

PyObject *
group_create_common(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    module_state *state = state_of(object);
    Group *self = (Group *)object;
    split_path split;
    if (nargs != 7) {
        return PyErr_Format(PyExc_TypeError, "_create_common expected 7 arguments, got %zd", nargs);
    }
    PyObject *start = start_of_new(state, self, args[0], &split);
    if (start == NULL) {
        return NULL;
    }
    PyObject *handle = NULL, *array = NULL;
    DatasetBody *body = NULL;
    bool fits = false;
    if (check_allowed(state, self, false, &split) < 0 ||
        check_free(state, self, start, &split, true) < 0) {
        goto done;
    }
    int is_null = args[3] != Py_None ? is_null_dataspace(state, args[3]) : 0;
    array = is_null == 1   ? Py_NewRef(args[3])
            : is_null == 0 ? array_for(state, args[1], args[2], args[3])
                           : NULL;
    body = array != NULL ? body_new(state, array) : NULL;
    fits = body != NULL && body_set_chunks(body, args[4]) == 0;
    if (!fits) {
        /* Data, shape or chunks were refused: say for which dataset. */
        if (split.absolute) {
            name_in_error(state->slash, split.owner);
        }
        else {
            object_name_in_error(&self->object, split.owner);
        }
    }
    if (fits && check_free(state, self, start, &split, true) == 0) {
        body_set_compression(body, args[5], args[6]);
        PyObject *stored =
            dataset_around(state->common_type, (DatasetBody *)Py_NewRef((PyObject *)body));
        handle = stored != NULL ? insert_dataset(state, self, start, &split, stored) : NULL;
        Py_XDECREF(stored);
    }
done:
    Py_DECREF(start);
    Py_XDECREF(array);
    Py_XDECREF((PyObject *)body);
    split_path_clear(&split);
    return handle;
}
