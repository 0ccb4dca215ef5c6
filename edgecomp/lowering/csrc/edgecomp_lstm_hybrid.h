/* A long short-term memory of float with int8 weights, over a whole sequence.
 *
 * The meaning is that of the TensorFlow Lite dynamic-range LSTM: each row is quantized as it comes, on a grid
 * of its own, and multiplied in integers; all else is float.
 */
#ifndef EDGECOMP_LSTM_HYBRID_H
#define EDGECOMP_LSTM_HYBRID_H

#include "edgecomp_row.h"

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

EC_STATIC void ec_lstm_normalise_float(const float *weights, const float *biases, int32_t units,
                                       float *x) {
  float mean = 0.0f, variance = 0.0f;
  for (int32_t i = 0; i < units; ++i) mean += x[i];
  mean /= (float)units;
  for (int32_t i = 0; i < units; ++i) variance += (x[i] - mean) * (x[i] - mean);
  const float deviation = ec_sqrtf(variance / (float)units + 1e-8f);
  for (int32_t i = 0; i < units; ++i) x[i] = (x[i] - mean) / deviation * weights[i] + biases[i];
}

EC_INLINE float ec_lstm_logistic(float x) { return 1.0f / (1.0f + ec_expf(-x)); }

EC_INLINE float ec_lstm_limited(float x, float limit) {
  return limit <= 0.0f ? x : (x < -limit ? -limit : (x > limit ? limit : x));
}

/* The sums of a gate. */
EC_STATIC void ec_lstm_hybrid_sums(const ec_lstm_hybrid_cell *c, int32_t gate, const ec_row *x,
                                   const ec_row *hidden, const float *memory, float *sums) {
  const ec_lstm_hybrid_shape *s = c->shape;
  const int32_t units = s->units, place = gate - s->first_gate;
  const float *biases = c->biases + place * units;
  for (int32_t i = 0; i < units; ++i) sums[i] = c->norms ? 0.0f : biases[i];
  ec_row_add_product(c->weights + place * units * s->features, c->scales->input[gate], x, units,
                      s->features, sums);
  ec_row_add_product(c->recurrent + place * units * s->outputs, c->scales->recurrent[gate], hidden,
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
  ec_row given = {q, 0.0f, 0}, last = {q + s->features, 0.0f, 0};
  ec_row_quantize(x, s->features, s->asymmetric, &given);
  ec_row_quantize(hidden, s->outputs, s->asymmetric, &last);
  for (int32_t gate = s->first_gate; gate < 3; ++gate) {
    ec_lstm_hybrid_sums(c, gate, &given, &last, memory, sums + gate * units);
  }
  for (int32_t i = 0; i < units; ++i) {
    const float kept = ec_lstm_logistic(forget[i]);
    const float enter = s->first_gate ? 1.0f - kept : ec_lstm_logistic(sums[i]);
    const float next = kept * memory[i] + ec_activated(fresh[i], s->activation) * enter;
    memory[i] = ec_lstm_limited(next, c->scales->memory_limit);
  }
  ec_lstm_hybrid_sums(c, 3, &given, &last, memory, leave);
  for (int32_t i = 0; i < units; ++i) {
    leave[i] = ec_lstm_logistic(leave[i]) * ec_activated(memory[i], s->activation);
  }
  if (!c->projection) {
    for (int32_t i = 0; i < units; ++i) hidden[i] = leave[i];
    return;
  }
  ec_row cells = {q + s->features + s->outputs, 0.0f, 0};
  ec_row_quantize(leave, units, s->asymmetric, &cells);
  for (int32_t i = 0; i < s->outputs; ++i) hidden[i] = c->projection_bias ? c->projection_bias[i] : 0.0f;
  ec_row_add_product(c->projection, c->scales->projection, &cells, s->outputs, units, hidden);
  for (int32_t i = 0; i < s->outputs; ++i) {
    hidden[i] = ec_lstm_limited(hidden[i], c->scales->output_limit);
  }
}

/* The whole sequence: y is what leaves after each step; hidden and memory are those of the last run, next_*
 * are left for the next one, and may be the same memory. `shape` is an ec_lstm_hybrid_shape, `scales` ec_lstm_hybrid_scales. */
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
