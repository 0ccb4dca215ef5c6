/* Float to integers at the edge of a float region. */
#ifndef EDGECOMP_QUANTIZE_H
#define EDGECOMP_QUANTIZE_H

#include "edgecomp_integer.h"
#include "edgecomp_math.h"

/* x / scale rounded half to even, plus the zero point, saturated to int8; NaN gives the zero point. */
EC_INLINE int32_t ec_quantize(float x, float scale, int32_t zero_point) {
  float q = ec_rintf(x / scale);
  q = q < -512.0f ? -512.0f : (q > 512.0f ? 512.0f : q);
  return ec_clamp((q == q ? (int32_t)q : 0) + zero_point, -128, 127);
}

/* The same, saturated to int16. */
EC_INLINE int32_t ec_quantize_wide(float x, float scale, int32_t zero_point) {
  float q = ec_rintf(x / scale);
  q = q < -131072.0f ? -131072.0f : (q > 131072.0f ? 131072.0f : q);
  return ec_clamp((q == q ? (int32_t)q : 0) + zero_point, -32768, 32767);
}

#endif
