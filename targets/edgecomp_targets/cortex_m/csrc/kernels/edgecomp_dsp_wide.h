/* Convolutions of many pixels with short patches, by weights of 16 bits.
 *
 * A patch is brought to words of two int16 (elements times 256), then makes four channels at a time.
 * Their weights (times a power of two for each channel), bias, addend and multiplier lie in the order
 * they are used in, so that one pointer reads them all. See `dsp_wide.py` for the order of a patch.
 */
#ifndef EDGECOMP_DSP_WIDE_H
#define EDGECOMP_DSP_WIDE_H

#include "edgecomp_dsp.h"

/* The t of scaled sums in `rescale.py`; the assembly knows it. */
#define EC_WIDE_SHIFT 17

/* As `dsp_wide.py` writes them. */
typedef struct {
  int32_t pixels, filters;
  ec_output_range range;
} ec_dsp_wide_points_shape;

typedef struct {
  int32_t batch, height, width, channels;
  int32_t out_height, out_width, filters;
  int32_t kernel_height, stride_height, pad_top, pad_left;
  int32_t step;  /* elements from one patch to the next, an even number */
  int32_t span;  /* elements one row of the kernel reads */
  int32_t pitch; /* elements of a row with its border, an even number */
  int32_t zero_point;
  ec_output_range range;
} ec_dsp_wide_conv_shape;

/* Words of four channels: four biases, their weights for each word of the patch, then the addend and
 * the multiplier of each. */
EC_INLINE int32_t ec_dsp_wide_group(int32_t words) { return 4 + 4 * words + 8; }

#if EC_DSP && defined(__GNUC__)

/* Lies behind the patch, where the assembly finds it. */
typedef struct {
  int8_t *out;
  const uint32_t *end; /* of the weights */
} ec_dsp_wide_block;

/* One word of the patch with four channels: sums in r8-r11. */
#define EC_WIDE_WORD(x)                \
  "ldmia %[p]!, {r2, r3, r4, r5}\n"    \
  "smlad r8, " x ", r2, r8\n"          \
  "smlad r9, " x ", r3, r9\n"          \
  "smlad r10, " x ", r4, r10\n"        \
  "smlad r11, " x ", r5, r11\n"

#define EC_WIDE_2 "ldmia %[x]!, {r6, r12}\n" EC_WIDE_WORD("r6") EC_WIDE_WORD("r12")
#define EC_WIDE_3 \
  "ldmia %[x]!, {r6, r12, lr}\n" EC_WIDE_WORD("r6") EC_WIDE_WORD("r12") EC_WIDE_WORD("lr")
#define EC_WIDE_4 EC_WIDE_2 EC_WIDE_2
#define EC_WIDE_6 EC_WIDE_3 EC_WIDE_3
#define EC_WIDE_8 EC_WIDE_6 EC_WIDE_2
#define EC_WIDE_10 EC_WIDE_6 EC_WIDE_4
#define EC_WIDE_12 EC_WIDE_6 EC_WIDE_6
#define EC_WIDE_14 EC_WIDE_12 EC_WIDE_2
#define EC_WIDE_16 EC_WIDE_12 EC_WIDE_4
#define EC_WIDE_18 EC_WIDE_12 EC_WIDE_6
#define EC_WIDE_20 EC_WIDE_12 EC_WIDE_8
#define EC_WIDE_22 EC_WIDE_12 EC_WIDE_10
#define EC_WIDE_24 EC_WIDE_12 EC_WIDE_12
#define EC_WIDE_26 EC_WIDE_24 EC_WIDE_2
#define EC_WIDE_28 EC_WIDE_24 EC_WIDE_4
#define EC_WIDE_30 EC_WIDE_24 EC_WIDE_6
#define EC_WIDE_32 EC_WIDE_24 EC_WIDE_8

