/* Memory of large arrays, kept for the next ones when they are let go. No Python; the caller has
   the GIL. */
#ifndef MEMDATA_RECYCLE_H
#define MEMDATA_RECYCLE_H

#include <stddef.h>

/* Smaller blocks (bytes) malloc keeps by itself. */
#define RECYCLE_MIN ((size_t)4 << 20)

/* Memory for so many bytes, or NULL. Its content is of no meaning. */
void *recycle_take(size_t size);

/* Give back what recycle_take gave. */
void recycle_give(void *memory);

/* At least so many bytes are behind what recycle_take gave. */
size_t recycle_room(const void *memory);

/* Bytes that are kept. */
size_t recycle_kept(void);

/* Give what is kept back to the system. */
void recycle_drop(void);

#endif
