/* path.c against a plain reading of its header: the input is a width and a text of code points. */
#include "path.h"

#include "fuzz.h"

#include <string.h>

static uint32_t
at(const path_text *path, size_t i)
{
    uint32_t point = 0;
    if (path->width == 1) {
        return ((const uint8_t *)path->text)[i];
    }
    memcpy(&point, (const char *)path->text + i * (size_t)path->width, (size_t)path->width);
    return point; /* on a little-endian machine */
}

static bool
is_dots(const path_text *path, path_part part, size_t dots)
{
    for (size_t i = part.start; i < part.end; i++) {
        if (at(path, i) != '.') {
            return false;
        }
    }
    return part.end - part.start == dots;
}

/* The parts come in order, are all there is between slashes but for ".", and are separated. */
static size_t
check_parts(const path_text *path)
{
    size_t position = 0, before = 0, count = 0;
    path_part part;
    while (path_next(path, &position, &part)) {
        CHECK(before <= part.start && part.start < part.end && part.end <= path->length);
        CHECK(part.end == path->length || at(path, part.end) == '/');
        CHECK(part.start == 0 || at(path, part.start - 1) == '/');
        CHECK(!is_dots(path, part, 1));
        for (size_t i = part.start; i < part.end; i++) {
            CHECK(at(path, i) != '/');
        }
        for (size_t i = before; i < part.start; i++) { /* what is passed over */
            CHECK(at(path, i) == '/' || at(path, i) == '.');
        }
        before = part.end;
        count++;
    }
    for (size_t i = before; i < path->length; i++) {
        CHECK(at(path, i) == '/' || at(path, i) == '.');
    }
    return count;
}

static void
check_refusal(const path_text *path, size_t count)
{
    bool refused = path_refused(path) != NULL, expected = count == 0;
    for (size_t start = 0; start < path->length;) {
        path_part run = {start, start};
        while (run.end < path->length && at(path, run.end) != '/') {
            expected = expected || at(path, run.end) == 0;
            run.end++;
        }
        expected = expected || is_dots(path, run, 1) || is_dots(path, run, 2);
        start = run.end + 1;
    }
    CHECK(refused == expected);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    int width = 1 << (data[0] % 3);
    size_t length = (size - 1) / (size_t)width;
    void *text = malloc(length > 0 ? length * (size_t)width : 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data + 1, length * (size_t)width);
    const path_text path = {text, length, width};
    size_t count = check_parts(&path);
    check_refusal(&path, count);
    CHECK(path_is_absolute(&path) == (length > 0 && at(&path, 0) == '/'));
    bool slash = false;
    for (size_t i = 0; i < length; i++) {
        slash = slash || at(&path, i) == '/';
    }
    bool name = path_is_name(&path);
    CHECK(!name || (!slash && !is_dots(&path, (path_part){0, length}, 1)));
    CHECK(name == (!slash && count == 1));
    free(text);
    return 0;
}
