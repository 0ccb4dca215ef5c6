/* Exponential, logarithm and remainder in float64, for models that compute in it. See edgecomp_math.h. */
#ifndef EDGECOMP_MATH_DOUBLE_H
#define EDGECOMP_MATH_DOUBLE_H

#include <stdint.h>

#include "edgecomp_compiler.h"

typedef union {
  double value;
  uint64_t bits;
} ec_float64_bits;

EC_STATIC inline double ec_from_double_bits(uint64_t bits) {
  ec_float64_bits u;
  u.bits = bits;
  return u.value;
}

EC_STATIC inline uint64_t ec_bits_of_double(double x) {
  ec_float64_bits u;
  u.value = x;
  return u.bits;
}

/* 2 to the power n, -1022 <= n <= 1023. */
EC_STATIC inline double ec_power_of_two_double(int32_t n) {
  return ec_from_double_bits((uint64_t)(n + 1023) << 52);
}

/* exp(x) = 2^n exp(r), |r| <= ln 2 / 2, by 14 terms of the power series: below 2 units in the last
 * place. ln 2 is split so that n times its first part is exact. */
EC_STATIC inline double ec_exp(double x) {
  const double ln2_high = 0x1.62e42fefa0000p-1, ln2_low = 0x1.cf79abc9e3b3ap-40;
  if (x != x) return x;
  if (x > 709.782712893384) return ec_from_double_bits(0x7ff0000000000000u);
  if (x < -745.2) return 0.0;
  double scaled = x * 0x1.71547652b82fep0;
  int32_t n = (int32_t)(scaled + (scaled < 0.0 ? -0.5 : 0.5));
  double r = (x - n * ln2_high) - n * ln2_low;
  double sum = 1.0;
  for (int32_t term = 14; term > 0; --term) sum = 1.0 + sum * r / term;
  int32_t half = n / 2;
  return sum * ec_power_of_two_double(half) * ec_power_of_two_double(n - half);
}

/* log(x) = e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), sqrt(1/2) <= m < sqrt(2). */
EC_STATIC inline double ec_log(double x) {
  const double ln2_high = 0x1.62e42fefa0000p-1, ln2_low = 0x1.cf79abc9e3b3ap-40;
  const uint64_t infinity = 0x7ff0000000000000u;
  if (x != x || x == ec_from_double_bits(infinity)) return x;
  if (x == 0.0) return -ec_from_double_bits(infinity);
  if (x < 0.0) return ec_from_double_bits(0x7ff8000000000000u);
  int32_t e = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    e = -54;
  }
  uint64_t bits = ec_bits_of_double(x);
  e += (int32_t)(bits >> 52) - 1023;
  double m = ec_from_double_bits((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
  if (m > 0x1.6a09e667f3bcdp0) {
    m *= 0.5;
    e += 1;
  }
  double s = (m - 1.0) / (m + 1.0), square = s * s, sum = 0.0;
  for (int32_t term = 23; term > 0; term -= 2) sum = 1.0 / term + sum * square;
  return e * ln2_high + (e * ln2_low + 2.0 * s * sum);
}

/* x - trunc(x / y) y, exact: subtract y times powers of two, the largest first. */
EC_STATIC inline double ec_fmod(double x, double y) {
  const uint64_t infinity = 0x7ff0000000000000u;
  double rest = x < 0.0 ? -x : x, divisor = y < 0.0 ? -y : y;
  if (x != x || y != y || divisor == 0.0 || rest == ec_from_double_bits(infinity)) {
    return ec_from_double_bits(0x7ff8000000000000u);
  }
  while (rest >= divisor) {
    double step = divisor;
    while (step <= rest * 0.5) step *= 2.0;
    rest -= step;
  }
  return x < 0.0 ? -rest : rest;
}

#endif
