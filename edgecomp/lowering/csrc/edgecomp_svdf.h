/* A dense layer of rank-1 filters over features, then over time, in int8 or in float with int8 weights.
 *
 * The meaning is that of the TensorFlow Lite SVDF. The state of a filter is its last `memory` sums over
 * features, the oldest first; `rank` filters are added to a unit.
 */
#ifndef EDGECOMP_SVDF_H
#define EDGECOMP_SVDF_H

#include "edgecomp_dot.h"
#include "edgecomp_integer.h"
#include "edgecomp_row.h"

typedef struct {
  int32_t batch, features, units, rank, memory;
} ec_svdf_sizes;

typedef struct {
  ec_svdf_sizes sizes;
  int32_t state_multiplier, state_shift, result_multiplier, result_shift, zero_point;
} ec_svdf_shape;

typedef struct {
  ec_svdf_sizes sizes;
  int32_t asymmetric, activation;
} ec_svdf_hybrid_shape;

/* x[batch, features], state[batch, filters, memory], weights[filters, features], offsets[filters]: what the
 * zero point of x adds, time[filters, memory], bias[units] or null -> y[batch, units], next state, which
 * may be the same memory as the last. `shape` is an ec_svdf_shape. */
EC_STATIC void ec_svdf_s8(const int8_t *x, const int16_t *state, const int32_t *shape,
                          const int8_t *weights, const int32_t *offsets, const int16_t *time,
                          const int32_t *bias, int8_t *y, int16_t *next) {
  const ec_svdf_shape *s = (const ec_svdf_shape *)(const void *)shape;
  const int32_t memory = s->sizes.memory, features = s->sizes.features;
  const int32_t filters = s->sizes.units * s->sizes.rank, depth = s->sizes.rank * memory;
  for (int32_t number = 0; number < s->sizes.batch; ++number, x += features) {
    for (int32_t first = 0; first < filters; first += EC_ROWS) {
      const int32_t count = ec_rows_left(first, filters);
      int32_t sums[EC_ROWS];
      for (int32_t i = 0; i < count; ++i) sums[i] = offsets[first + i];
      ec_add_dots(weights + first * features, count, features, x, 0, sums);
      for (int32_t i = 0; i < count; ++i, state += memory) {
        int16_t *row = next + (first + i) * memory;
        const int32_t newest = ec_multiply(sums[i], s->state_multiplier, s->state_shift);
        for (int32_t j = 0; j + 1 < memory; ++j) row[j] = state[j + 1];
        row[memory - 1] = (int16_t)ec_clamp(newest, -32768, 32767);
      }
    }
    for (int32_t unit = 0; unit < s->sizes.units; ++unit, next += depth) {
      int32_t total = bias ? bias[unit] : 0;
      for (int32_t i = 0; i < depth; ++i) total += next[i] * time[unit * depth + i];
      const int32_t value = ec_multiply(total, s->result_multiplier, s->result_shift);
      *y++ = (int8_t)ec_clamp(value + s->zero_point, -128, 127);
    }
  }
}

/* The same in float with int8 weights; `shape` is an ec_svdf_hybrid_shape, `scales` are those of the weights
 * over features and over time; `sums` [filters] and `q` [features] are scratch memory. */
EC_STATIC void ec_svdf_hybrid(const float *x, const float *state, const int32_t *shape,
                              const float *scales, const int8_t *weights, const int8_t *time,
                              const float *bias, float *y, float *next, float *sums, int8_t *q) {
  const ec_svdf_hybrid_shape *s = (const ec_svdf_hybrid_shape *)(const void *)shape;
  const int32_t memory = s->sizes.memory, features = s->sizes.features;
  const int32_t filters = s->sizes.units * s->sizes.rank;
  ec_row row = {q, 0.0f, 0};
  for (int32_t number = 0; number < s->sizes.batch; ++number, x += features) {
    const int8_t *step = time;
    ec_row_quantize(x, features, s->asymmetric, &row);
    for (int32_t filter = 0; filter < filters; ++filter) sums[filter] = 0.0f;
    ec_row_add_product(weights, scales[0], &row, filters, features, sums);
    for (int32_t unit = 0; unit < s->sizes.units; ++unit) {
      float total = 0.0f;
      for (int32_t i = 0; i < s->sizes.rank; ++i, state += memory, next += memory) {
        for (int32_t j = 0; j + 1 < memory; ++j) next[j] = state[j + 1];
        next[memory - 1] = sums[unit * s->sizes.rank + i];
        for (int32_t j = 0; j < memory; ++j) total += next[j] * ((float)*step++ * scales[1]);
      }
      *y++ = ec_activated(bias ? total + bias[unit] : total, s->activation);
    }
  }
}

#endif
