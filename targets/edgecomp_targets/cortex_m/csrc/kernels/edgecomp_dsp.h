/* Words of the DSP extension: two int16 or four int8 in 32 bits, and rescaling of sums.
 *
 * Each function has a portable twin that gives the same bits, so that the same source compiles for any
 * processor; EC_PORTABLE chooses the twins everywhere.
 */
#ifndef EDGECOMP_DSP_H
#define EDGECOMP_DSP_H

#include <stddef.h>
#include <stdint.h>

#include "edgecomp_common.h"

#if defined(__ARM_FEATURE_DSP) && !defined(EC_PORTABLE)
#include <arm_acle.h>
#define EC_DSP 1
#else
#define EC_DSP 0
#endif

/* Four bytes at any address. */
EC_INLINE uint32_t ec_load_word(const int8_t *from) {
  uint32_t word;
  ec_copy(&word, from, sizeof word);
  return word;
}

EC_INLINE void ec_store_word(int8_t *to, uint32_t word) { ec_copy(to, &word, sizeof word); }

EC_INLINE int32_t ec_low_half(uint32_t word) { return (int32_t)(int16_t)(uint16_t)word; }

EC_INLINE int32_t ec_high_half(uint32_t word) { return (int32_t)(int16_t)(uint16_t)(word >> 16); }

EC_INLINE uint32_t ec_halves(int32_t low, int32_t high) {
  return ((uint32_t)low & 0xFFFFu) | ((uint32_t)high << 16);
}

/* Bytes 0 and 2 as two int16. */
EC_INLINE uint32_t ec_even_bytes(uint32_t word) {
#if EC_DSP
  return (uint32_t)__sxtb16((int8x4_t)word);
#else
  return ec_halves((int8_t)(uint8_t)word, (int8_t)(uint8_t)(word >> 16));
#endif
}

/* Bytes 1 and 3 as two int16. */
EC_INLINE uint32_t ec_odd_bytes(uint32_t word) {
  return ec_even_bytes((word >> 8) | (word << 24));
}

/* The same two times 256: EC_SCALED_BYTES are the high bytes of each half. */
#define EC_SCALED_BYTES 0xFF00FF00u

EC_INLINE uint32_t ec_even_scaled(uint32_t word) { return (word << 8) & EC_SCALED_BYTES; }

EC_INLINE uint32_t ec_odd_scaled(uint32_t word) { return word & EC_SCALED_BYTES; }

/* Low halves, or high halves, of two words. */
EC_INLINE uint32_t ec_low_halves(uint32_t a, uint32_t b) { return (a & 0xFFFFu) | (b << 16); }

EC_INLINE uint32_t ec_high_halves(uint32_t a, uint32_t b) { return (a >> 16) | (b & 0xFFFF0000u); }

/* sum + a0*b0 + a1*b1 of two pairs of int16, modulo 2^32. */
EC_INLINE uint32_t ec_dual_multiply_add(uint32_t a, uint32_t b, uint32_t sum) {
#if EC_DSP
  return (uint32_t)__smlad((int16x2_t)a, (int16x2_t)b, (int32_t)sum);
#else
  return sum + (uint32_t)(ec_low_half(a) * ec_low_half(b)) +
         (uint32_t)(ec_high_half(a) * ec_high_half(b));
#endif
}

/* a * b / 2^32 rounded to nearest, ties upwards, b >= 0: SMMULR. */
EC_INLINE int32_t ec_high_multiply(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_6M__) || defined(EC_SPLIT_MULTIPLY)
  /* no 64-bit products: four of 16 bits each, the lower ones without a sign */
  const uint32_t a_low = (uint32_t)a & 0xFFFFu, b_low = (uint32_t)b & 0xFFFFu;
  const int32_t a_high = a >> 16, b_high = b >> 16;
  const int32_t middle = a_high * (int32_t)b_low + (int32_t)((a_low * b_low) >> 16);
  const uint32_t rest = ((uint32_t)middle & 0xFFFFu) + a_low * (uint32_t)b_high + 0x8000u;
  return a_high * b_high + (middle >> 16) + (int32_t)(rest >> 16);
#else
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* a * b / 2^32 rounded down: SMMUL. */
EC_INLINE int32_t ec_high_product(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b) >> 32);
}

/* How one channel's sum becomes an output step; `rescale.py` makes it and has the proof. */
typedef struct {
  int32_t twice_bias;
  int32_t multiplier;
  int32_t addend; /* the output's zero point and the rounding, before the shift */
  int32_t shift;  /* to the right */
} ec_dsp_channel;

/* ec_multiply_down(sum, multiplier, -shift) plus the zero point, from twice the sum. */
EC_INLINE int32_t ec_dsp_rescale(int32_t twice, const ec_dsp_channel *c) {
  return (c->addend + (twice >> 31) + ec_high_multiply(twice, c->multiplier)) >> c->shift;
}

/* The same of scaled sums, see `rescale.py`: of the sum with its bias, times 2^k; t is `shift`. */
EC_INLINE int8_t ec_dsp_scaled_step(uint32_t sum, int32_t multiplier, int32_t addend,
                                    int32_t shift) {
  const int32_t high = addend + ec_high_product((int32_t)sum, multiplier);
  return (int8_t)ec_clamp(high >> shift, -128, 127);
}

#endif
