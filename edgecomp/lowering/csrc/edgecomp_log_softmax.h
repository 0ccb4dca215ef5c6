/* Logarithm of the softmax of int8 rows in fixed point.
 *
 * Follows the definition of the TensorFlow Lite 8-bit log-softmax: differences to the largest element in
 * Q5.26, their exponentials summed in Q12.19, the logarithm of the sum in Q5.26, results in Q4.4.
 */
#ifndef EDGECOMP_LOG_SOFTMAX_H
#define EDGECOMP_LOG_SOFTMAX_H

#include <stdint.h>

#include "edgecomp_integer.h"
#include "edgecomp_softmax.h"

/* x * 2^exponent, saturated; 0 <= exponent <= 30. */
EC_INLINE int32_t ec_saturating_shift_left(int32_t x, int32_t exponent) {
  const int32_t limit = (int32_t)(((uint32_t)1 << (31 - exponent)) - 1u);
  return x > limit ? INT32_MAX : (x < -limit ? INT32_MIN : ec_shift_left(x, exponent));
}

/* log(x) for x >= 1 in Q12.19, as Q5.26: x = 2^n * r, a rational function of r around 2^(-1/4). Two ways to
 * choose n, by x and by x / sqrt(2); the one that leaves the smaller r counts. */
EC_STATIC int32_t ec_log_at_least_one(int32_t x) {
  const int32_t log_2 = 1488522236, root_half = 1518500250, fourth_root_half = 1805811301;
  const int32_t quarter = 1 << 23; /* Q6.25 */
  const int32_t zeros = ec_leading_zeros((uint32_t)x);
  const int32_t raised = ec_saturating_shift_left(x, zeros - 1);
  const int32_t r_a = ec_saturating_shift_left(ec_doubling_high_multiply(raised, root_half), 1);
  const int32_t power_a = (12 - zeros) * (1 << 25) + quarter;
  const int32_t headroom =
      ec_leading_zeros((uint32_t)ec_doubling_high_multiply(x, root_half)) - 1;
  const int32_t r_b = ec_saturating_shift_left(x, headroom);
  const int32_t power_b = (12 - headroom) * (1 << 25) - quarter;
  const int32_t r = r_a < r_b ? r_a : r_b;
  const int32_t power = power_a > power_b ? power_a : power_b;

  const int32_t p = ec_rounding_half_sum(r, fourth_root_half);
  const int32_t q = 2 * (r - fourth_root_half);
  const int32_t square = ec_doubling_high_multiply(q, q);
  const int32_t numerator =
      ec_doubling_high_multiply(q, r) +
      ec_doubling_high_multiply(ec_doubling_high_multiply(q, square), 117049297);
  const int32_t inner = 1057819769 + q + ec_doubling_high_multiply(127690142, square);
  const int32_t denominator =
      ec_doubling_high_multiply(p, inner) + ec_doubling_high_multiply(638450708, q);
  const int32_t fraction = ec_doubling_high_multiply(ec_rounding_shift_right(numerator, 6),
                                                     ec_one_over_one_plus(denominator));
  return ec_saturating_shift_left(ec_doubling_high_multiply(power, log_2) + fraction, 1);
}

/* `rows` rows of `depth` values; the scaled difference to a row's maximum counts from `diff_min` on;
 * (back, back_shift) is the reciprocal of (multiplier, shift). */
EC_STATIC void ec_log_softmax_s8(const int8_t *x, int8_t *y, int32_t rows, int32_t depth,
                              int32_t multiplier, int32_t shift, int32_t back, int32_t back_shift,
                              int32_t diff_min) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t largest = -128, sum = 0;
    for (int32_t i = 0; i < depth; ++i) largest = x[i] > largest ? x[i] : largest;
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t difference = x[i] - largest;
      if (difference >= diff_min) {
        sum += ec_rounding_shift_right(
            ec_exp_negative(ec_multiply(difference, multiplier, shift)), 12);
      }
    }
    const int32_t log_sum = ec_log_at_least_one(sum);
    const int32_t bound = ec_multiply(log_sum + INT32_MIN, back, back_shift);
    const int32_t least = bound > diff_min - 1 ? bound : diff_min - 1;
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t difference = x[i] - largest;
      int32_t value = -128;
      if (difference > least) {
        const int32_t argument = ec_multiply(difference, multiplier, shift);
        value = ec_rounding_shift_right(argument - log_sum, 22) + 127;
      }
      y[i] = (int8_t)ec_clamp(value, -128, 127);
    }
  }
}

#endif
