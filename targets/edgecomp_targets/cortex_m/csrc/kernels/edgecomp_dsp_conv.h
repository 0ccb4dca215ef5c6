/* Convolutions and dense layers by the products of `edgecomp_dsp_matrix.h`. */
#ifndef EDGECOMP_DSP_CONV_H
#define EDGECOMP_DSP_CONV_H

#include "edgecomp_dsp_matrix.h"

/* As `geometry.py` writes it. Sizes in elements. */
typedef struct {
  int32_t batch, height, width, channels;    /* of the input */
  int32_t out_height, out_width, filters;    /* of the output */
  int32_t kernel_height, stride_height, stride_width, pad_top, pad_left;
  int32_t span;         /* elements one row of the kernel reads: kernel width times channels */
  int32_t quads;        /* a patch has 4 * quads elements, those after the last are any */
  int32_t padded_width; /* of a row with its border; 0 when rows are read in place */
  int32_t zero_point;   /* of the input: the border */
  ec_dsp_range range;
} ec_dsp_conv_shape;

/* The input rows of one output row with their border, `pitch` bytes apart. */
EC_NOINLINE void ec_dsp_pad_rows(const int8_t *image, int8_t *rows, const ec_dsp_conv_shape *s,
                                 int32_t top, int32_t pitch) {
  const int32_t bytes = s->width * s->channels, left = s->pad_left * s->channels;
  for (int32_t k = 0; k < s->kernel_height; ++k, rows += pitch) {
    const int32_t row = top + k;
    if (row < 0 || row >= s->height) {
      ec_fill(rows, (int)s->zero_point, (size_t)pitch);
      continue;
    }
    ec_fill(rows, (int)s->zero_point, (size_t)left);
    ec_copy(rows + left, image + row * bytes, (size_t)bytes);
    ec_fill(rows + left + bytes, (int)s->zero_point, (size_t)(pitch - left - bytes));
  }
}

/* Gather a patch whose kernel rows are no whole words; copies up to three bytes too many. */
EC_INLINE void ec_dsp_gather(int8_t *patch, const int8_t *source, const ec_dsp_conv_shape *s,
                             int32_t pitch) {
  for (int32_t k = 0; k < s->kernel_height; ++k, source += pitch, patch += s->span) {
    for (int32_t i = 0; i < s->span; i += 4) ec_store_word(patch + i, ec_load_word(source + i));
  }
}

/* Expand the patches that begin at `source` and, when `two`, one stride further. */
EC_INLINE void ec_dsp_patches(uint32_t *to, int8_t *bytes, const int8_t *source, int two,
                              const ec_dsp_conv_shape *s, int32_t pitch) {
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
  const ec_dsp_conv_shape *const s = (const ec_dsp_conv_shape *)(const void *)shape;
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
        ec_dsp_pad_rows(x, rows, s, top, pitch);
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
