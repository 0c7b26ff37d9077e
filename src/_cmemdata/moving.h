/* Moving blocks of arrays between processes: what Python calls. */
#ifndef MEMDATA_MOVING_H
#define MEMDATA_MOVING_H

#include "compat.h"

int moving_init(PyObject *module);

#endif
