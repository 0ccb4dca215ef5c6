/* A long short-term memory of int8 with a 16-bit memory, over a whole sequence.
 *
 * The meaning is that of the TensorFlow Lite 8x8->16 LSTM: each term of a gate is brought to 16 bits and
 * added with saturation, layer normalisation and curves are fixed-point numbers of 16 bits.
 */
#ifndef EDGECOMP_LSTM_H
#define EDGECOMP_LSTM_H

#include "edgecomp_curves16.h"
#include "edgecomp_dot.h"
#include "edgecomp_integer.h"

/* A real number as mantissa and power of two. */
typedef struct {
  int32_t multiplier, shift;
} ec_lstm_scale;

/* How the terms of one gate are brought to its 16 bits; all zero where the gate has no such term. */
typedef struct {
  ec_lstm_scale input, recurrent, peephole, norm;
  int32_t variance_guard;
} ec_lstm_gate;

/* Gates are in the order input, forget, cell, output; a coupled cell begins with forget. */
typedef struct {
  int32_t steps, batch, time_major, features, units, outputs, first_gate;
  int32_t memory_integer_bits, memory_limit, output_limit; /* a limit of 0 is none */
  ec_lstm_scale hidden, projection;
  int32_t hidden_zero_point, output_zero_point;
  ec_lstm_gate gates[4];
} ec_lstm_shape;

/* Constants; those of parts the cell does not have are null. The first axis is the gates there are, of
 * `peepholes` the gates but the cell's. Offsets hold biases, less zero points times sums of weights. */
typedef struct {
  const int8_t *weights, *recurrent;                    /* [gates, units, features or outputs] */
  const int32_t *input_offsets, *recurrent_offsets;     /* [gates, units] */
  const int16_t *peepholes, *norms;                     /* [gates, units] */
  const int32_t *norm_biases;                           /* [gates, units] */
  const int8_t *projection;                             /* [outputs, units] */
  const int32_t *projection_offsets;                    /* [outputs] */
} ec_lstm_constants;

EC_INLINE int32_t ec_lstm_int16(int32_t x) { return ec_clamp(x, -32768, 32767); }

EC_INLINE int32_t ec_lstm_scaled(int32_t x, ec_lstm_scale by) {
  return ec_multiply(x, by.multiplier, by.shift);
}

/* Mean 0 and variance 1, then the weights and biases of the normalisation. */
EC_STATIC void ec_lstm_normalise(const ec_lstm_gate *gate, const int16_t *weights,
                                 const int32_t *biases, int32_t units, int16_t *x) {
  int64_t sum = 0, squares = 0;
  for (int32_t i = 0; i < units; ++i) {
    sum += x[i];
    squares += (int32_t)x[i] * x[i];
  }
  const int32_t mean = (int32_t)(sum * 1024 / units);
  const int64_t spread = squares * ((1 << 20) / units) - (int64_t)mean * mean;
  const int32_t variance = (int32_t)(spread / (1 << 20));
  ec_lstm_scale root;
  root.multiplier = ec_inverse_root(variance < 1 ? gate->variance_guard : variance, &root.shift);
  for (int32_t i = 0; i < units; ++i) {
    const int32_t even = ec_lstm_scaled(1024 * x[i] - mean, root);
    const int32_t weighted = (int32_t)((uint32_t)even * (uint32_t)(int32_t)weights[i]);
    const int64_t moved = (int64_t)weighted + biases[i];
    const int32_t rounded = (int32_t)((moved > 0 ? moved + 512 : moved - 512) / 1024);
    const int32_t value = ec_multiply(rounded, gate->norm.multiplier, gate->norm.shift + 12);
    x[i] = (int16_t)ec_lstm_int16(value);
  }
}

/* The sums of gate `gate` into `sums`, in 16 bits with 3 before the point. `number` counts the batch.
 *
 * The specification walks peepholes as if there were as many units as outputs: over the memory of the
 * whole batch, or of each entry of it where these are computed one after the other. */
EC_STATIC void ec_lstm_sums(const ec_lstm_shape *s, const ec_lstm_constants *c, int32_t gate,
                            int32_t number, const int8_t *x, const int8_t *hidden,
                            const int16_t *memory, int16_t *sums) {
  const ec_lstm_gate *g = &s->gates[gate];
  const int32_t place = (gate - s->first_gate) * s->units;
  const int16_t *peepholes = c->peepholes && gate != 2 ? c->peepholes : 0;
  if (peepholes) peepholes += (gate - s->first_gate - (gate == 3)) * s->units;
  for (int32_t first = 0; first < s->units; first += EC_ROWS) {
    const int32_t count = ec_rows_left(first, s->units), row = place + first;
    int32_t given[EC_ROWS], last[EC_ROWS];
    for (int32_t i = 0; i < count; ++i) given[i] = c->input_offsets[row + i];
    for (int32_t i = 0; i < count; ++i) last[i] = c->recurrent_offsets[row + i];
    ec_add_dots(c->weights + row * s->features, count, s->features, x, 0, given);
    ec_add_dots(c->recurrent + row * s->outputs, count, s->outputs, hidden, 0, last);
    for (int32_t i = 0; i < count; ++i) {
      const int32_t unit = first + i, seen = (s->time_major ? number * s->units : 0) + unit;
      int32_t value = ec_lstm_int16(ec_lstm_scaled(given[i], g->input));
      value = ec_lstm_int16(value + ec_lstm_scaled(last[i], g->recurrent));
      if (peepholes && seen < (s->time_major ? s->batch : 1) * s->outputs) {
        const int32_t product = peepholes[seen % s->outputs] * memory[unit];
        value = ec_lstm_int16(value + ec_lstm_scaled(product, g->peephole));
      }
      sums[unit] = (int16_t)value;
    }
  }
  if (c->norms) ec_lstm_normalise(g, c->norms + place, c->norm_biases + place, s->units, sums);
}

