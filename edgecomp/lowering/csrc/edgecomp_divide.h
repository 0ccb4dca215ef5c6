/* Quotient of two quantized numbers, as the TensorFlow Lite 8-bit division defines it. */
#ifndef EDGECOMP_DIVIDE_H
#define EDGECOMP_DIVIDE_H

#include <stdint.h>

#include "edgecomp_integer.h"
#include "edgecomp_softmax.h"

/* a / b * multiplier * 2^(shift - 31) for |a|, |b| < 2^16; the largest numbers where b is 0 and a is not. */
EC_INLINE int32_t ec_divide(int32_t a, int32_t b, int32_t multiplier, int32_t shift) {
  if (b == 0) return a == 0 ? 0 : (a > 0 ? 1 << 20 : -(1 << 20));
  if (b < 0) {
    a = -a;
    b = -b;
  }
  const int32_t zeros = ec_leading_zeros((uint32_t)b);
  const int32_t fraction = (int32_t)(((uint32_t)b << zeros) - ((uint32_t)1 << 31));
  const int32_t reciprocal = ec_one_over_one_plus(fraction);
  /* headroom: the sign bits of a but one */
  const int32_t headroom = ec_leading_zeros((uint32_t)(a < 0 ? ~a : a)) - 1;
  const int32_t quotient = ec_doubling_high_multiply(ec_shift_left(a, headroom), reciprocal);
  const int32_t right = 31 - zeros + headroom - shift;
  const int32_t scaled = ec_doubling_high_multiply(quotient, multiplier);
  if (right > 31) return 0;
  return right >= 0 ? ec_rounding_shift_right(scaled, right) : ec_shift_left(scaled, -right);
}

#endif
