/* Convolutions by the sums of `edgecomp_mul.h`, four pixels at a time. */
#ifndef EDGECOMP_MUL_CONV_H
#define EDGECOMP_MUL_CONV_H

#include "edgecomp_mul.h"

/* As `mul_conv.py` writes it. */
typedef struct {
  int32_t batch, height, width, channels;
  int32_t out_height, out_width, filters;
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width, pad_top, pad_left;
  int32_t quads; /* a patch has 4 * quads elements, those after the last are 0 */
  int32_t zero_point;
  int32_t twice_zero; /* 2 * the output's zero point + 1 */
  int32_t points;     /* patches are pixels, one after the other */
  ec_output_range range;
} ec_mul_conv_shape;

/* `count` elements to every fourth place, and their sum; `step` is 0 to repeat the first. */
EC_NOINLINE int32_t ec_mul_spread(const int8_t *from, int32_t step, int32_t count, int32_t *to) {
  int32_t sum = 0;
  EC_ROLLED for (; count > 3; count -= 4, to += 16) {
    const int32_t a = from[0], b = from[step];
    from += 2 * step;
    const int32_t c = from[0], d = from[step];
    from += 2 * step;
    to[0] = a;
    to[4] = b;
    to[8] = c;
    to[12] = d;
    sum += a + b + c + d;
  }
  EC_ROLLED for (; count > 0; --count, from += step, to += 4) {
    to[0] = from[0];
    sum += from[0];
  }
  return sum;
}

/* The patch whose upper left corner is at `row`, `column` of the image, to every fourth place of `to`;
 * gives the sum of its elements. */
EC_NOINLINE int32_t ec_mul_gather(const int8_t *image, int32_t row, int32_t column, int32_t *to,
                                  const ec_mul_conv_shape *s) {
  const int8_t border = (int8_t)s->zero_point;
  const int32_t channels = s->channels, wide = s->kernel_width, span = wide * channels;
  const int32_t past = column + wide - s->width;
  int32_t before = column < 0 ? -column * channels : 0, after = past > 0 ? past * channels : 0;
  int32_t sum = 0;
  if (before > span) before = span;
  if (after > span) after = span;
  for (int32_t k = s->kernel_height; k > 0; --k, ++row, to += 4 * span) {
    if (row < 0 || row >= s->height || before + after >= span) {
      sum += ec_mul_spread(&border, 0, span, to);
    } else {
      const int8_t *const from = image + (row * s->width + column) * channels + before;
      if (before) sum += ec_mul_spread(&border, 0, before, to);
      sum += ec_mul_spread(from, 1, span - before - after, to + 4 * before);
      if (after) sum += ec_mul_spread(&border, 0, after, to + 4 * (span - after));
    }
  }
  return sum;
}

/* All channels of four patches, of which `o` has what is too much in their sums. */
EC_NOINLINE void ec_mul_four_pixels(const int32_t *patches, const uint8_t *weights,
                                    ec_mul_outputs *o, const ec_mul_conv_shape *s, int32_t count,
                                    int8_t *out) {
  const int32_t depth = 4 * s->quads;
  ec_mul_product job = {patches, patches + 4 * depth, weights};
  for (int8_t *const end = out + s->filters; out != end; ++out, ++o->channel) {
    ec_mul_sums(&job, o->sums);
    job.weights += depth;
    if (count == 4) {
      ec_mul_store(o, out);
    } else {
      ec_mul_store_some(o, count, out);
    }
  }
}

/* Where the patch of a pixel begins, and how far the row of pixels has come. */
typedef struct {
  int32_t row, column, across;
} ec_mul_place;

EC_INLINE void ec_mul_next_place(ec_mul_place *p, const ec_mul_conv_shape *s) {
  p->column += s->stride_width;
  if (++p->across == s->out_width) {
    p->across = 0;
    p->column = -s->pad_left;
    p->row += s->stride_height;
  }
}

/* NHWC. `scratch` has four patches. */
EC_NOINLINE void ec_mul_conv(const int8_t *x, const uint8_t *weights, const int32_t *constants,
                             const int32_t *shape, int8_t *y, int32_t *scratch) {
  const ec_mul_conv_shape *const s = (const ec_mul_conv_shape *)(const void *)shape;
  const int32_t pixels = s->out_height * s->out_width, filters = s->filters;
  ec_mul_outputs o;
  o.twice_zero = s->twice_zero;
  o.step = filters;
  for (int32_t i = 0; i < 4; ++i) o.excess[i] = 0;
  EC_ROLLED for (int32_t i = 16 * (s->quads - 1); i < 16 * s->quads; ++i) scratch[i] = 0;
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    ec_mul_place place = {-s->pad_top, -s->pad_left, 0};
    const int8_t *point = x;
    for (int32_t left = pixels; left > 0; left -= 4) {
      const int32_t count = left < 4 ? left : 4;
      for (int32_t i = 0; i < count; ++i) {
        int32_t sum;
        if (s->points) {
          sum = ec_mul_spread(point, 1, s->channels, scratch + i);
          point += s->channels;
        } else {
          sum = ec_mul_gather(x, place.row, place.column, scratch + i, s);
          ec_mul_next_place(&place, s);
        }
        o.excess[i] = EC_MUL_OFFSET * (uint32_t)sum;
      }
      o.channel = (const ec_mul_channel *)(const void *)constants;
      ec_mul_four_pixels(scratch, weights, &o, s, count, y);
      if (s->range.narrow) ec_narrow(y, count * filters, &s->range);
      y += count * filters;
    }
  }
}

#endif
