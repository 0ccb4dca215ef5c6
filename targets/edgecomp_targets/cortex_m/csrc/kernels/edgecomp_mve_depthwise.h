/* Depthwise 3x3 convolution, sixteen channels at a time.
 *
 * Products of int8 fit 16 bits, and so do sums of two of them as long as no weight is -128: taps are
 * added in pairs before they are widened. VMULLB and VMULLT take even and odd lanes, as VMOVLB and
 * VMOVLT do, so the sums come as four vectors of the channels 0 4 8 12, 2 6 10 14, 1 5 9 13 and
 * 3 7 11 15; the constants are in that order. Narrowing brings them back together.
 */
#ifndef EDGECOMP_MVE_DEPTHWISE_H
#define EDGECOMP_MVE_DEPTHWISE_H

#include "edgecomp_conv_rows.h"
#include "edgecomp_mve.h"

/* Constants of sixteen channels, each in the order above. */
typedef struct {
  int32_t bias[16], multiplier[16], shift[16];
} ec_mve_sixteen;

#if EC_MVE

EC_INLINE int32x4_t ec_mve_steps(int32x4_t sums, const ec_mve_sixteen *c, int32_t at) {
  return ec_mve_multiply_down(sums, vldrwq_s32(c->multiplier + at), vldrwq_s32(c->shift + at));
}

/* Sums of sixteen channels, in the order above. */
typedef struct {
  int32x4_t a, b, c, d;
} ec_mve_sums;

EC_INLINE void ec_mve_widen(ec_mve_sums *s, int16x8_t even, int16x8_t odd) {
  s->a = vaddq_s32(s->a, vmovlbq_s16(even));
  s->b = vaddq_s32(s->b, vmovltq_s16(even));
  s->c = vaddq_s32(s->c, vmovlbq_s16(odd));
  s->d = vaddq_s32(s->d, vmovltq_s16(odd));
}

/* Two taps, the weights of which follow each other. */
EC_INLINE void ec_mve_two_taps(ec_mve_sums *s, const int8_t *first, const int8_t *second,
                               const int8_t *weights) {
  int8x16_t x = vldrbq_s8(first), w = vldrbq_s8(weights);
  int16x8_t even = vmullbq_int_s8(x, w), odd = vmulltq_int_s8(x, w);
  x = vldrbq_s8(second);
  w = vldrbq_s8(weights + 16);
  even = vaddq_s16(even, vmullbq_int_s8(x, w));
  odd = vaddq_s16(odd, vmulltq_int_s8(x, w));
  ec_mve_widen(s, even, odd);
}

/* One pixel of at most sixteen channels; `row` and the two after it have room for sixteen. */
EC_INLINE void ec_mve_depthwise_sixteen(const int8_t *row, int32_t pitch, int32_t channels,
                                        const int8_t *weights, const ec_mve_sixteen *c,
                                        int32_t zero_point, mve_pred16_t inside, int8_t *out) {
  const int8_t *const next = row + pitch, *const last = next + pitch;
  ec_mve_sums s = {vldrwq_s32(c->bias), vldrwq_s32(c->bias + 4), vldrwq_s32(c->bias + 8),
                   vldrwq_s32(c->bias + 12)};
  ec_mve_two_taps(&s, row, row + channels, weights);
  ec_mve_two_taps(&s, row + 2 * channels, next, weights + 32);
  ec_mve_two_taps(&s, next + channels, next + 2 * channels, weights + 64);
  ec_mve_two_taps(&s, last, last + channels, weights + 96);
  const int8x16_t x = vldrbq_s8(last + 2 * channels), w = vldrbq_s8(weights + 128);
  ec_mve_widen(&s, vmullbq_int_s8(x, w), vmulltq_int_s8(x, w));
  int16x8_t even = vqmovnbq_s32(vdupq_n_s16(0), ec_mve_steps(s.a, c, 0));
  even = vqmovntq_s32(even, ec_mve_steps(s.b, c, 4));
  int16x8_t odd = vqmovnbq_s32(vdupq_n_s16(0), ec_mve_steps(s.c, c, 8));
  odd = vqmovntq_s32(odd, ec_mve_steps(s.d, c, 12));
  int8x16_t steps = vqmovnbq_s16(vdupq_n_s8(0), vqaddq_n_s16(even, (int16_t)zero_point));
  steps = vqmovntq_s16(steps, vqaddq_n_s16(odd, (int16_t)zero_point));
  vstrbq_p_s8(out, steps, inside);
}

