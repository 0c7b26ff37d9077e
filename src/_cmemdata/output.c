/* _Output is the file object that a library writes a file through, in which nothing ever fails as
   far as that library can see: the first error is kept until `check` raises it, what is written
   later is dropped, and what cannot be read is zeros. It is in C so that no handler of a signal runs in the middle either,
   and because headers come in thousands of small pieces. */
#include "state.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pieces that lie one behind the other are written together, up to so many bytes. */
#define HELD_MOST ((size_t)64 << 10)

typedef struct {
    PyObject_HEAD
    int descriptor;
    int error;        /* an errno, or 0 */
    int64_t position; /* of the next call */
    int64_t held_at;  /* where in the file the held bytes belong */
    size_t held_size;
    char *held;           /* HELD_MOST bytes */
    const void *stand_in; /* bytes at this address are not written; see `placed` */
    int64_t placed;
} Output;

static void
write_all(Output *self, const char *data, size_t size, int64_t offset)
{
    int error = 0;
    if (self->error != 0) {
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    while (size > 0) {
        ssize_t done = pwrite(self->descriptor, data, size, offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) { /* nothing written, and no reason why: the disk is full */
            error = done < 0 ? errno : ENOSPC;
            break;
        }
        data += done;
        offset += done;
        size -= (size_t)done;
    }
    Py_END_ALLOW_THREADS
    self->error = error;
}

static void
flush_held(Output *self)
{
    size_t size = self->held_size;
    self->held_size = 0;
    if (size > 0) {
        write_all(self, self->held, size, self->held_at);
    }
}

static int
size_of_file(Output *self, int64_t *size)
{
    struct stat found;
    if (fstat(self->descriptor, &found) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    *size = found.st_size;
    return 0;
}

PyDoc_STRVAR(seek_doc,
"seek($self, offset, whence=0, /)\n--\n\n"
"Set where the next call reads or writes; returns it, counted from the start of the file.");

static PyObject *
output_seek(PyObject *object, PyObject *args)
{
    Output *self = (Output *)object;
    long long offset;
    int whence = SEEK_SET;
    int64_t base = 0;
    if (!PyArg_ParseTuple(args, "L|i:seek", &offset, &whence)) {
        return NULL;
    }
    if (whence == SEEK_CUR) {
        base = self->position;
    }
    else if (whence == SEEK_END) {
        flush_held(self);
        if (size_of_file(self, &base) < 0) {
            return NULL;
        }
    }
    if (offset < -base) {
        PyErr_SetString(PyExc_ValueError, "cannot seek to before the start of the file");
        return NULL;
    }
    self->position = base + offset;
    return PyLong_FromLongLong(self->position);
}

PyDoc_STRVAR(tell_doc,
"tell($self, /)\n--\n\n"
"Where the next call reads or writes.");

static PyObject *
output_tell(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(((Output *)self)->position);
}

PyDoc_STRVAR(readinto_doc,
"readinto($self, buffer, /)\n--\n\n"
"Read until the buffer is full, or the file ends; returns how many bytes.\n\n"
"What lies behind the end of the file, and what cannot be read, is zeros. Never fails for the disk: "
"see `check`.");

static PyObject *
output_readinto(PyObject *object, PyObject *target)
{
    Output *self = (Output *)object;
    Py_buffer buffer;
    size_t done = 0;
    int error = 0;
    if (PyObject_GetBuffer(target, &buffer, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    flush_held(self);
    int64_t position = self->position;
    Py_BEGIN_ALLOW_THREADS
    while (done < (size_t)buffer.len) {
        ssize_t count = pread(self->descriptor, (char *)buffer.buf + done,
                              (size_t)buffer.len - done, position + (int64_t)done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            error = count < 0 ? errno : 0;
            break;
        }
        done += (size_t)count;
    }
    /* What was not written, because a write before it failed, HDF5 reads back all the same, and looks
       at whatever the buffer holds. Zeros are no structure of a file: an error instead of a crash.
       After a read that fails HDF5 goes on reading, which an exception must not meet. */
    memset((char *)buffer.buf + done, 0, (size_t)buffer.len - done);
    Py_END_ALLOW_THREADS
    if (error != 0) {
        done = (size_t)buffer.len;
        if (self->error == 0) {
            self->error = error;
        }
    }
    PyBuffer_Release(&buffer);
    self->position = position + (int64_t)done;
    return PyLong_FromSize_t(done);
}

PyDoc_STRVAR(read_doc,
"read($self, size=-1, /)\n--\n\n"
"Read so many bytes, or all up to the end of the file.");

static PyObject *
output_read(PyObject *object, PyObject *args)
{
    Output *self = (Output *)object;
    Py_ssize_t size = -1;
    int64_t end;
    if (!PyArg_ParseTuple(args, "|n:read", &size)) {
        return NULL;
    }
    flush_held(self);
    if (size_of_file(self, &end) < 0) {
        return NULL;
    }
    int64_t left = end > self->position ? end - self->position : 0;
    PyObject *bytes = PyByteArray_FromStringAndSize(NULL, size < 0 || size > left ? left : size);
    PyObject *count = bytes != NULL ? output_readinto(object, bytes) : NULL;
    PyObject *result = NULL;
    if (count != NULL) {
        result = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(bytes), PyLong_AsSsize_t(count));
    }
    Py_XDECREF(count);
    Py_XDECREF(bytes);
    return result;
}

PyDoc_STRVAR(write_doc,
"write($self, data, /)\n--\n\n"
"Write all bytes of a buffer; returns how many. Never fails: see `check`.");

static PyObject *
output_write(PyObject *object, PyObject *data)
{
    Output *self = (Output *)object;
    Py_buffer buffer;
    if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    size_t size = (size_t)buffer.len;
    if (self->stand_in != NULL && buffer.buf == self->stand_in) {
        self->placed = self->position;
    }
    else {
        if (self->position != self->held_at + (int64_t)self->held_size ||
            self->held_size + size > HELD_MOST) {
            flush_held(self);
            self->held_at = self->position;
        }
        if (size > HELD_MOST) {
            write_all(self, buffer.buf, size, self->position);
        }
        else if (size > 0) {
            memcpy(self->held + self->held_size, buffer.buf, size);
            self->held_size += size;
        }
    }
    self->position += (int64_t)size;
    PyBuffer_Release(&buffer);
    return PyLong_FromSize_t(size);
}

PyDoc_STRVAR(truncate_doc,
"truncate($self, size=None, /)\n--\n\n"
"Set the length of the file, to where the next call writes if it is not given. Never fails.");

static PyObject *
output_truncate(PyObject *object, PyObject *args)
{
    Output *self = (Output *)object;
    PyObject *given = Py_None;
    if (!PyArg_ParseTuple(args, "|O:truncate", &given)) {
        return NULL;
    }
    long long size = given == Py_None ? self->position : PyLong_AsLongLong(given);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    flush_held(self);
    while (self->error == 0 && ftruncate(self->descriptor, size) < 0) {
        self->error = errno == EINTR ? 0 : errno;
    }
    return PyLong_FromLongLong(size);
}

PyDoc_STRVAR(flush_doc,
"flush($self, /)\n--\n\n"
"Write what is held back. Never fails.");

static PyObject *
output_flush(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    flush_held((Output *)self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(check_doc,
"check($self, /)\n--\n\n"
"Raise the first error since the last time, once.\n\n"
"Raises\n------\n"
"OSError\n"
"    What the system said to a write or read; nothing has been written since.\n");

static PyObject *
output_check(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Output *self = (Output *)object;
    if (self->error != 0) {
        errno = self->error;
        self->error = 0;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(placed_doc,
"placed($self, /)\n--\n\n"
"Where in the file the stand-in's bytes belong that were written last, once; -1: none were.");

static PyObject *
output_placed(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Output *self = (Output *)object;
    int64_t placed = self->placed;
    self->placed = -1;
    return PyLong_FromLongLong(placed);
}

PyDoc_STRVAR(stand_in_doc,
"stand_in($self, buffer, /)\n--\n\n"
"From now on bytes at this buffer's address are not written, only their place is noted.\n\n"
"The caller keeps the buffer alive as long as it writes from it.");

static PyObject *
output_stand_in(PyObject *object, PyObject *data)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    ((Output *)object)->stand_in = buffer.buf;
    PyBuffer_Release(&buffer);
    Py_RETURN_NONE;
}

static PyObject *
output_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"descriptor", NULL};
    int descriptor;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i:_Output", keywords, &descriptor)) {
        return NULL;
    }
    Output *self = (Output *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->descriptor = descriptor;
    self->placed = -1;
    self->held = PyMem_Malloc(HELD_MOST);
    if (self->held == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void
output_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(((Output *)self)->held);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(output_doc,
"_Output(descriptor)\n--\n\n"
"A file object around a descriptor, in which writing never fails: `check` raises what did.\n\n"
"HDF5 cannot let go of a file whose last bytes it could not write: the program would crash when\n"
"the objects in it go. So it writes through this. Small pieces are held back until `flush`.\n\n"
"Parameters\n----------\n"
"descriptor : int\n"
"    Open for reading and writing; it stays the caller's.\n");

static PyMethodDef output_methods[] = {
    {"seek", output_seek, METH_VARARGS, seek_doc},
    {"tell", output_tell, METH_NOARGS, tell_doc},
    {"read", output_read, METH_VARARGS, read_doc},
    {"readinto", output_readinto, METH_O, readinto_doc},
    {"write", output_write, METH_O, write_doc},
    {"truncate", output_truncate, METH_VARARGS, truncate_doc},
    {"flush", output_flush, METH_NOARGS, flush_doc},
    {"check", output_check, METH_NOARGS, check_doc},
    {"stand_in", output_stand_in, METH_O, stand_in_doc},
    {"placed", output_placed, METH_NOARGS, placed_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot output_slots[] = {
    {Py_tp_doc, (void *)output_doc},
    {Py_tp_new, SLOT_FUNC(newfunc, output_new)},
    {Py_tp_dealloc, SLOT_FUNC(destructor, output_dealloc)},
    {Py_tp_methods, output_methods},
    {0, NULL},
};

static PyType_Spec output_spec = {
    .name = "memdata._cmemdata._Output",
    .basicsize = sizeof(Output),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = output_slots,
};

int
output_init(PyObject *module, module_state *state)
{
    return add_type(module, &output_spec, NULL, &state->output_type);
}
