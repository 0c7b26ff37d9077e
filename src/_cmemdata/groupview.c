/* What keys(), values() and items() of a group return, and the iterators over the last two.

   Views are alive: they show the group as it is. An iterator goes over the names of the moment it
   was made and leaves out what has gone since. Where the class overrides indexing, that is called. */
#include "group.h"

typedef struct {
    PyObject_HEAD
    PyObject *group;
    view_kind kind;
} GroupView;

typedef struct {
    PyObject_HEAD
    module_state *state; /* the type keeps its module alive */
    PyObject *group;
    PyObject *item;  /* the last pair handed out, used again when nobody kept it; or NULL */
    PyObject *node;  /* the group's _Storage; NULL: ask the group's own indexing */
    PyObject *names; /* list; NULL: exhausted */
    Py_ssize_t next;
    view_kind kind; /* VIEW_VALUES or VIEW_ITEMS */
} GroupIter;

PyObject *
group_view_new(module_state *state, PyObject *group, view_kind kind)
{
    GroupView *view = PyObject_GC_New(GroupView, state->group_view_types[kind]);
    if (view != NULL) {
        view->group = Py_NewRef(group);
        view->kind = kind;
        PyObject_GC_Track(view);
    }
    return (PyObject *)view;
}

/* ---- iterators ---- */

static PyObject *
group_iter_new(module_state *state, PyObject *group, view_kind kind)
{
    PyObject *names = group_names(group);
    PyObject *node = names != NULL ? group_node(state, (Group *)group) : NULL;
    if (names == NULL || (node == NULL && PyErr_Occurred())) {
        Py_XDECREF(names);
        return NULL;
    }
    GroupIter *iterator = PyObject_GC_New(GroupIter, state->group_iter_type);
    if (iterator == NULL) {
        Py_DECREF(names);
        return NULL;
    }
    iterator->state = state;
    iterator->group = Py_NewRef(group);
    iterator->item = NULL;
    iterator->node = group_indexing_is_ours(group) ? Py_XNewRef(node) : NULL;
    iterator->names = names;
    iterator->next = 0;
    iterator->kind = kind;
    PyObject_GC_Track(iterator);
    return (PyObject *)iterator;
}

/* (name, child), which takes the reference to child. Loops drop each pair before they ask for the
   next, so that one tuple mostly serves them all (dict's own iterator does the same). */
static PyObject *
pair(GroupIter *iterator, PyObject *name, PyObject *child)
{
    PyObject *item = iterator->item;
    if (item != NULL && Py_REFCNT(item) == 1) {
        PyObject *old_name = PyTuple_GET_ITEM(item, 0), *old_child = PyTuple_GET_ITEM(item, 1);
        PyTuple_SET_ITEM(item, 0, Py_NewRef(name));
        PyTuple_SET_ITEM(item, 1, child);
        Py_INCREF(item); /* before letting go of the old, which may run code */
        Py_DECREF(old_name);
        Py_DECREF(old_child);
        if (!PyObject_GC_IsTracked(item)) {
            PyObject_GC_Track(item); /* the collector untracks tuples of atoms */
        }
        return item;
    }
    item = PyTuple_New(2);
    if (item == NULL) {
        Py_DECREF(child);
        return NULL;
    }
    PyTuple_SET_ITEM(item, 0, Py_NewRef(name));
    PyTuple_SET_ITEM(item, 1, child);
    Py_XSETREF(iterator->item, Py_NewRef(item));
    return item;
}

static PyObject *
group_iter_next(PyObject *self)
{
    GroupIter *iterator = (GroupIter *)self;
    while (iterator->names != NULL && iterator->next < PyList_GET_SIZE(iterator->names)) {
        PyObject *name = PyList_GET_ITEM(iterator->names, iterator->next++);
        PyObject *child = iterator->node != NULL
                              ? group_child(iterator->state, iterator->group, iterator->node, name)
                              : PyObject_GetItem(iterator->group, name);
        if (child != NULL) {
            return iterator->kind == VIEW_VALUES ? child : pair(iterator, name, child);
        }
        if (PyErr_Occurred()) {
            if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
                return NULL;
            }
            PyErr_Clear();
            int link = group_indexing_is_ours(iterator->group)
                           ? group_find(iterator->group, name, false, NULL)
                           : 0;
            if (link != 0) { /* a link that leads nowhere; otherwise gone meanwhile */
                child = link == 1 ? Py_NewRef(Py_None) : NULL;
                return child == NULL || iterator->kind == VIEW_VALUES ? child
                                                                      : pair(iterator, name, child);
            }
        }
    }
    Py_CLEAR(iterator->names);
    Py_CLEAR(iterator->item);
    return NULL;
}

static PyObject *
group_iter_length_hint(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    GroupIter *iterator = (GroupIter *)self;
    return PyLong_FromSsize_t(
        iterator->names != NULL ? PyList_GET_SIZE(iterator->names) - iterator->next : 0);
}

