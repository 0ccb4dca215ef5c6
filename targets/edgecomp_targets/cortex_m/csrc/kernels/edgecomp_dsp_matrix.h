/* Products of int8 vectors with int8 weights, two int16 products an instruction.
 *
 * Vectors are expanded to int16 once, in the order SXTB16 gives: of four elements k0..k3 first the pair
 * (k0, k2), then (k1, k3). Weights of two channels a and b share a 16-bit number 256 * b + a, in the same
 * order. Its low byte is a, so SXTB16 unpacks a; multiplied whole it gives 256 * (sum of b) + (sum of a).
 * So only half of the weights are unpacked. The sums of channel b must fit 24 bits.
 */
#ifndef EDGECOMP_DSP_MATRIX_H
#define EDGECOMP_DSP_MATRIX_H

#include "edgecomp_dsp.h"

/* Two channels' constants, as `rescale.py` writes them. */
typedef struct {
  int32_t twice_bias[2], multiplier[2], addend[2], shift[2];
} ec_dsp_pair;

/* Expand 4 * `quads` elements of one vector; gives the place after them. */
EC_INLINE uint32_t *ec_dsp_expand(uint32_t *to, const int8_t *x, int32_t quads) {
  for (; quads > 0; --quads, x += 4, to += 2) {
    const uint32_t word = ec_load_word(x);
    to[0] = ec_even_bytes(word);
    to[1] = ec_odd_bytes(word);
  }
  return to;
}

/* The same of two vectors, interleaved. */
EC_INLINE uint32_t *ec_dsp_expand_two(uint32_t *to, const int8_t *x, const int8_t *y,
                                      int32_t quads) {
  for (; quads > 0; --quads, x += 4, y += 4, to += 4) {
    const uint32_t first = ec_load_word(x), second = ec_load_word(y);
    to[0] = ec_even_bytes(first);
    to[1] = ec_odd_bytes(first);
    to[2] = ec_even_bytes(second);
    to[3] = ec_odd_bytes(second);
  }
  return to;
}

/* Twice the sum of channel b, from the sum of both channels and that of channel a. */
EC_INLINE int32_t ec_dsp_twice_second(uint32_t both, uint32_t first) {
  return (int32_t)(both - first) >> 7;
}

EC_INLINE int8_t ec_dsp_first(const ec_dsp_pair *pair, uint32_t sum, ec_dsp_range range) {
  const int32_t twice = (int32_t)(sum + sum + (uint32_t)pair->twice_bias[0]);
  return ec_dsp_clamped(
      ec_dsp_rescale(twice, pair->multiplier[0], pair->addend[0], pair->shift[0]), range);
}

EC_INLINE int8_t ec_dsp_second(const ec_dsp_pair *pair, uint32_t both, uint32_t first,
                               ec_dsp_range range) {
  const int32_t twice = ec_dsp_twice_second(both, first) + pair->twice_bias[1];
  return ec_dsp_clamped(
      ec_dsp_rescale(twice, pair->multiplier[1], pair->addend[1], pair->shift[1]), range);
}

/* Two pixels by two channels, four elements. */
#define EC_DSP_STEP_2X2()                            \
  do {                                               \
    const uint32_t w0 = w[0], w1 = w[1];             \
    const uint32_t x0 = x[0], x1 = x[1], y0 = x[2], y1 = x[3]; \
    const uint32_t a0 = ec_even_bytes(w0);           \
    const uint32_t a1 = ec_even_bytes(w1);           \
    both_x = ec_dual_multiply_add(x0, w0, both_x);   \
    both_y = ec_dual_multiply_add(y0, w0, both_y);   \
    first_x = ec_dual_multiply_add(x0, a0, first_x); \
    first_y = ec_dual_multiply_add(y0, a0, first_y); \
    both_x = ec_dual_multiply_add(x1, w1, both_x);   \
    both_y = ec_dual_multiply_add(y1, w1, both_y);   \
    first_x = ec_dual_multiply_add(x1, a1, first_x); \
    first_y = ec_dual_multiply_add(y1, a1, first_y); \
    w += 2;                                          \
    x += 4;                                          \
  } while (0)

/* All channels of two pixels: `x` holds 4 * `quads` elements of each, interleaved. */
EC_NOINLINE void ec_dsp_two_vectors(const uint32_t *vectors, const uint32_t *w,
                                    const ec_dsp_pair *pair, int32_t quads, int32_t channels,
                                    ec_dsp_range range, int8_t *out_x, int8_t *out_y) {
  for (int32_t c = 0; c < channels; c += 2, ++pair) {
    const uint32_t *x = vectors;
    const uint32_t *const end = vectors + 4 * quads;
    uint32_t first_x = 0, both_x = 0, first_y = 0, both_y = 0;
    if (quads & 1) EC_DSP_STEP_2X2();
    while (x != end) {
      EC_DSP_STEP_2X2();
      EC_DSP_STEP_2X2();
    }
    *out_x++ = ec_dsp_first(pair, first_x, range);
    *out_y++ = ec_dsp_first(pair, first_y, range);
    if (c + 1 < channels) {
      *out_x++ = ec_dsp_second(pair, both_x, first_x, range);
      *out_y++ = ec_dsp_second(pair, both_y, first_y, range);
    }
  }
}

/* All channels of one vector, four at a time. */
EC_NOINLINE void ec_dsp_one_vector(const uint32_t *vector, const uint32_t *weights,
                                   const ec_dsp_pair *pair, int32_t quads, int32_t channels,
                                   ec_dsp_range range, int8_t *out) {
  for (int32_t c = 0; c < channels; c += 4) {
    const uint32_t *x = vector;
    const uint32_t *const end = vector + 2 * quads;
    const uint32_t *w = weights;
    /* the last channels may lack the second pair: it repeats the first */
    const uint32_t *v = c + 2 < channels ? weights + 2 * quads : weights;
    uint32_t first_w = 0, both_w = 0, first_v = 0, both_v = 0;
    while (x != end) {
      const uint32_t x0 = x[0], x1 = x[1];
      const uint32_t w0 = w[0], w1 = w[1], v0 = v[0], v1 = v[1];
      both_w = ec_dual_multiply_add(x0, w0, both_w);
      first_w = ec_dual_multiply_add(x0, ec_even_bytes(w0), first_w);
      both_v = ec_dual_multiply_add(x0, v0, both_v);
      first_v = ec_dual_multiply_add(x0, ec_even_bytes(v0), first_v);
      both_w = ec_dual_multiply_add(x1, w1, both_w);
      first_w = ec_dual_multiply_add(x1, ec_even_bytes(w1), first_w);
      both_v = ec_dual_multiply_add(x1, v1, both_v);
      first_v = ec_dual_multiply_add(x1, ec_even_bytes(v1), first_v);
      x += 2;
      w += 2;
      v += 2;
    }
    weights = v;
    out[c] = ec_dsp_first(&pair[0], first_w, range);
    if (c + 1 < channels) out[c + 1] = ec_dsp_second(&pair[0], both_w, first_w, range);
    if (c + 2 < channels) out[c + 2] = ec_dsp_first(&pair[1], first_v, range);
    if (c + 3 < channels) out[c + 3] = ec_dsp_second(&pair[1], both_v, first_v, range);
    pair += 2;
  }
}

#endif
