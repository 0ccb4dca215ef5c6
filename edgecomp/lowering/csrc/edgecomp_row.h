/* A row of float brought to int8 on a grid of its own, and its products with int8 weights.
 *
 * As the TensorFlow Lite dynamic-range kernels have it: symmetric in 127 steps on each side of zero, or in 256
 * steps between the least and the largest with a zero point.
 */
#ifndef EDGECOMP_ROW_H
#define EDGECOMP_ROW_H

#include "edgecomp_dot.h"
#include "edgecomp_integer.h"
#include "edgecomp_math.h"

/* real = scale * (q - zero_point). */
typedef struct {
  int8_t *q;
  float scale;
  int32_t zero_point;
} ec_row;

EC_STATIC void ec_row_quantize(const float *x, int32_t count, int32_t asymmetric, ec_row *row) {
  float low = 0.0f, high = 0.0f, inverse;
  for (int32_t i = 0; i < count; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  row->zero_point = 0;
  if (asymmetric) {
    row->scale = low < high ? (high - low) / 255.0f : 1.0f;
    inverse = 1.0f / row->scale;
    /* the zero point comes from the end of the range that loses less by it */
    const float below = low / row->scale, above = high / row->scale;
    const float exact = 128.0f - below < 127.0f + above ? -128.0f - below : 127.0f - above;
    if (low < high) row->zero_point = ec_clamp((int32_t)ec_roundf(exact), -128, 127);
  } else {
    const float extent = -low > high ? -low : high;
    row->scale = extent > 0.0f ? extent / 127.0f : 1.0f;
    inverse = extent > 0.0f ? 127.0f / extent : 1.0f;
  }
  for (int32_t i = 0; i < count; ++i) {
    const int32_t value = (int32_t)ec_roundf((float)row->zero_point + x[i] * inverse);
    row->q[i] = (int8_t)ec_clamp(value, asymmetric ? -128 : -127, 127);
  }
}

/* y += weights[rows, depth] * x. */
EC_STATIC void ec_row_add_product(const int8_t *weights, float scale, const ec_row *x,
                                   int32_t rows, int32_t depth, float *y) {
  for (int32_t row = 0; row < rows; row += EC_ROWS) {
    const int32_t count = ec_rows_left(row, rows);
    int32_t sums[EC_ROWS] = {0, 0, 0, 0};
    ec_add_dots(weights + row * depth, count, depth, x->q, x->zero_point, sums);
    for (int32_t i = 0; i < count; ++i) y[row + i] += (float)sums[i] * (x->scale * scale);
  }
}

/* A fused activation, numbered as in the TensorFlow Lite schema. */
EC_INLINE float ec_activated(float x, int32_t activation) {
  switch (activation) {
    case 1: return x > 0.0f ? x : 0.0f;
    case 2: return x < -1.0f ? -1.0f : (x > 1.0f ? 1.0f : x);
    case 3: return x < 0.0f ? 0.0f : (x > 6.0f ? 6.0f : x);
    case 4: return ec_tanhf(x);
    default: return x;
  }
}

#endif
