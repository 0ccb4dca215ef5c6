/* Dense layers of one row, by those weights only that are not 0.
 *
 * A unit's weights are entries of two bytes: how many elements of the row to skip, and the weight; they
 * come in pairs. Or they are quads of four neighbours, of which one at least is not 0.
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

#if EC_DSP && defined(__GNUC__)

#define EC_SPARSE_ROW_QUAD               \
  "ldrb r2, [%[q]], #1\n"                \
  "ldr r3, [%[w]], #4\n"                 \
  "add %[x], %[x], r2, lsl #2\n"         \
  "ldr r2, [%[x]], #4\n"                 \
  "sxtb16 r4, r3\n"                      \
  "sxtb16 r5, r2\n"                      \
  "smlad %[sum], r4, r5, %[sum]\n"       \
  "sxtb16 r3, r3, ror #8\n"              \
  "sxtb16 r2, r2, ror #8\n"              \
  "smlad %[sum], r3, r2, %[sum]\n"

/* The sum of `quads`, whose weights are at `w`; moves `skips` behind them. */
EC_INLINE uint32_t ec_sparse_quads_sum(const int8_t *x, const int8_t *w, const uint8_t **skips,
                                       int32_t quads) {
  const uint8_t *q = *skips;
  uint32_t sum = 0;
  __asm__ volatile(
      "lsrs %[n], %[n], #1\n" /* C: an odd quad; Z: no others */
      "bcc 1f\n" EC_SPARSE_ROW_QUAD
      "1:\n"
      "beq 3f\n"
      "2:\n" EC_SPARSE_ROW_QUAD EC_SPARSE_ROW_QUAD
      "subs %[n], %[n], #1\n"
      "bne 2b\n"
      "3:\n"
      : [x] "+r"(x), [w] "+r"(w), [q] "+r"(q), [n] "+r"(quads), [sum] "+r"(sum)
      :
      : "r2", "r3", "r4", "r5", "cc", "memory");
  *skips = q;
  return sum;
}

#else

/* The sum of `quads`, whose weights are at `w`; moves `skips` behind them. */
EC_INLINE uint32_t ec_sparse_quads_sum(const int8_t *x, const int8_t *w, const uint8_t **skips,
                                       int32_t quads) {
  const uint8_t *q = *skips;
  int32_t sum = 0;
  EC_ROLLED for (const uint8_t *const end = q + quads; q != end; x += 4, w += 4) {
    x += 4 * *q++;
    sum += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3];
  }
  *skips = q;
  return (uint32_t)sum;
}

#endif

/* One output from its sum; `bias` is twice the bias. */
EC_INLINE int8_t ec_sparse_row_step(uint32_t sum, int32_t bias, const ec_sparse_rescaling *r) {
  const ec_dsp_channel unit = {0, r->multiplier, r->addend, r->shift};
  const int32_t twice = (int32_t)(2 * sum + (uint32_t)bias);
  return (int8_t)ec_clamp(ec_dsp_rescale(twice, &unit), -128, 127);
}

/* Weights in whole quads: `skips` says of each how many to skip before it, `quads` how many a unit has. */
EC_NOINLINE void ec_sparse_row_quads(const int8_t *x, const int8_t *weights, const uint8_t *skips,
                                     const uint16_t *quads, const int32_t *bias,
                                     const int32_t *rescaling, const int32_t *shape, int8_t *y) {
  const ec_sparse_row_shape *const s = (const ec_sparse_row_shape *)(const void *)shape;
  const ec_sparse_rescaling *r = (const ec_sparse_rescaling *)(const void *)rescaling;
  for (int32_t i = 0; i < s->units; ++i, r += s->own_rescaling) {
    y[i] = ec_sparse_row_step(ec_sparse_quads_sum(x, weights, &skips, quads[i]), bias[i], r);
    weights += 4 * quads[i];
  }
  if (s->range.narrow) ec_narrow(y, s->units, &s->range);
}

/* `pairs` has the pairs of each unit, `bias` is twice the bias of each. */
EC_NOINLINE void ec_sparse_row(const int8_t *x, const uint8_t *entries, const uint16_t *pairs,
                               const int32_t *bias, const int32_t *rescaling, const int32_t *shape,
                               int8_t *y) {
  const ec_sparse_row_shape *const s = (const ec_sparse_row_shape *)(const void *)shape;
  const ec_sparse_rescaling *r = (const ec_sparse_rescaling *)(const void *)rescaling;
  for (int32_t i = 0; i < s->units; ++i, r += s->own_rescaling) {
    y[i] = ec_sparse_row_step(ec_sparse_row_sum(x, &entries, pairs[i]), bias[i], r);
  }
  if (s->range.narrow) ec_narrow(y, s->units, &s->range);
}

#endif
