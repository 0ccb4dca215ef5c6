/* Products of int8 vectors with int8 weights, two int16 products an instruction.
 *
 * Vectors are expanded to int16 once, in the order SXTB16 gives: of four elements k0..k3 first the pair
 * (k0, k2), then (k1, k3). Weights of two channels a and b share a 16-bit number 256 * b + a, in the same
 * order. Its low byte is a, so SXTB16 unpacks a; multiplied whole it gives 256 * (sum of b) + (sum of a).
 * So only half of the weights are unpacked. The sums of channel b must fit 24 bits.
 */
#ifndef EDGECOMP_DSP_MATRIX_H
#define EDGECOMP_DSP_MATRIX_H

#include "edgecomp_dsp.h"

/* Expand 4 * `quads` elements of one vector; gives the place after them. */
EC_INLINE uint32_t *ec_dsp_expand(uint32_t *to, const int8_t *x, int32_t quads) {
  EC_ROLLED for (; quads > 0; --quads, x += 4, to += 2) {
    const uint32_t word = ec_load_word(x);
    to[0] = ec_even_bytes(word);
    to[1] = ec_odd_bytes(word);
  }
  return to;
}

/* The same of two vectors, interleaved; `quads` > 0. */
EC_INLINE uint32_t *ec_dsp_expand_two(uint32_t *to, const int8_t *x, const int8_t *y,
                                      int32_t quads) {
#if EC_DSP && defined(__GNUC__)
  const uint32_t *const end = to + 4 * quads;
  __asm__ volatile(
      "1:\n"
      "ldr r2, [%[x]], #4\n"
      "ldr r4, [%[y]], #4\n"
      "sxtb16 r3, r2, ror #8\n"
      "sxtb16 r2, r2\n"
      "sxtb16 r5, r4, ror #8\n"
      "sxtb16 r4, r4\n"
      "stmia %[to]!, {r2, r3, r4, r5}\n"
      "cmp %[to], %[end]\n"
      "bne 1b\n"
      : [x] "+r"(x), [y] "+r"(y), [to] "+r"(to)
      : [end] "r"(end)
      : "r2", "r3", "r4", "r5", "cc", "memory");
#else
  for (; quads > 0; --quads, x += 4, y += 4, to += 4) {
    const uint32_t first = ec_load_word(x), second = ec_load_word(y);
    to[0] = ec_even_bytes(first);
    to[1] = ec_odd_bytes(first);
    to[2] = ec_even_bytes(second);
    to[3] = ec_odd_bytes(second);
  }
#endif
  return to;
}

/* Twice the sum of the second channel, from the sum of both and that of the first. */
EC_INLINE uint32_t ec_dsp_twice_second(uint32_t both, uint32_t first) {
  return (uint32_t)((int32_t)(both - first) >> 7);
}

EC_INLINE int8_t ec_dsp_step(uint32_t twice, const ec_dsp_channel *channel) {
  const int32_t biased = (int32_t)(twice + (uint32_t)channel->twice_bias);
  return (int8_t)ec_clamp(ec_dsp_rescale(biased, channel), -128, 127);
}

#if EC_DSP && defined(__GNUC__)

/* Lies behind the two vectors: where those end, the assembly finds it. */
typedef struct {
  const uint32_t *vectors;
  int32_t quads;
  const ec_dsp_channel *channel;
  int8_t *out_x, *out_y;
  int32_t pairs; /* of channels, left to do */
} ec_dsp_block;

/* Four elements of two vectors with two channels: r2-r5 are x(k0,k2), x(k1,k3), y(k0,k2), y(k1,k3). `all_`
 * makes of words v and w what counts for both channels, `one_` of that what counts for the first. */
