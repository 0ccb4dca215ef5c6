/* Convolutions and dense layers by the products of `edgecomp_dsp_matrix.h`. */
#ifndef EDGECOMP_DSP_CONV_H
#define EDGECOMP_DSP_CONV_H

#include "edgecomp_conv_rows.h"
#include "edgecomp_dsp_matrix.h"

/* Gather a patch whose kernel rows are no whole words; copies up to three bytes too many. */
EC_INLINE void ec_dsp_gather(int8_t *patch, const int8_t *source, const ec_conv_shape *s,
                             int32_t pitch) {
  for (int32_t k = 0; k < s->kernel_height; ++k, source += pitch, patch += s->span) {
    for (int32_t i = 0; i < s->span; i += 4) ec_store_word(patch + i, ec_load_word(source + i));
  }
}

/* Expand the patches that begin at `source` and, when `two`, one stride further. */
EC_INLINE void ec_dsp_patches(uint32_t *to, int8_t *bytes, const int8_t *source, int two,
                              const ec_conv_shape *s, int32_t pitch) {
  const int32_t step = s->stride_width * s->channels;
  if (s->span & 3) {
    int8_t *const second = bytes + 4 * s->quads + 4;
    ec_dsp_gather(bytes, source, s, pitch);
    if (two) {
      ec_dsp_gather(second, source + step, s, pitch);
      ec_dsp_expand_two(to, bytes, second, s->quads);
    } else {
      ec_dsp_expand(to, bytes, s->quads);
    }
    return;
  }
  for (int32_t k = 0; k < s->kernel_height; ++k, source += pitch) {
    to = two ? ec_dsp_expand_two(to, source, source + step, s->span >> 2)
             : ec_dsp_expand(to, source, s->span >> 2);
  }
}

/* NHWC convolution. `scratch` has room for two expanded patches and six words, then for the rows of a
 * kernel with their border, then for two patches of bytes. */
EC_NOINLINE void ec_dsp_conv(const int8_t *x, const int32_t *weights, const int32_t *constants,
                             const int32_t *shape, int8_t *y, int32_t *scratch) {
  const ec_conv_shape *const s = (const ec_conv_shape *)(const void *)shape;
  const ec_dsp_channel *const channel = (const ec_dsp_channel *)(const void *)constants;
  const uint32_t *const w = (const uint32_t *)(const void *)weights;
  uint32_t *const expanded = (uint32_t *)(void *)scratch;
  int8_t *const rows = (int8_t *)(expanded + 4 * s->quads + 6);
  const int padded = s->padded_width != 0;
  const int32_t pitch = (padded ? s->padded_width : s->width) * s->channels;
  int8_t *const bytes = rows + (padded ? pitch * s->kernel_height + 4 : 0);
  const int32_t step = s->stride_width * s->channels;
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    for (int32_t h = 0; h < s->out_height; ++h) {
      const int32_t top = h * s->stride_height - s->pad_top;
      const int8_t *source = rows;
      if (padded) {
        ec_pad_rows(x, rows, s, top, pitch);
      } else {
        source = x + top * pitch;
      }
      int32_t left = s->out_width;
      for (; left > 1; left -= 2, source += 2 * step, y += 2 * s->filters) {
        ec_dsp_patches(expanded, bytes, source, 1, s, pitch);
        ec_dsp_two_vectors(expanded, w, channel, s->quads, s->filters, &s->range, y, y + s->filters);
      }
      if (left) {
        ec_dsp_patches(expanded, bytes, source, 0, s, pitch);
        ec_dsp_one_vector(expanded, w, channel, s->quads, s->filters, &s->range, y);
        y += s->filters;
      }
    }
  }
}

#endif
