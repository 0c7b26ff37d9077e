/* A copy is of one moment, while other threads may change the tree. So it has two passes:

       1. fork   the nodes are made, sharing arrays and attribute values. No Python code runs and the
                 GIL stays: reference counts only, and the cyclic collector is held off.
       2. own    each fork gets its own array and attribute values. This may run Python code
                 (deepcopy of objects) and releases the GIL for large arrays.

   What the copy replaces in the target is let go last, for the same reason. */
#include "copytree.h"
#include "attrs.h"
#include "dataset.h"
#include "storage.h"

typedef struct {
    module_state *state;
    const copy_options *options;
    PyObject *bodies;   /* list: forked bodies */
    PyObject *attrs;    /* list: forked attributes of groups */
    PyObject *replaced; /* list: what was in the target */
    PyObject *
        copies; /* dict: address of a _Storage or body -> its copy. Other names of it, and circles, get the
                           same */
    PyObject *
        groups; /* list of (group, its copy, path, is the copy new): their children are still to be forked */
    PyObject *puts;   /* list of (group of the target, name, copy): put there when all is forked */
    PyObject *others; /* list of (group, name): copies still to be made of what is no node */
} copy_run;

static int
option_has(PyObject *set, PyObject *path)
{
    return set != NULL ? PySequence_Contains(set, path) : 0;
}

/* The copy made of `original` before: 1, *copy is a new reference; 0: none; -1. */
static int
copy_known(copy_run *run, void *original, PyObject **copy)
{
    PyObject *key = PyLong_FromVoidPtr(original);
    int known = key != NULL ? dict_get(run->copies, key, copy) : -1;
    Py_XDECREF(key);
    return known;
}

static int
copy_remember(copy_run *run, void *original, PyObject *copy)
{
    PyObject *key = PyLong_FromVoidPtr(original);
    int done = key != NULL ? PyDict_SetItem(run->copies, key, copy) : -1;
    Py_XDECREF(key);
    return done;
}

static PyObject *fork_body(copy_run *run, PyObject *stored, PyObject *name, PyObject *parent,
                           PyObject *data);

/* The stored dataset for the target; new reference. `path` is NULL when no option needs it. */
static PyObject *
fork_dataset(copy_run *run, PyObject *stored, PyObject *name, PyObject *parent, PyObject *path)
{
    DatasetBody *original = ((Dataset *)stored)->body;
    int shared = run->options->shallow ? 1 : path ? option_has(run->options->shared, path) : 0;
    if (shared != 0 || original == NULL) {
        return shared < 0 ? NULL : Py_NewRef(stored);
    }
    PyObject *data = NULL, *copy = NULL;
    if (path != NULL && run->options->replaced != NULL &&
        dict_get(run->options->replaced, path, &data) == 1) {
        copy = fork_body(run, stored, name, parent, data);
        Py_DECREF(data);
        return copy;
    }
    int known = PyErr_Occurred() ? -1 : copy_known(run, original, &copy);
    if (known == 0) {
        copy = fork_body(run, stored, name, parent, NULL);
        if (copy != NULL && copy_remember(run, original, copy) < 0) {
            Py_CLEAR(copy);
        }
    }
    return copy;
}

/* A stored dataset with a copy of the body, which is to get its own data, or has `data` (borrowed). */
static PyObject *
fork_body(copy_run *run, PyObject *stored, PyObject *name, PyObject *parent, PyObject *data)
{
    DatasetBody *body = body_fork(run->state, ((Dataset *)stored)->body);
    if (body == NULL) {
        return NULL;
    }
    PyObject *copy = NULL;
    if (data != NULL) {
        body_set_array(body, Py_NewRef(data));
        if (body->creation != NULL && PyDict_DelItemString(body->creation, "maxshape") < 0) {
            PyErr_Clear(); /* had none */
        }
        PyObject *chunks = Py_XNewRef(body->chunks);
        Py_CLEAR(body->chunks);
        if (body_set_chunks(body, chunks) < 0) {
            PyErr_Clear(); /* fewer axes than before: the chunks mean nothing any more */
        }
        Py_XDECREF(chunks);
    }
    int kept = 0;
    if (data != NULL) {
        kept = body->attrs != NULL ? PyList_Append(run->attrs, body->attrs) : 0;
    }
    else {
        kept = PyList_Append(run->bodies, (PyObject *)body);
    }
    if (kept == 0) {
        copy = dataset_around(Py_TYPE(stored), (DatasetBody *)Py_NewRef((PyObject *)body));
    }
    if (copy != NULL) {
        ((MemObject *)copy)->prefix = Py_NewRef(parent);
        ((MemObject *)copy)->tail = Py_NewRef(name);
    }
    Py_DECREF(body);
    return copy;
}

