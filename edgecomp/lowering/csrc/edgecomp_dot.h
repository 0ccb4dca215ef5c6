/* Products of int8 weights with a row of int8. */
#ifndef EDGECOMP_DOT_H
#define EDGECOMP_DOT_H

#include <stdint.h>

#include "edgecomp_compiler.h"

/* How many rows of weights are multiplied at once: x is read once for them. */
#define EC_ROWS 4

/* sums[i] += weights[i] * (x - zero_point) for `rows` rows, EC_ROWS at most. */
EC_NOINLINE void ec_add_dots(const int8_t *weights, int32_t rows, int32_t depth, const int8_t *x,
                           int32_t zero_point, int32_t *sums) {
  if (rows == EC_ROWS) {
    const int8_t *a = weights, *b = a + depth, *c = b + depth, *d = c + depth;
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t value = x[i] - zero_point;
      s0 += a[i] * value;
      s1 += b[i] * value;
      s2 += c[i] * value;
      s3 += d[i] * value;
    }
    sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
    return;
  }
  for (int32_t row = 0; row < rows; ++row, weights += depth) {
    for (int32_t i = 0; i < depth; ++i) sums[row] += weights[i] * (x[i] - zero_point);
  }
}

/* How many of `count` rows are left at `row`, EC_ROWS at most. */
EC_INLINE int32_t ec_rows_left(int32_t row, int32_t count) {
  return count - row < EC_ROWS ? count - row : EC_ROWS;
}

#endif
