/* Products of int8 vectors with weights of four bits, two int16 products an instruction.
 *
 * Weights of four channels a, b, c, d share a 16-bit number, 4096 * c + 256 * (d + 8) + 16 * (a + 8) + b + 8,
 * in the order of `edgecomp_dsp_matrix.h`: two words have four elements of four channels. Multiplied whole,
 * without d, its low byte alone, and that without b, it gives four sums, the differences of which are those
 * of the channels, but for eight times the sum of the vector in three of them. So three instructions unpack
 * eight weights. The sums of channel c must fit 20 bits, those of d 24 bits.
 */
#ifndef EDGECOMP_DSP_INT4_H
#define EDGECOMP_DSP_INT4_H

#include "edgecomp_dsp.h"

#define EC_INT4_ONES 0x00010001u
#define EC_INT4_LOW 0x00FF00FFu /* a and b */
#define EC_INT4_B 0x000F000Fu
#define EC_INT4_D 0x0F000F00u

/* What the numbers of four channels give, and the sum of the vector. */
typedef struct {
  uint32_t all, without_d, low, without_b, vector;
} ec_dsp_int4_sums;

/* Adds the products of two elements. */
EC_INLINE void ec_dsp_int4_add(ec_dsp_int4_sums *s, uint32_t pair, uint32_t weights) {
  const uint32_t low = weights & EC_INT4_LOW;
  s->all = ec_dual_multiply_add(pair, weights, s->all);
  s->without_d = ec_dual_multiply_add(pair, weights & ~EC_INT4_D, s->without_d);
  s->low = ec_dual_multiply_add(pair, low, s->low);
  s->without_b = ec_dual_multiply_add(pair, low & ~EC_INT4_B, s->without_b);
}

/* Twice the sums of the four channels. */
EC_INLINE void ec_dsp_int4_twice(const ec_dsp_int4_sums *s, int32_t twice[4]) {
  const uint32_t eight = 8 * s->vector;
  twice[0] = (int32_t)(s->without_b - 16 * eight) >> 3;
  twice[1] = (int32_t)(2 * (s->low - s->without_b - eight));
  twice[2] = (int32_t)(s->without_d - s->low) >> 11;
  twice[3] = (int32_t)(s->all - s->without_d - 256 * eight) >> 7;
}

#endif
