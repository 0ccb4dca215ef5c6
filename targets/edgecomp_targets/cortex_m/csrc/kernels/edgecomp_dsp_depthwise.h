/* Depthwise 3x3 convolution, one channel at a time.
 *
 * Four channels are brought from NHWC to planes of int16 with a border, a band of rows at a time, so
 * that neighbours in a row share a word and one instruction multiplies two taps. Planes hold elements
 * times 256.
 */
#ifndef EDGECOMP_DSP_DEPTHWISE_H
#define EDGECOMP_DSP_DEPTHWISE_H

#include "edgecomp_dsp.h"

/* The t of scaled sums in `rescale.py`; the assembly knows it. */
#define EC_DEPTHWISE_SHIFT 16

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

/* The output rows of one channel in a band: what to compute, and where it is. The assembly knows the
 * offsets. */
typedef struct {
  uint32_t taps[3][2]; /* three rows as the pairs (left, middle), (middle, right), times 2^extra */
  int32_t bias;        /* offset 24: times 2^(8 + extra) */
  int32_t multiplier, addend;
  int32_t channels;    /* offset 36 */
  const int8_t *group_end;
  const uint32_t *plane; /* offset 44: of the row */
  int32_t row_bytes, step_bytes; /* of the plane: to the next row, to the next output's rows */
  int8_t *out;
  int32_t out_bytes, group_bytes; /* offset 60, of the row: all outputs, those made in groups */
  int32_t rows;                   /* offset 68: left to do */
  int32_t tail;                   /* outputs of the row behind the groups, less than a group */
} ec_dsp_rows;

/* Two int16 from the last columns of a row of taps, and from the first, times 2^extra. */
EC_INLINE void ec_dsp_unpack_row(uint32_t packed, int32_t extra, uint32_t taps[2]) {
  const int32_t left = (int8_t)(uint8_t)packed * (1 << extra);
  const int32_t middle = (int8_t)(uint8_t)(packed >> 8) * (1 << extra);
  const int32_t right = (int8_t)(uint8_t)(packed >> 16) * (1 << extra);
  taps[0] = ec_halves(left, middle);
  taps[1] = ec_halves(middle, right);
}

/* `packed` has five words a channel: three rows of taps, one byte each, the shift in the first's last
 * byte; the bias; the multiplier. */
EC_INLINE void ec_dsp_unpack_channel(const uint32_t *packed, int32_t zero_point, ec_dsp_rows *job) {
  const int32_t shift = (int32_t)(packed[0] >> 24), extra = EC_DEPTHWISE_SHIFT + 1 - 8 - shift;
  for (int32_t k = 0; k < 3; ++k) ec_dsp_unpack_row(packed[k], extra, job->taps[k]);
  job->bias = (int32_t)(packed[3] << (8 + extra));
  job->multiplier = (int32_t)packed[4];
  job->addend = ec_shift_left(2 * zero_point + 1, EC_DEPTHWISE_SHIFT - 1) + (1 << (8 + extra - 2));
}

#if EC_DSP && defined(__GNUC__)

/* Of one row of taps, at `taps`: its words of the plane, at `at`, with the outputs s0, s1 ...
 * `first`: where s0 begins; it is also what the others begin with in the first row. */
#define EC_DSP_ROW_OF_FOUR(at, taps, s1, s2, s3) \
  "ldrd r2, r3, [" at "], #8\n"                 \
  "ldrd r4, r5, [%[j], #" taps "]\n"            \
  "smlatb %[s1], r2, r4, " s1 "\n"              \
  "smlatb %[s3], r3, r4, " s3 "\n"              \
  "smlad %[s2], r3, r4, " s2 "\n"               \
  "smlad %[s0], r2, r4, %[s0]\n"                \
  "smlabt %[s0], r3, r5, %[s0]\n"               \
  "smlad %[s1], r3, r5, %[s1]\n"                \
  "ldr r2, [" at "]\n"                          \
  "smlabt %[s2], r2, r5, %[s2]\n"               \
  "smlad %[s3], r2, r5, %[s3]\n"

#define EC_DSP_ROW_OF_TWO(at, taps, s1) \
  "ldrd r2, r3, [" at "], #4\n"        \
  "ldrd r4, r5, [%[j], #" taps "]\n"   \
  "smlatb %[s1], r2, r4, " s1 "\n"     \
  "smlad %[s0], r2, r4, %[s0]\n"       \
  "smlabt %[s0], r3, r5, %[s0]\n"      \
  "smlad %[s1], r3, r5, %[s1]\n"

