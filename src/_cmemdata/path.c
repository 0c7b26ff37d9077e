/* Paths are POSIX-like: "/" separates, extra slashes and "." components mean nothing, ".." means
   nothing special (no tree holds it). The text is that of a Python str: 1, 2 or 4 bytes a code
   point, so names with lone surrogates (undecodable names in a file) work as well. */
#include "path.h"

#include <stdint.h>
#include <string.h>

static inline uint32_t
code_point(const path_text *path, size_t i)
{
    switch (path->width) {
    case 1:
        return ((const uint8_t *)path->text)[i];
    case 2:
        return ((const uint16_t *)path->text)[i];
    default:
        return ((const uint32_t *)path->text)[i];
    }
}

static bool
part_is_dot(const path_text *path, const path_part *part)
{
    return part->end - part->start == 1 && code_point(path, part->start) == '.';
}

/* The next run of code points between slashes, "." included. */
static bool
next_run(const path_text *path, size_t *position, path_part *part)
{
    size_t i = *position;
    while (i < path->length && code_point(path, i) == '/') {
        i++;
    }
    part->start = i;
    while (i < path->length && code_point(path, i) != '/') {
        i++;
    }
    part->end = i;
    *position = i;
    return part->end > part->start;
}

bool
path_is_absolute(const path_text *path)
{
    return path->length > 0 && code_point(path, 0) == '/';
}

bool
path_is_name(const path_text *path)
{
    if (path->length == 0) {
        return false;
    }
    if (path->width == 1) {
        if (memchr(path->text, '/', path->length) != NULL) {
            return false;
        }
    }
    else {
        for (size_t i = 0; i < path->length; i++) {
            if (code_point(path, i) == '/') {
                return false;
            }
        }
    }
    const path_part whole = {0, path->length};
    return !part_is_dot(path, &whole);
}

bool
path_next(const path_text *path, size_t *position, path_part *part)
{
    while (next_run(path, position, part)) {
        if (!part_is_dot(path, part)) {
            return true;
        }
    }
    return false;
}

const char *
path_part_refused(const path_text *path, const path_part *part)
{
    if (part->end == part->start) {
        return "it is empty";
    }
    if (part_is_dot(path, part)) {
        return "it has a component '.'";
    }
    if (part->end - part->start == 2 && code_point(path, part->start) == '.' &&
        code_point(path, part->start + 1) == '.') {
        return "it has a component '..'";
    }
    for (size_t i = part->start; i < part->end; i++) {
        if (code_point(path, i) == 0) {
            return "it holds a NUL character";
        }
    }
    return NULL;
}

const char *
path_refused(const path_text *path)
{
    size_t position = 0;
    path_part part;
    bool any = false;
    while (next_run(path, &position, &part)) {
        const char *why = path_part_refused(path, &part);
        if (why != NULL) {
            return why;
        }
        any = true;
    }
    return any ? NULL : path->length > 0 ? "it is the root" : "it is empty";
}
