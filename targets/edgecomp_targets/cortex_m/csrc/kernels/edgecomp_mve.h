/* Products and rescaling by Helium vectors, each with a portable twin that gives the same bits. */
#ifndef EDGECOMP_MVE_H
#define EDGECOMP_MVE_H

#include "edgecomp_common.h"

#if defined(__ARM_FEATURE_MVE) && !defined(EC_PORTABLE)
#include <arm_mve.h>
#define EC_MVE 1
#else
#define EC_MVE 0
#endif

/* Constants of the channels, as the general kernels have them; no shift is to the left. */
typedef struct {
  const int32_t *bias, *multiplier;
  const int8_t *shift;
  int32_t zero_point;
  const ec_output_range *range;
} ec_mve_rescaling;

#if EC_MVE

/* Bits of ec_multiply_down, before the zero point, in each lane. */
EC_INLINE int32x4_t ec_mve_multiply_down(int32x4_t sums, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t high = vqrdmulhq_s32(sums, multiplier);
  /* VRSHL rounds ties upwards: one less for negative numbers, unless the shift is 0 */
  const int32x4_t below = vshrq_n_s32(vandq_s32(high, shift), 31);
  return vrshlq_s32(vaddq_s32(high, below), shift);
}

#endif

/* Sums of two vectors of `depth` elements, a multiple of 16, with four rows of weights: added to `x`
 * and `y`. */
EC_INLINE void ec_mve_products(const int8_t *first, const int8_t *second, const int8_t *weights,
                               int32_t depth, int32_t x[4], int32_t y[4]) {
  for (int32_t c = 0; c < 4; c += 2, weights += 2 * depth) {
#if EC_MVE
    const int8_t *p = first, *q = second, *v = weights, *w = weights + depth;
    int32_t xv = x[c], xw = x[c + 1], yv = y[c], yw = y[c + 1], k = depth;
    EC_ROLLED do {
      const int8x16_t a = vldrbq_s8(p), b = vldrbq_s8(q), d = vldrbq_s8(v), e = vldrbq_s8(w);
      xv = vmladavaq_s8(xv, a, d);
      yv = vmladavaq_s8(yv, b, d);
      xw = vmladavaq_s8(xw, a, e);
      yw = vmladavaq_s8(yw, b, e);
      p += 16;
      q += 16;
      v += 16;
      w += 16;
      k -= 16;
    } while (k);
    x[c] = xv;
    x[c + 1] = xw;
    y[c] = yv;
    y[c + 1] = yw;
#else
    for (int32_t k = 0; k < depth; ++k) {
      x[c] += first[k] * weights[k];
      x[c + 1] += first[k] * weights[k + depth];
      y[c] += second[k] * weights[k];
      y[c + 1] += second[k] * weights[k + depth];
    }
#endif
  }
}

/* The same of one vector. */
EC_INLINE void ec_mve_products_of_one(const int8_t *first, const int8_t *weights, int32_t depth,
                                      int32_t x[4]) {
#if EC_MVE
  const int8_t *p = first, *w0 = weights, *w1 = w0 + depth, *w2 = w1 + depth, *w3 = w2 + depth;
  int32_t a = x[0], b = x[1], c = x[2], d = x[3], k = depth;
  EC_ROLLED do {
    const int8x16_t v = vldrbq_s8(p);
    a = vmladavaq_s8(a, v, vldrbq_s8(w0));
    b = vmladavaq_s8(b, v, vldrbq_s8(w1));
    c = vmladavaq_s8(c, v, vldrbq_s8(w2));
    d = vmladavaq_s8(d, v, vldrbq_s8(w3));
    p += 16;
    w0 += 16;
    w1 += 16;
    w2 += 16;
    w3 += 16;
    k -= 16;
  } while (k);
  x[0] = a;
  x[1] = b;
  x[2] = c;
  x[3] = d;
#else
  for (int32_t k = 0; k < depth; ++k) {
    for (int32_t c = 0; c < 4; ++c) x[c] += first[k] * weights[k + c * depth];
  }
#endif
}

#if EC_MVE

