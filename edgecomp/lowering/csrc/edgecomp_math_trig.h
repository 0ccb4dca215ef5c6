/* Trigonometric functions and their inverses. See edgecomp_math.h. */
#ifndef EDGECOMP_MATH_TRIG_H
#define EDGECOMP_MATH_TRIG_H

#include "edgecomp_math_basic.h"

#define EC_HALF_PI 0x1.921fb6p+0f
#define EC_HALF_PI_LOW -0x1.777a5cp-25f
#define EC_QUARTER_PI 0x1.921fb6p-1f

/* 32 bits of 2/pi from bit `start` on (bit 32 weighs 1/2; the bits before it are 0). */
EC_STATIC inline uint32_t ec_two_over_pi(uint32_t start) {
  static const uint32_t words[] = {0x00000000u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u,
                                   0xdb629599u, 0x3c439041u, 0xfe5163abu, 0xdebbc561u};
  uint32_t word = start / 32u;
  uint32_t shift = start % 32u;
  uint64_t pair = ((uint64_t)words[word] << 32) | words[word + 1u];
  return (uint32_t)(pair >> (32u - shift));
}

/*
 * Payne-Hanek reduction in integers: |x| = quadrant * pi/2 + r with |r| <= pi/4, for finite |x| >= pi/4.
 * The 24-bit mantissa times 96 bits of 2/pi, starting where a bit still changes the product modulo 4.
 */
EC_STATIC inline float ec_reduce_quadrant(float x, uint32_t *quadrant) {
  uint32_t bits = ec_bits(x) & 0x7fffffffu;
  uint64_t mantissa = (bits & 0x007fffffu) | 0x00800000u;
  uint32_t start = (bits >> 23) - 120u; /* exponent of the last bit, (bits >> 23) - 150, plus 30 */
  uint64_t low = mantissa * ec_two_over_pi(start + 64u);
  uint64_t middle = mantissa * ec_two_over_pi(start + 32u) + (low >> 32);
  uint64_t product = ((mantissa * ec_two_over_pi(start)) << 32) + middle;
  uint64_t fraction = product << 2;
  uint32_t negative = (uint32_t)(fraction >> 63);
  *quadrant = (uint32_t)(product >> 62) + negative;
  fraction = negative ? 0u - fraction : fraction;
  int32_t zeros = __builtin_clzll(fraction | 1u);
  uint64_t r = (fraction << zeros >> 32) * 0xc90fdaa2u; /* pi/2 * 2^31 */
  return (negative ? -(float)r : (float)r) * ec_power_of_two(-63 - zeros);
}

/* sin on [-pi/4, pi/4]: odd of degree 9. */
EC_STATIC inline float ec_sin_polynomial(float r) {
  float z = r * r;
  float p = 0x1.7c22b0p-19f;
  p = p * z - 0x1.a0593ap-13f;
  p = p * z + 0x1.111174p-7f;
  p = p * z - 0x1.555556p-3f;
  return r + r * z * p;
}

/* cos on [-pi/4, pi/4]: even of degree 8. */
EC_STATIC inline float ec_cos_polynomial(float r) {
  float z = r * r;
  float p = 0x1.99e1d6p-16f;
  p = p * z - 0x1.6c0c1cp-10f;
  p = p * z + 0x1.55554ap-5f;
  return 1.0f - (0.5f * z - z * z * p);
}

EC_STATIC inline float ec_sinf(float x) {
  float a = ec_fabsf(x);
  if (a < EC_QUARTER_PI) return ec_copysignf(ec_sin_polynomial(x), x); /* of -0 too */
  if (!ec_isfinite(x)) return EC_NAN;
  uint32_t quadrant;
  float r = ec_reduce_quadrant(a, &quadrant);
  float value = (quadrant & 1u) ? ec_cos_polynomial(r) : ec_sin_polynomial(r);
  return (x < 0.0f) != ((quadrant & 2u) != 0u) ? -value : value;
}

EC_STATIC inline float ec_cosf(float x) {
  float a = ec_fabsf(x);
  if (a < EC_QUARTER_PI) return ec_cos_polynomial(x);
  if (!ec_isfinite(x)) return EC_NAN;
  uint32_t quadrant;
  float r = ec_reduce_quadrant(a, &quadrant);
  float value = (quadrant & 1u) ? ec_sin_polynomial(r) : ec_cos_polynomial(r);
  return ((quadrant + 1u) & 2u) ? -value : value;
}

