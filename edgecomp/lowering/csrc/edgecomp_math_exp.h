/* Exponential, logarithm, and the activation functions made of them. See edgecomp_math.h. */
#ifndef EDGECOMP_MATH_EXP_H
#define EDGECOMP_MATH_EXP_H

#include "edgecomp_math_basic.h"

/* Adding and subtracting it rounds to the nearest integer, which is left in the low bits of the sum. */
#define EC_ROUNDER 0x1.8p23f
#define EC_LOG2_E 0x1.715476p+0f
#define EC_LN2_HIGH 0x1.62e4p-1f /* 15 bits: times an exponent it is exact */
#define EC_LN2_LOW 0x1.7f7d1cp-20f

/* p * 2^n in two exact steps, so that a result among the denormals is rounded once. */
EC_STATIC inline float ec_scale(float p, int32_t n) {
  int32_t half = n / 2;
  return p * ec_power_of_two(half) * ec_power_of_two(n - half);
}

EC_STATIC inline float ec_clampf(float x, float low, float high) {
  x = x > high ? high : x;
  return x < low ? low : x;
}

/* exp: Cody-Waite reduction by ln 2 in two parts; degree 6 on [-ln2/2, ln2/2]. */
EC_STATIC inline float ec_expf(float x) {
  x = ec_clampf(x, -104.0f, 89.0f);
  float shifted = x * EC_LOG2_E + EC_ROUNDER;
  int32_t n = (int32_t)(ec_bits(shifted) - 0x4b400000u);
  float whole = shifted - EC_ROUNDER;
  float r = (x - whole * EC_LN2_HIGH) - whole * EC_LN2_LOW;
  float p = 0x1.6ac144p-10f;
  p = p * r + 0x1.123da6p-7f;
  p = p * r + 0x1.555858p-5f;
  p = p * r + 0x1.55548cp-3f;
  p = p * r + 0x1.fffffcp-2f;
  return ec_scale(1.0f + (r + r * r * p), n);
}

/* 2^x: degree 6 on [-1/2, 1/2]. */
EC_STATIC inline float ec_exp2f(float x) {
  x = ec_clampf(x, -151.0f, 129.0f);
  float shifted = x + EC_ROUNDER;
  int32_t n = (int32_t)(ec_bits(shifted) - 0x4b400000u);
  float r = x - (shifted - EC_ROUNDER);
  float p = 0x1.179982p-13f;
  p = p * r + 0x1.5ef4dcp-10f;
  p = p * r + 0x1.3b6816p-7f;
  p = p * r + 0x1.c6af9ep-5f;
  p = p * r + 0x1.ebfb94p-3f;
  p = p * r + 0x1.62e43p-1f;
  return ec_scale(1.0f + r * p, n);
}

/* x = m * 2^n with m in [sqrt(1/2), sqrt(2)), for positive finite x; returns m - 1. */
EC_STATIC inline float ec_log_reduce(float x, float *n) {
  int32_t tiny = x < 0x1p-126f;
  uint32_t bits = ec_bits(tiny ? x * 0x1p23f : x);
  int32_t exponent = (int32_t)(bits - 0x3f3504f3u) >> 23;
  *n = (float)(tiny ? exponent - 23 : exponent);
  return ec_from_bits(bits - ((uint32_t)exponent << 23)) - 1.0f;
}

/* log(1 + f) - f for 1 + f in [sqrt(1/2), sqrt(2)): degree 11. */
EC_STATIC inline float ec_log_tail(float f) {
  float p = 0x1.1484e6p-4f;
  p = p * f - 0x1.de1008p-4f;
  p = p * f + 0x1.e6c040p-4f;
  p = p * f - 0x1.fc26acp-4f;
  p = p * f + 0x1.233b78p-3f;
  p = p * f - 0x1.555c4ep-3f;
  p = p * f + 0x1.99a478p-3f;
  p = p * f - 0x1.000006p-2f;
  p = p * f + 0x1.555548p-2f;
  float square = f * f;
  return p * f * square - 0.5f * square;
}

/* What log, log2 and log10 are where it is not a finite number: at 0, negative, infinite and NaN. */
EC_STATIC inline float ec_log_special(float x, float regular) {
  regular = x == EC_INFINITY ? x : regular;
  regular = x == 0.0f ? -EC_INFINITY : regular;
  return x >= 0.0f ? regular : EC_NAN;
}

