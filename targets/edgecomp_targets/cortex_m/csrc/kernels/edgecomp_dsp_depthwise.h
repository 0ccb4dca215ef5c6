/* Depthwise 3x3 convolution, one channel at a time.
 *
 * Four channels are brought from NHWC to planes of int16 with a border, a band of rows at a time, so
 * that neighbours in a row share a word and one instruction multiplies two taps. Planes hold elements
 * times 256.
 */
#ifndef EDGECOMP_DSP_DEPTHWISE_H
#define EDGECOMP_DSP_DEPTHWISE_H

#include "edgecomp_dsp_depthwise_rows.h"

/* As `dsp_depthwise.py` writes it. Sizes in elements. */
typedef struct {
  int32_t batch, height, width, channels;
  int32_t out_height, out_width;
  int32_t stride;        /* 1 or 2 */
  int32_t pad_top;
  int32_t lead;          /* 1: a row's first word has the border in its low half */
  int32_t whole;         /* words of two pixels of the row, after that */
  int32_t tail;          /* 1: then a word with the last pixel in its low half */
  int32_t words;         /* of a row of a plane, two elements each */
  int32_t band;          /* output rows at a time */
  int32_t rows;          /* input rows a band needs */
  int32_t zero_point;    /* of the input: the border */
  int32_t out_zero_point;
  ec_output_range range;
} ec_dsp_depthwise_shape;

/* Two pixels of four channels to a word of each of four planes, `plane` words apart. */
EC_INLINE void ec_dsp_spread(uint32_t a, uint32_t b, uint32_t *to, int32_t plane) {
  const uint32_t a_even = ec_even_scaled(a), a_odd = ec_odd_scaled(a);
  const uint32_t b_even = ec_even_scaled(b), b_odd = ec_odd_scaled(b);
  to[0] = ec_low_halves(a_even, b_even);
  to[plane] = ec_low_halves(a_odd, b_odd);
  to[2 * plane] = ec_high_halves(a_even, b_even);
  to[3 * plane] = ec_high_halves(a_odd, b_odd);
}

#if EC_DSP && defined(__GNUC__)

/* `count` > 0 words of two pixels, `next` bytes apart; gives where the pixels end. */
EC_INLINE const int8_t *ec_dsp_spread_pairs(const int8_t *row, int32_t next, uint32_t *to,
                                            int32_t plane, int32_t count) {
  const uint32_t *const end = to + count;
  uint32_t x, y;
  __asm__ volatile(
      "1:\n"
      "ldr %[x], [%[row]]\n"
      "ldr %[y], [%[row], %[next]]\n"
      "add %[row], %[row], %[next], lsl #1\n"
      "and r2, %[mask], %[x], lsl #8\n"
      "and r3, %[mask], %[x]\n"
      "and r4, %[mask], %[y], lsl #8\n"
      "and r5, %[mask], %[y]\n"
      "pkhbt %[x], r2, r4, lsl #16\n"
      "pkhtb r4, r4, r2, asr #16\n"
      "pkhbt %[y], r3, r5, lsl #16\n"
      "pkhtb r5, r5, r3, asr #16\n"
      "str %[y], [%[to], %[p]]\n"
      "str r4, [%[to], %[p], lsl #1]\n"
      "str r5, [%[to], %[p3]]\n"
      "str %[x], [%[to]], #4\n"
      "cmp %[to], %[end]\n"
      "bne 1b\n"
      : [row] "+r"(row), [to] "+r"(to), [x] "=&r"(x), [y] "=&r"(y)
      : [mask] "r"(EC_SCALED_BYTES), [next] "r"(next), [p] "r"(4 * plane), [p3] "r"(12 * plane), [end] "r"(end)
      : "r2", "r3", "r4", "r5", "cc", "memory");
  return row;
}

#else

EC_INLINE const int8_t *ec_dsp_spread_pairs(const int8_t *row, int32_t next, uint32_t *to,
                                            int32_t plane, int32_t count) {
  for (; count > 0; --count, row += 2 * next) {
    ec_dsp_spread(ec_load_word(row), ec_load_word(row + next), to++, plane);
  }
  return row;
}

#endif

/* Four channels of an input row. What is border in every row of a plane is there already. */
EC_NOINLINE void ec_dsp_spread_row(const int8_t *row, uint32_t *to, int32_t plane,
                                   const ec_dsp_depthwise_shape *s) {
  const uint32_t border = ((uint32_t)s->zero_point & 0xFFu) * 0x01010101u;
  if (s->lead) {
    ec_dsp_spread(border, ec_load_word(row), to++, plane);
    row += s->channels;
  }
  if (s->whole) row = ec_dsp_spread_pairs(row, s->channels, to, plane, s->whole);
  if (s->tail) ec_dsp_spread(ec_load_word(row), border, to + s->whole, plane);
}

/* `count` words of border. */
EC_INLINE void ec_dsp_spread_border(uint32_t *to, int32_t count, const ec_dsp_depthwise_shape *s) {
  const uint32_t border = ec_halves(s->zero_point, s->zero_point) << 8 & EC_SCALED_BYTES;
  EC_ROLLED for (int32_t i = 0; i < count; ++i) to[i] = border;
}