/* Constants of four channels, in vectors. */
typedef struct {
  int32x4_t multiplier, shift, low, high;
  int32_t zero_point;
  mve_pred16_t inside; /* which of the four there are */
} ec_mve_four;

EC_INLINE void ec_mve_store_outputs(const int32_t sums[4], const ec_mve_four *f, int8_t *out) {
  const int32x4_t wide = {sums[0], sums[1], sums[2], sums[3]};
  int32x4_t steps = ec_mve_multiply_down(wide, f->multiplier, f->shift);
  steps = vminq_s32(vmaxq_s32(vaddq_n_s32(steps, f->zero_point), f->low), f->high);
  vstrbq_p_s32(out, steps, f->inside);
}

#endif

/* Output steps of the sums of at most four channels from `c` on, of which there are `left`; of two
 * vectors, the outputs of which are `apart`, or of the first where `apart` is 0. */
EC_INLINE void ec_mve_outputs(const int32_t x[4], const int32_t y[4], const ec_mve_rescaling *r,
                              int32_t c, int32_t left, int8_t *out, int32_t apart) {
#if EC_MVE
  const ec_mve_four f = {vldrwq_s32(r->multiplier + c), vldrbq_s32(r->shift + c),
                         vdupq_n_s32(r->range->low),    vdupq_n_s32(r->range->high),
                         r->zero_point,                 vctp32q((uint32_t)left)};
  ec_mve_store_outputs(x, &f, out);
  if (apart) ec_mve_store_outputs(y, &f, out + apart);
#else
  for (int32_t i = 0; i < left && i < 4; ++i) {
    const int32_t multiplier = r->multiplier[c + i], shift = r->shift[c + i];
    const int32_t first = ec_multiply_down(x[i], multiplier, shift) + r->zero_point;
    out[i] = (int8_t)ec_clamp(first, r->range->low, r->range->high);
    if (apart) {
      const int32_t second = ec_multiply_down(y[i], multiplier, shift) + r->zero_point;
      out[i + apart] = (int8_t)ec_clamp(second, r->range->low, r->range->high);
    }
  }
#endif
}

/* All channels of two vectors; weights and constants are filled up to four channels. */
EC_NOINLINE void ec_mve_two_vectors(const int8_t *first, const int8_t *second,
                                    const int8_t *weights, const ec_mve_rescaling *constants,
                                    int32_t depth, int32_t channels, int8_t *out) {
  ec_mve_rescaling r = *constants; /* a store of outputs cannot change a copy */
  const ec_output_range range = *constants->range;
  r.range = &range;
  for (int32_t c = 0; c < channels; c += 4, weights += 4 * depth) {
    const int32_t *const b = r.bias + c;
    int32_t x[4] = {b[0], b[1], b[2], b[3]}, y[4] = {b[0], b[1], b[2], b[3]};
    ec_mve_products(first, second, weights, depth, x, y);
    ec_mve_outputs(x, y, &r, c, channels - c, out + c, channels);
  }
}

/* All channels of one vector. */
EC_NOINLINE void ec_mve_one_vector(const int8_t *first, const int8_t *weights,
                                   const ec_mve_rescaling *r, int32_t depth, int32_t channels,
                                   int8_t *out) {
  for (int32_t c = 0; c < channels; c += 4, weights += 4 * depth) {
    const int32_t *const b = r->bias + c;
    int32_t x[4] = {b[0], b[1], b[2], b[3]};
    ec_mve_products_of_one(first, weights, depth, x);
    ec_mve_outputs(x, x, r, c, channels - c, out + c, 0);
  }
}

/* Copy `count` bytes. */
EC_INLINE void ec_mve_copy(int8_t *to, const int8_t *from, int32_t count) {
#if EC_MVE
  EC_ROLLED for (; count > 0; count -= 16, to += 16, from += 16) {
    const mve_pred16_t inside = vctp8q((uint32_t)count);
    vstrbq_p_s8(to, vldrbq_z_s8(from, inside), inside);
  }
#else
  for (int32_t i = 0; i < count; ++i) to[i] = from[i];
#endif
}

#endif
