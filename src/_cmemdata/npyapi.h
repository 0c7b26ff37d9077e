/* NumPy's C API. One file (module.c) defines MEMDATA_IMPORT_NUMPY and owns the table of functions. */
#ifndef MEMDATA_NPYAPI_H
#define MEMDATA_NPYAPI_H

#include "compat.h"

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL memdata_ARRAY_API
#ifndef MEMDATA_IMPORT_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#endif
