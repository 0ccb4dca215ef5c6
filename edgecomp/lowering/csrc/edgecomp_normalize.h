/* Products and Euclidean norms of rows of quantized numbers. */
#ifndef EDGECOMP_NORMALIZE_H
#define EDGECOMP_NORMALIZE_H

#include <stdint.h>

#include "edgecomp_curves16.h"
#include "edgecomp_integer.h"

/* ec_product_TYPE: products of rows, rescaled after each factor, by the definition of the TensorFlow
 * Lite operator. x[rows][depth] -> y[rows]. */
#define EC_PRODUCT(NAME, TYPE, LEAST, LARGEST)                                                   \
  EC_STATIC void NAME(const TYPE *x, TYPE *y, int32_t rows, int32_t depth, int32_t zero_point,      \
                   int32_t multiplier, int32_t shift, int32_t to) {                              \
    for (int32_t row = 0; row < rows; ++row, x += depth) {                                       \
      int32_t product = x[0] - zero_point;                                                       \
      for (int32_t i = 1; i < depth; ++i) {                                                      \
        product = ec_multiply_wide((int64_t)product * (x[i] - zero_point), multiplier, shift);   \
      }                                                                                          \
      const int64_t value = (int64_t)ec_multiply_wide(product, multiplier, shift) + to;          \
      y[row] = (TYPE)(value < LEAST ? LEAST : (value > LARGEST ? LARGEST : value));              \
    }                                                                                            \
  }

EC_PRODUCT(ec_product_s8, int8_t, -128, 127)
EC_PRODUCT(ec_product_s16, int16_t, -32768, 32767)

/* Rows divided by their norm, in steps of 1/128. */
EC_STATIC void ec_normalize_s8(const int8_t *x, int8_t *y, int32_t rows, int32_t depth,
                            int32_t zero_point) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t sum = 0, shift = 0;
    for (int32_t i = 0; i < depth; ++i) sum += (x[i] - zero_point) * (x[i] - zero_point);
    const int32_t multiplier = ec_inverse_root(sum, &shift);
    for (int32_t i = 0; i < depth; ++i) {
      y[i] = (int8_t)ec_clamp(ec_multiply(x[i] - zero_point, multiplier, shift + 7), -128, 127);
    }
  }
}

#endif