EC_STATIC void ec_lstm_project(const ec_lstm_shape *s, const ec_lstm_constants *c,
                               const int8_t *cells, int8_t *hidden) {
  const int32_t low = s->output_limit > 0 ? -s->output_limit : -128;
  const int32_t high = s->output_limit > 0 ? s->output_limit : 127;
  for (int32_t first = 0; first < s->outputs; first += EC_ROWS) {
    const int32_t count = ec_rows_left(first, s->outputs);
    int32_t sums[EC_ROWS];
    for (int32_t i = 0; i < count; ++i) sums[i] = c->projection_offsets[first + i];
    ec_add_dots(c->projection + first * s->units, count, s->units, cells, 0, sums);
    for (int32_t i = 0; i < count; ++i) {
      const int32_t value = ec_lstm_scaled(sums[i], s->projection) + s->output_zero_point;
      hidden[first + i] = (int8_t)ec_clamp(value, low, high);
    }
  }
}

/* One step of one entry of the batch; `sums` [4, units] and `cells` [units] are scratch memory. */
EC_STATIC void ec_lstm_step(const ec_lstm_shape *s, const ec_lstm_constants *c, int32_t number,
                            const int8_t *x, int8_t *hidden, int16_t *memory, int16_t *sums,
                            int8_t *cells) {
  const int32_t units = s->units, bits = s->memory_integer_bits;
  int16_t *forget = sums + units, *fresh = sums + 2 * units, *leave = sums + 3 * units;
  for (int32_t gate = s->first_gate; gate < 3; ++gate) {
    ec_lstm_sums(s, c, gate, number, x, hidden, memory, sums + gate * units);
  }
  for (int32_t unit = 0; unit < units; ++unit) {
    const int32_t kept = ec_logistic16(forget[unit], 3);
    const int32_t enter = s->first_gate ? 32767 - kept : ec_logistic16(sums[unit], 3);
    const int32_t more = ec_rounding_shift_right(enter * ec_tanh16(fresh[unit], 3), 15 + bits);
    int32_t next = ec_lstm_int16(ec_rounding_shift_right(kept * memory[unit], 15) + more);
    if (s->memory_limit > 0) next = ec_clamp(next, -s->memory_limit, s->memory_limit);
    memory[unit] = (int16_t)next;
  }
  ec_lstm_sums(s, c, 3, number, x, hidden, memory, leave);
  for (int32_t unit = 0; unit < units; ++unit) {
    const int32_t value = ec_logistic16(leave[unit], 3) * ec_tanh16(memory[unit], bits);
    const int32_t left = ec_lstm_scaled(value, s->hidden) + s->hidden_zero_point;
    cells[unit] = (int8_t)ec_clamp(left, -128, 127);
  }
  if (c->projection) {
    ec_lstm_project(s, c, cells, hidden);
  } else {
    for (int32_t i = 0; i < units; ++i) hidden[i] = cells[i];
  }
}

/* The whole sequence: y is what leaves after each step; hidden and memory are those of the last run, next_*
 * are left for the next one, and may be the same memory. `shape` is an ec_lstm_shape. */
EC_STATIC void ec_lstm_s8(const int8_t *x, const int8_t *hidden, const int16_t *memory,
                          const int32_t *shape, const int8_t *weights, const int8_t *recurrent,
                          const int32_t *input_offsets, const int32_t *recurrent_offsets,
                          const int16_t *peepholes, const int16_t *norms,
                          const int32_t *norm_biases, const int8_t *projection,
                          const int32_t *projection_offsets, int8_t *y, int8_t *next_hidden,
                          int16_t *next_memory, int16_t *sums, int8_t *cells) {
  const ec_lstm_shape *s = (const ec_lstm_shape *)(const void *)shape;
  const ec_lstm_constants c = {weights,   recurrent, input_offsets, recurrent_offsets, peepholes,
                               norms,     norm_biases, projection,  projection_offsets};
  for (int32_t number = 0; number < s->batch; ++number) {
    int8_t *h = next_hidden + number * s->outputs;
    int16_t *m = next_memory + number * s->units;
    for (int32_t i = 0; i < s->outputs; ++i) h[i] = hidden[number * s->outputs + i];
    for (int32_t i = 0; i < s->units; ++i) m[i] = memory[number * s->units + i];
    for (int32_t step = 0; step < s->steps; ++step) {
      const int32_t row = s->time_major ? step * s->batch + number : number * s->steps + step;
      ec_lstm_step(s, &c, number, x + row * s->features, h, m, sums, cells);
      for (int32_t i = 0; i < s->outputs; ++i) y[row * s->outputs + i] = h[i];
    }
  }
}

#endif
