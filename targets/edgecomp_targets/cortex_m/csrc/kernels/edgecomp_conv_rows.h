/* Geometry of a convolution, and its input rows with their border. */
#ifndef EDGECOMP_CONV_ROWS_H
#define EDGECOMP_CONV_ROWS_H

#include "edgecomp_common.h"

/* As `dsp_conv.py` writes it. Sizes in elements. */
typedef struct {
  int32_t batch, height, width, channels;    /* of the input */
  int32_t out_height, out_width, filters;    /* of the output */
  int32_t kernel_height, stride_height, stride_width, pad_top, pad_left;
  int32_t span;         /* elements one row of the kernel reads: kernel width times channels */
  int32_t quads;        /* a patch has 4 * quads elements, those after the last are any */
  int32_t padded_width; /* of a row with its border; 0 when rows are read in place */
  int32_t zero_point;   /* of the input: the border */
  ec_output_range range;
} ec_conv_shape;

/* `count` input rows from `top` on with their border, `pitch` bytes apart. */
EC_NOINLINE void ec_pad_rows(const int8_t *image, int8_t *rows, const ec_conv_shape *s, int32_t top,
                             int32_t count, int32_t pitch) {
  const int32_t bytes = s->width * s->channels, left = s->pad_left * s->channels;
  for (int32_t k = 0; k < count; ++k, rows += pitch) {
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

#endif
