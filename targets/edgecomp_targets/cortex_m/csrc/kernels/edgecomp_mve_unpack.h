/* Palettes of up to 16 values with Helium: sixteen weights are one gathering load from the table. */
#ifndef EDGECOMP_MVE_UNPACK_H
#define EDGECOMP_MVE_UNPACK_H

#include "edgecomp_mve.h"
#include "edgecomp_unpack.h"

/* A run of whole vectors; gives the codes after them. */
EC_INLINE const uint8_t *ec_mve_unpack_run(const uint8_t *codes, const int8_t *table,
                                           const ec_unpack_shape *s, int8_t *to, int32_t bits,
                                           int pairs) {
#if EC_MVE
  EC_ROLLED for (int32_t left = s->run; left > 0; left -= 2, codes += 8, to += 16) {
    /* 0x00hl to 0x0h0l */
    const uint16x8_t two = vldrbq_u16(codes);
    const uint8x16_t index = vreinterpretq_u8_u16(vsliq_n_u16(two, two, 4));
    vstrbq_s8(to, vldrbq_gather_offset_s8(table, vandq_u8(index, vdupq_n_u8(15))));
  }
  (void)bits;
  (void)pairs;
  return codes;
#else
  return ec_unpack_run(codes, table, s, to, bits, pairs);
#endif
}

EC_UNPACK_FUNCTION(ec_mve_unpack_4, ec_mve_unpack_run, 4, 0)

#endif