static int
group_iter_traverse(PyObject *self, visitproc visit, void *arg)
{
    GroupIter *iterator = (GroupIter *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(iterator->group);
    Py_VISIT(iterator->item);
    Py_VISIT(iterator->node);
    Py_VISIT(iterator->names);
    return 0;
}

static void
group_iter_dealloc(PyObject *self)
{
    GroupIter *iterator = (GroupIter *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(iterator->group);
    Py_XDECREF(iterator->item);
    Py_XDECREF(iterator->node);
    Py_XDECREF(iterator->names);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef group_iter_methods[] = {
    {"__length_hint__", group_iter_length_hint, METH_NOARGS,
     "__length_hint__($self, /)\n--\n\nHow many are left, at most."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot group_iter_slots[] = {
    {Py_tp_doc, (void *)"Iterator over a group's children."},
    {Py_tp_dealloc, SLOT_FUNC(destructor, group_iter_dealloc)},
    {Py_tp_traverse, SLOT_FUNC(traverseproc, group_iter_traverse)},
    {Py_tp_iter, SLOT_FUNC(getiterfunc, PyObject_SelfIter)},
    {Py_tp_iternext, SLOT_FUNC(iternextfunc, group_iter_next)},
    {Py_tp_methods, group_iter_methods},
    {0, NULL},
};

static PyType_Spec group_iter_spec = {
    .name = "memdata._cmemdata._GroupIterator",
    .basicsize = sizeof(GroupIter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = group_iter_slots,
};

/* ---- views ---- */

static PyObject *
group_view_iter(PyObject *self)
{
    GroupView *view = (GroupView *)self;
    if (view->kind == VIEW_KEYS) {
        return PyObject_GetIter(view->group);
    }
    return group_iter_new(state_of(self), view->group, view->kind);
}

static Py_ssize_t
group_view_length(PyObject *self)
{
    return PyObject_Size(((GroupView *)self)->group);
}

static int
items_contain(PyObject *group, PyObject *item)
{
    if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        return 0;
    }
    PyObject *child = PyObject_GetItem(group, PyTuple_GET_ITEM(item, 0));
    if (child == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError) && !PyErr_ExceptionMatches(PyExc_TypeError)) {
            return -1;
        }
        PyErr_Clear();
        if (PyTuple_GET_ITEM(item, 1) != Py_None) {
            return 0;
        }
        return PySequence_Contains(group,
                                   PyTuple_GET_ITEM(item, 0)); /* a link that leads nowhere */
    }
    int equal = PyObject_RichCompareBool(child, PyTuple_GET_ITEM(item, 1), Py_EQ);
    Py_DECREF(child);
    return equal;
}

static int
group_view_contains(PyObject *self, PyObject *value)
{
    GroupView *view = (GroupView *)self;
    if (view->kind == VIEW_KEYS) {
        return PyUnicode_Check(value) || PyBytes_Check(value)
                   ? PySequence_Contains(view->group, value)
                   : 0;
    }
    if (view->kind == VIEW_ITEMS) {
        return items_contain(view->group, value);
    }
    PyObject *iterator = group_view_iter(self);
    PyObject *child;
    int found = iterator != NULL ? 0 : -1;
    while (found == 0 && (child = PyIter_Next(iterator)) != NULL) {
        found = PyObject_RichCompareBool(child, value, Py_EQ);
        Py_DECREF(child);
    }
    Py_XDECREF(iterator);
    return PyErr_Occurred() ? -1 : found;
}

/* Set operations: on either side, a view of names or items stands for the set of what it shows. */
static PyObject *
as_set(PyObject *operand)
{
    return PySet_New(operand);
}

static PyObject *
set_operation(PyObject *left, PyObject *right, binaryfunc operation)
{
    PyObject *a = as_set(left);
    PyObject *b = a != NULL ? as_set(right) : NULL;
    PyObject *result = b != NULL ? operation(a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static PyObject *
group_view_and(PyObject *left, PyObject *right)
{
    return set_operation(left, right, PyNumber_And);
}

static PyObject *
group_view_or(PyObject *left, PyObject *right)
{
    return set_operation(left, right, PyNumber_Or);
}

static PyObject *
group_view_xor(PyObject *left, PyObject *right)
{
    return set_operation(left, right, PyNumber_Xor);
}

static PyObject *
group_view_subtract(PyObject *left, PyObject *right)
{
    return set_operation(left, right, PyNumber_Subtract);
}

static PyObject *
group_view_richcompare(PyObject *self, PyObject *other, int op)
{
    module_state *state = state_of(self);
    bool setlike = PyAnySet_Check(other) || PyDictKeys_Check(other) || PyDictItems_Check(other) ||
                   Py_IS_TYPE(other, state->group_view_types[VIEW_KEYS]) ||
                   Py_IS_TYPE(other, state->group_view_types[VIEW_ITEMS]);
    if (!setlike) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *a = as_set(self);
    PyObject *b = a != NULL ? as_set(other) : NULL;
    PyObject *result = b != NULL ? PyObject_RichCompare(a, b, op) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static PyObject *
group_view_repr(PyObject *self)
{
    static const char *const names[] = {"keys", "values", "items"};
    PyObject *list = PySequence_List(self);
    PyObject *text = list != NULL
                         ? PyUnicode_FromFormat("%s(%R)", names[((GroupView *)self)->kind], list)
                         : NULL;
    Py_XDECREF(list);
    return text;
}

static int
group_view_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((GroupView *)self)->group);
    return 0;
}

static void
group_view_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(((GroupView *)self)->group);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *
group_view_reversed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *list = PySequence_List(self);
    PyObject *iterator = NULL;
    if (list != NULL && PyList_Reverse(list) == 0) {
        iterator = PyObject_GetIter(list);
    }
    Py_XDECREF(list);
    return iterator;
}

PyDoc_STRVAR(isdisjoint_doc,
"isdisjoint($self, other, /)\n--\n\nWhether nothing in `other` is in this view.");

static PyObject *
group_view_isdisjoint(PyObject *self, PyObject *other)
{
    PyObject *set = as_set(self);
    PyObject *result =
        set != NULL ? PyObject_CallMethodOneArg(set, state_of(self)->str_isdisjoint, other) : NULL;
    Py_XDECREF(set);
    return result;
}

static PyMethodDef values_methods[] = {
    {"__reversed__", group_view_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nFrom the last to the first."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef group_view_methods[] = {
    {"__reversed__", group_view_reversed, METH_NOARGS,
     "__reversed__($self, /)\n--\n\nFrom the last to the first."},
    {"isdisjoint", group_view_isdisjoint, METH_O, isdisjoint_doc},
    {NULL, NULL, 0, NULL},
};

#define VIEW_SLOTS(doc, methods)                                                                   \
    {Py_tp_doc, (void *)(doc)}, {Py_tp_dealloc, SLOT_FUNC(destructor, group_view_dealloc)},        \
        {Py_tp_traverse, SLOT_FUNC(traverseproc, group_view_traverse)},                            \
        {Py_tp_iter, SLOT_FUNC(getiterfunc, group_view_iter)},                                     \
        {Py_tp_repr, SLOT_FUNC(reprfunc, group_view_repr)}, {Py_tp_methods, methods},              \
        {Py_sq_length, SLOT_FUNC(lenfunc, group_view_length)},                                     \
    {                                                                                              \
        Py_sq_contains, SLOT_FUNC(objobjproc, group_view_contains)                                 \
    }

#define SET_SLOTS                                                                                  \
    {Py_tp_richcompare, SLOT_FUNC(richcmpfunc, group_view_richcompare)},                           \
        {Py_tp_hash, SLOT_FUNC(hashfunc, PyObject_HashNotImplemented)},                            \
        {Py_nb_and, SLOT_FUNC(binaryfunc, group_view_and)},                                        \
        {Py_nb_or, SLOT_FUNC(binaryfunc, group_view_or)},                                          \
        {Py_nb_xor, SLOT_FUNC(binaryfunc, group_view_xor)},                                        \
    {                                                                                              \
        Py_nb_subtract, SLOT_FUNC(binaryfunc, group_view_subtract)                                 \
    }

static PyType_Slot keys_slots[] = {
    VIEW_SLOTS("A view of a group's names.", group_view_methods), SET_SLOTS, {0, NULL}};
static PyType_Slot values_slots[] = {VIEW_SLOTS("A view of a group's children.", values_methods),
                                     {0, NULL}};
static PyType_Slot items_slots[] = {
    VIEW_SLOTS("A view of a group's (name, child) pairs.", group_view_methods),
    SET_SLOTS,
    {0, NULL}};

#define VIEW_SPEC(type_name, type_slots)                                                           \
    {.name = "memdata._cmemdata." type_name,                                                       \
     .basicsize = sizeof(GroupView),                                                               \
     .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |                 \
              Py_TPFLAGS_DISALLOW_INSTANTIATION,                                                   \
     .slots = type_slots}

static PyType_Spec group_view_specs[] = {
    [VIEW_KEYS] = VIEW_SPEC("_GroupKeys", keys_slots),
    [VIEW_VALUES] = VIEW_SPEC("_GroupValues", values_slots),
    [VIEW_ITEMS] = VIEW_SPEC("_GroupItems", items_slots),
};

int
group_view_init(PyObject *module, module_state *state)
{
    for (int kind = VIEW_KEYS; kind <= VIEW_ITEMS; kind++) {
        if (add_type(module, &group_view_specs[kind], NULL, &state->group_view_types[kind]) < 0) {
            return -1;
        }
    }
    return add_type(module, &group_iter_spec, NULL, &state->group_iter_type);
}
