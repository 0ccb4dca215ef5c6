/* Sum of two int8 tensors of one shape, with scales of their own; see `edgecomp_dsp_add.h`. */
#ifndef EDGECOMP_MVE_ADD_H
#define EDGECOMP_MVE_ADD_H

#include "edgecomp_dsp_add.h"
#include "edgecomp_mve.h"

EC_NOINLINE void ec_mve_add(const int8_t *a, const int8_t *b, const int32_t *geometry, int8_t *y) {
#if EC_MVE
  const ec_dsp_sum s = *(const ec_dsp_sum *)(const void *)geometry;
  const int32_t shift = s.output.shift, zero_point = s.output.addend >> shift;
  const int32x4_t low = vdupq_n_s32(s.range.low), high = vdupq_n_s32(s.range.high);
  EC_ROLLED for (int32_t count = s.count; count > 0; count -= 4, a += 4, b += 4, y += 4) {
    const mve_pred16_t inside = vctp32q((uint32_t)count);
    const int32x4_t p = vldrbq_z_s32(a, inside), q = vldrbq_z_s32(b, inside);
    const int32x4_t wide = vsubq_n_s32(vshlq_n_s32(q, 20), s.b_zero >> 1);
    int32x4_t term = vqrdmulhq_n_s32(wide, s.b_multiplier);
    term = vrshlq_n_s32(vaddq_s32(term, vshrq_n_s32(term, 31)), -s.b_shift);
    const int32x4_t sum = vaddq_s32(vsubq_n_s32(vshlq_n_s32(p, 19), s.a_zero >> 1), term);
    int32x4_t steps = vqrdmulhq_n_s32(sum, s.output.multiplier);
    steps = vrshlq_n_s32(vaddq_s32(steps, vshrq_n_s32(steps, 31)), -shift);
    steps = vminq_s32(vmaxq_s32(vaddq_n_s32(steps, zero_point), low), high);
    vstrbq_p_s32(y, steps, inside);
  }
#else
  ec_dsp_add(a, b, geometry, y);
#endif
}

#endif
