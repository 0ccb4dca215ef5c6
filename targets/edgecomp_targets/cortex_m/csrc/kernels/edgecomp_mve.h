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

/* Output steps of `count` sums that hold the bias already; up to three words behind the sums are read,
 * and as many constants. */
EC_NOINLINE void ec_mve_rescale_row(const int32_t *sums, const ec_mve_rescaling *r, int32_t count,
                                    int8_t *out) {
#if EC_MVE
  const int32x4_t low = vdupq_n_s32(r->range->low), high = vdupq_n_s32(r->range->high);
  const int32_t *multiplier = r->multiplier;
  const int8_t *shift = r->shift;
  EC_ROLLED for (; count > 0; count -= 4, sums += 4, multiplier += 4, shift += 4, out += 4) {
    int32x4_t steps =
        ec_mve_multiply_down(vldrwq_s32(sums), vldrwq_s32(multiplier), vldrbq_s32(shift));
    steps = vminq_s32(vmaxq_s32(vaddq_n_s32(steps, r->zero_point), low), high);
    vstrbq_p_s32(out, steps, vctp32q((uint32_t)count));
  }
#else
  for (int32_t i = 0; i < count; ++i) {
    const int32_t step = ec_multiply_down(sums[i], r->multiplier[i], r->shift[i]) + r->zero_point;
    out[i] = (int8_t)ec_clamp(step, r->range->low, r->range->high);
  }
#endif
}

/* Two vectors of `depth` elements, a multiple of 16, by all `channels`; `out` has two rows of sums,
 * `pitch` apart. */
EC_NOINLINE void ec_mve_two_vectors(const int8_t *x, const int8_t *y, const int8_t *weights,
                                    const int32_t *bias, int32_t depth, int32_t channels,
                                    int32_t *out, int32_t pitch) {
  int32_t *const end = out + (channels & ~1);
  for (; out != end; out += 2, bias += 2, weights += 2 * depth) {
    const int8_t *v = weights, *w = weights + depth, *p = x, *q = y;
    int32_t xv = bias[0], xw = bias[1], yv = bias[0], yw = bias[1];
#if EC_MVE
    EC_ROLLED for (int32_t k = depth; k > 0; k -= 16, v += 16, w += 16, p += 16, q += 16) {
      const int8x16_t a = vldrbq_s8(p), b = vldrbq_s8(q), c = vldrbq_s8(v), d = vldrbq_s8(w);
      xv = vmladavaq_s8(xv, a, c);
      yv = vmladavaq_s8(yv, b, c);
      xw = vmladavaq_s8(xw, a, d);
      yw = vmladavaq_s8(yw, b, d);
    }
#else
    for (int32_t k = 0; k < depth; ++k) {
      xv += p[k] * v[k];
      yv += q[k] * v[k];
      xw += p[k] * w[k];
      yw += q[k] * w[k];
    }
#endif
    out[0] = xv;
    out[1] = xw;
    out[pitch] = yv;
    out[pitch + 1] = yw;
  }
  if (channels & 1) {
    int32_t xv = bias[0], yv = bias[0];
#if EC_MVE
    EC_ROLLED for (int32_t k = depth; k > 0; k -= 16, weights += 16, x += 16, y += 16) {
      const int8x16_t c = vldrbq_s8(weights);
      xv = vmladavaq_s8(xv, vldrbq_s8(x), c);
      yv = vmladavaq_s8(yv, vldrbq_s8(y), c);
    }
#else
    for (int32_t k = 0; k < depth; ++k) {
      xv += x[k] * weights[k];
      yv += y[k] * weights[k];
    }
#endif
    out[0] = xv;
    out[pitch] = yv;
  }
}

/* One vector by all channels, four at a time: `out` has room for `channels` rounded up to four, and
 * so have the weights and the biases. */
EC_NOINLINE void ec_mve_one_vector(const int8_t *x, const int8_t *weights, const int32_t *bias,
                                   int32_t depth, int32_t channels, int32_t *out) {
  for (int32_t c = 0; c < channels; c += 4, bias += 4, out += 4, weights += 4 * depth) {
    int32_t a = bias[0], b = bias[1], d = bias[2], e = bias[3];
#if EC_MVE
    const int8_t *p = x, *w0 = weights, *w1 = w0 + depth, *w2 = w1 + depth, *w3 = w2 + depth;
    EC_ROLLED for (int32_t k = depth; k > 0; k -= 16) {
      const int8x16_t v = vldrbq_s8(p);
      a = vmladavaq_s8(a, v, vldrbq_s8(w0));
      b = vmladavaq_s8(b, v, vldrbq_s8(w1));
      d = vmladavaq_s8(d, v, vldrbq_s8(w2));
      e = vmladavaq_s8(e, v, vldrbq_s8(w3));
      p += 16;
      w0 += 16;
      w1 += 16;
      w2 += 16;
      w3 += 16;
    }
#else
    for (int32_t k = 0; k < depth; ++k) {
      a += x[k] * weights[k];
      b += x[k] * weights[k + depth];
      d += x[k] * weights[k + 2 * depth];
      e += x[k] * weights[k + 3 * depth];
    }
#endif
    out[0] = a;
    out[1] = b;
    out[2] = d;
    out[3] = e;
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
