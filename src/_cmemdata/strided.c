/* Axes are put into the order of the target's memory and joined where both sides allow it. What
   remains is one of three:

     runs       the innermost axis is in one piece on both sides: a memcpy each
     tiles      each side is in one piece along another axis: a transposition, a few cache lines of
                both sides at a time
     elements   neither */
#include "strided.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    ptrdiff_t length;
    ptrdiff_t target; /* strides in bytes */
    ptrdiff_t source;
} axis;

/* The axes from the outermost on; returns how many are left. 0 for a block without elements. */
static int
normalize(const strided_block *block, axis *axes)
{
    int count = 0;
    for (int i = 0; i < block->ndim; i++) {
        if (block->shape[i] == 0) {
            return 0;
        }
        if (block->shape[i] == 1) {
            continue;
        }
        axis new = {block->shape[i], block->target_strides[i], block->source_strides[i]};
        int at = count++;
        while (at > 0 && labs(axes[at - 1].target) < labs(new.target)) {
            axes[at] = axes[at - 1];
            at--;
        }
        axes[at] = new;
    }
    int kept = 0;
    for (int i = 0; i < count; i++) {
        axis *outer = axes + kept - 1;
        if (kept > 0 && outer->target == axes[i].length * axes[i].target &&
            outer->source == axes[i].length * axes[i].source) {
            *outer = (axis){outer->length * axes[i].length, axes[i].target, axes[i].source};
        }
        else {
            axes[kept++] = axes[i];
        }
    }
    if (kept == 0) {
        axes[kept++] = (axis){1, 0, 0};
    }
    return kept;
}

/* ---- elements ---- */

typedef void line_function(char *, const char *, axis, size_t);

/* Elements of a fixed size, so that the compiler makes a load and a store of each memcpy. */
#define LINE(name, bytes)                                                                          \
    static void name(char *target, const char *source, axis line, size_t itemsize)                 \
    {                                                                                              \
        (void)itemsize;                                                                            \
        for (ptrdiff_t i = 0; i < line.length; i++) {                                              \
            memcpy(target, source, bytes);                                                         \
            target += line.target;                                                                 \
            source += line.source;                                                                 \
        }                                                                                          \
    }

LINE(line_1, 1)
LINE(line_2, 2)
LINE(line_4, 4)
LINE(line_8, 8)
LINE(line_16, 16)
LINE(line_any, itemsize)

static line_function *
line_for(size_t itemsize)
{
    switch (itemsize) {
    case 1:
        return line_1;
    case 2:
        return line_2;
    case 4:
        return line_4;
    case 8:
        return line_8;
    case 16:
        return line_16;
    default:
        return line_any;
    }
}

/* ---- tiles ---- */

/* One side of a tile (bytes): some cache lines, so that what a tile touches stays in the cache. */
#define TILE_BYTES 256

/* The source is in one piece along `rows`, the target along `columns`. */
static void
copy_tiles(char *target, const char *source, axis rows, axis columns, size_t itemsize)
{
    line_function *line = line_for(itemsize);
    ptrdiff_t tile = itemsize < TILE_BYTES ? (ptrdiff_t)(TILE_BYTES / itemsize) : 1;
    for (ptrdiff_t i = 0; i < rows.length; i += tile) {
        ptrdiff_t end = rows.length - i < tile ? rows.length : i + tile;
        for (ptrdiff_t j = 0; j < columns.length; j += tile) {
            axis part = columns;
            part.length = columns.length - j < tile ? columns.length - j : tile;
            for (ptrdiff_t row = i; row < end; row++) {
                line(target + row * rows.target + j * columns.target,
                     source + row * rows.source + j * columns.source, part, itemsize);
            }
        }
    }
}

/* The axis, apart from the last, along which the source is in one piece; -1: none. */
static int
transposed_axis(const axis *axes, int count, size_t itemsize)
{
    if (labs(axes[count - 1].source) <= (ptrdiff_t)itemsize) {
        return -1;
    }
    for (int i = count - 2; i >= 0; i--) {
        if (labs(axes[i].source) == (ptrdiff_t)itemsize) {
            return i;
        }
    }
    return -1;
}

/* ---- runs ---- */

/* Runs in rows of memory that are no longer than this (bytes), nor much longer than the runs: a
   span of rows is first read whole. Where there are gaps the processor does not see that it goes on
   and on, and does not read ahead by itself. */
#define SPANNED_ROW 4096
#define SPANNED_RUNS 8
#define SPAN (16 << 10)

static void
read_ahead(const char *source, const char *end)
{
    for (const volatile char *at = source; at < end; at += 64) {
        (void)*at;
    }
}

