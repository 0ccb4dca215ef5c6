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
  for (; quads > 0; --quads, x += 4, to += 2) {
    const uint32_t word = ec_load_word(x);
    to[0] = ec_even_bytes(word);
    to[1] = ec_odd_bytes(word);
  }
  return to;
}

/* The same of two vectors, interleaved. */
EC_INLINE uint32_t *ec_dsp_expand_two(uint32_t *to, const int8_t *x, const int8_t *y,
                                      int32_t quads) {
  for (; quads > 0; --quads, x += 4, y += 4, to += 4) {
    const uint32_t first = ec_load_word(x), second = ec_load_word(y);
    to[0] = ec_even_bytes(first);
    to[1] = ec_odd_bytes(first);
    to[2] = ec_even_bytes(second);
    to[3] = ec_odd_bytes(second);
  }
  return to;
}

/* Sums of two vectors with channel a and with both channels; then the outputs made of them. */
typedef struct {
  uint32_t first_x, both_x, first_y, both_y;
} ec_dsp_sums;

#if EC_DSP && defined(__GNUC__)

/* Four elements of two vectors with two channels: r2-r5 hold x(k0,k2), x(k1,k3), y(k0,k2), y(k1,k3). */
#define EC_DSP_QUAD                 \
  "ldmia %[x]!, {r2, r3, r4, r5}\n" \
  "ldrd %[v], %[w], [%[p]], #8\n"   \
  "smlad %[bx], r2, %[v], %[bx]\n"  \
  "smlad %[by], r4, %[v], %[by]\n"  \
  "sxtb16 %[v], %[v]\n"             \
  "smlad %[fx], r2, %[v], %[fx]\n"  \
  "smlad %[fy], r4, %[v], %[fy]\n"  \
  "smlad %[bx], r3, %[w], %[bx]\n"  \
  "smlad %[by], r5, %[w], %[by]\n"  \
  "sxtb16 %[w], %[w]\n"             \
  "smlad %[fx], r3, %[w], %[fx]\n"  \
  "smlad %[fy], r5, %[w], %[fy]\n"

/* Products of 4 * `quads` elements, two channels; gives the weights after them. */
EC_INLINE const uint32_t *ec_dsp_products(const uint32_t *x, const uint32_t *p, int32_t quads,
                                          ec_dsp_sums *sums) {
  uint32_t first_x = 0, both_x = 0, first_y = 0, both_y = 0, v, w;
  const uint32_t *end = x + 4 * (quads & 3);
  __asm__ volatile(
      "b 2f\n"
      "1:\n" EC_DSP_QUAD
      "2:\n"
      "cmp %[x], %[end]\n"
      "bne 1b\n"
      : [x] "+r"(x), [p] "+r"(p), [v] "=&r"(v), [w] "=&r"(w), [fx] "+r"(first_x),
        [bx] "+r"(both_x), [fy] "+r"(first_y), [by] "+r"(both_y)
      : [end] "r"(end)
      : "r2", "r3", "r4", "r5", "cc", "memory");
  end = x + 4 * (quads & ~3);
  __asm__ volatile(
      "b 2f\n"
      "1:\n" EC_DSP_QUAD EC_DSP_QUAD EC_DSP_QUAD EC_DSP_QUAD
      "2:\n"
      "cmp %[x], %[end]\n"
      "bne 1b\n"
      : [x] "+r"(x), [p] "+r"(p), [v] "=&r"(v), [w] "=&r"(w), [fx] "+r"(first_x),
        [bx] "+r"(both_x), [fy] "+r"(first_y), [by] "+r"(both_y)
      : [end] "r"(end)
      : "r2", "r3", "r4", "r5", "cc", "memory");
  sums->first_x = first_x;
  sums->both_x = both_x;
  sums->first_y = first_y;
  sums->both_y = both_y;
  return p;
}

/* Rescale the sums of a channel and of the next to four output steps, within int8. */
EC_INLINE void ec_dsp_outputs(const ec_dsp_channel *channel, ec_dsp_sums *sums) {
  __asm__ volatile(
      "sub %[bx], %[bx], %[fx]\n"
      "sub %[by], %[by], %[fy]\n"
      "ldmia %[c]!, {r2, r3, r4, r5}\n"
      "add %[fx], r2, %[fx], lsl #1\n"
      "add %[fy], r2, %[fy], lsl #1\n"
      "add r2, r4, %[fx], asr #31\n"
      "add r4, r4, %[fy], asr #31\n"
      "smmlar %[fx], %[fx], r3, r2\n"
      "smmlar %[fy], %[fy], r3, r4\n"
      "asr %[fx], %[fx], r5\n"
      "asr %[fy], %[fy], r5\n"
      "ldmia %[c]!, {r2, r3, r4, r5}\n"
      "add %[bx], r2, %[bx], asr #7\n"
      "add %[by], r2, %[by], asr #7\n"
      "add r2, r4, %[bx], asr #31\n"
      "add r4, r4, %[by], asr #31\n"
      "smmlar %[bx], %[bx], r3, r2\n"
      "smmlar %[by], %[by], r3, r4\n"
      "asr %[bx], %[bx], r5\n"
      "asr %[by], %[by], r5\n"
      "ssat %[fx], #8, %[fx]\n"
      "ssat %[fy], #8, %[fy]\n"
      "ssat %[bx], #8, %[bx]\n"
      "ssat %[by], #8, %[by]\n"
      : [c] "+r"(channel), [fx] "+r"(sums->first_x), [bx] "+r"(sums->both_x),
        [fy] "+r"(sums->first_y), [by] "+r"(sums->both_y)
      :
      : "r2", "r3", "r4", "r5", "cc", "memory");
}

#else

