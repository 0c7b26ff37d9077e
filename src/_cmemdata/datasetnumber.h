/* Arithmetic of datasets: what their type's slots are filled with. X(slot, what NumPy's array is given to). */
#ifndef MEMDATA_DATASETNUMBER_H
#define MEMDATA_DATASETNUMBER_H

#include "state.h"

#define DATASET_BINARY(X)                                                                          \
    X(add, PyNumber_Add)                                                                           \
    X(subtract, PyNumber_Subtract)                                                                 \
    X(multiply, PyNumber_Multiply)                                                                 \
    X(matrix_multiply, PyNumber_MatrixMultiply)                                                    \
    X(true_divide, PyNumber_TrueDivide)                                                            \
    X(floor_divide, PyNumber_FloorDivide)                                                          \
    X(remainder, PyNumber_Remainder)                                                               \
    X(divmod, PyNumber_Divmod)                                                                     \
    X(lshift, PyNumber_Lshift)                                                                     \
    X(rshift, PyNumber_Rshift)                                                                     \
    X(and, PyNumber_And)                                                                           \
    X(xor, PyNumber_Xor)                                                                           \
    X(or, PyNumber_Or)

#define DATASET_IN_PLACE(X)                                                                        \
    X(inplace_add, PyNumber_InPlaceAdd)                                                            \
    X(inplace_subtract, PyNumber_InPlaceSubtract)                                                  \
    X(inplace_multiply, PyNumber_InPlaceMultiply)                                                  \
    X(inplace_true_divide, PyNumber_InPlaceTrueDivide)                                             \
    X(inplace_floor_divide, PyNumber_InPlaceFloorDivide)                                           \
    X(inplace_remainder, PyNumber_InPlaceRemainder)                                                \
    X(inplace_lshift, PyNumber_InPlaceLshift)                                                      \
    X(inplace_rshift, PyNumber_InPlaceRshift)                                                      \
    X(inplace_and, PyNumber_InPlaceAnd)                                                            \
    X(inplace_xor, PyNumber_InPlaceXor)                                                            \
    X(inplace_or, PyNumber_InPlaceOr)

#define DATASET_UNARY(X)                                                                           \
    X(negative, PyNumber_Negative)                                                                 \
    X(positive, PyNumber_Positive)                                                                 \
    X(absolute, PyNumber_Absolute)                                                                 \
    X(invert, PyNumber_Invert)                                                                     \
    X(int, PyNumber_Long)                                                                          \
    X(float, PyNumber_Float)

#define X(slot, function) PyObject *dataset_nb_##slot(PyObject *a, PyObject *b);
DATASET_BINARY(X)
DATASET_IN_PLACE(X)
#undef X
#define X(slot, function) PyObject *dataset_nb_##slot(PyObject *self);
DATASET_UNARY(X)
#undef X
PyObject *dataset_nb_power(PyObject *a, PyObject *b, PyObject *modulus);
PyObject *dataset_nb_inplace_power(PyObject *self, PyObject *other, PyObject *modulus);
int dataset_nb_bool(PyObject *self);

/* `<` and the like, by elements. */
PyObject *dataset_compare_elements(PyObject *self, PyObject *other, int op);

#endif
