/* Geometry of a convolution for Helium, and its input rows with their border. */
#ifndef EDGECOMP_MVE_ROWS_H
#define EDGECOMP_MVE_ROWS_H

#include "edgecomp_mve.h"

/* As `mve_conv.py` writes it. Sizes in elements. */
typedef struct {
  int32_t batch, height, width, channels; /* of the input */
  int32_t out_height, out_width, filters; /* of the output */
  int32_t kernel_height, stride_height, stride_width, pad_top, pad_left;
  int32_t padded_width; /* of a row with its border; 0 when rows are read in place */
  int32_t patch;        /* bytes of a gathered patch; 0 when they are read where they are */
  int32_t groups;       /* of eight elements in it */
  int32_t patches;      /* at a time */
  int32_t input_zero_point, zero_point;
  int32_t form, vectors, multiplier, shift; /* as in ec_mve_job */
  ec_output_range range;
} ec_mve_conv_shape;

/* The input rows of a kernel from `top` on, with their border. */
EC_NOINLINE void ec_mve_pad_rows(const int8_t *image, int8_t *to, const ec_mve_conv_shape *s,
                                 int32_t top) {
  const int32_t bytes = s->width * s->channels, left = s->pad_left * s->channels;
  const int32_t pitch = s->padded_width * s->channels, zero = s->input_zero_point;
  EC_ROLLED for (int32_t row = top; row < top + s->kernel_height; ++row) {
    if (row < 0 || row >= s->height) {
      to = ec_mve_fill(to, zero, pitch);
    } else {
      to = ec_mve_fill(to, zero, left);
      to = ec_mve_copy(to, image + row * bytes, bytes);
      to = ec_mve_fill(to, zero, pitch - left - bytes);
    }
  }
}

#endif