static int
fork_creation(PyObject *source, PyObject *target)
{
    PyObject *fork, **into = &((Storage *)target)->creation;
    if (creation_fork(((Storage *)source)->creation, &fork) < 0) {
        return -1;
    }
    int done = fork != NULL && *into != NULL ? PyDict_Update(*into, fork) : 0;
    if (fork != NULL && *into == NULL) {
        *into = Py_NewRef(fork);
    }
    Py_XDECREF(fork);
    return done;
}

static int
fork_attrs(copy_run *run, PyObject *source, PyObject *target)
{
    PyObject *attrs = ((Storage *)source)->attrs;
    if (attrs == NULL || PyDict_GET_SIZE(attrs) == 0) {
        return 0;
    }
    Storage *into = (Storage *)target;
    PyObject *fork = attrs_fork(run->state, attrs);
    if (fork == NULL) {
        return -1;
    }
    int done = PyList_Append(run->attrs, fork);
    if (done == 0 && into->attrs != NULL) {
        done = PyDict_Update(into->attrs, fork);
        if (done == 0) { /* the values that come in are to be owned; the rest is the target's */
            done =
                PyList_SetItem(run->attrs, PyList_GET_SIZE(run->attrs) - 1, Py_NewRef(into->attrs));
        }
    }
    else if (done == 0) {
        into->attrs = Py_NewRef(fork);
    }
    Py_DECREF(fork);
    return done;
}

/* All of a group but its children, which come when it is its turn in the list: a deep tree needs no stack. */
static int
fork_group(copy_run *run, PyObject *source, PyObject *target, PyObject *path, bool is_new)
{
    if (copy_remember(run, source, target) < 0 || fork_attrs(run, source, target) < 0 ||
        fork_creation(source, target) < 0) {
        return -1;
    }
    PyObject *entry = PyTuple_Pack(4, source, target, path, is_new ? Py_True : Py_False);
    int done = entry != NULL ? PyList_Append(run->groups, entry) : -1;
    Py_XDECREF(entry);
    return done;
}

/* A link, which nobody changes, or what somebody put into the dict: shared. A named type: for now. */
static PyObject *
fork_other(copy_run *run, PyObject *child, PyObject *name, PyObject *target)
{
    if (is_object(run->state, child)) {
        PyObject *place = PyTuple_Pack(2, target, name);
        int done = place != NULL ? PyList_Append(run->others, place) : -1;
        Py_XDECREF(place);
        if (done < 0) {
            return NULL;
        }
    }
    return Py_NewRef(child);
}

/* One child: what the target gets under its name. */
static PyObject *
fork_child(copy_run *run, PyObject *child, PyObject *name, PyObject *target, PyObject *parent,
           PyObject *path)
{
    if (is_dataset(run->state, child)) {
        bool look = run->options->shared != NULL || run->options->replaced != NULL;
        return fork_dataset(run, child, name, parent, look ? path : NULL);
    }
    if (!is_storage(run->state, child)) {
        return fork_other(run, child, name, target);
    }
    PyObject *group = NULL;
    int there = copy_known(run, child, &group);
    if (there != 0) {
        return there == 1 ? group : NULL;
    }
    there = dict_get(target, name, &group);
    if (there < 0) {
        return NULL;
    }
    if (there == 1 && !is_storage(run->state, group)) {
        Py_CLEAR(group);
    }
    bool is_new = group == NULL;
    if (is_new) {
        group = storage_new(run->state);
    }
    if (group != NULL && fork_group(run, child, group, path, is_new) < 0) {
        Py_CLEAR(group);
    }
    return group;
}

