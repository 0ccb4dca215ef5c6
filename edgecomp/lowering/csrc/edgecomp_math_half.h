/*
 * Numbers of half precision (IEEE 754 binary16) as float32. The bits are the same on every target, for each
 * of them has its own float32.
 */
#ifndef EDGECOMP_MATH_HALF_H
#define EDGECOMP_MATH_HALF_H

#include "edgecomp_math_basic.h"

#if defined(__F16C__) || (defined(__ARM_FP) && (__ARM_FP & 2) && defined(__ARM_FP16_FORMAT_IEEE))
#define EC_HAS_HALF 1
#endif

/* The number whose bits are `half`; no infinity and no NaN is stored so. */
EC_STATIC inline float ec_halff(uint16_t half) {
#if defined(EC_HAS_HALF) && defined(__ARM_FP)
  union {
    uint16_t bits;
    __fp16 number;
  } both = {half};
  return (float)both.number;
#elif defined(EC_HAS_HALF)
  union {
    uint16_t bits;
    _Float16 number;
  } both = {half};
  return (float)both.number;
#else
  /* exponent and fraction as those of a float32 are too small by 2^112; a product of powers of two is exact */
  float number = ec_from_bits((uint32_t)(half & 0x7fffu) << 13) * 0x1p112f;
  return ec_from_bits(ec_bits(number) | (uint32_t)(half & 0x8000u) << 16);
#endif
}

#endif
