/* Mean over the pixels of an image, four channels at a time. */
#ifndef EDGECOMP_DSP_MEAN_H
#define EDGECOMP_DSP_MEAN_H

#include "edgecomp_dsp.h"

/* As `dsp_mean.py` writes it. */
typedef struct {
  int32_t batch, pixels, channels;
  ec_dsp_channel rescaling; /* its bias takes the input's zero points away */
} ec_dsp_mean_shape;

/* Pairs of int16 with two bytes of `word` added to each: SXTAB16. */
EC_INLINE uint32_t ec_add_even_bytes(uint32_t sums, uint32_t word) {
#if EC_DSP
  return (uint32_t)__sxtab16((int16x2_t)sums, (int8x4_t)word);
#else
  return ec_halves(ec_low_half(sums) + (int8_t)(uint8_t)word,
                   ec_high_half(sums) + (int8_t)(uint8_t)(word >> 16));
#endif
}

EC_INLINE int8_t ec_dsp_mean_of(int32_t sum, const ec_dsp_channel *channel) {
  return (int8_t)ec_clamp(ec_dsp_rescale(2 * sum + channel->twice_bias, channel), -128, 127);
}

EC_NOINLINE void ec_dsp_mean(const int8_t *x, const int32_t *geometry, int8_t *y) {
  const ec_dsp_mean_shape *const s = (const ec_dsp_mean_shape *)(const void *)geometry;
  const int32_t channels = s->channels;
  for (int32_t n = 0; n < s->batch; ++n, x += s->pixels * channels) {
    for (int32_t c = 0; c < channels; c += 4, y += 4) {
      int32_t sums[4] = {0, 0, 0, 0};
      const int8_t *at = x + c;
      for (int32_t left = s->pixels; left > 0;) {
        int32_t some = left < 256 ? left : 256; /* so many fit 16 bits */
        uint32_t even = 0, odd = 0;
        left -= some;
        for (; some > 1; some -= 2, at += 2 * channels) {
          const uint32_t first = ec_load_word(at), second = ec_load_word(at + channels);
          even = ec_add_even_bytes(ec_add_even_bytes(even, first), second);
          odd = ec_add_even_bytes(ec_add_even_bytes(odd, (first >> 8) | (first << 24)),
                                  (second >> 8) | (second << 24));
        }
        if (some) {
          const uint32_t last = ec_load_word(at);
          even = ec_add_even_bytes(even, last);
          odd = ec_add_even_bytes(odd, (last >> 8) | (last << 24));
          at += channels;
        }
        sums[0] += ec_low_half(even);
        sums[1] += ec_low_half(odd);
        sums[2] += ec_high_half(even);
        sums[3] += ec_high_half(odd);
      }
      for (int32_t k = 0; k < 4; ++k) y[k] = ec_dsp_mean_of(sums[k], &s->rescaling);
    }
  }
}

#endif