static int
append_put(copy_run *run, PyObject *target, PyObject *name, PyObject *copy)
{
    PyObject *put = PyTuple_Pack(3, target, name, copy);
    int done = put != NULL ? PyList_Append(run->puts, put) : -1;
    Py_XDECREF(put);
    return done;
}

/* The children into a group that nobody else has, or, where they would be seen (the target may lie in the
   source), noted for later. */
static int
fork_children(copy_run *run, PyObject *source, PyObject *target, PyObject *path, bool is_new)
{
    PyObject *names = PyDict_Keys(source);
    if (names == NULL || (run->options->sort && PyList_Sort(names) < 0)) {
        Py_XDECREF(names);
        return -1;
    }
    int done = 0;
    for (Py_ssize_t i = 0; done == 0 && i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyList_GET_ITEM(names, i), *child;
        if (dict_get(source, name, &child) != 1) {
            done = PyErr_Occurred() ? -1 : 0;
            continue;
        }
        PyObject *child_path = join_names(path, name);
        PyObject *copy =
            child_path != NULL ? fork_child(run, child, name, target, path, child_path) : NULL;
        if (copy == NULL) {
            done = -1;
        }
        else {
            done =
                is_new ? PyDict_SetItem(target, name, copy) : append_put(run, target, name, copy);
        }
        Py_XDECREF(copy);
        Py_XDECREF(child_path);
        Py_DECREF(child);
    }
    Py_DECREF(names);
    return done;
}

static int
put_all(copy_run *run)
{
    int done = 0;
    for (Py_ssize_t i = 0; done == 0 && i < PyList_GET_SIZE(run->puts); i++) {
        PyObject *put = PyList_GET_ITEM(run->puts, i), *old = NULL;
        PyObject *target = PyTuple_GET_ITEM(put, 0), *name = PyTuple_GET_ITEM(put, 1);
        done = dict_get(target, name, &old);
        if (done == 1) {
            done = PyList_Append(run->replaced, old);
            Py_DECREF(old);
        }
        if (done == 0) {
            done = PyDict_SetItem(target, name, PyTuple_GET_ITEM(put, 2));
        }
    }
    return done;
}

static int
fork_all(copy_run *run, PyObject *source, PyObject *target)
{
    int collecting = PyGC_Disable();
    int done = fork_group(run, source, target, run->state->slash, false);
    for (Py_ssize_t i = 0; done == 0 && i < PyList_GET_SIZE(run->groups); i++) {
        PyObject *entry = PyList_GET_ITEM(run->groups, i);
        done = fork_children(run, PyTuple_GET_ITEM(entry, 0), PyTuple_GET_ITEM(entry, 1),
                             PyTuple_GET_ITEM(entry, 2), PyTuple_GET_ITEM(entry, 3) == Py_True);
    }
    if (done == 0) {
        done = put_all(run);
    }
    if (collecting) {
        PyGC_Enable();
    }
    return done;
}

/* Put copies in the place of named types; what has two names is copied once. */
static int
own_others(copy_run *run)
{
    PyObject *memo = run->options->memo != NULL ? Py_NewRef(run->options->memo) : PyDict_New();
    int done = memo != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; done == 0 && i < PyList_GET_SIZE(run->others); i++) {
        PyObject *place = PyList_GET_ITEM(run->others, i), *shared;
        PyObject *group = PyTuple_GET_ITEM(place, 0), *name = PyTuple_GET_ITEM(place, 1);
        done = dict_get(group, name, &shared);
        if (done == 1) {
            PyObject *own = PyObject_CallFunctionObjArgs(run->state->deepcopy, shared, memo, NULL);
            done = own != NULL ? PyDict_SetItem(group, name, own) : -1;
            Py_XDECREF(own);
            Py_DECREF(shared);
        }
    }
    Py_XDECREF(memo);
    return done;
}