EC_STATIC inline float ec_tanf(float x) {
  float a = ec_fabsf(x);
  if (a < EC_QUARTER_PI) return ec_sin_polynomial(x) / ec_cos_polynomial(x);
  if (!ec_isfinite(x)) return EC_NAN;
  uint32_t quadrant;
  float r = ec_reduce_quadrant(a, &quadrant);
  float sine = ec_sin_polynomial(r);
  float cosine = ec_cos_polynomial(r);
  float value = (quadrant & 1u) ? -(cosine / sine) : sine / cosine;
  return x < 0.0f ? -value : value;
}

/* asin(s) on [0, 1/2], z = s^2: odd of degree 11. */
EC_STATIC inline float ec_asin_polynomial(float s, float z) {
  float p = 0x1.595ca6p-5f;
  p = p * z + 0x1.8c3e04p-6f;
  p = p * z + 0x1.747bbep-5f;
  p = p * z + 0x1.330204p-4f;
  p = p * z + 0x1.5555c8p-3f;
  return s + s * z * p;
}

/* Above 1/2: asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)). */
EC_STATIC inline float ec_asinf(float x) {
  float a = ec_fabsf(x);
  float z = a > 0.5f ? 0.5f * (1.0f - a) : a * a;
  float p = ec_asin_polynomial(a > 0.5f ? ec_sqrtf(z) : a, z);
  return ec_copysignf(a > 0.5f ? EC_HALF_PI - (2.0f * p - EC_HALF_PI_LOW) : p, x);
}

EC_STATIC inline float ec_acosf(float x) {
  float a = ec_fabsf(x);
  float z = a > 0.5f ? 0.5f * (1.0f - a) : a * a;
  float p = ec_asin_polynomial(a > 0.5f ? ec_sqrtf(z) : a, z);
  if (a > 0.5f) {
    return x > 0.0f ? 2.0f * p : 2.0f * EC_HALF_PI - (2.0f * p - 2.0f * EC_HALF_PI_LOW);
  }
  return EC_HALF_PI - (ec_copysignf(p, x) - EC_HALF_PI_LOW);
}

/* atan: odd of degree 11 on [0, tan(pi/8)], reached by atan((a - 1) / (a + 1)) + pi/4 and pi/2 - atan(1 / a). */
EC_STATIC inline float ec_atanf(float x) {
  float a = ec_fabsf(x);
  int32_t far = a > 0x1.3504f4p+1f;
  int32_t middle = a > 0x1.a8279ap-2f;
  float t = far ? -1.0f / a : (middle ? (a - 1.0f) / (a + 1.0f) : a);
  float high = far ? EC_HALF_PI : (middle ? EC_QUARTER_PI : 0.0f);
  float low = far ? EC_HALF_PI_LOW : (middle ? 0.5f * EC_HALF_PI_LOW : 0.0f);
  float z = t * t;
  float p = -0x1.f2e376p-5f;
  p = p * z + 0x1.b223e6p-4f;
  p = p * z - 0x1.23b99cp-3f;
  p = p * z + 0x1.9991e2p-3f;
  p = p * z - 0x1.55554ap-2f;
  return ec_copysignf(high + (t + (t * z * p + low)), x);
}

/* Angle of the point (x, y), signed zeros and infinities as in C99 Annex F. */
EC_STATIC inline float ec_atan2f(float y, float x) {
  if (x != x || y != y) return EC_NAN;
  float ax = ec_fabsf(x);
  float ay = ec_fabsf(y);
  int32_t left = (ec_bits(x) >> 31) != 0u;
  float angle;
  if (ay == 0.0f) {
    angle = 0.0f;
  } else if (ax == 0.0f) {
    return ec_copysignf(EC_HALF_PI, y);
  } else if (ax == EC_INFINITY && ay == EC_INFINITY) {
    angle = EC_QUARTER_PI;
  } else {
    angle = ec_atanf(ay / ax);
  }
  if (left) angle = 2.0f * EC_HALF_PI - (angle - 2.0f * EC_HALF_PI_LOW);
  return ec_copysignf(angle, y);
}

#endif
