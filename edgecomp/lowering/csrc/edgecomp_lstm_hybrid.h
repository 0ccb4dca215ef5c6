/* A long short-term memory of float with int8 weights, over a whole sequence.
 *
 * The meaning is that of the TensorFlow Lite dynamic-range LSTM: each row is quantized as it comes, on a grid
 * of its own, and multiplied in integers; all else is float.
 */
#ifndef EDGECOMP_LSTM_HYBRID_H
#define EDGECOMP_LSTM_HYBRID_H

#include "edgecomp_integer.h"
#include "edgecomp_math.h"

/* Gates are in the order input, forget, cell, output; a coupled cell begins with forget. `activation` is
 * numbered as in the TensorFlow Lite schema. */
typedef struct {
  int32_t steps, batch, time_major, features, units, outputs, first_gate, asymmetric, activation;
} ec_lstm_hybrid_shape;

typedef struct {
  float input[4], recurrent[4], peephole[4], projection;
  float memory_limit, output_limit; /* 0 is none */
} ec_lstm_hybrid_scales;

/* Constants; those of parts the cell does not have are null. The first axis is the gates there are, of
 * `peepholes` the gates but the cell's. */
typedef struct {
  const ec_lstm_hybrid_shape *shape;
  const ec_lstm_hybrid_scales *scales;
  const int8_t *weights, *recurrent; /* [gates, units, features or outputs] */
  const float *biases;               /* [gates, units] */
  const int8_t *peepholes;           /* [gates, units] */
  const float *norms;                /* [gates, units] */
  const int8_t *projection;          /* [outputs, units] */
  const float *projection_bias;      /* [outputs] */
} ec_lstm_hybrid_cell;

/* A row on its own grid: real = scale * (q - zero_point). */
typedef struct {
  int8_t *q;
  float scale;
  int32_t zero_point;
} ec_lstm_row;