static int
own_all(copy_run *run)
{
    PyObject *memo = run->options->memo;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(run->attrs); i++) {
        if (attrs_own(run->state, PyList_GET_ITEM(run->attrs, i), memo) < 0) {
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(run->bodies); i++) {
        DatasetBody *body = (DatasetBody *)PyList_GET_ITEM(run->bodies, i);
        if (body_own(run->state, body, 'A', memo) < 0 ||
            (body->attrs != NULL && PyList_Append(run->attrs, body->attrs) < 0)) {
            return -1;
        }
    }
    return own_others(run);
}

PyObject *
copy_tree(module_state *state, PyObject *source, PyObject *target, const copy_options *options)
{
    copy_run run = {.state = state,
                    .options = options,
                    .bodies = PyList_New(0),
                    .attrs = PyList_New(0),
                    .replaced = PyList_New(0),
                    .copies = PyDict_New(),
                    .groups = PyList_New(0),
                    .puts = PyList_New(0),
                    .others = PyList_New(0)};
    int done = -1;
    if (run.bodies != NULL && run.attrs != NULL && run.replaced != NULL && run.copies != NULL &&
        run.groups != NULL && run.puts != NULL && run.others != NULL) {
        done = fork_all(&run, source, target);
    }
    if (done == 0 && !options->fork) {
        done = own_all(&run);
    }
    Py_XDECREF(run.groups);
    Py_XDECREF(run.puts);
    Py_XDECREF(run.bodies);
    Py_XDECREF(run.others);
    Py_XDECREF(run.copies);
    Py_XDECREF(run.replaced);
    if (done < 0) {
        Py_CLEAR(run.attrs);
    }
    return run.attrs;
}

PyDoc_STRVAR(copy_tree_doc,
"copy_tree(source, target, *, sort=False, shallow=False, fork=False, shared=None, "
"replaced=None)\n--\n\n"
"Copy everything below one node, and its attributes, into another.\n\n"
"The copy is of one moment, whatever other threads do to the source meanwhile.\n\n"
"Parameters\n----------\n"
"source, target : _Storage\n    Groups of the target are filled up, datasets replaced.\n"
"sort : bool\n    Copy children in sorted order.\n"
"shallow : bool\n    Put the source's dataset objects themselves into the target.\n"
"fork : bool\n    The copies are new nodes, which share the arrays and the values of the attributes.\n"
"shared : set of str or None\n    Paths (\"/a/b\", from `source`) of datasets to share like that.\n"
"replaced : dict of str to numpy.ndarray or None\n"
"    Arrays to use in place of a copy of the data, by path.\n\n"
"Returns\n-------\n"
"list of MemAttrs\n    The attributes of the copies that are not empty.\n");

static PyObject *
copy_tree_function(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"source", "target", "sort",     "shallow",
                               "fork",   "shared", "replaced", NULL};
    module_state *state = state_of_module(module);
    PyObject *source, *target, *shared = Py_None, *replaced = Py_None;
    int sort = 0, shallow = 0, fork = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!|$pppOO:copy_tree", keywords,
                                     state->storage_type, &source, state->storage_type, &target,
                                     &sort, &shallow, &fork, &shared, &replaced)) {
        return NULL;
    }
    if (replaced != Py_None && !PyDict_Check(replaced)) {
        return PyErr_Format(PyExc_TypeError, "replaced must be a dict or None, not %.200s",
                            Py_TYPE(replaced)->tp_name);
    }
    return copy_tree(state, source, target,
                     &(copy_options){.sort = sort,
                                     .shallow = shallow,
                                     .fork = fork,
                                     .shared = shared != Py_None ? shared : NULL,
                                     .replaced = replaced != Py_None ? replaced : NULL});
}

static PyMethodDef copytree_functions[] = {
    {"copy_tree", SLOT_FUNC(PyCFunctionWithKeywords, copy_tree_function),
     METH_VARARGS | METH_KEYWORDS, copy_tree_doc},
    {NULL, NULL, 0, NULL},
};

int
copytree_init(PyObject *module)
{
    return PyModule_AddFunctions(module, copytree_functions);
}