/* The planes of four channels for the band that begins at output row `first`: rows the band before
 * left behind are moved up. */
EC_INLINE void ec_dsp_fill_band(const int8_t *image, uint32_t *planes,
                                const ec_dsp_depthwise_shape *s, int32_t first,
                                int32_t rows) {
  const int32_t plane = s->rows * s->words;
  const int32_t kept = first ? 3 - s->stride : 0;
  for (int32_t k = 0; kept && k < 4; ++k) {
    uint32_t *const to = planes + k * plane;
    const uint32_t *const from = to + s->band * s->stride * s->words;
    EC_ROLLED for (int32_t i = 0; i < kept * s->words; ++i) to[i] = from[i];
  }
  const int32_t top = first * s->stride - s->pad_top;
  for (int32_t r = kept; r < rows; ++r) {
    const int32_t row = top + r;
    uint32_t *const to = planes + r * s->words;
    if (row >= 0 && row < s->height) {
      ec_dsp_spread_row(image + row * s->width * s->channels, to, plane, s);
    } else {
      for (int32_t k = 0; k < 4; ++k) ec_dsp_spread_border(to + k * plane, s->words, s);
    }
  }
}

/* One channel of a band; `doubled`: by the rescaling of doubled sums. */
EC_INLINE void ec_dsp_depthwise_channel(ec_dsp_rows *job, const uint32_t *packed,
                                        const ec_dsp_depthwise_shape *s, int doubled) {
  if (doubled) {
    const int32_t shift = (int32_t)(packed[0] >> 24);
    const ec_dsp_channel channel = {(int32_t)packed[3], (int32_t)packed[4],
                                    ec_shift_left(2 * s->out_zero_point + 1, shift) >> 1, shift};
    for (int32_t k = 0; k < 3; ++k) ec_dsp_unpack_row(packed[k], 0, job->taps[k]);
    ec_dsp_depthwise_rows(job, s->stride, &channel);
    return;
  }
  ec_dsp_unpack_channel(packed, s->out_zero_point, job);
#if EC_DSP && defined(__GNUC__)
  if (s->stride == 1) {
    ec_dsp_depthwise_rows_1(job);
  } else {
    ec_dsp_depthwise_rows_2(job);
  }
#else
  ec_dsp_depthwise_rows(job, s->stride, NULL);
#endif
}

/* NHWC. */
EC_INLINE void ec_dsp_depthwise_bands(const int8_t *x, const uint32_t *packed,
                                      const ec_dsp_depthwise_shape *s, int8_t *y,
                                      uint32_t *planes, int doubled) {
  const int32_t plane = s->rows * s->words, out_bytes = s->out_width * s->channels;
  const int32_t grouped = s->out_width & (s->stride == 1 ? ~3 : ~1);
  ec_dsp_spread_border(planes, 4 * plane, s);
  for (int32_t n = 0; n < s->batch; ++n) {
    for (int32_t group = 0; group < s->channels; group += 4) {
      for (int32_t first = 0; first < s->out_height; first += s->band) {
        const int32_t left = s->out_height - first, band = left < s->band ? left : s->band;
        ec_dsp_fill_band(x + group, planes, s, first, (band - 1) * s->stride + 3);
        for (int32_t k = 0; k < 4; ++k) {
          ec_dsp_rows job;
          job.channels = s->channels;
          job.plane = planes + k * plane;
          job.row_bytes = 4 * s->words;
          job.step_bytes = 4 * s->words * s->stride;
          job.out = y + first * out_bytes + group + k;
          job.out_bytes = out_bytes;
          job.group_bytes = grouped * s->channels;
          job.rows = band;
          job.tail = s->out_width - grouped;
          ec_dsp_depthwise_channel(&job, packed + 5 * (group + k), s, doubled);
        }
      }
    }
    x += s->height * s->width * s->channels;
    y += s->out_height * out_bytes;
  }
  if (s->range.narrow) {
    const int32_t bytes = s->batch * s->out_height * out_bytes;
    ec_narrow(y - bytes, bytes, &s->range);
  }
}

/* Scaled sums. */
EC_NOINLINE void ec_dsp_depthwise(const int8_t *x, const int32_t *packed, const int32_t *shape,
                                  int8_t *y, int32_t *scratch) {
  ec_dsp_depthwise_bands(x, (const uint32_t *)(const void *)packed,
                         (const ec_dsp_depthwise_shape *)(const void *)shape, y,
                         (uint32_t *)(void *)scratch, 0);
}

/* Doubled sums. */
EC_NOINLINE void ec_dsp_depthwise_doubled(const int8_t *x, const int32_t *packed,
                                          const int32_t *shape, int8_t *y, int32_t *scratch) {
  ec_dsp_depthwise_bands(x, (const uint32_t *)(const void *)packed,
                         (const ec_dsp_depthwise_shape *)(const void *)shape, y,
                         (uint32_t *)(void *)scratch, 1);
}

#endif
