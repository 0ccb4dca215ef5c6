/* Functions of int16, by tables and linear interpolation between their entries.
 *
 * The meaning is that of the TensorFlow Lite 16x8 quantization specification.
 */
#ifndef EDGECOMP_WIDE_H
#define EDGECOMP_WIDE_H

#include <stdint.h>

#include "edgecomp_integer.h"
#include "edgecomp_softmax.h"

/* Between two of the 513 entries of a table, 128 steps apart. */
EC_INLINE int32_t ec_interpolate(int32_t x, int32_t below, int32_t above) {
  const int32_t slope = (int16_t)(uint16_t)(uint32_t)(above - below);
  const int32_t value = below + ((slope * (x & 127) + 64) >> 7);
  return (int16_t)(uint16_t)(uint32_t)value;
}

/* What `table` says of x. */
EC_INLINE int32_t ec_look_up_wide(int32_t x, const int16_t *table) {
  const int32_t place = 256 + (x >> 7);
  return ec_interpolate(x, table[place], table[place + 1]);
}

/* Logistic of x / (3 * 2^12) in Q15; the table has the logistic of i / 24 in Q16. */
EC_INLINE int32_t ec_logistic_wide(int32_t x, const uint16_t *table) {
  const uint32_t size = (uint32_t)(x < 0 ? -x : x), place = size >> 9;
  uint32_t value = 0x7fffu << 10;
  if (place < 255) {
    const uint32_t rise = (uint32_t)table[place + 1] - table[place];
    value = ((uint32_t)table[place] << 9) + (size & 511) * rise;
  }
  return (int32_t)((x >= 0 ? value + 512 : (1u << 25) - value + 511) >> 10);
}

/* Hyperbolic tangent of x / (3 * 2^12) in Q15, from the same table: 2 * logistic(2 x) - 1. */
EC_INLINE int32_t ec_tanh_wide(int32_t x, const uint16_t *table) {
  const uint32_t size = (uint32_t)(x < 0 ? -x : x), place = size >> 8;
  int32_t value = 0xffff << 8;
  if (place < 255) {
    const uint32_t rise = (uint32_t)table[place + 1] - table[place];
    value = (int32_t)(((uint32_t)table[place] << 8) + (size & 255) * rise);
  }
  return (x >= 0 ? value - (1 << 23) + 128 : -value + (1 << 23) + 127) >> 8;
}

/* Both of `count` numbers times multiplier / 2^shift, ties up. */
#define EC_WIDE_CURVE(NAME, CURVE)                                                               \
  EC_STATIC void NAME(const int16_t *x, const uint16_t *table, int16_t *y, int32_t count,           \
                   int32_t multiplier, int32_t shift) {                                          \
    const int32_t half = shift > 0 ? (int32_t)1 << (shift - 1) : 0;                              \
    for (int32_t i = 0; i < count; ++i) {                                                        \
      y[i] = (int16_t)CURVE((x[i] * multiplier + half) >> shift, table);                         \
    }                                                                                            \
  }

EC_WIDE_CURVE(ec_logistic_s16, ec_logistic_wide)
EC_WIDE_CURVE(ec_tanh_s16, ec_tanh_wide)

/* `rows` rows of `depth` values to Q15. `exponential` has exp on [-10, 0], `inverse` 1 / (1 + x) on
 * [0, 1]; the multiplier brings differences to 65535 for 10. y holds the exponentials meanwhile. */
EC_STATIC void ec_softmax_s16(const int16_t *x, const int16_t *exponential, const int16_t *inverse,
                           int16_t *y, int32_t rows, int32_t depth, int32_t multiplier,
                           int32_t shift) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t largest = -32768, sum = 0;
    for (int32_t i = 0; i < depth; ++i) largest = x[i] > largest ? x[i] : largest;
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t argument = ec_multiply(x[i] - largest, multiplier, shift) + 32767;
      y[i] = (int16_t)ec_look_up_wide(ec_clamp(argument, -32768, 32767), exponential);
      sum += y[i];
    }
    const int32_t zeros = ec_leading_zeros((uint32_t)sum);
    const int64_t raised = (int64_t)sum << (zeros - 1);
    const int32_t fraction = (int32_t)((raised + (1 << 13)) >> 14) - ((1 << 15) + (1 << 16));
    const int32_t reciprocal = ec_look_up_wide(ec_clamp(fraction, -32768, 32767), inverse);
    const int32_t right = 31 - zeros;
    for (int32_t i = 0; i < depth; ++i) {
      const int64_t product = (int64_t)y[i] * reciprocal + ((int64_t)1 << (right - 1));
      y[i] = (int16_t)ec_clamp((int32_t)(product >> right), 0, 32767);
    }
  }
}

#endif
