/* Products and Euclidean norms of rows of quantized numbers. */
#ifndef EDGECOMP_NORMALIZE_H
#define EDGECOMP_NORMALIZE_H

#include <stdint.h>

#include "edgecomp_integer.h"
#include "edgecomp_softmax.h"

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

/* 1 / sqrt(x) as a multiplier and a shift to the left: five Newton-Raphson steps in Q3.28. */
EC_INLINE int32_t ec_inverse_norm(int32_t x, int32_t *shift) {
  const int32_t half_root_2 = 1518500250, three_halves = (1 << 28) + (1 << 27);
  *shift = 0;
  if (x <= 1) return INT32_MAX;
  int32_t right = 11;
  while (x >= (1 << 29)) {
    x /= 4;
    ++right;
  }
  const int32_t pairs = (ec_leading_zeros((uint32_t)x) - 1) / 2 - 1;
  right -= pairs;
  const int32_t scaled = (int32_t)((uint32_t)x << (2 * pairs)) >> 1;
  const int32_t half = (scaled >> 1) + (scaled & 1);
  int32_t root = 1 << 28;
  for (int32_t step = 0; step < 5; ++step) {
    const int32_t square = ec_doubling_high_multiply(root, root);
    const int32_t cube = ec_saturating_shift(ec_doubling_high_multiply(square, root), 6);
    root = ec_saturating_shift(ec_doubling_high_multiply(three_halves, root) -
                                   ec_doubling_high_multiply(half, cube), 3);
  }
  const int32_t mantissa = ec_doubling_high_multiply(root, half_root_2);
  if (right < 0) return ec_shift_left(mantissa, -right);
  *shift = -right;
  return mantissa;
}

/* Rows divided by their norm, in steps of 1/128. */
EC_STATIC void ec_normalize_s8(const int8_t *x, int8_t *y, int32_t rows, int32_t depth,
                            int32_t zero_point) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t sum = 0, shift = 0;
    for (int32_t i = 0; i < depth; ++i) sum += (x[i] - zero_point) * (x[i] - zero_point);
    const int32_t multiplier = ec_inverse_norm(sum, &shift);
    for (int32_t i = 0; i < depth; ++i) {
      y[i] = (int8_t)ec_clamp(ec_multiply(x[i] - zero_point, multiplier, shift + 7), -128, 127);
    }
  }
}

#endif