#else

/* Where the constants of a channel are. */
EC_INLINE int32_t ec_mve_place(int32_t channel) {
  return (channel & 1) * 8 + ((channel >> 1) & 1) * 4 + (channel >> 2);
}

EC_INLINE int8_t ec_mve_depthwise_one(const int8_t *const rows[3], int32_t channels,
                                      const int8_t *weights, const ec_mve_sixteen *c,
                                      int32_t zero_point, int32_t i) {
  const int32_t at = ec_mve_place(i);
  int32_t sum = c->bias[at];
  for (int32_t tap = 0; tap < 9; ++tap) {
    sum += rows[tap / 3][(tap % 3) * channels + i] * weights[16 * tap + i];
  }
  const int32_t step = ec_multiply_down(sum, c->multiplier[at], c->shift[at]) + zero_point;
  return (int8_t)ec_clamp(step, -128, 127);
}

#endif

/* As `mve_depthwise.py` writes it. */
typedef struct {
  ec_conv_shape conv;
  int32_t out_zero_point;
} ec_mve_depthwise_shape;

/* One output row of at most sixteen channels, the first of which is at `source` and `y`. */
EC_NOINLINE void ec_mve_depthwise_row(const int8_t *source, int32_t pitch, const int8_t *weights,
                                      const ec_mve_sixteen *c, const ec_mve_depthwise_shape *m,
                                      int32_t count, int8_t *y) {
  const int32_t channels = m->conv.channels, step = m->conv.stride_width * channels;
#if EC_MVE
  const mve_pred16_t inside = vctp8q((uint32_t)count);
#endif
  EC_ROLLED for (int32_t w = m->conv.out_width; w > 0; --w, source += step, y += channels) {
#if EC_MVE
    ec_mve_depthwise_sixteen(source, pitch, channels, weights, c, m->out_zero_point, inside, y);
#else
    const int8_t *const rows[3] = {source, source + pitch, source + 2 * pitch};
    for (int32_t i = 0; i < count && i < 16; ++i) {
      y[i] = ec_mve_depthwise_one(rows, channels, weights, c, m->out_zero_point, i);
    }
#endif
  }
}

/* NHWC. `weights` are nine taps of sixteen channels, then the next sixteen; `scratch` has the rows of a
 * kernel with their border, and room for fifteen more bytes: what is not read in place may be read over. */
EC_NOINLINE void ec_mve_depthwise(const int8_t *x, const int8_t *weights, const int32_t *constants,
                                  const int32_t *shape, int8_t *y, int32_t *scratch) {
  const ec_mve_depthwise_shape *const m = (const ec_mve_depthwise_shape *)(const void *)shape;
  const ec_conv_shape *const s = &m->conv;
  int8_t *const rows = (int8_t *)scratch;
  const int padded = s->padded_width != 0;
  const int32_t pitch = (padded ? s->padded_width : s->width) * s->channels;
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    for (int32_t h = 0; h < s->out_height; ++h, y += s->out_width * s->channels) {
      const int32_t top = h * s->stride_height - s->pad_top;
      if (padded) ec_pad_rows(x, rows, s, top, s->kernel_height, pitch);
      const int8_t *const source = padded ? rows : x + top * pitch;
      const ec_mve_sixteen *c = (const ec_mve_sixteen *)(const void *)constants;
      const int8_t *w = weights;
      for (int32_t at = 0; at < s->channels; at += 16, ++c, w += 9 * 16) {
        ec_mve_depthwise_row(source + at, pitch, w, c, m, s->channels - at, y + at);
      }
      if (s->range.narrow) ec_narrow(y, s->out_width * s->channels, &s->range);
    }
  }
}

#endif