#define EC_DSP_QUAD_OF(all_v, all_w, one_v, one_w) \
  "ldmia %[x]!, {r2, r3, r4, r5}\n"                \
  "ldrd %[v], %[w], [%[p]], #8\n" all_v            \
  "smlad %[bx], r2, %[v], %[bx]\n"                 \
  "smlad %[by], r4, %[v], %[by]\n" one_v           \
  "smlad %[fx], r2, %[v], %[fx]\n"                 \
  "smlad %[fy], r4, %[v], %[fy]\n" all_w           \
  "smlad %[bx], r3, %[w], %[bx]\n"                 \
  "smlad %[by], r5, %[w], %[by]\n" one_w           \
  "smlad %[fx], r3, %[w], %[fx]\n"                 \
  "smlad %[fy], r5, %[w], %[fy]\n"
#define EC_DSP_QUAD EC_DSP_QUAD_OF("", "", "sxtb16 %[v], %[v]\n", "sxtb16 %[w], %[w]\n")

/* All quads of the two vectors; `start` sets the sums. fx, fy: of the first channel of a pair with x and y;
 * bx, by: of both. x is at the block afterwards. */
#define EC_DSP_SUMS(start, quad)                                                       \
  "mov %[end], %[x]\n"                                                                 \
  "ldrd %[x], %[v], [%[end]]\n" start                                                  \
  "lsls %[v], %[v], #31\n" /* N: an odd quad; C: two more than a multiple of four */ \
  "bpl 1f\n" quad                                                                      \
  "1:\n"                                                                               \
  "bcc 3f\n" quad quad                                                                 \
  "b 3f\n"                                                                             \
  "2:\n" quad quad quad quad                                                           \
  "3:\n"                                                                               \
  "cmp %[x], %[end]\n"                                                                 \
  "bne 2b\n"

/* Outputs of the first channel from fx and fy, of the second from bx and by, which a shift makes twice the
 * sums. Z: it was the last pair. */
#define EC_DSP_STEPS(first, second)                                                        \
  "ldr %[v], [%[x], #8]\n"                                                                 \
  "ldmia %[v]!, {r2, r3, r4, r5}\n" /* twice the bias, multiplier, addend, shift */        \
  "add %[fx], r2, %[fx], " first "\n"                                                      \
  "add %[fy], r2, %[fy], " first "\n"                                                      \
  "add r2, r4, %[fx], asr #31\n"                                                           \
  "add r4, r4, %[fy], asr #31\n"                                                           \
  "smmlar %[fx], %[fx], r3, r2\n"                                                          \
  "smmlar %[fy], %[fy], r3, r4\n"                                                          \
  "asr %[fx], %[fx], r5\n"                                                                 \
  "asr %[fy], %[fy], r5\n"                                                                 \
  "ldmia %[v]!, {r2, r3, r4, r5}\n"                                                        \
  "add %[bx], r2, %[bx], " second "\n"                                                     \
  "add %[by], r2, %[by], " second "\n"                                                     \
  "add r2, r4, %[bx], asr #31\n"                                                           \
  "add r4, r4, %[by], asr #31\n"                                                           \
  "smmlar %[bx], %[bx], r3, r2\n"                                                          \
  "smmlar %[by], %[by], r3, r4\n"                                                          \
  "asr %[bx], %[bx], r5\n"                                                                 \
  "asr %[by], %[by], r5\n"                                                                 \
  "ssat %[fx], #8, %[fx]\n"                                                                \
  "ssat %[fy], #8, %[fy]\n"                                                                \
  "ssat %[bx], #8, %[bx]\n"                                                                \
  "ssat %[by], #8, %[by]\n"                                                                \
  "ldrd r2, r3, [%[x], #12]\n"                                                             \
  "ldr r4, [%[x], #20]\n"                                                                  \
  "strb %[fx], [r2], #1\n"                                                                 \
  "strb %[bx], [r2], #1\n"                                                                 \
  "strb %[fy], [r3], #1\n"                                                                 \
  "strb %[by], [r3], #1\n"                                                                 \
  "subs r4, r4, #1\n"                                                                      \
  "strd %[v], r2, [%[x], #8]\n"                                                            \
  "strd r3, r4, [%[x], #16]\n"