#define EC_WIDE_PIXEL(words)                                                               \
  __asm__ volatile(                                                                        \
      "0:\n"                                                                               \
      "ldmia %[p]!, {r8, r9, r10, r11}\n"                                                  \
      EC_WIDE_##words                                                                      \
      "ldmia %[p]!, {r2, r3, r4, r5}\n"                                                    \
      "smmla r8, r8, r3, r2\n"                                                             \
      "smmla r9, r9, r5, r4\n"                                                             \
      "ldmia %[p]!, {r2, r3, r4, r5}\n"                                                    \
      "smmla r10, r10, r3, r2\n"                                                           \
      "smmla r11, r11, r5, r4\n"                                                           \
      "ldrd r2, r3, [%[x]]\n"                                                              \
      "ssat r8, #8, r8, asr #17\n"                                                         \
      "ssat r9, #8, r9, asr #17\n"                                                         \
      "ssat r10, #8, r10, asr #17\n"                                                       \
      "ssat r11, #8, r11, asr #17\n"                                                       \
      "strb r8, [r2], #1\n"                                                                \
      "strb r9, [r2], #1\n"                                                                \
      "strb r10, [r2], #1\n"                                                               \
      "strb r11, [r2], #1\n"                                                               \
      "cmp %[p], r3\n"                                                                     \
      "str r2, [%[x]], #-4*" #words "\n"                                                   \
      "bne 0b\n"                                                                           \
      : [x] "+r"(x), [p] "+r"(weights)                                                     \
      :                                                                                    \
      : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory")

#define EC_WIDE_CASE(words)    \
  case words:                  \
    EC_WIDE_PIXEL(words);      \
    break

/* What stays for all patches; `words` is a constant. Two words behind the patch are overwritten. */
EC_INLINE void ec_dsp_wide_begin(int32_t words, uint32_t *patch, const uint32_t *weights,
                                 int32_t filters) {
  ec_dsp_wide_block *const block = (ec_dsp_wide_block *)(void *)(patch + words);
  block->end = weights + (filters >> 2) * ec_dsp_wide_group(words);
  patch[words - 1] = 0; /* it may be there to fill up only */
}

/* All channels of the patch. */
EC_INLINE void ec_dsp_wide_pixel(int32_t words, uint32_t *x, const uint32_t *weights,
                                 int32_t filters, int8_t *out) {
  (void)filters;
  ((ec_dsp_wide_block *)(void *)(x + words))->out = out;
  switch (words) {
    EC_WIDE_CASE(2);
    EC_WIDE_CASE(4);
    EC_WIDE_CASE(6);
    EC_WIDE_CASE(8);
    EC_WIDE_CASE(10);
    EC_WIDE_CASE(12);
    EC_WIDE_CASE(14);
    EC_WIDE_CASE(16);
    EC_WIDE_CASE(18);
    EC_WIDE_CASE(20);
    EC_WIDE_CASE(22);
    EC_WIDE_CASE(24);
    EC_WIDE_CASE(26);
    EC_WIDE_CASE(28);
    EC_WIDE_CASE(30);
    EC_WIDE_CASE(32);
    default: break;
  }
}

#else

EC_INLINE void ec_dsp_wide_begin(int32_t words, uint32_t *patch, const uint32_t *weights,
                                 int32_t filters) {
  (void)weights;
  (void)filters;
  patch[words - 1] = 0;
}

EC_INLINE void ec_dsp_wide_pixel(int32_t words, const uint32_t *x, const uint32_t *weights,
                                 int32_t filters, int8_t *out) {
  for (int32_t c = 0; c < filters; c += 4, weights += ec_dsp_wide_group(words)) {
    const uint32_t *const rescaling = weights + 4 + 4 * words;
    for (int32_t i = 0; i < 4; ++i) {
      uint32_t sum = weights[i];
      for (int32_t k = 0; k < words; ++k) {
        sum = ec_dual_multiply_add(x[k], weights[4 + 4 * k + i], sum);
      }
      out[c + i] = ec_dsp_scaled_step(sum, (int32_t)rescaling[2 * i + 1],
                                      (int32_t)rescaling[2 * i], EC_WIDE_SHIFT);
    }
  }
}

#endif

/* Pixels of the input as patches: of four elements k0..k3 first (k0, k2), then (k1, k3). */
EC_INLINE void ec_dsp_wide_points(int32_t words, const int8_t *x, const uint32_t *weights,
                                  const ec_dsp_wide_points_shape *s, int8_t *y, uint32_t *patch) {
  const int32_t filters = s->filters;
  ec_dsp_wide_begin(words, patch, weights, filters);
  for (const int8_t *const end = x + s->pixels * 2 * words; x != end; y += filters) {
    for (int32_t k = 0; k < words; k += 2, x += 4) {
      const uint32_t word = ec_load_word(x);
      patch[k] = ec_even_scaled(word);
      patch[k + 1] = ec_odd_scaled(word);
    }
    ec_dsp_wide_pixel(words, patch, weights, filters, y);
    if (s->range.narrow) ec_narrow(y, filters, &s->range);
  }
}

/* An element times 256, at any address. */
EC_INLINE void ec_dsp_wide_put(int8_t *to, int32_t element) {
  to[0] = 0;
  to[1] = (int8_t)element;
}

/* One input row, or border where there is none, as int16 in their order. */
EC_NOINLINE void ec_dsp_wide_row(const int8_t *image, int32_t row, int8_t *to,
                                 const ec_dsp_wide_conv_shape *s) {
  const int inside = row >= 0 && row < s->height;
  const int32_t left = inside ? s->pad_left * s->channels : s->pitch;
  int32_t body = inside ? s->width * s->channels : 0;
  int32_t right = s->pitch - left - body;
  const int8_t *from = inside ? image + row * body : image;
  EC_ROLLED for (int32_t i = 0; i < left; ++i, to += 2) ec_dsp_wide_put(to, s->zero_point);
  EC_ROLLED for (; body > 3; body -= 4, from += 4, to += 8) {
    const uint32_t word = ec_load_word(from);
    const uint32_t even = ec_even_scaled(word), odd = ec_odd_scaled(word);
    ec_store_word(to, ec_low_halves(even, odd));
    ec_store_word(to + 4, ec_high_halves(even, odd));
  }
  EC_ROLLED for (; body > 0; --body, ++from, to += 2) ec_dsp_wide_put(to, *from);
  EC_ROLLED for (; right > 0; --right, to += 2) ec_dsp_wide_put(to, s->zero_point);
}

/* The patch whose upper left element is at `from`. The last elements of rows of an odd number share a
 * word, two rows each. */
EC_NOINLINE void ec_dsp_wide_gather(uint32_t *to, const uint32_t *from, int32_t rows, int32_t span,
                                    int32_t row_words) {
  uint32_t held = 0;
  int32_t odd = 0;
  EC_ROLLED for (; rows > 0; --rows, from += row_words) {
    const uint32_t *at = from;
    int32_t left = span;
    EC_ROLLED for (; left > 7; left -= 8) {
#if EC_DSP && defined(__GNUC__)
      __asm__ volatile(
          "ldmia %[at]!, {r3, r4, r5, r6}\n"
          "stmia %[to]!, {r3, r4, r5, r6}\n"
          : [at] "+r"(at), [to] "+r"(to)
          :
          : "r3", "r4", "r5", "r6", "memory");
#else
      for (int32_t i = 0; i < 4; ++i) *to++ = *at++;
#endif
    }
    EC_ROLLED for (; left > 1; left -= 2) *to++ = *at++;
    if (left) {
      if (odd) *to++ = ec_low_halves(held, *at);
      odd = !odd;
      held = *at;
    }
  }
  if (odd) *to = held;
}

/* NHWC. `scratch` has the patch and two words more, then the rows of a kernel and one word. */
EC_INLINE void ec_dsp_wide_conv(int32_t words, const int8_t *x, const uint32_t *weights,
                                const ec_dsp_wide_conv_shape *s, int8_t *y, uint32_t *patch) {
  uint32_t *const rows = patch + words + 2;
  const int32_t row_words = s->pitch >> 1;
  ec_dsp_wide_begin(words, patch, weights, s->filters);
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    for (int32_t h = 0; h < s->out_height; ++h) {
      const int32_t top = h * s->stride_height - s->pad_top;
      const int32_t kept = h ? s->kernel_height - s->stride_height : 0;
      EC_ROLLED for (int32_t i = 0; i < kept * row_words; ++i) {
        rows[i] = rows[i + s->stride_height * row_words];
      }
      for (int32_t k = kept > 0 ? kept : 0; k < s->kernel_height; ++k) {
        ec_dsp_wide_row(x, top + k, (int8_t *)(rows + k * row_words), s);
      }
      const uint32_t *from = rows;
      for (int32_t left = s->out_width; left > 0; --left, from += s->step >> 1) {
        ec_dsp_wide_gather(patch, from, s->kernel_height, s->span, row_words);
        ec_dsp_wide_pixel(words, patch, weights, s->filters, y);
        if (s->range.narrow) ec_narrow(y, s->filters, &s->range);
        y += s->filters;
      }
    }
  }
}

