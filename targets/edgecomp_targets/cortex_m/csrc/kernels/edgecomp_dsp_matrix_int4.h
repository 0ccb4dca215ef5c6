/* All channels of vectors as in `edgecomp_dsp_matrix.h`, by weights of four bits. */
#ifndef EDGECOMP_DSP_MATRIX_INT4_H
#define EDGECOMP_DSP_MATRIX_INT4_H

#include "edgecomp_dsp_int4.h"
#include "edgecomp_dsp_matrix.h"

/* All channels of one of two vectors of 4 * `quads` elements, its quads `pitch` words apart. */
EC_INLINE void ec_dsp_vector_int4(const uint32_t *vector, int32_t pitch, const uint32_t *weights,
                                  const ec_dsp_channel *channel, int32_t quads, int32_t channels,
                                  int8_t *out) {
  for (int32_t c = 0; c < channels; c += 4, channel += 4) {
    ec_dsp_int4_sums sums = {0, 0, 0, 0, 0};
    const uint32_t *x = vector;
    int32_t twice[4];
    EC_ROLLED for (int32_t i = 0; i < quads; ++i, x += pitch, weights += 2) {
      ec_dsp_int4_add(&sums, x[0], weights[0]);
      ec_dsp_int4_add(&sums, x[1], weights[1]);
      sums.vector = ec_dual_multiply_add(x[0], EC_INT4_ONES, sums.vector);
      sums.vector = ec_dual_multiply_add(x[1], EC_INT4_ONES, sums.vector);
    }
    ec_dsp_int4_twice(&sums, twice);
    for (int32_t i = 0; i < 4 && c + i < channels; ++i) {
      out[c + i] = ec_dsp_step((uint32_t)twice[i], &channel[i]);
    }
  }
}

/* All channels of one vector of 4 * `quads` > 0 elements. */
EC_NOINLINE void ec_dsp_one_vector_int4(const uint32_t *vector, const uint32_t *weights,
                                        const ec_dsp_channel *channel, int32_t quads,
                                        int32_t channels, const ec_output_range *range,
                                        int8_t *out) {
  ec_dsp_vector_int4(vector, 2, weights, channel, quads, channels, out);
  if (range->narrow) ec_narrow(out, channels, range);
}

#if EC_DSP && defined(__GNUC__)

/* Lies behind the two vectors. */
typedef struct {
  ec_dsp_block block;
  uint32_t minus_eight[2]; /* times the sum of each vector */
  uint32_t low[2];         /* the low bytes' sum with each: what c is too large by */
} ec_dsp_block_int4;

/* Of two words the low bytes count for a and b, and what is left of those for a. */
#define EC_DSP_QUAD_AB                                                               \
  EC_DSP_QUAD_OF("uxtb16 %[v], %[v]\n", "uxtb16 %[w], %[w]\n",                       \
                 "bic %[v], %[v], #0x000F000F\n", "bic %[w], %[w], #0x000F000F\n")
#define EC_DSP_QUAD_CD                                                               \
  EC_DSP_QUAD_OF("", "", "bic %[v], %[v], #0x0F000F00\n", "bic %[w], %[w], #0x0F000F00\n")

/* Whole groups of four channels; their weights are read for a and b, then for c and d. */
EC_INLINE void ec_dsp_blocks_int4(ec_dsp_block *block, const uint32_t *weights) {
  EC_DSP_BLOCKS(
      "0:\n" EC_DSP_SUMS(
          "ldrd %[bx], %[by], [%[end], #24]\n"
          "lsl %[fx], %[bx], #4\n"
          "lsl %[fy], %[by], #4\n"
          "add %[bx], %[bx], %[fx]\n"
          "add %[by], %[by], %[fy]\n",
          EC_DSP_QUAD_AB)
      "ldr %[v], [%[x], #4]\n"
      "strd %[bx], %[by], [%[x], #32]\n"
      "sub %[p], %[p], %[v], lsl #3\n"
      "sub %[bx], %[bx], %[fx]\n"
      "sub %[by], %[by], %[fy]\n" EC_DSP_STEPS("asr #3", "lsl #1")
      EC_DSP_SUMS(
          "ldrd %[bx], %[by], [%[end], #24]\n"
          "add %[fx], %[bx], %[bx], lsl #4\n"
          "add %[fy], %[by], %[by], lsl #4\n"
          "add %[bx], %[fx], %[bx], lsl #8\n"
          "add %[by], %[fy], %[by], lsl #8\n",
          EC_DSP_QUAD_CD)
      "ldrd r2, r3, [%[x], #32]\n"
      "sub %[bx], %[bx], %[fx]\n"
      "sub %[by], %[by], %[fy]\n"
      "sub %[fx], %[fx], r2\n"
      "sub %[fy], %[fy], r3\n" EC_DSP_STEPS("asr #11", "asr #7")
      "bne 0b\n");
}

