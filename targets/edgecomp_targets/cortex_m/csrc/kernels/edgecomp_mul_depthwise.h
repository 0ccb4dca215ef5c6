/* Depthwise 3x3 convolution for cores that multiply one number at a time.
 *
 * Of one channel at a time, three rows are brought to int32 with their border.
 */
#ifndef EDGECOMP_MUL_DEPTHWISE_H
#define EDGECOMP_MUL_DEPTHWISE_H

#include "edgecomp_mul.h"

/* As `mul_depthwise.py` writes it. */
typedef struct {
  int32_t batch, height, width, channels;
  int32_t out_height, out_width;
  int32_t stride, pad_top, pad_left;
  int32_t words; /* of a row with its border, an even number where the stride is 2 */
  int32_t zero_point;
  int32_t twice_zero; /* 2 * the output's zero point + 1 */
  ec_output_range range;
} ec_mul_depthwise_shape;

/* One channel of input row `row`; what is border in every row is there already. Two columns apart, the
 * even ones come first, then the odd ones. */
EC_NOINLINE void ec_mul_depthwise_row(const int8_t *image, int32_t row, int32_t *to,
                                      const ec_mul_depthwise_shape *s) {
  const int32_t step = s->channels, last = s->words - s->pad_left;
  int32_t left = last < s->width ? last : s->width;
  const int8_t *from = image + row * s->width * step;
  if (row < 0 || row >= s->height) {
    EC_ROLLED for (int32_t i = 0; i < s->words; ++i) to[i] = s->zero_point;
  } else if (s->stride == 1) {
    to += s->pad_left;
    EC_ROLLED for (; left > 1; left -= 2, from += 2 * step, to += 2) {
      to[0] = from[0];
      to[1] = from[step];
    }
    if (left) to[0] = from[0];
  } else {
    int32_t *other = to + (s->words >> 1);
    if (s->pad_left) {
      *other++ = *from;
      from += step;
      --left;
      ++to;
    }
    EC_ROLLED for (; left > 1; left -= 2, from += 2 * step) {
      *to++ = from[0];
      *other++ = from[step];
    }
    if (left) to[0] = from[0];
  }
}

/* One output. */
EC_NOINLINE int8_t ec_mul_depthwise_output(const ec_mul_window *job, const ec_mul_outputs *o) {
  const ec_mul_channel given = *o->channel;
  const ec_dsp_channel channel = {given.twice_bias, given.multiplier,
                                  ec_shift_left(o->twice_zero, given.shift) >> 1, given.shift};
  const int32_t middle = 4 + job->first / 4, right = middle + 4 + job->second / 4;
  const int32_t *const a = job->rows[0], *const b = job->rows[1], *const c = job->rows[2];
  const int32_t *const taps = job->taps;
  const int32_t sum = a[0] * taps[0] + a[middle] * taps[1] + a[right] * taps[2] + b[0] * taps[3] +
                      b[middle] * taps[4] + b[right] * taps[5] + c[0] * taps[6] +
                      c[middle] * taps[7] + c[right] * taps[8];
  return (int8_t)ec_clamp(ec_dsp_rescale(2 * sum + channel.twice_bias, &channel), -128, 127);
}

/* A row of outputs, four at a time. */
EC_INLINE void ec_mul_depthwise_outputs(ec_mul_window *job, ec_mul_outputs *o, int32_t width,
                                        int8_t *out) {
  for (; width > 3; width -= 4) {
    ec_mul_windows(job);
    out = ec_mul_store(o, out);
    job->rows[0] += 4;
    job->rows[1] += 4;
    job->rows[2] += 4;
  }
  EC_ROLLED for (; width > 0; --width, out += o->step) {
    *out = ec_mul_depthwise_output(job, o);
    ++job->rows[0];
    ++job->rows[1];
    ++job->rows[2];
  }
}

/* One channel of one image. */
EC_NOINLINE void ec_mul_depthwise_channel(const int8_t *x, const int8_t *taps,
                                          const ec_mul_channel *constants,
                                          const ec_mul_depthwise_shape *s, int8_t *y,
                                          int32_t *scratch) {
  int32_t *a = scratch, *b = a + s->words, *c = b + s->words;
  int32_t filled = -s->pad_top; /* input row that comes next */
  ec_mul_window job;
  ec_mul_outputs o;
  o.channel = constants;
  o.twice_zero = s->twice_zero;
  o.step = s->channels;
  job.sums = o.sums;
  for (int32_t i = 0; i < 4; ++i) o.excess[i] = 0;
  EC_ROLLED for (int32_t k = 0; k < 9; ++k) job.taps[k] = taps[k];
  job.first = s->stride == 1 ? -12 : 2 * s->words - 16;
  job.second = s->stride == 1 ? -12 : -2 * s->words - 12;
  for (int32_t h = 0; h < s->out_height; ++h, y += s->out_width * s->channels) {
    for (const int32_t end = h * s->stride - s->pad_top + 3; filled < end; ++filled) {
      int32_t *const oldest = a;
      a = b;
      b = c;
      c = oldest;
      ec_mul_depthwise_row(x, filled, c, s);
    }
    job.rows[0] = a;
    job.rows[1] = b;
    job.rows[2] = c;
    ec_mul_depthwise_outputs(&job, &o, s->out_width, y);
  }
}

/* NHWC. `taps` has nine a channel. `scratch` has three rows. */
EC_NOINLINE void ec_mul_depthwise(const int8_t *x, const int8_t *taps, const int32_t *constants,
                                  const int32_t *shape, int8_t *y, int32_t *scratch) {
  const ec_mul_depthwise_shape *const s = (const ec_mul_depthwise_shape *)(const void *)shape;
  const ec_mul_channel *const channel = (const ec_mul_channel *)(const void *)constants;
  const int32_t out_bytes = s->out_height * s->out_width * s->channels;
  EC_ROLLED for (int32_t i = 0; i < 3 * s->words; ++i) scratch[i] = s->zero_point;
  for (int32_t n = 0; n < s->batch; ++n) {
    for (int32_t c = 0; c < s->channels; ++c) {
      ec_mul_depthwise_channel(x + c, taps + 9 * c, channel + c, s, y + c, scratch);
    }
    if (s->range.narrow) ec_narrow(y, out_bytes, &s->range);
    x += s->height * s->width * s->channels;
    y += out_bytes;
  }
}

#endif
