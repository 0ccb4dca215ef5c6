/* Output rows of a depthwise 3x3 convolution, one channel of a band of rows at a time.
 *
 * The rows are planes of int16, elements times 256: neighbours share a word and one instruction
 * multiplies two taps.
 */
#ifndef EDGECOMP_DSP_DEPTHWISE_ROWS_H
#define EDGECOMP_DSP_DEPTHWISE_ROWS_H

#include "edgecomp_dsp.h"

/* The t of scaled sums in `rescale.py`; the assembly knows it. */
#define EC_DEPTHWISE_SHIFT 16

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
 * byte; the bias times 2^8 (times 2 for doubled sums); the multiplier. */
EC_INLINE void ec_dsp_unpack_channel(const uint32_t *packed, int32_t zero_point, ec_dsp_rows *job) {
  const int32_t shift = (int32_t)(packed[0] >> 24), extra = EC_DEPTHWISE_SHIFT + 1 - 8 - shift;
  for (int32_t k = 0; k < 3; ++k) ec_dsp_unpack_row(packed[k], extra, job->taps[k]);
  job->bias = (int32_t)(packed[3] << extra);
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

#endif