#define EC_DSP_BLOCKS(text)                                                                       \
  uint32_t *x = (uint32_t *)(void *)block;                                                        \
  uint32_t fx, fy, bx, by, v, w, end;                                                             \
  __asm__ volatile(text                                                                           \
                   : [x] "+r"(x), [p] "+r"(weights), [v] "=&r"(v), [w] "=&r"(w), [fx] "=&r"(fx),  \
                     [bx] "=&r"(bx), [fy] "=&r"(fy), [by] "=&r"(by), [end] "=&r"(end)             \
                   :                                                                              \
                   : "r2", "r3", "r4", "r5", "cc", "memory")

/* Whole pairs of channels; gives the weights after them. */
EC_INLINE const uint32_t *ec_dsp_blocks(ec_dsp_block *block, const uint32_t *weights) {
  EC_DSP_BLOCKS(
      "0:\n" EC_DSP_SUMS("mov %[fx], #0\nmov %[bx], #0\nmov %[fy], #0\nmov %[by], #0\n", EC_DSP_QUAD)
      "sub %[bx], %[bx], %[fx]\n"
      "sub %[by], %[by], %[fy]\n" EC_DSP_STEPS("lsl #1", "asr #7")
      "bne 0b\n");
  return weights;
}

/* All channels of two vectors of 4 * `quads` elements, expanded and interleaved; six words behind them
 * are overwritten. */
EC_NOINLINE void ec_dsp_two_vectors(uint32_t *vectors, const uint32_t *weights,
                                    const ec_dsp_channel *channel, int32_t quads, int32_t channels,
                                    const ec_output_range *range, int8_t *out_x, int8_t *out_y) {
  ec_dsp_block *const block = (ec_dsp_block *)(void *)(vectors + 4 * quads);
  const int32_t whole = channels & ~1;
  *block = (ec_dsp_block){vectors, quads, channel, out_x, out_y, channels >> 1};
  if (whole) weights = ec_dsp_blocks(block, weights);
  if (whole != channels) {
    int8_t last[4]; /* of the channel, and of one that is only there to fill the pair */
    *block = (ec_dsp_block){vectors, quads, channel + whole, &last[0], &last[2], 1};
    ec_dsp_blocks(block, weights);
    out_x[whole] = last[0];
    out_y[whole] = last[2];
  }
  if (range->narrow) {
    ec_narrow(out_x, channels, range);
    ec_narrow(out_y, channels, range);
  }
}

/* Sums of one vector with two pairs of channels: of the first of each, of both of each. */
EC_NOINLINE void ec_dsp_sums(const uint32_t *x, const uint32_t *p, const uint32_t *q, int32_t quads,
                             uint32_t sums[4]) {
  uint32_t fp = 0, bp = 0, fq = 0, bq = 0;
  const uint32_t *const end = x + 2 * quads;
  __asm__ volatile(
      "1:\n"
      "ldrd r2, r3, [%[x]], #8\n"
      "ldrd r4, r5, [%[p]], #8\n"
      "smlad %[bp], r2, r4, %[bp]\n"
      "smlad %[bp], r3, r5, %[bp]\n"
      "sxtb16 r4, r4\n"
      "sxtb16 r5, r5\n"
      "smlad %[fp], r2, r4, %[fp]\n"
      "smlad %[fp], r3, r5, %[fp]\n"
      "ldrd r4, r5, [%[q]], #8\n"
      "smlad %[bq], r2, r4, %[bq]\n"
      "smlad %[bq], r3, r5, %[bq]\n"
      "sxtb16 r4, r4\n"
      "sxtb16 r5, r5\n"
      "smlad %[fq], r2, r4, %[fq]\n"
      "smlad %[fq], r3, r5, %[fq]\n"
      "cmp %[x], %[end]\n"
      "bne 1b\n"
      : [x] "+r"(x), [p] "+r"(p), [q] "+r"(q), [fp] "+r"(fp), [bp] "+r"(bp), [fq] "+r"(fq),
        [bq] "+r"(bq)
      : [end] "r"(end)
      : "r2", "r3", "r4", "r5", "cc", "memory");
  sums[0] = fp;
  sums[1] = bp;
  sums[2] = fq;
  sums[3] = bq;
}

