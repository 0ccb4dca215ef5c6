/* Bits, classification, rounding, minimum and maximum, remainder, square root. See edgecomp_math.h. */
#ifndef EDGECOMP_MATH_BASIC_H
#define EDGECOMP_MATH_BASIC_H

#include <stdint.h>

#include "edgecomp_compiler.h"

typedef union {
  float value;
  uint32_t bits;
} ec_float_bits;

EC_STATIC inline uint32_t ec_bits(float x) {
  ec_float_bits u;
  u.value = x;
  return u.bits;
}

EC_STATIC inline float ec_from_bits(uint32_t bits) {
  ec_float_bits u;
  u.bits = bits;
  return u.value;
}

/* Constant expressions where the compiler has them: tables of constants may hold both. */
#if defined(__GNUC__)
#define EC_INFINITY __builtin_inff()
#define EC_NAN __builtin_nanf("")
#else
#define EC_INFINITY ec_from_bits(0x7f800000u)
#define EC_NAN ec_from_bits(0x7fc00000u)
#endif

EC_STATIC inline float ec_fabsf(float x) { return ec_from_bits(ec_bits(x) & 0x7fffffffu); }

EC_STATIC inline float ec_copysignf(float magnitude, float sign) {
  return ec_from_bits((ec_bits(magnitude) & 0x7fffffffu) | (ec_bits(sign) & 0x80000000u));
}

EC_STATIC inline int32_t ec_isnan(float x) { return x != x; }
EC_STATIC inline int32_t ec_isinf(float x) { return (ec_bits(x) & 0x7fffffffu) == 0x7f800000u; }
EC_STATIC inline int32_t ec_isfinite(float x) { return (ec_bits(x) & 0x7fffffffu) < 0x7f800000u; }

/* ONNX Max and Min: a NaN in either argument is the result. */
EC_STATIC inline float ec_fmaxf(float a, float b) { return (a > b || a != a) ? a : b; }
EC_STATIC inline float ec_fminf(float a, float b) { return (a < b || a != a) ? a : b; }

/* 2 to the power n, -126 <= n <= 127. */
EC_STATIC inline float ec_power_of_two(int32_t n) { return ec_from_bits((uint32_t)(n + 127) << 23); }

/* Nearest integer, ties to even: adding 2^23 leaves no bit for a fraction. */
EC_STATIC inline float ec_rintf(float x) {
  float shift = ec_copysignf(0x1p23f, x);
  float rounded = ec_copysignf((x + shift) - shift, x);
  return ec_fabsf(x) < 0x1p23f ? rounded : x;
}

EC_STATIC inline float ec_nearbyintf(float x) { return ec_rintf(x); }

EC_STATIC inline float ec_floorf(float x) {
  float rounded = ec_rintf(x);
  return ec_copysignf(rounded > x ? rounded - 1.0f : rounded, x);
}

EC_STATIC inline float ec_ceilf(float x) {
  float rounded = ec_rintf(x);
  return ec_copysignf(rounded < x ? rounded + 1.0f : rounded, x);
}

EC_STATIC inline float ec_truncf(float x) { return ec_copysignf(ec_floorf(ec_fabsf(x)), x); }

/* Nearest integer, ties away from zero. |x| - trunc(|x|) is exact, |x| + 0.5 would not be. */
EC_STATIC inline float ec_roundf(float x) {
  float magnitude = ec_fabsf(x);
  float whole = ec_floorf(magnitude);
  return ec_copysignf(magnitude - whole >= 0.5f ? whole + 1.0f : whole, x);
}

/* Digit-by-digit square root: floor(sqrt(radicand)), radicand < 2^48; *rest = radicand - root^2. */
EC_STATIC inline uint32_t ec_integer_sqrt(uint64_t radicand, uint64_t *rest) {
  uint64_t root = 0;
  for (uint64_t bit = (uint64_t)1 << 46; bit != 0; bit >>= 2) {
    uint64_t trial = root + bit;
    root >>= 1;
    if (radicand >= trial) {
      radicand -= trial;
      root += bit;
    }
  }
  *rest = radicand;
  return (uint32_t)root;
}

/* Square root, correctly rounded, in integers: what processors without the instruction use. */
EC_STATIC inline float ec_software_sqrtf(float x) {
  if (!(x > 0.0f) || x == EC_INFINITY) return x >= 0.0f || x != x ? x : EC_NAN;
  int32_t exponent = -127;
  if (x < 0x1p-126f) {
    x *= 0x1p24f;
    exponent -= 24;
  }
  uint32_t bits = ec_bits(x);
  exponent += (int32_t)(bits >> 23);
  uint64_t radicand = (uint64_t)((bits & 0x007fffffu) | 0x00800000u) << (23 + (exponent & 1));
  uint64_t rest;
  uint32_t root = ec_integer_sqrt(radicand, &rest);
  if (rest > root) root += 1u; /* radicand > (root + 1/2)^2; a tie cannot be */
  int32_t half = (exponent - (exponent & 1)) / 2;
  return ec_from_bits(((uint32_t)(half + 126) << 23) + root);
}

/* The compiler's own square root where it is one instruction: never a call of libm. */
#if defined(__aarch64__) || defined(__SSE__) || (defined(__ARM_FP) && (__ARM_FP & 4))
#if defined(__has_builtin)
#if __has_builtin(__builtin_elementwise_sqrt)
#define EC_HARDWARE_SQRT(x) __builtin_elementwise_sqrt(x)
#endif
#endif
#if !defined(EC_HARDWARE_SQRT) && defined(__NO_MATH_ERRNO__)
#define EC_HARDWARE_SQRT(x) __builtin_sqrtf(x)
#endif
#endif

EC_STATIC inline float ec_sqrtf(float x) {
#if defined(EC_HARDWARE_SQRT)
  return EC_HARDWARE_SQRT(x);
#else
  return ec_software_sqrtf(x);
#endif
}

EC_STATIC inline float ec_rsqrtf(float x) { return 1.0f / ec_sqrtf(x); }

/* Mantissa with its leading bit, and the exponent of its last bit, of a positive finite x. */
EC_STATIC inline uint32_t ec_split(float x, int32_t *exponent) {
  uint32_t bits = ec_bits(x);
  uint32_t mantissa = bits & 0x007fffffu;
  *exponent = (int32_t)(bits >> 23);
  if (*exponent == 0) {
    *exponent = 1;
    return mantissa;
  }
  return mantissa | 0x00800000u;
}

/* Remainder of x / y with the sign of x, exact: long division of the mantissas. */
EC_STATIC inline float ec_fmodf(float x, float y) {
  float a = ec_fabsf(x);
  float b = ec_fabsf(y);
  if (!ec_isfinite(x) || b != b || b == 0.0f) return EC_NAN;
  if (a < b) return x;
  int32_t ea;
  int32_t eb;
  uint32_t rest = ec_split(a, &ea);
  uint32_t divisor = ec_split(b, &eb);
  if (ea > eb) rest %= divisor;
  for (; ea > eb && rest != 0; ea--) rest = (rest << 1) % divisor;
  rest %= divisor;
  if (rest == 0) return ec_copysignf(0.0f, x);
  for (ea = eb; ea > 1 && rest < 0x00800000u; ea--) rest <<= 1;
  uint32_t bits = rest < 0x00800000u ? rest : ((uint32_t)ea << 23) + (rest - 0x00800000u);
  return ec_copysignf(ec_from_bits(bits), x);
}

#endif
