/* Depthwise 3x3 convolution, one channel at a time.
 *
 * Four channels are brought from NHWC to planes of int16 with a border, a band of rows at a time, so
 * that neighbours in a row share a word and one instruction multiplies two taps.
 */
#ifndef EDGECOMP_DSP_DEPTHWISE_H
#define EDGECOMP_DSP_DEPTHWISE_H

#include "edgecomp_dsp.h"

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
  ec_output_range range;
} ec_dsp_depthwise_shape;

/* Two pixels of four channels to a word of each of four planes, `plane` words apart. */
EC_INLINE void ec_dsp_spread(uint32_t a, uint32_t b, uint32_t *to, int32_t plane) {
  const uint32_t a_even = ec_even_bytes(a), a_odd = ec_odd_bytes(a);
  const uint32_t b_even = ec_even_bytes(b), b_odd = ec_odd_bytes(b);
  to[0] = (a_even & 0xFFFFu) | (b_even << 16);
  to[plane] = (a_odd & 0xFFFFu) | (b_odd << 16);
  to[2 * plane] = (a_even >> 16) | (b_even & 0xFFFF0000u);
  to[3 * plane] = (a_odd >> 16) | (b_odd & 0xFFFF0000u);
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
      "sxtb16 r2, %[x]\n"
      "sxtb16 r3, %[x], ror #8\n"
      "sxtb16 r4, %[y]\n"
      "sxtb16 r5, %[y], ror #8\n"
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
      : [next] "r"(next), [p] "r"(4 * plane), [p3] "r"(12 * plane), [end] "r"(end)
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
  const uint32_t border = ec_halves(s->zero_point, s->zero_point);
  EC_ROLLED for (int32_t i = 0; i < count; ++i) to[i] = border;
}

/* The output rows of one channel in a band: what to compute, and where it is. The assembly knows the
 * offsets. */
typedef struct {
  uint32_t taps[3][2]; /* three rows as the pairs (left, middle), (middle, right) */
  ec_dsp_channel channel;
  const uint32_t *plane; /* offset 40: of the row */
  int32_t row_bytes, step_bytes; /* of the plane: to the next row, to the next output's rows */
  int8_t *out;
  int32_t out_bytes, pair_bytes; /* of the row: all outputs, those made in pairs */
  int32_t channels;
  int32_t rows; /* offset 68: left to do */
} ec_dsp_rows;

EC_INLINE void ec_dsp_unpack_taps(const uint32_t *packed, ec_dsp_rows *job) {
  for (int32_t k = 0; k < 3; ++k) {
    const uint32_t even = ec_even_bytes(packed[k]), odd = ec_odd_bytes(packed[k]);
    job->taps[k][0] = (even & 0xFFFFu) | (odd << 16);
    job->taps[k][1] = (odd & 0xFFFFu) | (even & 0xFFFF0000u);
  }
  job->channel.twice_bias = (int32_t)packed[3];
  job->channel.multiplier = (int32_t)packed[4];
  job->channel.addend = (int32_t)packed[5];
  job->channel.shift = (int32_t)packed[6];
}

#if EC_DSP && defined(__GNUC__)

