/* Sum of two int8 tensors of one shape, with scales of their own.
 *
 * Every operand is at most 255 steps from its zero point, so a * 2^20 doubled fits 32 bits, and each
 * multiplication is the high word of a product. An operand with the multiplier 1/2 is a shift.
 */
#ifndef EDGECOMP_DSP_ADD_H
#define EDGECOMP_DSP_ADD_H

#include "edgecomp_dsp.h"

/* As `dsp_add.py` writes it. Operand a has the multiplier 1/2: it is the one with the larger scale. */
typedef struct {
  int32_t count;
  int32_t b_zero;       /* zero point of b, times 2^21 */
  int32_t b_multiplier;
  int32_t b_rounding;   /* 2^(b_shift - 1) */
  int32_t b_shift;      /* 1 or more */
  int32_t a_zero;       /* zero point of a, times 2^20 */
  ec_dsp_channel output;
  ec_output_range range;
} ec_dsp_sum;

EC_INLINE int8_t ec_dsp_sum_of(int32_t a, int32_t b, const ec_dsp_sum *s) {
  const int32_t wide = (int32_t)((uint32_t)b << 21) - s->b_zero;
  const int32_t high = ec_high_multiply(wide, s->b_multiplier);
  const int32_t term = (s->b_rounding + (wide >> 31) + high) >> s->b_shift;
  /* twice the sum: a * 2^20 / 2 is exact */
  const int32_t twice = (int32_t)((uint32_t)a << 20) + 2 * term - s->a_zero;
  return (int8_t)ec_clamp(ec_dsp_rescale(twice, &s->output), -128, 127);
}

EC_NOINLINE void ec_dsp_add(const int8_t *a, const int8_t *b, const int32_t *geometry, int8_t *y) {
  const ec_dsp_sum s = *(const ec_dsp_sum *)(const void *)geometry;
  int32_t i = 0;
  for (; i + 1 < s.count; i += 2) {
    const int8_t first = ec_dsp_sum_of(a[i], b[i], &s);
    const int8_t second = ec_dsp_sum_of(a[i + 1], b[i + 1], &s);
    y[i] = first;
    y[i + 1] = second;
  }
  if (i < s.count) y[i] = ec_dsp_sum_of(a[i], b[i], &s);
  if (s.range.narrow) ec_narrow(y, s.count, &s.range);
}

#endif
