/* Convolutions and dense layers by the products of `edgecomp_mve.h`. */
#ifndef EDGECOMP_MVE_CONV_H
#define EDGECOMP_MVE_CONV_H

#include "edgecomp_conv_rows.h"
#include "edgecomp_mve.h"

/* As `mve_conv.py` writes it. */
typedef struct {
  ec_conv_shape conv;
  int32_t depth;           /* of a patch, a multiple of 16; weights beyond its end are 0 */
  int32_t in_place;        /* patches are pixels of the input */
  int32_t out_zero_point;
} ec_mve_conv_shape;

/* The patch that begins at `source`, one kernel row after the other. */
EC_INLINE void ec_mve_gather(int8_t *patch, const int8_t *source, const ec_conv_shape *s,
                             int32_t pitch) {
  for (int32_t k = 0; k < s->kernel_height; ++k, source += pitch, patch += s->span) {
    ec_mve_copy(patch, source, s->span);
  }
}

/* NHWC convolution. `bias`, `multiplier`, `shift` and the weights are filled up to four channels.
 * `scratch` has two patches, and the rows of a kernel with their border. */
EC_NOINLINE void ec_mve_conv(const int8_t *x, const int8_t *weights, const int32_t *bias,
                             const int32_t *multiplier, const int8_t *shift, const int32_t *shape,
                             int8_t *y, int32_t *scratch) {
  const ec_mve_conv_shape *const m = (const ec_mve_conv_shape *)(const void *)shape;
  const ec_conv_shape *const s = &m->conv;
  const ec_mve_rescaling r = {bias, multiplier, shift, m->out_zero_point, &s->range};
  const int32_t filters = s->filters, depth = m->depth;
  int8_t *const first = (int8_t *)scratch, *const second = first + depth;
  int8_t *const rows = second + depth;
  const int padded = s->padded_width != 0;
  const int32_t pitch = (padded ? s->padded_width : s->width) * s->channels;
  const int32_t step = s->stride_width * s->channels;
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    for (int32_t h = 0; h < s->out_height; ++h) {
      const int32_t top = h * s->stride_height - s->pad_top;
      const int8_t *source = padded ? rows : x + top * pitch;
      if (padded) ec_pad_rows(x, rows, s, top, s->kernel_height, pitch);
      for (int32_t left = s->out_width; left > 0; left -= 2, source += 2 * step) {
        const int8_t *p = source, *q = source + step;
        if (!m->in_place) {
          ec_mve_gather(first, source, s, pitch);
          if (left > 1) ec_mve_gather(second, source + step, s, pitch);
          p = first;
          q = second;
        }
        if (left > 1) {
          ec_mve_two_vectors(p, q, weights, &r, depth, filters, y);
          y += 2 * filters;
        } else {
          ec_mve_one_vector(p, weights, &r, depth, filters, y);
          y += filters;
        }
      }
    }
  }
}

#endif