EC_INLINE const uint32_t *ec_dsp_products(const uint32_t *x, const uint32_t *p, int32_t quads,
                                          ec_dsp_sums *sums) {
  ec_dsp_sums s = {0, 0, 0, 0};
  for (const uint32_t *const end = x + 4 * quads; x != end; x += 4, p += 2) {
    const uint32_t v = ec_even_bytes(p[0]), w = ec_even_bytes(p[1]);
    s.both_x = ec_dual_multiply_add(x[1], p[1], ec_dual_multiply_add(x[0], p[0], s.both_x));
    s.both_y = ec_dual_multiply_add(x[3], p[1], ec_dual_multiply_add(x[2], p[0], s.both_y));
    s.first_x = ec_dual_multiply_add(x[1], w, ec_dual_multiply_add(x[0], v, s.first_x));
    s.first_y = ec_dual_multiply_add(x[3], w, ec_dual_multiply_add(x[2], v, s.first_y));
  }
  *sums = s;
  return p;
}

EC_INLINE uint32_t ec_dsp_first(uint32_t sum, const ec_dsp_channel *channel) {
  const int32_t twice = (int32_t)(sum + sum + (uint32_t)channel->twice_bias);
  return (uint32_t)ec_clamp(ec_dsp_rescale(twice, channel), -128, 127);
}

EC_INLINE uint32_t ec_dsp_second(uint32_t both, uint32_t first, const ec_dsp_channel *channel) {
  const int32_t twice = channel->twice_bias + ((int32_t)(both - first) >> 7);
  return (uint32_t)ec_clamp(ec_dsp_rescale(twice, channel), -128, 127);
}

EC_INLINE void ec_dsp_outputs(const ec_dsp_channel *channel, ec_dsp_sums *sums) {
  const ec_dsp_sums s = *sums;
  sums->first_x = ec_dsp_first(s.first_x, &channel[0]);
  sums->both_x = ec_dsp_second(s.both_x, s.first_x, &channel[1]);
  sums->first_y = ec_dsp_first(s.first_y, &channel[0]);
  sums->both_y = ec_dsp_second(s.both_y, s.first_y, &channel[1]);
}

#endif

EC_INLINE uint32_t ec_dsp_narrowed(uint32_t step, const ec_dsp_range *range) {
  return (uint32_t)ec_clamp((int32_t)step, range->low, range->high);
}

/* All channels of two vectors of 4 * `quads` elements, expanded and interleaved. */
EC_NOINLINE void ec_dsp_two_vectors(const uint32_t *vectors, const uint32_t *weights,
                                    const ec_dsp_channel *channel, int32_t quads, int32_t channels,
                                    const ec_dsp_range *range, int8_t *out_x, int8_t *out_y) {
  const int8_t *const end = out_x + channels;
  for (;;) {
    ec_dsp_sums sums;
    weights = ec_dsp_products(vectors, weights, quads, &sums);
    ec_dsp_outputs(channel, &sums);
    channel += 2;
    if (range->narrow) {
      sums.first_x = ec_dsp_narrowed(sums.first_x, range);
      sums.both_x = ec_dsp_narrowed(sums.both_x, range);
      sums.first_y = ec_dsp_narrowed(sums.first_y, range);
      sums.both_y = ec_dsp_narrowed(sums.both_y, range);
    }
    out_x[0] = (int8_t)sums.first_x;
    out_y[0] = (int8_t)sums.first_y;
    if (end - out_x < 2) return;
    out_x[1] = (int8_t)sums.both_x;
    out_y[1] = (int8_t)sums.both_y;
    out_x += 2;
    out_y += 2;
    if (out_x == end) return;
  }
}

/* All channels of one vector of 4 * `quads` elements, four at a time: the sums of x are those of the
 * first two channels, the sums of y those of the next two. */
EC_NOINLINE void ec_dsp_one_vector(const uint32_t *vector, const uint32_t *weights,
                                   const ec_dsp_channel *channel, int32_t quads, int32_t channels,
                                   const ec_dsp_range *range, int8_t *out) {
  for (int32_t c = 0; c < channels; c += 4, channel += 4) {
    const uint32_t *w = weights;
    /* the last channels may lack the second pair: it repeats the first */
    const uint32_t *v = c + 2 < channels ? weights + 2 * quads : weights;
    ec_dsp_sums s = {0, 0, 0, 0};
    for (const uint32_t *x = vector; x != vector + 2 * quads; x += 2, w += 2, v += 2) {
      s.both_x = ec_dual_multiply_add(x[1], w[1], ec_dual_multiply_add(x[0], w[0], s.both_x));
      s.both_y = ec_dual_multiply_add(x[1], v[1], ec_dual_multiply_add(x[0], v[0], s.both_y));
      s.first_x = ec_dual_multiply_add(x[0], ec_even_bytes(w[0]), s.first_x);
      s.first_y = ec_dual_multiply_add(x[0], ec_even_bytes(v[0]), s.first_y);
      s.first_x = ec_dual_multiply_add(x[1], ec_even_bytes(w[1]), s.first_x);
      s.first_y = ec_dual_multiply_add(x[1], ec_even_bytes(v[1]), s.first_y);
    }
    weights = v;
    const uint32_t sums[4] = {s.first_x + s.first_x, (uint32_t)((int32_t)(s.both_x - s.first_x) >> 7),
                              s.first_y + s.first_y, (uint32_t)((int32_t)(s.both_y - s.first_y) >> 7)};
    const int32_t left = channels - c < 4 ? channels - c : 4;
    for (int32_t i = 0; i < left; ++i) {
      const int32_t twice = (int32_t)(sums[i] + (uint32_t)channel[i].twice_bias);
      *out++ = ec_dsp_clamped(ec_dsp_rescale(twice, &channel[i]), range);
    }
  }
}

#endif
