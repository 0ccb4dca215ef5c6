/* Logistic, tanh and 1/sqrt in fixed point, as the TensorFlow Lite integer LSTM has them.
 *
 * The curves take 16-bit numbers with some bits before the point and give 16-bit numbers without, Q0.15:
 * exp by its series on [-1/4, 0) and a factor for each bit above, then 1 / (1 + x) by three
 * Newton-Raphson steps.
 */
#ifndef EDGECOMP_CURVES16_H
#define EDGECOMP_CURVES16_H

#include "edgecomp_integer.h"

/* a * b in Q0.15, rounded to nearest, ties upwards. */
EC_INLINE int32_t ec_product16(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }

/* exp(x) for x <= 0 with `bits` before the point, 0 <= bits <= 7. */
EC_INLINE int32_t ec_exp16(int32_t x, int32_t bits) {
  static const int32_t factors[7] = {25520, 19875, 12055, 4435, 600, 11, 0}; /* exp(-2^n), n from -2 */
  const int32_t quarter = 1 << (13 - bits);
  const int32_t inside = (x & (quarter - 1)) - quarter, remainder = inside - x;
  const int32_t a = inside * (1 << bits) + (1 << 12); /* around -1/8 */
  const int32_t a2 = ec_product16(a, a), a3 = ec_product16(a2, a);
  const int32_t a4_4 = ec_rounding_shift_right(ec_product16(a2, a2), 2);
  const int32_t tail = ec_rounding_shift_right(ec_product16(a4_4 + a3, 10923) + a2, 1);
  int32_t result = ec_clamp(ec_product16(a + tail, 28918) + 28918, -32768, 32767);
  int32_t quarters = remainder >> (13 - bits);
  for (int32_t i = 0; i < 7 && quarters; ++i, quarters >>= 1) {
    if (quarters & 1) result = ec_product16(result, factors[i]);
  }
  if (bits > 5 && x < -(1 << (20 - bits))) result = 0;
  return x == 0 ? 32767 : result;
}

/* 2 / (1 + x) for x in [0, 1], with two bits before the point. */
EC_INLINE int32_t ec_two_over_one_plus16(int32_t x) {
  const int32_t half = (x + 32768) / 2;
  int32_t result = ec_product16(half, -15420) + 23130; /* 48/17 - 32/17 * half */
  for (int32_t step = 0; step < 3; ++step) {
    const int32_t rest = (1 << 13) - ec_product16(half, result);
    result += ec_clamp(ec_product16(result, rest) * 4, -32768, 32767);
  }
  return result;
}

/* 1 / (1 + exp(-x)). */
EC_STATIC int32_t ec_logistic16(int32_t x, int32_t bits) {
  const int32_t steps = ec_two_over_one_plus16(ec_exp16(x > 0 ? -x : x, bits));
  const int32_t upper = ec_clamp(steps * 2, -32768, 32767);
  return x == 0 ? 1 << 14 : (x > 0 ? upper : 32767 - upper);
}

/* Hyperbolic tangent. */
EC_STATIC int32_t ec_tanh16(int32_t x, int32_t bits) {
  const int32_t steps = ec_two_over_one_plus16(ec_exp16(x > 0 ? -x : x, bits + 1));
  const int32_t upper = ec_clamp((steps - (1 << 13)) * 4, -32768, 32767);
  return x == 0 ? 0 : (x > 0 ? upper : -upper);
}

/* 1 / sqrt(x) for x >= 1 as a multiplier and a shift of `ec_multiply`: five Newton-Raphson steps from 1. */
EC_STATIC int32_t ec_inverse_root(int32_t x, int32_t *shift) {
  int32_t right = 11;
  *shift = 0;
  if (x <= 1) return INT32_MAX;
  for (; x >= 1 << 29; x /= 4) ++right;
  for (; x < 1 << 27; x *= 4) --right;
  const int32_t half = ec_rounding_shift_right(x >> 1, 1); /* Q3.28 */
  int32_t root = 1 << 28;
  for (int32_t step = 0; step < 5; ++step) {
    const int32_t square = ec_doubling_high_multiply(root, root);
    const int32_t cube = ec_saturating_shift(ec_doubling_high_multiply(square, root), 6);
    root = ec_saturating_shift(ec_doubling_high_multiply((1 << 28) + (1 << 27), root) -
                                   ec_doubling_high_multiply(half, cube), 3);
  }
  const int32_t multiplier = ec_doubling_high_multiply(root, 1518500250); /* sqrt(1/2) */
  if (right < 0) return ec_shift_left(multiplier, -right);
  *shift = -right;
  return multiplier;
}

#endif