EC_NOINLINE void ec_dsp_depthwise_rows(ec_dsp_rows *job) {
  const uint32_t *a, *b, *c;
  int8_t *out;
  const int8_t *end;
  uint32_t x, y, n;
  __asm__ volatile(
      "ldr %[n], [%[j], #64]\n"
      "0:\n" /* the next row */
      "ldrd %[a], r2, [%[j], #40]\n"
      "ldrd r3, %[out], [%[j], #48]\n"
      "ldrd r4, r5, [%[j], #56]\n"
      "add %[b], %[a], r2\n"
      "add %[c], %[b], r2\n"
      "add r3, %[a], r3\n"
      "add r4, %[out], r4\n"
      "str r3, [%[j], #40]\n"
      "str r4, [%[j], #52]\n"
      "add %[end], %[out], r5\n"
      "cmp r5, #0\n"
      "beq 2f\n"
      "1:\n" /* two outputs, left x and right y */
      "ldrd r2, r3, [%[a]], #4\n"
      "ldrd r4, r5, [%[j]]\n"
      "smuad %[x], r2, r4\n"
      "smultb %[y], r2, r4\n"
      "smlabt %[x], r3, r5, %[x]\n"
      "smlad %[y], r3, r5, %[y]\n"
      "ldrd r2, r3, [%[b]], #4\n"
      "ldrd r4, r5, [%[j], #8]\n"
      "smlad %[x], r2, r4, %[x]\n"
      "smlatb %[y], r2, r4, %[y]\n"
      "smlabt %[x], r3, r5, %[x]\n"
      "smlad %[y], r3, r5, %[y]\n"
      "ldrd r2, r3, [%[c]], #4\n"
      "ldrd r4, r5, [%[j], #16]\n"
      "smlad %[x], r2, r4, %[x]\n"
      "smlatb %[y], r2, r4, %[y]\n"
      "smlabt %[x], r3, r5, %[x]\n"
      "smlad %[y], r3, r5, %[y]\n"
      "ldrd r2, r3, [%[j], #24]\n"
      "ldrd r4, r5, [%[j], #32]\n"
      "add %[x], r2, %[x], lsl #1\n"
      "add %[y], r2, %[y], lsl #1\n"
      "add r2, r4, %[x], asr #31\n"
      "add r4, r4, %[y], asr #31\n"
      "smmlar %[x], %[x], r3, r2\n"
      "smmlar %[y], %[y], r3, r4\n"
      "asr %[x], %[x], r5\n"
      "asr %[y], %[y], r5\n"
      "ssat %[x], #8, %[x]\n"
      "ssat %[y], #8, %[y]\n"
      "strb %[x], [%[out]]\n"
      "strb %[y], [%[out], %[n]]\n"
      "add %[out], %[out], %[n], lsl #1\n"
      "cmp %[out], %[end]\n"
      "bne 1b\n"
      "2:\n"
      "ldr %[end], [%[j], #52]\n"
      "cmp %[out], %[end]\n"
      "beq 4f\n"
      "3:\n" /* one output */
      "ldrd r2, r3, [%[a]], #4\n"
      "ldrd r4, r5, [%[j]]\n"
      "smuad %[x], r2, r4\n"
      "smlabt %[x], r3, r5, %[x]\n"
      "ldrd r2, r3, [%[b]], #4\n"
      "ldrd r4, r5, [%[j], #8]\n"
      "smlad %[x], r2, r4, %[x]\n"
      "smlabt %[x], r3, r5, %[x]\n"
      "ldrd r2, r3, [%[c]], #4\n"
      "ldrd r4, r5, [%[j], #16]\n"
      "smlad %[x], r2, r4, %[x]\n"
      "smlabt %[x], r3, r5, %[x]\n"
      "ldrd r2, r3, [%[j], #24]\n"
      "ldrd r4, r5, [%[j], #32]\n"
      "add %[x], r2, %[x], lsl #1\n"
      "add r2, r4, %[x], asr #31\n"
      "smmlar %[x], %[x], r3, r2\n"
      "asr %[x], %[x], r5\n"
      "ssat %[x], #8, %[x]\n"
      "strb %[x], [%[out]]\n"
      "add %[out], %[out], %[n]\n"
      "cmp %[out], %[end]\n"
      "bne 3b\n"
      "4:\n"
      "ldr r2, [%[j], #68]\n"
      "subs r2, r2, #1\n"
      "str r2, [%[j], #68]\n"
      "bne 0b\n"
      : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [out] "=&r"(out), [end] "=&r"(end),
        [x] "=&r"(x), [y] "=&r"(y), [n] "=&r"(n)
      : [j] "r"(job)
      : "r2", "r3", "r4", "r5", "cc", "memory");
}

