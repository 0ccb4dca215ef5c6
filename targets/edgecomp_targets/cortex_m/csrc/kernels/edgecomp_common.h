/* What the kernels of every core share. */
#ifndef EDGECOMP_COMMON_H
#define EDGECOMP_COMMON_H

#include <stddef.h>
#include <stdint.h>

#include "edgecomp_integer.h"

/* A loop that turns few times: unrolling it would only take flash. */
#if defined(__clang__)
#define EC_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define EC_ROLLED _Pragma("GCC unroll 1")
#else
#define EC_ROLLED
#endif

/* There need be no C library: compilers bring these two. */
#if defined(__GNUC__)
#define ec_copy __builtin_memcpy
#define ec_fill __builtin_memset
#else
#include <string.h>
#define ec_copy memcpy
#define ec_fill memset
#endif

/* The outputs' range, both ends within int8; `narrow` when it is not all of int8. */
typedef struct {
  int32_t narrow, low, high;
} ec_output_range;

EC_INLINE void ec_narrow(int8_t *steps, int32_t count, const ec_output_range *range) {
  EC_ROLLED for (int32_t i = 0; i < count; ++i) {
    steps[i] = (int8_t)ec_clamp(steps[i], range->low, range->high);
  }
}

#endif