#else

EC_NOINLINE void ec_dsp_two_vectors(uint32_t *vectors, const uint32_t *weights,
                                    const ec_dsp_channel *channel, int32_t quads, int32_t channels,
                                    const ec_output_range *range, int8_t *out_x, int8_t *out_y) {
  for (int32_t c = 0; c < channels; c += 2, channel += 2) {
    uint32_t first_x = 0, both_x = 0, first_y = 0, both_y = 0;
    const uint32_t *x = vectors;
    for (int32_t i = 0; i < quads; ++i, x += 4, weights += 2) {
      const uint32_t v = ec_even_bytes(weights[0]), w = ec_even_bytes(weights[1]);
      both_x = ec_dual_multiply_add(x[1], weights[1], ec_dual_multiply_add(x[0], weights[0], both_x));
      both_y = ec_dual_multiply_add(x[3], weights[1], ec_dual_multiply_add(x[2], weights[0], both_y));
      first_x = ec_dual_multiply_add(x[1], w, ec_dual_multiply_add(x[0], v, first_x));
      first_y = ec_dual_multiply_add(x[3], w, ec_dual_multiply_add(x[2], v, first_y));
    }
    out_x[c] = ec_dsp_step(first_x + first_x, &channel[0]);
    out_y[c] = ec_dsp_step(first_y + first_y, &channel[0]);
    if (c + 1 < channels) {
      out_x[c + 1] = ec_dsp_step(ec_dsp_twice_second(both_x, first_x), &channel[1]);
      out_y[c + 1] = ec_dsp_step(ec_dsp_twice_second(both_y, first_y), &channel[1]);
    }
  }
  if (range->narrow) {
    ec_narrow(out_x, channels, range);
    ec_narrow(out_y, channels, range);
  }
}

EC_NOINLINE void ec_dsp_sums(const uint32_t *x, const uint32_t *p, const uint32_t *q, int32_t quads,
                             uint32_t sums[4]) {
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  for (const uint32_t *const end = x + 2 * quads; x != end; ++x, ++p, ++q) {
    sums[0] = ec_dual_multiply_add(*x, ec_even_bytes(*p), sums[0]);
    sums[1] = ec_dual_multiply_add(*x, *p, sums[1]);
    sums[2] = ec_dual_multiply_add(*x, ec_even_bytes(*q), sums[2]);
    sums[3] = ec_dual_multiply_add(*x, *q, sums[3]);
  }
}

#endif

/* All channels of one vector of 4 * `quads` > 0 elements, four at a time. */
EC_NOINLINE void ec_dsp_one_vector(const uint32_t *vector, const uint32_t *weights,
                                   const ec_dsp_channel *channel, int32_t quads, int32_t channels,
                                   const ec_output_range *range, int8_t *out) {
  for (int32_t c = 0; c < channels; c += 4, channel += 4, weights += 4 * quads) {
    /* the last channels may lack the second pair: it repeats the first */
    const int32_t second = c + 2 < channels ? 2 * quads : 0;
    uint32_t sums[4];
    ec_dsp_sums(vector, weights, weights + second, quads, sums);
    out[c] = ec_dsp_step(sums[0] + sums[0], &channel[0]);
    if (c + 1 == channels) break;
    out[c + 1] = ec_dsp_step(ec_dsp_twice_second(sums[1], sums[0]), &channel[1]);
    if (c + 2 == channels) break;
    out[c + 2] = ec_dsp_step(sums[2] + sums[2], &channel[2]);
    if (c + 3 == channels) break;
    out[c + 3] = ec_dsp_step(ec_dsp_twice_second(sums[3], sums[2]), &channel[3]);
  }
  if (range->narrow) ec_narrow(out, channels, range);
}

#endif
