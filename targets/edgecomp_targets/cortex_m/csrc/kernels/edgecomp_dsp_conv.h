/* Convolutions and dense layers by the products of `edgecomp_dsp_matrix.h`; those with `int4`, a constant,
 * by weights of four bits. */
#ifndef EDGECOMP_DSP_CONV_H
#define EDGECOMP_DSP_CONV_H

#include "edgecomp_conv_rows.h"
#include "edgecomp_dsp_matrix_int4.h"

/* Gather a patch whose kernel rows are no whole words; copies up to three bytes too many. */
EC_INLINE void ec_dsp_gather(int8_t *patch, const int8_t *source, const ec_conv_shape *s,
                             int32_t pitch) {
  for (int32_t k = 0; k < s->kernel_height; ++k, source += pitch, patch += s->span) {
    for (int32_t i = 0; i < s->span; i += 4) ec_store_word(patch + i, ec_load_word(source + i));
  }
}

/* Expand the patch that begins at `source` and, unless `apart` is 0, the one so many bytes further. */
EC_INLINE void ec_dsp_patches(uint32_t *to, int8_t *bytes, const int8_t *source, int32_t apart,
                              const ec_conv_shape *s, int32_t pitch) {
  if (s->span & 3) {
    int8_t *const second = bytes + 4 * s->quads + 4;
    ec_dsp_gather(bytes, source, s, pitch);
    if (apart) {
      ec_dsp_gather(second, source + apart, s, pitch);
      ec_dsp_expand_two(to, bytes, second, s->quads);
    } else {
      ec_dsp_expand(to, bytes, s->quads);
    }
    return;
  }
  for (int32_t k = 0; k < s->kernel_height; ++k, source += pitch) {
    to = apart ? ec_dsp_expand_two(to, source, source + apart, s->span >> 2)
               : ec_dsp_expand(to, source, s->span >> 2);
  }
}

/* What stays the same for all pixels of a convolution. */
typedef struct {
  const ec_conv_shape *shape;
  const uint32_t *weights;
  const ec_dsp_channel *channel;
  uint32_t *expanded;
  int8_t *bytes;
  int32_t pitch;
} ec_dsp_conv_job;

/* The pixels whose patches begin at `source` and `apart` bytes further; the second goes to `second`. */
EC_NOINLINE void ec_dsp_two_pixels(const ec_dsp_conv_job *j, const int8_t *source, int32_t apart,
                                   int8_t *first, int8_t *second) {
  const ec_conv_shape *const s = j->shape;
  ec_dsp_patches(j->expanded, j->bytes, source, apart, s, j->pitch);
  ec_dsp_two_vectors(j->expanded, j->weights, j->channel, s->quads, s->filters, &s->range, first,
                     second);
}

EC_NOINLINE void ec_dsp_two_pixels_int4(const ec_dsp_conv_job *j, const int8_t *source,
                                        int32_t apart, int8_t *first, int8_t *second) {
  const ec_conv_shape *const s = j->shape;
  ec_dsp_patches(j->expanded, j->bytes, source, apart, s, j->pitch);
  ec_dsp_two_vectors_int4(j->expanded, j->weights, j->channel, s->quads, s->filters, &s->range,
                          first, second);
}

EC_INLINE void ec_dsp_pixels(int int4, const ec_dsp_conv_job *j, const int8_t *source,
                             int32_t apart, int8_t *first, int8_t *second) {
  if (int4) {
    ec_dsp_two_pixels_int4(j, source, apart, first, second);
  } else {
    ec_dsp_two_pixels(j, source, apart, first, second);
  }
}

EC_INLINE void ec_dsp_pixel(int int4, const ec_dsp_conv_job *j, const int8_t *source, int8_t *out) {
  const ec_conv_shape *const s = j->shape;
  ec_dsp_patches(j->expanded, j->bytes, source, 0, s, j->pitch);
  if (int4) {
    ec_dsp_one_vector_int4(j->expanded, j->weights, j->channel, s->quads, s->filters, &s->range,
                           out);
  } else {
    ec_dsp_one_vector(j->expanded, j->weights, j->channel, s->quads, s->filters, &s->range, out);
  }
}

/* `count` output rows, one or two; a last pixel left over pairs with that of the other row. */
EC_INLINE void ec_dsp_conv_rows(int int4, const ec_dsp_conv_job *j, const int8_t *source,
                                int32_t count, int8_t *y) {
  const ec_conv_shape *const s = j->shape;
  const int32_t step = s->stride_width * s->channels, filters = s->filters;
  const int32_t next_row = s->stride_height * j->pitch;
  const int8_t *at = source;
  for (int32_t r = 0; r < count; ++r) {
    at = source + r * next_row;
    for (int32_t left = s->out_width; left > 1; left -= 2, at += 2 * step, y += 2 * filters) {
      ec_dsp_pixels(int4, j, at, step, y, y + filters);
    }
    y += (s->out_width & 1) * filters;
  }
  if (!(s->out_width & 1)) return;
  if (count == 2) {
    ec_dsp_pixels(int4, j, at - next_row, next_row, y - (s->out_width + 1) * filters, y - filters);
  } else {
    ec_dsp_pixel(int4, j, at, y - filters);
  }
}

/* NHWC convolution. `scratch` has room for two expanded patches and the words behind them that are
 * overwritten, then for the rows of a kernel with their border (and of the next output row, where an output
 * row has an odd number of pixels), then for two patches of bytes. */
EC_INLINE void ec_dsp_conv_of(int int4, const int8_t *x, const int32_t *weights,
                              const int32_t *constants, const int32_t *shape, int8_t *y,
                              int32_t *scratch) {
  const ec_conv_shape *const s = (const ec_conv_shape *)(const void *)shape;
  uint32_t *const expanded = (uint32_t *)(void *)scratch;
  int8_t *const rows = (int8_t *)(expanded + 4 * s->quads + (int4 ? 10 : 6));
  const int padded = s->padded_width != 0;
  const int32_t pitch = (padded ? s->padded_width : s->width) * s->channels;
  const int32_t at_once = (s->out_width & 1) && s->out_height > 1 ? 2 : 1;
  const int32_t most = s->kernel_height + (at_once - 1) * s->stride_height;
  const ec_dsp_conv_job job = {s,
                               (const uint32_t *)(const void *)weights,
                               (const ec_dsp_channel *)(const void *)constants,
                               expanded,
                               rows + (padded ? pitch * most + 4 : 0),
                               pitch};
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    for (int32_t h = 0; h < s->out_height; h += at_once) {
      const int32_t count = s->out_height - h < at_once ? 1 : at_once;
      const int32_t top = h * s->stride_height - s->pad_top;
      if (padded) {
        ec_pad_rows(x, rows, s, top, s->kernel_height + (count - 1) * s->stride_height, pitch);
      }
      ec_dsp_conv_rows(int4, &job, padded ? rows : x + top * pitch, count, y);
      y += count * s->out_width * s->filters;
    }
  }
}

EC_NOINLINE void ec_dsp_conv(const int8_t *x, const int32_t *weights, const int32_t *constants,
                             const int32_t *shape, int8_t *y, int32_t *scratch) {
  ec_dsp_conv_of(0, x, weights, constants, shape, y, scratch);
}

EC_NOINLINE void ec_dsp_conv_int4(const int8_t *x, const int32_t *weights, const int32_t *constants,
                                  const int32_t *shape, int8_t *y, int32_t *scratch) {
  ec_dsp_conv_of(1, x, weights, constants, shape, y, scratch);
}

#endif