/* The same where the outputs are two columns apart. */
#define EC_DSP_ROW_OF_TWO_APART(at, taps, s1) \
  "ldrd r2, r3, [" at "], #8\n"              \
  "ldrd r4, r5, [%[j], #" taps "]\n"         \
  "smlad %[s1], r3, r4, " s1 "\n"            \
  "smlad %[s0], r2, r4, %[s0]\n"             \
  "smlabt %[s0], r3, r5, %[s0]\n"            \
  "ldr r2, [" at "]\n"                       \
  "smlabt %[s1], r2, r5, %[s1]\n"

#define EC_DSP_ROW_OF_ONE(at, taps)   \
  "ldrd r2, r3, [" at "], #4\n"      \
  "ldrd r4, r5, [%[j], #" taps "]\n" \
  "smlad %[s0], r2, r4, %[s0]\n"     \
  "smlabt %[s0], r3, r5, %[s0]\n"

/* Output steps of two sums, stored a pixel apart; r2: bytes of a pixel, r4, r5: multiplier, addend. */
#define EC_DSP_STORE_TWO(s0, s1)   \
  "smmla " s0 ", " s0 ", r4, r5\n" \
  "smmla " s1 ", " s1 ", r4, r5\n" \
  "ssat " s0 ", #8, " s0 ", asr #16\n" \
  "ssat " s1 ", #8, " s1 ", asr #16\n" \
  "strb " s0 ", [%[out]]\n"        \
  "strb " s1 ", [%[out], r2]\n"    \
  "add %[out], %[out], r2, lsl #1\n"

#define EC_DSP_NEXT_ROW           \
  "0:\n"                          \
  "ldrd %[a], r2, [%[j], #44]\n"  \
  "ldrd r3, %[out], [%[j], #52]\n" \
  "ldrd r4, r5, [%[j], #60]\n"    \
  "add %[b], %[a], r2\n"          \
  "add %[c], %[b], r2\n"          \
  "add r3, %[a], r3\n"            \
  "add r4, %[out], r4\n"          \
  "add r5, %[out], r5\n"          \
  "str r3, [%[j], #44]\n"         \
  "str r4, [%[j], #56]\n"         \
  "str r5, [%[j], #40]\n"         \
  "cmp %[out], r5\n"              \
  "beq 2f\n"

/* One output, and the next row. */
#define EC_DSP_LAST_OF_ROW                                                                       \
  "bpl 4f\n"                                                                                    \
  "ldr %[s0], [%[j], #24]\n"                                                                    \
  EC_DSP_ROW_OF_ONE("%[a]", "0") EC_DSP_ROW_OF_ONE("%[b]", "8") EC_DSP_ROW_OF_ONE("%[c]", "16")  \
  "ldrd r4, r5, [%[j], #28]\n"                                                                  \
  "smmla %[s0], %[s0], r4, r5\n"                                                                \
  "ssat %[s0], #8, %[s0], asr #16\n"                                                            \
  "strb %[s0], [%[out]]\n"                                                                      \
  "4:\n"                                                                                        \
  "ldr r2, [%[j], #68]\n"                                                                       \
  "subs r2, r2, #1\n"                                                                           \
  "str r2, [%[j], #68]\n"                                                                       \
  "bne 0b\n"

