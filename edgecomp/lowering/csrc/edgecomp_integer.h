/* Integer arithmetic of quantized operators.
 *
 * The meaning is that of the TensorFlow Lite 8-bit quantization specification: a real multiplier is a
 * Q31 mantissa and a power of two, applied with two roundings. C99, freestanding, no branches on data.
 */
#ifndef EDGECOMP_INTEGER_H
#define EDGECOMP_INTEGER_H

#include <stdint.h>

#include "edgecomp_compiler.h"

EC_INLINE int32_t ec_clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : (x > high ? high : x);
}

/* High 32 bits of 2*a*b, rounded to nearest, ties towards plus infinity. a and b must not both be
 * INT32_MIN; multipliers are positive, so they never are. */
EC_INLINE int32_t ec_doubling_high_multiply(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^exponent, rounded to nearest, ties away from zero; 0 <= exponent <= 31. */
EC_INLINE int32_t ec_rounding_shift_right(int32_t x, int32_t exponent) {
  const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
  const int32_t remainder = x & mask;
  const int32_t threshold = (mask >> 1) + (x < 0);
  return (x >> exponent) + (remainder > threshold);
}

EC_INLINE int32_t ec_shift_left(int32_t x, int32_t exponent) {
  return (int32_t)((uint32_t)x << exponent);
}

/* x * 2^exponent, saturated; 0 <= exponent <= 31. */
EC_INLINE int32_t ec_saturating_shift(int32_t x, int32_t exponent) {
  const int64_t wide = (int64_t)x * ((int64_t)1 << exponent);
  return wide > INT32_MAX ? INT32_MAX : (wide < INT32_MIN ? INT32_MIN : (int32_t)wide);
}

/* x * multiplier * 2^(shift - 31). */
EC_INLINE int32_t ec_multiply(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  return ec_rounding_shift_right(ec_doubling_high_multiply(ec_shift_left(x, left), multiplier), right);
}

/* The same where shift <= 0. */
EC_INLINE int32_t ec_multiply_down(int32_t x, int32_t multiplier, int32_t shift) {
  return ec_rounding_shift_right(ec_doubling_high_multiply(x, multiplier), -shift);
}

/* The same of a 64-bit sum, |x| < 2^48: the multiplier rounded to 16 bits, one rounding, ties upwards. */
EC_INLINE int32_t ec_multiply_wide(int64_t x, int32_t multiplier, int32_t shift) {
  const int32_t reduced =
      multiplier < 0x7fff0000 ? (multiplier + (1 << 15)) >> 16 : 0x7fff;
  const int32_t right = 15 - shift;
  return (int32_t)((x * reduced + ((int64_t)1 << (right - 1))) >> right);
}

/* Sum / count, rounded to nearest, ties away from zero; count > 0. */
EC_INLINE int32_t ec_rounded_mean(int32_t sum, int32_t count) {
  return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

/* The same with ties up, as integers without a sign have them. */
EC_INLINE int32_t ec_mean_ties_up(int32_t sum, int32_t count) {
  const int32_t raised = sum + count / 2;
  return raised >= 0 ? raised / count : -((count - 1 - raised) / count);
}

/* The mean of a 64-bit sum, |sum| < 2^62, that fits 32 bits: ties away from zero. */
EC_INLINE int32_t ec_rounded_mean_wide(int64_t sum, int32_t count) {
  return (int32_t)(sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count);
}

#endif