EC_STATIC void ec_lstm_quantize(const float *x, int32_t count, int32_t asymmetric, ec_lstm_row *row) {
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
EC_STATIC void ec_lstm_add_product(const int8_t *weights, float scale, const ec_lstm_row *x,
                                   int32_t rows, int32_t depth, float *y) {
  for (int32_t row = 0; row < rows; ++row, weights += depth) {
    int32_t sum = 0;
    for (int32_t i = 0; i < depth; ++i) sum += weights[i] * (x->q[i] - x->zero_point);
    y[row] += (float)sum * (x->scale * scale);
  }
}

EC_STATIC void ec_lstm_normalise_float(const float *weights, const float *biases, int32_t units,
                                       float *x) {
  float mean = 0.0f, variance = 0.0f;
  for (int32_t i = 0; i < units; ++i) mean += x[i];
  mean /= (float)units;
  for (int32_t i = 0; i < units; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const float deviation = ec_sqrtf(variance / (float)units + 1e-8f);
  for (int32_t i = 0; i < units; ++i) x[i] = (x[i] - mean) / deviation * weights[i] + biases[i];
}

EC_INLINE float ec_lstm_activated(float x, int32_t activation) {
  switch (activation) {
    case 1: return x > 0.0f ? x : 0.0f;
    case 2: return x < -1.0f ? -1.0f : (x > 1.0f ? 1.0f : x);
    case 3: return x < 0.0f ? 0.0f : (x > 6.0f ? 6.0f : x);
    case 4: return ec_tanhf(x);
    default: return x;
  }
}

EC_INLINE float ec_lstm_logistic(float x) { return 1.0f / (1.0f + ec_expf(-x)); }

EC_INLINE float ec_lstm_limited(float x, float limit) {
  return limit <= 0.0f ? x : (x < -limit ? -limit : (x > limit ? limit : x));
}

/* The sums of a gate. */
EC_STATIC void ec_lstm_hybrid_sums(const ec_lstm_hybrid_cell *c, int32_t gate, const ec_lstm_row *x,
                                   const ec_lstm_row *hidden, const float *memory, float *sums) {
  const ec_lstm_hybrid_shape *s = c->shape;
  const int32_t units = s->units, place = gate - s->first_gate;
  const float *biases = c->biases + place * units;
  for (int32_t i = 0; i < units; ++i) sums[i] = c->norms ? 0.0f : biases[i];
  ec_lstm_add_product(c->weights + place * units * s->features, c->scales->input[gate], x, units,
                      s->features, sums);
  ec_lstm_add_product(c->recurrent + place * units * s->outputs, c->scales->recurrent[gate], hidden,
                      units, s->outputs, sums);
  if (c->peepholes && gate != 2) {
    const int8_t *row = c->peepholes + (place - (gate == 3)) * units;
    const float scale = c->scales->peephole[gate];
    for (int32_t i = 0; i < units; ++i) sums[i] += (float)row[i] * scale * memory[i];
  }
  if (c->norms) ec_lstm_normalise_float(c->norms + place * units, biases, units, sums);
}

/* One step of one entry of the batch; `sums` [4, units] and `q` [features + outputs + units]
 * are scratch memory. */
EC_STATIC void ec_lstm_hybrid_step(const ec_lstm_hybrid_cell *c, const float *x, float *hidden,
                                   float *memory, float *sums, int8_t *q) {
  const ec_lstm_hybrid_shape *s = c->shape;
  const int32_t units = s->units;
  float *forget = sums + units, *fresh = sums + 2 * units, *leave = sums + 3 * units;
  ec_lstm_row given = {q, 0.0f, 0}, last = {q + s->features, 0.0f, 0};
  ec_lstm_quantize(x, s->features, s->asymmetric, &given);
  ec_lstm_quantize(hidden, s->outputs, s->asymmetric, &last);
  for (int32_t gate = s->first_gate; gate < 3; ++gate) {
    ec_lstm_hybrid_sums(c, gate, &given, &last, memory, sums + gate * units);
  }
  for (int32_t i = 0; i < units; ++i) {
    const float kept = ec_lstm_logistic(forget[i]);
    const float enter = s->first_gate ? 1.0f - kept : ec_lstm_logistic(sums[i]);
    const float next = kept * memory[i] + ec_lstm_activated(fresh[i], s->activation) * enter;
    memory[i] = ec_lstm_limited(next, c->scales->memory_limit);
  }
  ec_lstm_hybrid_sums(c, 3, &given, &last, memory, leave);
  for (int32_t i = 0; i < units; ++i) {
    leave[i] = ec_lstm_logistic(leave[i]) * ec_lstm_activated(memory[i], s->activation);
  }
  if (!c->projection) {
    for (int32_t i = 0; i < units; ++i) hidden[i] = leave[i];
    return;
  }
  ec_lstm_row cells = {q + s->features + s->outputs, 0.0f, 0};
  ec_lstm_quantize(leave, units, s->asymmetric, &cells);
  for (int32_t i = 0; i < s->outputs; ++i) hidden[i] = c->projection_bias ? c->projection_bias[i] : 0.0f;
  ec_lstm_add_product(c->projection, c->scales->projection, &cells, s->outputs, units, hidden);
  for (int32_t i = 0; i < s->outputs; ++i) {
    hidden[i] = ec_lstm_limited(hidden[i], c->scales->output_limit);
  }
}

/* The whole sequence: y is what leaves after each step; hidden and memory are those of the last run, next_*
 * are left for the next one. `shape` is an ec_lstm_hybrid_shape, `scales` ec_lstm_hybrid_scales. */
EC_STATIC void ec_lstm_hybrid(const float *x, const float *hidden, const float *memory,
                              const int32_t *shape, const float *scales, const int8_t *weights,
                              const int8_t *recurrent, const float *biases, const int8_t *peepholes,
                              const float *norms, const int8_t *projection,
                              const float *projection_bias, float *y, float *next_hidden,
                              float *next_memory, float *sums, int8_t *q) {
  const ec_lstm_hybrid_shape *s = (const ec_lstm_hybrid_shape *)(const void *)shape;
  const ec_lstm_hybrid_scales *by = (const ec_lstm_hybrid_scales *)(const void *)scales;
  const ec_lstm_hybrid_cell cell = {s,         by,    weights,    recurrent,      biases,
                                    peepholes, norms, projection, projection_bias};
  for (int32_t number = 0; number < s->batch; ++number) {
    float *h = next_hidden + number * s->outputs, *m = next_memory + number * s->units;
    for (int32_t i = 0; i < s->outputs; ++i) h[i] = hidden[number * s->outputs + i];
    for (int32_t i = 0; i < s->units; ++i) m[i] = memory[number * s->units + i];
    for (int32_t step = 0; step < s->steps; ++step) {
      const int32_t row = s->time_major ? step * s->batch + number : number * s->steps + step;
      ec_lstm_hybrid_step(&cell, x + row * s->features, h, m, sums, q);
      for (int32_t i = 0; i < s->outputs; ++i) y[row * s->outputs + i] = h[i];
    }
  }
}

#endif
