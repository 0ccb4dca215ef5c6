/* Dense layers of one row, by those weights only that are not 0.
 *
 * A unit's weights are entries of two bytes: how many elements of the row to skip, and the weight. They
 * come in pairs; the last of an odd number has a weight of 0 beside it.
 */
#ifndef EDGECOMP_SPARSE_ROW_H
#define EDGECOMP_SPARSE_ROW_H

#include "edgecomp_dsp.h"

/* As `sparse.py` writes it. */
typedef struct {
  int32_t units;
  int32_t own_rescaling; /* 1: each unit has its own; 0: all have the first */
  ec_output_range range;
} ec_sparse_row_shape;

/* As `sparse.py` writes it; the bias lies apart. */
typedef struct {
  int32_t multiplier, addend, shift;
} ec_sparse_rescaling;

#if EC_DSP && defined(__GNUC__)

#define EC_SPARSE_ROW_PAIR               \
  "ldr r2, [%[p]], #4\n"                 \
  "uxtab %[x], %[x], r2\n"               \
  "ldrsb r4, [%[x]], #1\n"               \
  "uxtab %[x], %[x], r2, ror #16\n"      \
  "ldrsb r5, [%[x]], #1\n"               \
  "sxtb16 r3, r2, ror #8\n"              \
  "smlabb %[sum], r4, r3, %[sum]\n"      \
  "smlabt %[sum], r5, r3, %[sum]\n"

/* The sum of `pairs` of entries; moves `entries` behind them. */
EC_INLINE uint32_t ec_sparse_row_sum(const int8_t *x, const uint8_t **entries, int32_t pairs) {
  const uint8_t *p = *entries;
  uint32_t sum = 0;
  __asm__ volatile(
      "lsrs %[n], %[n], #1\n" /* C: an odd pair; Z: no others */
      "bcc 1f\n" EC_SPARSE_ROW_PAIR
      "1:\n"
      "beq 3f\n"
      "2:\n" EC_SPARSE_ROW_PAIR EC_SPARSE_ROW_PAIR
      "subs %[n], %[n], #1\n"
      "bne 2b\n"
      "3:\n"
      : [x] "+r"(x), [p] "+r"(p), [n] "+r"(pairs), [sum] "+r"(sum)
      :
      : "r2", "r3", "r4", "r5", "cc", "memory");
  *entries = p;
  return sum;
}

#else

/* The sum of `pairs` of entries; moves `entries` behind them. */
EC_INLINE uint32_t ec_sparse_row_sum(const int8_t *x, const uint8_t **entries, int32_t pairs) {
  const uint8_t *p = *entries;
  int32_t sum = 0;
  EC_ROLLED for (const uint8_t *const end = p + 4 * pairs; p != end; p += 4) {
    x += p[0];
    sum += *x++ * (int8_t)p[1];
    x += p[2];
    sum += *x++ * (int8_t)p[3];
  }
  *entries = p;
  return (uint32_t)sum;
}

#endif

/* `pairs` has the pairs of each unit, `bias` is twice the bias of each. */
EC_NOINLINE void ec_sparse_row(const int8_t *x, const uint8_t *entries, const uint16_t *pairs,
                               const int32_t *bias, const int32_t *rescaling, const int32_t *shape,
                               int8_t *y) {
  const ec_sparse_row_shape *const s = (const ec_sparse_row_shape *)(const void *)shape;
  const ec_sparse_rescaling *r = (const ec_sparse_rescaling *)(const void *)rescaling;
  for (int32_t i = 0; i < s->units; ++i, r += s->own_rescaling) {
    const ec_dsp_channel unit = {0, r->multiplier, r->addend, r->shift};
    const uint32_t sum = ec_sparse_row_sum(x, &entries, pairs[i]);
    const int32_t twice = (int32_t)(2 * sum + (uint32_t)bias[i]);
    y[i] = (int8_t)ec_clamp(ec_dsp_rescale(twice, &unit), -128, 127);
  }
  if (s->range.narrow) ec_narrow(y, s->units, &s->range);
}

#endif
