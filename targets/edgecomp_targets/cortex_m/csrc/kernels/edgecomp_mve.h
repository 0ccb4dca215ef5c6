/* What the Helium kernels share. Each kernel has a portable twin that gives the same bits. */
#ifndef EDGECOMP_MVE_H
#define EDGECOMP_MVE_H

#include "edgecomp_common.h"

/* Without optimization the assembly would find no registers. */
#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__) && defined(__OPTIMIZE__) && \
    !defined(EC_PORTABLE)
#include <arm_mve.h>
#define EC_MVE 1
#else
#define EC_MVE 0
#endif

/* A word of a stream of constants. */
EC_INLINE int32_t ec_mve_word(const int8_t *from) {
  int32_t word;
  ec_copy(&word, from, sizeof word);
  return word;
}

EC_INLINE int8_t ec_mve_rescaled(int32_t sum, int32_t multiplier, int32_t shift,
                                 int32_t zero_point) {
  return (int8_t)ec_clamp(ec_multiply_down(sum, multiplier, shift) + zero_point, -128, 127);
}

/* Copy `count` bytes; gives where they end. */
EC_INLINE int8_t *ec_mve_copy(int8_t *to, const int8_t *from, int32_t count) {
#if EC_MVE
  int8_t *at = to;
  __asm__ volatile(
      "wlstp.8 lr, %[count], 2f\n"
      "1:\n\t"
      "vldrb.u8 q0, [%[from]], #16\n\t"
      "vstrb.8 q0, [%[at]], #16\n\t"
      "letp lr, 1b\n"
      "2:"
      : [at] "+r"(at), [from] "+r"(from)
      : [count] "r"(count)
      : "lr", "q0", "cc", "memory");
#else
  ec_copy(to, from, (size_t)count);
#endif
  return to + count;
}

/* `count` bytes of one value; gives where they end. */
EC_INLINE int8_t *ec_mve_fill(int8_t *to, int32_t value, int32_t count) {
#if EC_MVE
  const int8x16_t values = vdupq_n_s8((int8_t)value);
  int8_t *at = to;
  __asm__ volatile(
      "wlstp.8 lr, %[count], 2f\n"
      "1:\n\t"
      "vstrb.8 %q[values], [%[at]], #16\n\t"
      "letp lr, 1b\n"
      "2:"
      : [at] "+r"(at)
      : [count] "r"(count), [values] "w"(values)
      : "lr", "cc", "memory");
#else
  ec_fill(to, (int)value, (size_t)count);
#endif
  return to + count;
}

/* Bring `count` outputs into their range. */
EC_INLINE void ec_mve_narrow(int8_t *steps, int32_t count, const ec_output_range *range) {
#if EC_MVE
  const int8x16_t low = vdupq_n_s8((int8_t)range->low), high = vdupq_n_s8((int8_t)range->high);
  EC_ROLLED for (; count > 0; count -= 16, steps += 16) {
    const mve_pred16_t inside = vctp8q((uint32_t)count);
    const int8x16_t bounded = vminq_s8(vmaxq_s8(vldrbq_z_s8(steps, inside), low), high);
    vstrbq_p_s8(steps, bounded, inside);
  }
#else
  ec_narrow(steps, count, range);
#endif
}

#endif