#define EC_DSP_WIDE(words)                                                                      \
  EC_NOINLINE void ec_dsp_wide_points_##words(const int8_t *x, const int32_t *weights,          \
                                              const int32_t *shape, int8_t *y,                  \
                                              int32_t *scratch) {                               \
    ec_dsp_wide_points(words, x, (const uint32_t *)(const void *)weights,                       \
                       (const ec_dsp_wide_points_shape *)(const void *)shape, y,                \
                       (uint32_t *)(void *)scratch);                                            \
  }                                                                                             \
  EC_NOINLINE void ec_dsp_wide_conv_##words(const int8_t *x, const int32_t *weights,            \
                                            const int32_t *shape, int8_t *y,                    \
                                            int32_t *scratch) {                                 \
    ec_dsp_wide_conv(words, x, (const uint32_t *)(const void *)weights,                         \
                     (const ec_dsp_wide_conv_shape *)(const void *)shape, y,                    \
                     (uint32_t *)(void *)scratch);                                              \
  }

EC_DSP_WIDE(2)
EC_DSP_WIDE(4)
EC_DSP_WIDE(6)
EC_DSP_WIDE(8)
EC_DSP_WIDE(10)
EC_DSP_WIDE(12)
EC_DSP_WIDE(14)
EC_DSP_WIDE(16)
EC_DSP_WIDE(18)
EC_DSP_WIDE(20)
EC_DSP_WIDE(22)
EC_DSP_WIDE(24)
EC_DSP_WIDE(26)
EC_DSP_WIDE(28)
EC_DSP_WIDE(30)
EC_DSP_WIDE(32)

#endif
