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

void
strided_copy(const strided_block *block)
{
    axis axes[STRIDED_MAX_DIMS];
    ptrdiff_t at[STRIDED_MAX_DIMS] = {0};
    size_t itemsize = block->itemsize;
    char *target = block->target;
    const char *source = block->source;
    int outer = normalize(block, axes);
    if (outer == 0 || itemsize == 0) {
        return;
    }
    axis last = axes[--outer], rows = {1, 0, 0};
    bool runs = last.target == (ptrdiff_t)itemsize && last.source == (ptrdiff_t)itemsize;
    int tiled = transposed_axis(axes, outer + 1, itemsize);
    if (tiled >= 0) {
        rows = axes[tiled];
        outer--;
        memmove(axes + tiled, axes + tiled + 1, (size_t)(outer - tiled) * sizeof *axes);
    }
    else if (runs && outer > 0) {
        rows = axes[--outer];
    }
    for (;;) {
        if (tiled >= 0) {
            copy_tiles(target, source, rows, last, itemsize);
        }
        else if (runs) {
            copy_runs(target, source, rows, (size_t)last.length * itemsize);
        }
        else {
            line_for(itemsize)(target, source, last, itemsize);
        }
        int i = outer - 1;
        for (; i >= 0; i--) {
            target += axes[i].target;
            source += axes[i].source;
            if (++at[i] < axes[i].length) {
                break;
            }
            target -= axes[i].length * axes[i].target;
            source -= axes[i].length * axes[i].source;
            at[i] = 0;
        }
        if (i < 0) {
            return;
        }
    }
}

/* The axis with the longest steps in the first source that is as long in all blocks; -1: none. */
static int
common_axis(const strided_block *blocks, int count)
{
    int found = -1;
    for (int i = 0; i < blocks->ndim; i++) {
        bool common = blocks->shape[i] > 1;
        for (int b = 1; b < count && common; b++) {
            common = blocks[b].shape[i] == blocks->shape[i];
        }
        if (common &&
            (found < 0 || labs(blocks->source_strides[i]) > labs(blocks->source_strides[found]))) {
            found = i;
        }
    }
    return found;
}

void
strided_copy_together(const strided_block *blocks, int count)
{
    int lead = count > 1 ? common_axis(blocks, count) : -1;
    if (lead < 0) {
        for (int b = 0; b < count; b++) {
            strided_copy(blocks + b);
        }
        return;
    }
    size_t row = 0; /* bytes of all blocks in one step along the axis */
    for (int b = 0; b < count; b++) {
        size_t bytes = blocks[b].itemsize;
        for (int i = 0; i < blocks[b].ndim; i++) {
            bytes *= i == lead ? 1 : (size_t)blocks[b].shape[i];
        }
        row += bytes;
    }
    ptrdiff_t length = blocks->shape[lead];
    ptrdiff_t step = row < SPAN && row > 0 ? (ptrdiff_t)(SPAN / row) : 1;
    ptrdiff_t shape[STRIDED_MAX_DIMS];
    for (ptrdiff_t i = 0; i < length; i += step) {
        for (int b = 0; b < count; b++) {
            strided_block part = blocks[b];
            memcpy(shape, part.shape, (size_t)part.ndim * sizeof *shape);
            shape[lead] = length - i < step ? length - i : step;
            part.shape = shape;
            part.target += i * part.target_strides[lead];
            part.source += i * part.source_strides[lead];
            strided_copy(&part);
        }
    }
}
