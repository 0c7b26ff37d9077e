/* Moving blocks of arrays between processes: what Python calls. */
#ifndef MEMDATA_MOVING_H
#define MEMDATA_MOVING_H

#include "compat.h"

int moving_init(PyObject *module);

/* Memory that is kept for the next arrays. */
int recycling_init(PyObject *module);

#endif
