/* Where the largest or smallest element of rows of integers is. */
#ifndef EDGECOMP_EXTREME_H
#define EDGECOMP_EXTREME_H

#include <stdint.h>

#include "edgecomp_compiler.h"

/* ec_index_of_extreme_TYPE: x[outer][extent][inner] -> y[outer][inner]; of equal elements the first
 * counts, or the last. */
#define EC_INDEX_OF_EXTREME(NAME, TYPE)                                                          \
  EC_STATIC void NAME(const TYPE *x, int64_t *y, int32_t outer, int32_t extent, int32_t inner,      \
                   int32_t largest, int32_t last) {                                              \
    for (int32_t row = 0; row < outer; ++row, x += extent * inner, y += inner) {                 \
      for (int32_t column = 0; column < inner; ++column) {                                       \
        int32_t best = 0;                                                                        \
        for (int32_t i = 1; i < extent; ++i) {                                                   \
          const int32_t value = x[i * inner + column], held = x[best * inner + column];          \
          const int32_t better = largest ? value > held : value < held;                          \
          if (better || (last && value == held)) best = i;                                       \
        }                                                                                        \
        y[column] = best;                                                                        \
      }                                                                                          \
    }                                                                                            \
  }

EC_INDEX_OF_EXTREME(ec_index_of_extreme_s8, int8_t)
EC_INDEX_OF_EXTREME(ec_index_of_extreme_s16, int16_t)

#endif