#else

EC_INLINE int8_t ec_dsp_depthwise_step(uint32_t sum, const ec_dsp_rows *job) {
  const int32_t twice = (int32_t)(sum + sum + (uint32_t)job->channel.twice_bias);
  return (int8_t)ec_clamp(ec_dsp_rescale(twice, &job->channel), -128, 127);
}

/* The output whose window begins in the low half of word `i` of the rows. */
EC_INLINE int8_t ec_dsp_left_output(const ec_dsp_rows *job, int32_t i) {
  uint32_t sum = 0;
  const uint32_t *at = job->plane + i;
  for (int32_t k = 0; k < 3; ++k, at += job->row_bytes / 4) {
    sum = ec_dual_multiply_add(at[0], job->taps[k][0], sum);
    sum += (uint32_t)(ec_low_half(at[1]) * ec_high_half(job->taps[k][1]));
  }
  return ec_dsp_depthwise_step(sum, job);
}

/* The output whose window begins in the high half. */
EC_INLINE int8_t ec_dsp_right_output(const ec_dsp_rows *job, int32_t i) {
  uint32_t sum = 0;
  const uint32_t *at = job->plane + i;
  for (int32_t k = 0; k < 3; ++k, at += job->row_bytes / 4) {
    sum = ec_dual_multiply_add(at[1], job->taps[k][1], sum);
    sum += (uint32_t)(ec_high_half(at[0]) * ec_low_half(job->taps[k][0]));
  }
  return ec_dsp_depthwise_step(sum, job);
}

EC_NOINLINE void ec_dsp_depthwise_rows(ec_dsp_rows *job) {
  for (; job->rows > 0; --job->rows, job->plane += job->step_bytes / 4) {
    int8_t *const end = job->out + job->out_bytes, *const pairs_end = job->out + job->pair_bytes;
    int32_t i = 0;
    for (; job->out != pairs_end; ++i, job->out += 2 * job->channels) {
      job->out[0] = ec_dsp_left_output(job, i);
      job->out[job->channels] = ec_dsp_right_output(job, i);
    }
    for (; job->out != end; ++i, job->out += job->channels) {
      job->out[0] = ec_dsp_left_output(job, i);
    }
  }
}

#endif

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

/* NHWC; `packed` has seven words a channel: three rows of taps, one byte each, then the rescaling. */
EC_NOINLINE void ec_dsp_depthwise(const int8_t *x, const int32_t *packed, const int32_t *shape,
                                  int8_t *y, int32_t *scratch) {
  const ec_dsp_depthwise_shape *const s = (const ec_dsp_depthwise_shape *)(const void *)shape;
  uint32_t *const planes = (uint32_t *)(void *)scratch;
  const int32_t plane = s->rows * s->words, out_bytes = s->out_width * s->channels;
  const int32_t pairs = s->stride == 1 ? s->out_width >> 1 : 0;
  ec_dsp_spread_border(planes, 4 * plane, s);
  for (int32_t n = 0; n < s->batch; ++n) {
    for (int32_t group = 0; group < s->channels; group += 4) {
      for (int32_t first = 0; first < s->out_height; first += s->band) {
        const int32_t left = s->out_height - first, band = left < s->band ? left : s->band;
        ec_dsp_fill_band(x + group, planes, s, first, (band - 1) * s->stride + 3);
        for (int32_t k = 0; k < 4; ++k) {
          ec_dsp_rows job;
          ec_dsp_unpack_taps((const uint32_t *)(const void *)packed + 7 * (group + k), &job);
          job.plane = planes + k * plane;
          job.row_bytes = 4 * s->words;
          job.step_bytes = 4 * s->words * s->stride;
          job.out = y + first * out_bytes + group + k;
          job.out_bytes = out_bytes;
          job.pair_bytes = 2 * pairs * s->channels;
          job.channels = s->channels;
          job.rows = band;
          ec_dsp_depthwise_rows(&job);
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

#endif