static void
copy_runs(char *target, const char *source, axis rows, size_t bytes)
{
    ptrdiff_t run = (ptrdiff_t)bytes;
    bool spanned =
        rows.source > run && rows.source <= SPANNED_ROW && rows.source <= SPANNED_RUNS * run;
    ptrdiff_t step = spanned ? SPAN / rows.source : rows.length;
    for (ptrdiff_t i = 0; i < rows.length; i += step) {
        ptrdiff_t count = rows.length - i < step ? rows.length - i : step;
        if (spanned) {
            read_ahead(source, source + (count - 1) * rows.source + run);
        }
        for (ptrdiff_t row = 0; row < count; row++) {
            memcpy(target, source, bytes);
            target += rows.target;
            source += rows.source;
        }
    }
}

/* ---- all of them ---- */

/* How a block is copied: loops over `outer` axes around tiles, runs or elements. */
typedef struct {
    axis axes[STRIDED_MAX_DIMS];
    int outer;
    axis rows, last;
    bool runs, tiled;
} plan;

/* False where there is nothing to copy. */
static bool
make_plan(const strided_block *block, plan *plan)
{
    axis *axes = plan->axes;
    ptrdiff_t itemsize = (ptrdiff_t)block->itemsize;
    plan->outer = normalize(block, axes);
    if (plan->outer == 0 || itemsize == 0) {
        return false;
    }
    plan->last = axes[--plan->outer];
    plan->rows = (axis){1, 0, 0};
    plan->runs = plan->last.target == itemsize && plan->last.source == itemsize;
    int across = transposed_axis(axes, plan->outer + 1, block->itemsize);
    plan->tiled = across >= 0;
    if (plan->tiled) {
        plan->rows = axes[across];
        plan->outer--;
        memmove(axes + across, axes + across + 1, (size_t)(plan->outer - across) * sizeof *axes);
    }
    else if (plan->runs && plan->outer > 0) {
        plan->rows = axes[--plan->outer];
    }
    return true;
}

static void
follow_plan(const plan *plan, char *target, const char *source, size_t itemsize)
{
    ptrdiff_t at[STRIDED_MAX_DIMS] = {0};
    for (;;) {
        if (plan->tiled) {
            copy_tiles(target, source, plan->rows, plan->last, itemsize);
        }
        else if (plan->runs) {
            copy_runs(target, source, plan->rows, (size_t)plan->last.length * itemsize);
        }
        else {
            line_for(itemsize)(target, source, plan->last, itemsize);
        }
        int i = plan->outer - 1;
        for (; i >= 0; i--) {
            axis outer = plan->axes[i];
            target += outer.target;
            source += outer.source;
            if (++at[i] < outer.length) {
                break;
            }
            target -= outer.length * outer.target;
            source -= outer.length * outer.source;
            at[i] = 0;
        }
        if (i < 0) {
            return;
        }
    }
}

void
strided_copy(const strided_block *block)
{
    plan plan;
    if (make_plan(block, &plan)) {
        follow_plan(&plan, block->target, block->source, block->itemsize);
    }
}

/* A block that is nothing but rows of runs. */
typedef struct {
    char *target;
    const char *source;
    axis rows;
    size_t bytes;
} row_block;

/* How many rows all blocks have; 0 if one is not just rows, or they have not as many. */
static ptrdiff_t
common_rows(const strided_block *blocks, int count, row_block *found)
{
    plan plan;
    for (int i = 0; i < count; i++) {
        if (!make_plan(blocks + i, &plan) || plan.outer > 0 || !plan.runs ||
            (i > 0 && plan.rows.length != found->rows.length)) {
            return 0;
        }
        found[i] = (row_block){blocks[i].target, blocks[i].source, plan.rows,
                               (size_t)plan.last.length * blocks[i].itemsize};
    }
    return count > 0 ? found->rows.length : 0;
}

void
strided_copy_together(const strided_block *blocks, int count)
{
    row_block *parts = count > 1 ? malloc((size_t)count * sizeof *parts) : NULL;
    ptrdiff_t rows = parts != NULL ? common_rows(blocks, count, parts) : 0;
    for (ptrdiff_t row = 0; row < rows; row++) {
        for (row_block *part = parts; part < parts + count; part++) {
            memcpy(part->target, part->source, part->bytes);
            part->target += part->rows.target;
            part->source += part->rows.source;
        }
    }
    free(parts);
    for (int i = 0; rows == 0 && i < count; i++) {
        strided_copy(blocks + i);
    }
}
