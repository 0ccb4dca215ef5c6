/* Power, hyperbolic functions and their inverses. See edgecomp_math.h. */
#ifndef EDGECOMP_MATH_POWER_H
#define EDGECOMP_MATH_POWER_H

#include "edgecomp_math_exp.h"

typedef union {
  double value;
  uint64_t bits;
} ec_double_bits;

/* log2 of a positive finite x to about 40 bits: k + 2/ln2 * atanh(s), s = (m - 1) / (m + 1), Taylor to s^13. */
EC_STATIC inline double ec_log2_double(float x) {
  ec_double_bits u;
  u.value = (double)x;
  int64_t exponent = (int64_t)(u.bits - 0x3fe6a09e00000000u) >> 52;
  u.bits -= (uint64_t)exponent << 52;
  double s = (u.value - 1.0) / (u.value + 1.0);
  double z = s * s;
  double p = 1.0 / 13.0;
  p = p * z + 1.0 / 11.0;
  p = p * z + 1.0 / 9.0;
  p = p * z + 1.0 / 7.0;
  p = p * z + 1.0 / 5.0;
  p = p * z + 1.0 / 3.0;
  double two_log2_e = 0x1.71547652b82fep+1;
  return (double)(int32_t)exponent + two_log2_e * (s + s * z * p);
}

/* 2^t rounded to float32 once; t is clamped to where the result is 0 or infinite anyway. Taylor to degree 8. */
EC_STATIC inline float ec_exp2_double(double t) {
  t = t > 130.0 ? 130.0 : t;
  t = t < -160.0 ? -160.0 : t;
  ec_double_bits u;
  u.value = t + 0x1.8p52;
  int32_t n = (int32_t)(uint32_t)u.bits;
  double r = (t - (u.value - 0x1.8p52)) * 0x1.62e42fefa39efp-1;
  double p = 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  u.bits = (uint64_t)(n + 1023) << 52;
  return (float)(p * u.value);
}

/* 0: y is no integer, 1: odd, 2: even. */
EC_STATIC inline int32_t ec_parity(float y) {
  float a = ec_fabsf(y);
  if (a >= 0x1p24f) return 2;
  if (ec_floorf(a) != a) return 0;
  return ((int32_t)a & 1) != 0 ? 1 : 2;
}

/* x to the power y, special cases as in C99 Annex F. In double: float32 lacks the bits of y * log2(x). */
EC_STATIC inline float ec_powf(float x, float y) {
  float a = ec_fabsf(x);
  if (x == 1.0f || y == 0.0f || (x == -1.0f && ec_isinf(y))) return 1.0f;
  if (x != x || y != y) return EC_NAN;
  int32_t parity = ec_parity(y);
  if (x < 0.0f && parity == 0 && x != -EC_INFINITY) return EC_NAN;
  float magnitude;
  if (a == 0.0f || a == EC_INFINITY) {
    magnitude = (a == 0.0f) == (y > 0.0f) ? 0.0f : EC_INFINITY;
  } else {
    magnitude = ec_exp2_double((double)y * ec_log2_double(a));
  }
  return parity == 1 ? ec_copysignf(magnitude, x) : magnitude;
}

/* sinh: odd of degree 9 below 1; exponentials above, halved before squaring where exp(x) would overflow. */
EC_STATIC inline float ec_sinhf(float x) {
  float a = ec_fabsf(x);
  float z = x * x;
  if (a < 1.0f) {
    float p = 0x1.756ab2p-19f;
    p = p * z + 0x1.a022c4p-13f;
    p = p * z + 0x1.1110e0p-7f;
    p = p * z + 0x1.555556p-3f;
    return x + x * z * p;
  }
  float e = ec_expf(a < 88.0f ? a : 0.5f * a);
  return ec_copysignf(a < 88.0f ? 0.5f * (e - 1.0f / e) : 0.5f * e * e, x);
}

EC_STATIC inline float ec_coshf(float x) {
  float a = ec_fabsf(x);
  float e = ec_expf(a < 88.0f ? a : 0.5f * a);
  return a < 88.0f ? 0.5f * (e + 1.0f / e) : 0.5f * e * e;
}

/* asinh(x) = log1p(x + x^2 / (1 + sqrt(x^2 + 1))); log(x) + ln 2 where x^2 + 1 rounds to x^2. */
EC_STATIC inline float ec_asinhf(float x) {
  float a = ec_fabsf(x);
  float z = a * a;
  float small = ec_log1pf(a + z / (1.0f + ec_sqrtf(z + 1.0f)));
  float large = ec_logf(a) + 0x1.62e43p-1f;
  return ec_copysignf(a < 0x1p13f ? small : large, x);
}

EC_STATIC inline float ec_acoshf(float x) {
  float t = x - 1.0f;
  float small = ec_log1pf(t + ec_sqrtf(2.0f * t + t * t));
  float large = ec_logf(x) + 0x1.62e43p-1f;
  float result = x < 0x1p13f ? small : large;
  return x < 1.0f ? EC_NAN : result;
}

EC_STATIC inline float ec_atanhf(float x) {
  float a = ec_fabsf(x);
  return ec_copysignf(0.5f * ec_log1pf(2.0f * a / (1.0f - a)), x);
}

#endif