/* The sums of two vectors, interleaved, times -8. */
EC_INLINE void ec_dsp_minus_eight(const uint32_t *vectors, int32_t quads, uint32_t minus_eight[2]) {
  uint32_t x = 0, y = 0;
  const uint32_t *const end = vectors + 4 * quads;
  __asm__ volatile(
      "1:\n"
      "ldmia %[v]!, {r2, r3, r4, r5}\n"
      "smlad %[x], r2, %[ones], %[x]\n"
      "smlad %[y], r4, %[ones], %[y]\n"
      "smlad %[x], r3, %[ones], %[x]\n"
      "smlad %[y], r5, %[ones], %[y]\n"
      "cmp %[v], %[end]\n"
      "bne 1b\n"
      : [v] "+r"(vectors), [x] "+r"(x), [y] "+r"(y)
      : [ones] "r"(EC_INT4_ONES), [end] "r"(end)
      : "r2", "r3", "r4", "r5", "cc", "memory");
  minus_eight[0] = 0u - 8 * x;
  minus_eight[1] = 0u - 8 * y;
}

/* All channels of two vectors of 4 * `quads` elements, expanded and interleaved; ten words behind them are
 * overwritten. */
EC_NOINLINE void ec_dsp_two_vectors_int4(uint32_t *vectors, const uint32_t *weights,
                                         const ec_dsp_channel *channel, int32_t quads,
                                         int32_t channels, const ec_output_range *range,
                                         int8_t *out_x, int8_t *out_y) {
  ec_dsp_block_int4 *const at = (ec_dsp_block_int4 *)(void *)(vectors + 4 * quads);
  const int32_t whole = channels & ~3;
  ec_dsp_minus_eight(vectors, quads, at->minus_eight);
  if (whole) {
    at->block = (ec_dsp_block){vectors, quads, channel, out_x, out_y, whole >> 1};
    ec_dsp_blocks_int4(&at->block, weights);
  }
  if (whole != channels) {
    int8_t last[8]; /* of the channels, and of those that are only there to fill the group */
    const uint32_t *const rest = weights + (whole >> 1) * quads;
    at->block = (ec_dsp_block){vectors, quads, channel + whole, &last[0], &last[4], 2};
    ec_dsp_blocks_int4(&at->block, rest);
    for (int32_t c = whole; c < channels; ++c) {
      out_x[c] = last[c & 3];
      out_y[c] = last[4 + (c & 3)];
    }
  }
  if (range->narrow) {
    ec_narrow(out_x, channels, range);
    ec_narrow(out_y, channels, range);
  }
}

#else

EC_NOINLINE void ec_dsp_two_vectors_int4(uint32_t *vectors, const uint32_t *weights,
                                         const ec_dsp_channel *channel, int32_t quads,
                                         int32_t channels, const ec_output_range *range,
                                         int8_t *out_x, int8_t *out_y) {
  ec_dsp_vector_int4(vectors, 4, weights, channel, quads, channels, out_x);
  ec_dsp_vector_int4(vectors + 2, 4, weights, channel, quads, channels, out_y);
  if (range->narrow) {
    ec_narrow(out_x, channels, range);
    ec_narrow(out_y, channels, range);
  }
}

#endif

#endif
