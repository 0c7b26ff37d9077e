/* The system clears each page of fresh memory when it is first touched, which takes about as long
   as filling it. Programs that redistribute let one large array go and make another of the same
   size, again and again; so the last blocks are kept:

       kept    oldest | ... | newest      at most KEPT_BLOCKS, KEPT_BYTES in all

   Nobody misses them: MADV_FREE tells the system that it may take the pages whenever it needs
   memory, without writing them anywhere. Where there is no MADV_FREE nothing is kept.

   A block is a mapping of its own: a page that says how long it is, then what the caller gets. */
#include "recycle.h"

#include <stdlib.h>

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

#if defined(MADV_FREE) && defined(MAP_ANONYMOUS)

#include <string.h>

#define KEPT_BLOCKS 16

/* With the buffers of moves (see memdata.ranks.messages) their default budget. */
#define KEPT_BYTES ((size_t)224 << 20)

typedef struct {
    size_t length; /* of the mapping, in bytes */
} block;

static block *kept[KEPT_BLOCKS];
static int kept_count;
static size_t kept_bytes;

static size_t
page_size(void)
{
    static size_t size;
    if (size == 0) {
        size = (size_t)sysconf(_SC_PAGESIZE);
    }
    return size;
}

static block *
block_of(const void *memory)
{
    return (block *)((char *)memory - page_size());
}

static block *
kept_remove(int at)
{
    block *found = kept[at];
    kept_bytes -= found->length;
    kept_count--;
    memmove(kept + at, kept + at + 1, (size_t)(kept_count - at) * sizeof *kept);
    return found;
}

static void
unmap(block *old)
{
    munmap(old, old->length);
}

/* The smallest block that is long enough and not much longer; NULL: none. */
static block *
find(size_t length)
{
    int best = -1;
    for (int i = 0; i < kept_count; i++) {
        if (kept[i]->length >= length && kept[i]->length - length <= length / 8 &&
            (best < 0 || kept[i]->length <= kept[best]->length)) {
            best = i;
        }
    }
    return best >= 0 ? kept_remove(best) : NULL;
}

static block *
map(size_t length)
{
    void *mapped = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    madvise(mapped, length, MADV_HUGEPAGE);
#endif
    block *made = mapped;
    made->length = length;
    return made;
}

void *
recycle_take(size_t size)
{
    size_t page = page_size();
    if (size > (size_t)-1 / 2) {
        return NULL;
    }
    size_t length = (size + page - 1) / page * page + page;
    block *found = find(length);
    if (found == NULL) {
        found = map(length);
    }
    if (found == NULL && kept_count > 0) {
        /* The limit of address space counts what is kept. */
        recycle_drop();
        found = map(length);
    }
    return found != NULL ? (char *)found + page : NULL;
}

void
recycle_give(void *memory)
{
    if (memory == NULL) {
        return;
    }
    block *old = block_of(memory);
    size_t room = recycle_room(memory);
    if (room < RECYCLE_MIN || old->length > KEPT_BYTES || madvise(memory, room, MADV_FREE) < 0) {
        unmap(old);
        return;
    }
    while (kept_count == KEPT_BLOCKS || kept_bytes + old->length > KEPT_BYTES) {
        unmap(kept_remove(0));
    }
    kept[kept_count++] = old;
    kept_bytes += old->length;
}

size_t
recycle_room(const void *memory)
{
    return block_of(memory)->length - page_size();
}

size_t
recycle_kept(void)
{
    return kept_bytes;
}

void
recycle_drop(void)
{
    while (kept_count > 0) {
        unmap(kept_remove(kept_count - 1));
    }
}

#else

/* As above, with malloc. */
typedef struct {
    size_t room;
    char padding[64 - sizeof(size_t)];
} block;

void *
recycle_take(size_t size)
{
    block *made = size <= (size_t)-1 / 2 ? malloc(sizeof *made + size) : NULL;
    if (made == NULL) {
        return NULL;
    }
    made->room = size;
    return made + 1;
}

void
recycle_give(void *memory)
{
    free(memory != NULL ? (block *)memory - 1 : NULL);
}

size_t
recycle_room(const void *memory)
{
    return ((const block *)memory - 1)->room;
}

size_t
recycle_kept(void)
{
    return 0;
}

void
recycle_drop(void)
{
}

#endif