/* Outputs next to each other: groups of four, then two, then one. */
EC_NOINLINE void ec_dsp_depthwise_rows_1(ec_dsp_rows *job) {
  const uint32_t *a, *b, *c;
  int8_t *out;
  uint32_t s0, s1, s2, s3;
  __asm__ volatile(
      EC_DSP_NEXT_ROW
      "1:\n"
      "ldr %[s0], [%[j], #24]\n"
      EC_DSP_ROW_OF_FOUR("%[a]", "0", "%[s0]", "%[s0]", "%[s0]")
      EC_DSP_ROW_OF_FOUR("%[b]", "8", "%[s1]", "%[s2]", "%[s3]")
      EC_DSP_ROW_OF_FOUR("%[c]", "16", "%[s1]", "%[s2]", "%[s3]")
      "ldrd r4, r5, [%[j], #28]\n"
      "ldrd r2, r3, [%[j], #36]\n"
      EC_DSP_STORE_TWO("%[s0]", "%[s1]")
      EC_DSP_STORE_TWO("%[s2]", "%[s3]")
      "cmp %[out], r3\n"
      "bne 1b\n"
      "2:\n"
      "ldr r2, [%[j], #72]\n"
      "lsls r2, r2, #31\n" /* C: two or three left; N: one or three */
      "bcc 3f\n"
      "ldr %[s0], [%[j], #24]\n"
      EC_DSP_ROW_OF_TWO("%[a]", "0", "%[s0]")
      EC_DSP_ROW_OF_TWO("%[b]", "8", "%[s1]")
      EC_DSP_ROW_OF_TWO("%[c]", "16", "%[s1]")
      "ldrd r4, r5, [%[j], #28]\n"
      "ldr r2, [%[j], #36]\n"
      EC_DSP_STORE_TWO("%[s0]", "%[s1]")
      "3:\n"
      EC_DSP_LAST_OF_ROW
      : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [out] "=&r"(out), [s0] "=&r"(s0),
        [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3)
      : [j] "r"(job)
      : "r2", "r3", "r4", "r5", "cc", "memory");
}

/* Outputs two columns apart: groups of two, then one. */
EC_NOINLINE void ec_dsp_depthwise_rows_2(ec_dsp_rows *job) {
  const uint32_t *a, *b, *c;
  int8_t *out;
  uint32_t s0, s1;
  __asm__ volatile(
      EC_DSP_NEXT_ROW
      "1:\n"
      "ldr %[s0], [%[j], #24]\n"
      EC_DSP_ROW_OF_TWO_APART("%[a]", "0", "%[s0]")
      EC_DSP_ROW_OF_TWO_APART("%[b]", "8", "%[s1]")
      EC_DSP_ROW_OF_TWO_APART("%[c]", "16", "%[s1]")
      "ldrd r4, r5, [%[j], #28]\n"
      "ldrd r2, r3, [%[j], #36]\n"
      EC_DSP_STORE_TWO("%[s0]", "%[s1]")
      "cmp %[out], r3\n"
      "bne 1b\n"
      "2:\n"
      "ldr r2, [%[j], #72]\n"
      "lsls r2, r2, #31\n" /* N: one left */
      EC_DSP_LAST_OF_ROW
      : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [out] "=&r"(out), [s0] "=&r"(s0), [s1] "=&r"(s1)
      : [j] "r"(job)
      : "r2", "r3", "r4", "r5", "cc", "memory");
}

#endif

/* Sum of the window that begins in column `column` of the plane's row. */
EC_INLINE uint32_t ec_dsp_window(const ec_dsp_rows *job, int32_t column) {
  uint32_t sum = 0;
  const uint32_t *at = job->plane + (column >> 1);
  for (int32_t k = 0; k < 3; ++k, at += job->row_bytes / 4) {
    if (column & 1) {
      sum = ec_dual_multiply_add(at[1], job->taps[k][1], sum);
      sum += (uint32_t)(ec_high_half(at[0]) * ec_low_half(job->taps[k][0]));
    } else {
      sum = ec_dual_multiply_add(at[0], job->taps[k][0], sum);
      sum += (uint32_t)(ec_low_half(at[1]) * ec_high_half(job->taps[k][1]));
    }
  }
  return sum;
}

/* Rows of scaled sums, `stride` columns apart; or, with `channel`, of doubled sums. */
EC_INLINE void ec_dsp_depthwise_rows(ec_dsp_rows *job, int32_t stride,
                                     const ec_dsp_channel *channel) {
  for (; job->rows > 0; --job->rows, job->plane += job->step_bytes / 4) {
    int8_t *const end = job->out + job->out_bytes;
    for (int32_t column = 0; job->out != end; column += stride, job->out += job->channels) {
      const uint32_t sum = ec_dsp_window(job, column);
      if (channel) {
        const int32_t twice = ((int32_t)sum >> 7) + channel->twice_bias;
        *job->out = (int8_t)ec_clamp(ec_dsp_rescale(twice, channel), -128, 127);
      } else {
        *job->out = ec_dsp_scaled_step(sum + (uint32_t)job->bias, job->multiplier, job->addend,
                                       EC_DEPTHWISE_SHIFT);
      }
    }
  }
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
    const ec_dsp_channel channel = {(int32_t)(2 * packed[3]), (int32_t)packed[4],
                                    ec_shift_left(2 * s->out_zero_point + 1, shift - 1), shift};
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
