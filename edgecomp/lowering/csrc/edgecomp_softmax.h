/* Softmax of int8 rows in fixed point, to int8 or int16.
 *
 * exp and 1/(1+x) on integers follow the definitions of the TensorFlow Lite 8-bit softmax: arguments in
 * Q5.26, results in Q0.31, sums in Q12.19. Barrel-shifter exp: exp(-1/4) .. exp(-16) multiplied in for
 * each bit of the argument; reciprocal by three Newton-Raphson steps.
 */
#ifndef EDGECOMP_SOFTMAX_H
#define EDGECOMP_SOFTMAX_H

#include <stdint.h>

#include "edgecomp_integer.h"

/* exp(a) for a in [-1/4, 0), Q0.31: Taylor to the fourth degree around -1/8. */
EC_INLINE int32_t ec_exp_quarter(int32_t a) {
  const int32_t exp_minus_eighth = 1895147668;
  const int32_t third = 715827883;
  const int32_t x = a + (1 << 28);
  const int32_t x2 = ec_doubling_high_multiply(x, x);
  const int32_t x3 = ec_doubling_high_multiply(x2, x);
  const int32_t x4 = ec_doubling_high_multiply(x2, x2);
  const int32_t x4_4 = ec_rounding_shift_right(x4, 2);
  const int32_t tail = ec_rounding_shift_right(
      ec_doubling_high_multiply(x4_4 + x3, third) + x2, 1);
  return exp_minus_eighth + ec_doubling_high_multiply(exp_minus_eighth, x + tail);
}

/* exp(a) for a <= 0 in Q5.26, as Q0.31; exp(0) is the largest number. */
EC_INLINE int32_t ec_exp_negative(int32_t a) {
  static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};
  const int32_t quarter = 1 << 24;
  const int32_t below = (a & (quarter - 1)) - quarter;
  const int32_t remainder = below - a;
  int32_t result = ec_exp_quarter((int32_t)((uint32_t)below << 5));
  for (int32_t bit = 0; bit < 7; ++bit) {
    if (remainder & (1 << (24 + bit))) {
      result = ec_doubling_high_multiply(result, factors[bit]);
    }
  }
  return a == 0 ? INT32_MAX : result;
}

/* Half of a + b, rounded away from zero. */
EC_INLINE int32_t ec_rounding_half_sum(int32_t a, int32_t b) {
  const int64_t sum = (int64_t)a + b;
  return (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
}

/* x * 2^2 in Q, saturated. */
EC_INLINE int32_t ec_saturating_quadruple(int32_t x) {
  const int32_t limit = (1 << 29) - 1;
  return x > limit ? INT32_MAX : (x < -limit - 1 ? INT32_MIN : ec_shift_left(x, 2));
}

/* 1 / (1 + a) for a in [0, 1], Q0.31. */
EC_INLINE int32_t ec_one_over_one_plus(int32_t a) {
  const int32_t half = ec_rounding_half_sum(a, INT32_MAX);
  const int32_t seed = 1515870810, slope = -1010580540; /* 48/17 and -32/17 in Q2.29 */
  int32_t x = seed + ec_doubling_high_multiply(half, slope);
  for (int32_t step = 0; step < 3; ++step) {
    const int32_t error = (1 << 29) - ec_doubling_high_multiply(half, x);
    x += ec_saturating_quadruple(ec_doubling_high_multiply(x, error));
  }
  return x > (1 << 30) - 1 ? INT32_MAX : (x < -(1 << 30) ? INT32_MIN : ec_shift_left(x, 1));
}

EC_INLINE int32_t ec_leading_zeros(uint32_t x) {
  int32_t count = 0;
  while (count < 32 && !(x & 0x80000000u)) {
    x <<= 1;
    ++count;
  }
  return count;
}

/* ec_softmax_s8, ec_softmax_s8_s16: `rows` rows of `depth` int8 to the whole range of a type of BITS bits; the scaled
 * difference to a row's maximum counts from `diff_min` on. */
#define EC_SOFTMAX(NAME, TYPE, BITS)                                                             \
  EC_STATIC void NAME(const int8_t *x, TYPE *y, int32_t rows, int32_t depth, int32_t multiplier,    \
                   int32_t shift, int32_t diff_min) {                                            \
    const int32_t least = -((int32_t)1 << (BITS - 1));                                           \
    for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {                           \
      int32_t largest = -128, sum = 0;                                                           \
      for (int32_t i = 0; i < depth; ++i) largest = x[i] > largest ? x[i] : largest;             \
      for (int32_t i = 0; i < depth; ++i) {                                                      \
        const int32_t difference = x[i] - largest;                                               \
        if (difference >= diff_min) {                                                            \
          sum += ec_rounding_shift_right(                                                        \
              ec_exp_negative(ec_multiply(difference, multiplier, shift)), 12);                  \
        }                                                                                        \
      }                                                                                          \
      const int32_t headroom = ec_leading_zeros((uint32_t)sum);                                  \
      const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) - ((uint32_t)1 << 31));     \
      const int32_t reciprocal = ec_one_over_one_plus(fraction);                                 \
      const int32_t exponent = 12 - headroom + 31 - BITS;                                        \
      for (int32_t i = 0; i < depth; ++i) {                                                      \
        const int32_t difference = x[i] - largest;                                               \
        int32_t value = least;                                                                   \
        if (difference >= diff_min) {                                                            \
          const int32_t e = ec_exp_negative(ec_multiply(difference, multiplier, shift));         \
          value += ec_rounding_shift_right(ec_doubling_high_multiply(reciprocal, e), exponent);  \
        }                                                                                        \
        y[i] = (TYPE)ec_clamp(value, least, -least - 1);                                         \
      }                                                                                          \
    }                                                                                            \
  }

EC_SOFTMAX(ec_softmax_s8, int8_t, 8)
EC_SOFTMAX(ec_softmax_s8_s16, int16_t, 16)

#endif
