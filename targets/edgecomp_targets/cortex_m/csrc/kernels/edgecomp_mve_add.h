/* Sum of two int8 tensors of one shape, with scales of their own.
 *
 * The operand with the smaller scale, b, has a table of its 256 terms, the other's zero point in them; the
 * multiplier of the other, a, is 1/2. See `mve_add.py`.
 */
#ifndef EDGECOMP_MVE_ADD_H
#define EDGECOMP_MVE_ADD_H

#include "edgecomp_mve.h"

/* As `mve_add.py` writes it. */
typedef struct {
  int32_t count;
  int32_t multiplier, shift, zero_point; /* of the output; the shift is -1 or less */
  int32_t is_clamped;                    /* outputs below the zero point are clamped to it */
  ec_output_range range;
} ec_mve_sum;

enum { EC_MVE_HALF_STEP = 1 << 19 };

#if EC_MVE

/* Steps of four elements, before the zero point. */
EC_INLINE int32x4_t ec_mve_sum_of_four(const int8_t *a, const int8_t *b, const int32_t *terms,
                                       const ec_mve_sum *s, int is_clamped) {
  const uint32x4_t index = vreinterpretq_u32_s32(vldrbq_s32(b));
  const int32x4_t term = vldrwq_gather_shifted_offset_s32(terms, index);
  const int32x4_t sum = vmlaq_n_s32(term, vldrbq_s32(a), EC_MVE_HALF_STEP);
  int32x4_t high = vqrdmulhq_n_s32(sum, s->multiplier);
  /* VRSHL rounds ties upwards: one less for negative numbers */
  if (!is_clamped) high = vaddq_s32(high, vshrq_n_s32(high, 31));
  return vrshlq_n_s32(high, s->shift);
}

/* `groups` of eight elements; gives where the outputs end. */
EC_INLINE int8_t *ec_mve_add_groups(const int8_t *a, const int8_t *b, const int32_t *terms,
                                    const ec_mve_sum *sum, int is_clamped, int32_t groups,
                                    int8_t *y) {
  const ec_mve_sum s = *sum; /* a store of outputs cannot change a copy */
  const uint16x8_t lanes = {0, 4, 1, 5, 2, 6, 3, 7};
  EC_ROLLED for (; groups > 0; --groups, a += 8, b += 8, y += 8) {
    const int32x4_t low = ec_mve_sum_of_four(a, b, terms, &s, is_clamped);
    const int32x4_t high = ec_mve_sum_of_four(a + 4, b + 4, terms, &s, is_clamped);
    int16x8_t steps = vqmovnbq_s32(vreinterpretq_s16_s32(low), low);
    steps = vqaddq_n_s16(vqmovntq_s32(steps, high), (int16_t)s.zero_point);
    steps = vreinterpretq_s16_s8(vqmovnbq_s16(vreinterpretq_s8_s16(steps), steps));
    vstrbq_scatter_offset_s16(y, lanes, steps);
  }
  return y;
}

#endif

/* `terms` begins with that of -128. */
EC_NOINLINE void ec_mve_add(const int8_t *a, const int8_t *b, const int32_t *terms,
                            const int32_t *geometry, int8_t *y) {
  const ec_mve_sum *const s = (const ec_mve_sum *)(const void *)geometry;
  int8_t *const begin = y;
  int32_t done = 0;
  terms += 128;
#if EC_MVE
  const int32_t groups = s->count / 8;
  y = s->is_clamped ? ec_mve_add_groups(a, b, terms, s, 1, groups, y)
                    : ec_mve_add_groups(a, b, terms, s, 0, groups, y);
  done = 8 * groups;
#endif
  for (; done < s->count; ++done) {
    const int32_t sum = a[done] * EC_MVE_HALF_STEP + terms[b[done]];
    *y++ = ec_mve_rescaled(sum, s->multiplier, s->shift, s->zero_point);
  }
  if (s->range.narrow) ec_mve_narrow(begin, s->count, &s->range);
}

#endif
