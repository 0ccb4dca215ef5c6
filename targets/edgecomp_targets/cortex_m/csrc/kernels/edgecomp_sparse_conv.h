/* Convolutions by those weights only that are not 0, four pixels at a time: their patches are brought to
 * int16 or int32, interleaved, and multiplied as in `edgecomp_sparse_sums.h`. */
#ifndef EDGECOMP_SPARSE_CONV_H
#define EDGECOMP_SPARSE_CONV_H

#include "edgecomp_mul_conv.h"
#include "edgecomp_sparse_sums.h"

/* `count` elements to every fourth place; `step` is 0 to repeat the first. */
EC_NOINLINE void ec_sparse_spread(const int8_t *from, int32_t step, int32_t count, int16_t *to) {
  EC_ROLLED for (; count > 3; count -= 4, to += 16) {
    const int32_t a = from[0], b = from[step];
    from += 2 * step;
    const int32_t c = from[0], d = from[step];
    from += 2 * step;
    to[0] = (int16_t)a;
    to[4] = (int16_t)b;
    to[8] = (int16_t)c;
    to[12] = (int16_t)d;
  }
  EC_ROLLED for (; count > 0; --count, from += step, to += 4) to[0] = from[0];
}

/* As `ec_mul_gather`, to int16. */
EC_NOINLINE void ec_sparse_gather(const int8_t *image, int32_t row, int32_t column, int16_t *to,
                                  const ec_mul_conv_shape *s) {
  const int8_t border = (int8_t)s->zero_point;
  const int32_t channels = s->channels, wide = s->kernel_width, span = wide * channels;
  const int32_t past = column + wide - s->width;
  int32_t before = column < 0 ? -column * channels : 0, after = past > 0 ? past * channels : 0;
  if (before > span) before = span;
  if (after > span) after = span;
  for (int32_t k = s->kernel_height; k > 0; --k, ++row, to += 4 * span) {
    if (row < 0 || row >= s->height || before + after >= span) {
      ec_sparse_spread(&border, 0, span, to);
    } else {
      const int8_t *const from = image + (row * s->width + column) * channels + before;
      if (before) ec_sparse_spread(&border, 0, before, to);
      ec_sparse_spread(from, 1, span - before - after, to + 4 * before);
      if (after) ec_sparse_spread(&border, 0, after, to + 4 * (span - after));
    }
  }
}

EC_INLINE int8_t ec_sparse_step(uint32_t sum, const ec_dsp_channel *channel) {
  const int32_t twice = (int32_t)(2 * sum + (uint32_t)channel->twice_bias);
  return (int8_t)ec_clamp(ec_dsp_rescale(twice, channel), -128, 127);
}

/* All filters of `count` patches of int16. */
EC_NOINLINE void ec_sparse_pixels_16(const int16_t *patches, const uint8_t *entries,
                                     const uint16_t *pairs, const int32_t *constants,
                                     const ec_mul_conv_shape *s, int32_t count, int8_t *y) {
  const int32_t filters = s->filters;
  EC_ROLLED for (int32_t f = 0; f < filters; ++f, constants += 4) {
    const ec_dsp_channel channel = {constants[0], constants[1], constants[2], constants[3]};
    uint32_t sums[4];
    int8_t *out = y + f;
    entries = ec_sparse_sums_16(patches, entries, pairs[f], sums);
    *out = ec_sparse_step(sums[0], &channel);
    if (count == 1) continue;
    *(out += filters) = ec_sparse_step(sums[1], &channel);
    if (count == 2) continue;
    *(out += filters) = ec_sparse_step(sums[2], &channel);
    if (count == 3) continue;
    *(out += filters) = ec_sparse_step(sums[3], &channel);
  }
}

/* All filters of `count` patches of int32. */
EC_NOINLINE void ec_sparse_pixels_32(const int32_t *patches, const uint8_t *entries,
                                     const uint16_t *pairs, const int32_t *constants,
                                     const ec_mul_conv_shape *s, int32_t count, int8_t *y) {
  ec_mul_outputs o;
  for (int32_t i = 0; i < 4; ++i) o.excess[i] = 0;
  o.twice_zero = s->twice_zero;
  o.step = s->filters;
  o.channel = (const ec_mul_channel *)(const void *)constants;
  EC_ROLLED for (int32_t f = 0; f < s->filters; ++f, ++o.channel) {
    entries = ec_sparse_sums_32(patches, entries, pairs[f], o.sums);
    if (count == 4) {
      ec_mul_store(&o, y + f);
    } else {
      ec_mul_store_some(&o, count, y + f);
    }
  }
}

/* NHWC. `pairs` has the pairs of each filter; `scratch` has four patches. */
EC_INLINE void ec_sparse_conv(const int8_t *x, const uint8_t *entries, const uint16_t *pairs,
                              const int32_t *constants, const int32_t *shape, int8_t *y,
                              int32_t *scratch, int wide) {
  const ec_mul_conv_shape *const s = (const ec_mul_conv_shape *)(const void *)shape;
  int16_t *const narrow = (int16_t *)(void *)scratch;
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    ec_mul_place place = {-s->pad_top, -s->pad_left, 0};
    for (int32_t left = s->out_height * s->out_width; left > 0; left -= 4) {
      const int32_t count = left < 4 ? left : 4;
      EC_ROLLED for (int32_t i = 0; i < count; ++i) {
        if (wide) {
          ec_mul_gather(x, place.row, place.column, scratch + i, s);
        } else {
          ec_sparse_gather(x, place.row, place.column, narrow + i, s);
        }
        ec_mul_next_place(&place, s);
      }
      if (wide) {
        ec_sparse_pixels_32(scratch, entries, pairs, constants, s, count, y);
      } else {
        ec_sparse_pixels_16(narrow, entries, pairs, constants, s, count, y);
      }
      if (s->range.narrow) ec_narrow(y, count * s->filters, &s->range);
      y += count * s->filters;
    }
  }
}

/* Patches of int16, for cores with the DSP extension. */
EC_NOINLINE void ec_sparse_conv_16(const int8_t *x, const uint8_t *entries, const uint16_t *pairs,
                                   const int32_t *constants, const int32_t *shape, int8_t *y,
                                   int32_t *scratch) {
  ec_sparse_conv(x, entries, pairs, constants, shape, y, scratch, 0);
}

/* Patches of int32, for cores that multiply one number at a time. */
EC_NOINLINE void ec_sparse_conv_32(const int8_t *x, const uint8_t *entries, const uint16_t *pairs,
                                   const int32_t *constants, const int32_t *shape, int8_t *y,
                                   int32_t *scratch) {
  ec_sparse_conv(x, entries, pairs, constants, shape, y, scratch, 1);
}

#endif
