/* Paths like "/a/b/c": finding the components of one. Knows neither Python nor trees. */
#ifndef MEMDATA_PATH_H
#define MEMDATA_PATH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const void *text; /* code points, not terminated */
    size_t length;    /* in code points */
    int width;        /* bytes of a code point: 1, 2 or 4 */
} path_text;

typedef struct {
    size_t start, end; /* code points [start, end) of the path */
} path_part;

bool path_is_absolute(const path_text *path);

/* True when the path is one name: not empty, no slash, not ".". */
bool path_is_name(const path_text *path);

/* The next component at or after *position, which moves past it. False at the end. Empty
   components and "." are passed over, as HDF5 does. */
bool path_next(const path_text *path, size_t *position, path_part *part);

/* Why a component may not name something new; NULL when it may. */
const char *path_part_refused(const path_text *path, const path_part *part);

/* Why a path may not name something new: the first refused component, "." included; NULL when
   it may. */
const char *path_refused(const path_text *path);

#endif