EC_STATIC inline float ec_logf(float x) {
  float n;
  float f = ec_log_reduce(x, &n);
  float tail = ec_log_tail(f) + n * EC_LN2_LOW;
  return ec_log_special(x, n * EC_LN2_HIGH + (f + tail));
}

/* log(1 + f) * (1 / ln b) + n * (1 / log2 b); the factor in two parts, the first of 12 bits. */
EC_STATIC inline float ec_log2f(float x) {
  float n;
  float f = ec_log_reduce(x, &n);
  float high = ec_from_bits(ec_bits(f) & 0xfffff000u);
  float low = (f - high) + ec_log_tail(f);
  return ec_log_special(
      x, n + (high * 0x1.714p+0f + ((high + low) * 0x1.47652cp-12f + low * 0x1.714p+0f)));
}

EC_STATIC inline float ec_log10f(float x) {
  float n;
  float f = ec_log_reduce(x, &n);
  float high = ec_from_bits(ec_bits(f) & 0xfffff000u);
  float low = (f - high) + ec_log_tail(f);
  float mantissa = high * 0x1.bcap-2f + ((high + low) * 0x1.7b1526p-14f + low * 0x1.bcap-2f);
  return ec_log_special(x, n * 0x1.344p-2f + (mantissa + n * 0x1.3509f8p-18f));
}

/* log(1 + x): the logarithm of the rounded sum, and what rounding lost to first order. */
EC_STATIC inline float ec_log1pf(float x) {
  float sum = 1.0f + x;
  float lost = x > 1.0f ? 1.0f - (sum - x) : x - (sum - 1.0f);
  float result = ec_logf(sum) + lost / sum;
  result = (sum == 0.0f || x == EC_INFINITY) ? ec_logf(sum) : result;
  return x == 0.0f ? x : result;
}

/* 1 / (1 + exp(-x)), with an exponential that cannot overflow. */
EC_STATIC inline float ec_sigmoidf(float x) {
  float e = ec_expf(-ec_fabsf(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* tanh: odd of degree 11 below 5/8; 1 - 2 / (exp(2x) + 1) above. */
EC_STATIC inline float ec_tanhf(float x) {
  float a = ec_fabsf(x);
  float z = x * x;
  float p = -0x1.751280p-8f;
  p = p * z + 0x1.51f90cp-6f;
  p = p * z - 0x1.b8359ep-5f;
  p = p * z + 0x1.1106f6p-3f;
  p = p * z - 0x1.555532p-2f;
  float small = ec_copysignf(x + x * z * p, x); /* of -0 too */
  float large = ec_copysignf(1.0f - 2.0f / (ec_expf(2.0f * a) + 1.0f), x);
  return a < 0.625f ? small : large;
}

/* erf: odd of degree 13 below 9/10; above it 1 - exp(-g(x)), g of degree 8 fitted to -log(erfc) on [0.9, 4]. */
EC_STATIC inline float ec_erff(float x) {
  float a = ec_fabsf(x);
  float z = x * x;
  float p = 0x1.4d2878p-14f;
  p = p * z - 0x1.a583bep-11f;
  p = p * z + 0x1.543f2ap-8f;
  p = p * z - 0x1.b80062p-6f;
  p = p * z + 0x1.ce2d60p-4f;
  p = p * z - 0x1.812740p-2f;
  p = p * z + 0x1.06eba8p-3f;
  float small = x + x * p;
  float b = a > 4.0f ? 4.0f : a;
  float g = -0x1.547994p-20f;
  g = g * b + 0x1.4b1820p-15f;
  g = g * b - 0x1.1ecf6ep-11f;
  g = g * b + 0x1.2a59d8p-8f;
  g = g * b - 0x1.a86008p-6f;
  g = g * b + 0x1.bf98bcp-4f;
  g = g * b + 0x1.43e10ap-1f;
  g = g * b + 0x1.213d9cp+0f;
  g = g * b - 0x1.edc9d2p-13f;
  float large = ec_copysignf(1.0f - ec_expf(-g), x);
  return a < 0.9f ? small : large;
}

#endif
