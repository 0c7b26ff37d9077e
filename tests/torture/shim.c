/* A library to be preloaded: makes chosen system calls fail, or keeps a record of them.
 *
 * Only calls that concern files below one folder are touched, and those that want memory of the
 * whole process ("malloc", and "mmap" without a file). It is told what to do by calling its
 * functions `shim_fail`, `shim_record`, `shim_watch` and `shim_stop` through ctypes; see shim.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX]; /* with a slash at its end; empty: do nothing */
static char chosen[32];       /* the call that fails */
static long countdown;        /* calls until it does */
static int error_number;      /* 0: the call does half of its work */
static long seen;             /* calls of the chosen kind */
static FILE *record;          /* one line a call */
static int record_data = -1;  /* what was written, one after the other */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void find_ranges(void);

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void
shim_fail(const char *call, const char *under, long number, int error)
{
    snprintf(chosen, sizeof chosen, "%s", call);
    countdown = number;
    error_number = error;
    seen = 0;
    find_ranges();
    snprintf(folder, sizeof folder, "%s", under);
}

void
shim_record(const char *under, const char *lines, const char *data)
{
    chosen[0] = '\0';
    record = REAL(fopen)(lines, "w");
    record_data = REAL(open)(data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    snprintf(folder, sizeof folder, "%s", under);
}

long
shim_stop(void)
{
    folder[0] = '\0';
    if (record != NULL) {
        fclose(record);
        REAL(close)(record_data);
        record = NULL;
        record_data = -1;
    }
    return seen;
}

/* Says on stderr which libraries were running when the process crashed, innermost first. */
static void
say_where(int number)
{
    void *frames[24];
    int count = backtrace(frames, 24);
    const char *last = "";
    dprintf(2, "signal %d in", number);
    for (int at = 2; at < count; at++) { /* the first two are ours and the system's */
        Dl_info found;
        const char *name = dladdr(frames[at], &found) ? found.dli_fname : "?";
        const char *base = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
        if (strcmp(base, last) != 0) {
            dprintf(2, " %s", base);
            last = base;
        }
    }
    dprintf(2, "\n");
    signal(number, SIG_DFL);
    raise(number);
}

void
shim_watch(void)
{
    static char stack[1 << 16];
    void *frame;
    struct sigaction action = {.sa_handler = say_where, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    backtrace(&frame, 1); /* loads what it needs now */
    for (size_t at = 0; at < 4; at++) {
        sigaction(((int[]){SIGSEGV, SIGBUS, SIGABRT, SIGFPE})[at], &action, NULL);
    }
}

static bool
inside(const char *path)
{
    return folder[0] != '\0' && path != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

/* The path of a descriptor, where it is in the folder; else NULL. */
static const char *
path_of(int fd, char *buffer)
{
    char link[64];
    if (folder[0] == '\0') {
        return NULL;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    if (length < 0) {
        return NULL;
    }
    buffer[length] = '\0';
    /* An fsync of the folder itself has no slash at the end. */
    if (strlen(folder) == (size_t)length + 1 && strncmp(buffer, folder, (size_t)length) == 0) {
        return buffer;
    }
    return inside(buffer) ? buffer : NULL;
}

/* The path of a name that counts from a folder's descriptor, where it is in the folder; else NULL. */
static const char *
path_at(int at, const char *name, char *buffer)
{
    if (name[0] == '/' || at == AT_FDCWD) {
        return inside(name) ? name : NULL;
    }
    char above[PATH_MAX];
    if (path_of(at, above) == NULL ||
        snprintf(buffer, PATH_MAX, "%s/%s", above, name) >= PATH_MAX) {
        return NULL;
    }
    return buffer;
}

/* 0: go on; 1: fail with errno set; 2: do half of the work. */
static int
verdict(const char *call, const char *path)
{
    if (path == NULL || strcmp(call, chosen) != 0) {
        return 0;
    }
    pthread_mutex_lock(&lock);
    bool now = ++seen == countdown;
    pthread_mutex_unlock(&lock);
    if (!now) {
        return 0;
    }
    errno = error_number;
    return error_number == 0 ? 2 : 1;
}

static void
note(const char *call, const char *path, const char *other, long offset, const void *data,
     long length)
{
    if (record == NULL || path == NULL) {
        return;
    }
    int before = errno;
    pthread_mutex_lock(&lock);
    fprintf(record, "%s\t%s\t%s\t%ld\t%ld\n", call, path, other, offset, length);
    fflush(record);
    if (data != NULL && REAL(write)(record_data, data, (size_t)length) != length) {
        abort();
    }
    pthread_mutex_unlock(&lock);
    errno = before;
}

/* A path for what concerns no file: NULL while nothing is to fail. */
static const char *
armed(void)
{
    return folder[0] != '\0' && record == NULL ? folder : NULL;
}

#define FD_GUARD(call, fd, failure)                                                                \
    char buffer[PATH_MAX];                                                                         \
    const char *path = path_of(fd, buffer);                                                        \
    int what = verdict(call, path);                                                                \
    if (what == 1) {                                                                               \
        return failure;                                                                            \
    }                                                                                              \
    (void)what

static int
opened(int fd, const char *path, int flags)
{
    if (fd >= 0 && inside(path) && (flags & (O_CREAT | O_TRUNC)) != 0) {
        note(flags & O_TRUNC ? "truncating" : "creating", path, "", 0, NULL, 0);
    }
    return fd;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                             \
        va_end(arguments);                                                                         \
        if (inside(path) && verdict("open", path) == 1) {                                          \
            return -1;                                                                             \
        }                                                                                          \
        return opened(REAL(name)(path, flags, mode), path, flags);                                 \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                               \
    int name(int at, const char *path, int flags, ...)                                             \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                             \
        va_end(arguments);                                                                         \
        char buffer[PATH_MAX];                                                                     \
        const char *full = path_at(at, path, buffer);                                              \
        if (verdict("open", full) == 1) {                                                          \
            return -1;                                                                             \
        }                                                                                          \
        return opened(REAL(name)(at, path, flags, mode), full, flags);                             \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t
write(int fd, const void *data, size_t length)
{
    FD_GUARD("write", fd, -1);
    off_t offset = path != NULL ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(write)(fd, data, what == 2 ? (length + 1) / 2 : length);
    if (done > 0) {
        note("write", path, "", offset, data, done);
    }
    return done;
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int fd, const void *data, size_t length, offset_type offset)                      \
    {                                                                                              \
        FD_GUARD("write", fd, -1);                                                                 \
        ssize_t done = REAL(name)(fd, data, what == 2 ? (length + 1) / 2 : length, offset);        \
        if (done > 0) {                                                                            \
            note("write", path, "", offset, data, done);                                           \
        }                                                                                          \
        return done;                                                                               \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t
read(int fd, void *data, size_t length)
{
    FD_GUARD("read", fd, -1);
    return REAL(read)(fd, data, what == 2 ? (length + 1) / 2 : length);
}

#define PREAD(name, offset_type)                                                                   \
    ssize_t name(int fd, void *data, size_t length, offset_type offset)                            \
    {                                                                                              \
        FD_GUARD("read", fd, -1);                                                                  \
        return REAL(name)(fd, data, what == 2 ? (length + 1) / 2 : length, offset);                \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

/* Half of the work: the first piece only, or half of that where there is but one. */
#define PREADV(name, offset_type)                                                                  \
    ssize_t name(int fd, const struct iovec *pieces, int count, offset_type offset)                \
    {                                                                                              \
        FD_GUARD("read", fd, -1);                                                                  \
        if (what == 2 && count == 1) {                                                             \
            return REAL(pread)(fd, pieces->iov_base, (pieces->iov_len + 1) / 2, offset);           \
        }                                                                                          \
        return REAL(name)(fd, pieces, what == 2 ? (count + 1) / 2 : count, offset);                \
    }
PREADV(preadv, off_t)
PREADV(preadv64, off64_t)

/* Where the next write goes; what was copied there is read back for the record. */
static void
note_copied(const char *path, off64_t offset, ssize_t done)
{
    if (done <= 0 || record == NULL || path == NULL) {
        return;
    }
    char *data = malloc((size_t)done);
    int again = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (data == NULL || REAL(pread)(again, data, (size_t)done, offset) != done) {
        abort();
    }
    note("write", path, "", offset, data, done);
    REAL(close)(again);
    free(data);
}

#define SENDFILE(name, offset_type)                                                                \
    ssize_t name(int to, int from, offset_type *from_offset, size_t length)                        \
    {                                                                                              \
        FD_GUARD("write", to, -1);                                                                 \
        off64_t offset = path != NULL ? lseek64(to, 0, SEEK_CUR) : 0;                              \
        ssize_t done =                                                                             \
            REAL(name)(to, from, from_offset, what == 2 ? (length + 1) / 2 : length);              \
        note_copied(path, offset, done);                                                           \
        return done;                                                                               \
    }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

#define FTRUNCATE(name, offset_type)                                                               \
    int name(int fd, offset_type length)                                                           \
    {                                                                                              \
        FD_GUARD("ftruncate", fd, -1);                                                             \
        int result = REAL(name)(fd, length);                                                       \
        if (result == 0) {                                                                         \
            note("ftruncate", path, "", length, NULL, 0);                                          \
        }                                                                                          \
        return result;                                                                             \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        FD_GUARD("fsync", fd, -1);                                                                 \
        int result = REAL(name)(fd);                                                               \
        if (result == 0) {                                                                         \
            note("fsync", path, "", 0, NULL, 0);                                                   \
        }                                                                                          \
        return result;                                                                             \
    }
SYNC(fsync)
SYNC(fdatasync)

int
close(int fd)
{
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer);
    int what = verdict("close", path);
    int result = REAL(close)(fd);
    if (what == 1) { /* Linux has closed it all the same */
        errno = error_number;
        return -1;
    }
    return result;
}

int
flock(int fd, int operation)
{
    FD_GUARD("flock", fd, -1);
    return REAL(flock)(fd, operation);
}

int
fchmod(int fd, mode_t mode)
{
    FD_GUARD("fchmod", fd, -1);
    return REAL(fchmod)(fd, mode);
}

ssize_t
copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length,
                unsigned int flags)
{
    FD_GUARD("copy_file_range", to, -1);
    off64_t offset = to_offset != NULL ? *to_offset : lseek64(to, 0, SEEK_CUR);
    ssize_t done = REAL(copy_file_range)(from, from_offset, to, to_offset,
                                         what == 2 ? (length + 1) / 2 : length, flags);
    note_copied(path, offset, done);
    return done;
}

int
rename(const char *from, const char *to)
{
    if (inside(to) && verdict("rename", to) == 1) {
        return -1;
    }
    int result = REAL(rename)(from, to);
    if (result == 0 && inside(to)) {
        note("rename", from, to, 0, NULL, 0);
    }
    return result;
}

int
renameat2(int from_at, const char *from, int to_at, const char *to, unsigned int flags)
{
    if (inside(to) && verdict("rename", to) == 1) {
        return -1;
    }
    int result = REAL(renameat2)(from_at, from, to_at, to, flags);
    if (result == 0 && inside(to)) {
        note(flags == RENAME_EXCHANGE ? "exchange" : "rename", from, to, 0, NULL, 0);
    }
    return result;
}

int
link(const char *from, const char *to)
{
    if (inside(to) && verdict("link", to) == 1) {
        return -1;
    }
    int result = REAL(link)(from, to);
    if (result == 0 && inside(to)) {
        note("link", from, to, 0, NULL, 0);
    }
    return result;
}

int
unlink(const char *path)
{
    if (inside(path) && verdict("unlink", path) == 1) {
        return -1;
    }
    int result = REAL(unlink)(path);
    if (result == 0 && inside(path)) {
        note("unlink", path, "", 0, NULL, 0);
    }
    return result;
}

int
unlinkat(int at, const char *name, int flags)
{
    char buffer[PATH_MAX];
    const char *call = flags & AT_REMOVEDIR ? "rmdir" : "unlink";
    const char *path = path_at(at, name, buffer);
    if (verdict(call, path) == 1) {
        return -1;
    }
    int result = REAL(unlinkat)(at, name, flags);
    if (result == 0) {
        note(call, path, "", 0, NULL, 0);
    }
    return result;
}

int
rmdir(const char *path)
{
    if (inside(path) && verdict("rmdir", path) == 1) {
        return -1;
    }
    int result = REAL(rmdir)(path);
    if (result == 0 && inside(path)) {
        note("rmdir", path, "", 0, NULL, 0);
    }
    return result;
}

int
mkdir(const char *path, mode_t mode)
{
    if (inside(path) && verdict("mkdir", path) == 1) {
        return -1;
    }
    int result = REAL(mkdir)(path, mode);
    if (result == 0 && inside(path)) {
        note("mkdir", path, "", 0, NULL, 0);
    }
    return result;
}

#define MMAP(name, offset_type)                                                                    \
    void *name(void *address, size_t length, int protection, int flags, int fd,                    \
               offset_type offset)                                                                 \
    {                                                                                              \
        char buffer[PATH_MAX];                                                                     \
        if (verdict("mmap", fd >= 0 ? path_of(fd, buffer) : armed()) == 1) {                       \
            return MAP_FAILED;                                                                     \
        }                                                                                          \
        return REAL(name)(address, length, protection, flags, fd, offset);                         \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

/* Memory: glibc has other names for its own functions, which need no look-up (that would want
   memory itself). "malloc" is what everybody asks for but libhdf5, also for copies of strings:
   that is "malloc-hdf5", because HDF5 does not survive it. */
#ifdef __GLIBC__
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

struct range {
    const char *start, *stop;
};
static struct range of_hdf5[8];
static size_t ranges;

static int
note_range(struct dl_phdr_info *info, size_t size_of_info, void *unused)
{
    (void)size_of_info, (void)unused;
    if (strstr(info->dlpi_name, "libhdf5") == NULL && strstr(info->dlpi_name, "libc.so") == NULL) {
        return 0;
    }
    for (int at = 0; at < info->dlpi_phnum && ranges < 8; at++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[at];
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X) != 0) {
            const char *start = (const char *)(info->dlpi_addr + header->p_vaddr);
            of_hdf5[ranges++] = (struct range){start, start + header->p_memsz};
        }
    }
    return 0;
}

static void
find_ranges(void)
{
    ranges = 0;
    dl_iterate_phdr(note_range, NULL);
}

static bool
no_memory(const char *caller)
{
    const char *path = armed();
    bool hdf5 = false;
    if (path == NULL) {
        return false;
    }
    for (size_t at = 0; at < ranges; at++) {
        hdf5 = hdf5 || (of_hdf5[at].start <= caller && caller < of_hdf5[at].stop);
    }
    return verdict(hdf5 ? "malloc-hdf5" : "malloc", path) == 1;
}

void *
malloc(size_t size)
{
    return no_memory(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    return no_memory(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    return no_memory(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}
#else
static void
find_ranges(void)
{
}
#endif
