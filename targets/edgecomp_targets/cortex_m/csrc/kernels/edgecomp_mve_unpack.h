/* Palettes of up to 16 values with Helium: sixteen weights are one gathering load from the table. */
#ifndef EDGECOMP_MVE_UNPACK_H
#define EDGECOMP_MVE_UNPACK_H

#include "edgecomp_mve.h"
#include "edgecomp_unpack.h"

#if EC_MVE

/* A vector of weights for each lane; gives the codes after them. */
EC_INLINE const uint8_t *ec_mve_unpack_group(const uint8_t *codes, const int8_t *table,
                                             int32_t lane_tables, int32_t lanes, int8_t *to) {
  const uint8x16_t low_bits = vdupq_n_u8(15);
  __asm__ volatile(
      "dls lr, %[lanes]\n"
      "1:\n\t"
      "vldrb.u16 q0, [%[codes]], #8\n\t" /* 0x00hl to 0x0h0l */
      "vsli.16 q0, q0, #4\n\t"
      "vand q0, q0, %q[low_bits]\n\t"
      "vldrb.u8 q1, [%[table], q0]\n\t"
      "add %[table], %[lane_tables]\n\t"
      "vstrb.8 q1, [%[to]], #16\n\t"
      "le lr, 1b\n"
      : [codes] "+r"(codes), [table] "+r"(table), [to] "+r"(to)
      : [lanes] "r"(lanes), [lane_tables] "r"(lane_tables), [low_bits] "w"(low_bits)
      : "lr", "q0", "q1", "memory");
  return codes;
}

/* As `ec_unpack_bytes_4`, of runs that are vectors. */
EC_NOINLINE void ec_mve_unpack_4(const uint8_t *codes, const int8_t *tables, const int32_t *shape,
                                 void *out) {
  const ec_unpack_shape *const s = (const ec_unpack_shape *)(const void *)shape;
  const int32_t *const parts = shape + sizeof(ec_unpack_shape) / sizeof(int32_t);
  const int32_t lanes = s->lanes, step = s->lane_tables;
  ec_unpack_place place = {parts + 2 * s->parts, (int8_t *)out};
  for (int32_t block = s->blocks; block > 0; --block, tables += lanes * step) {
    for (const int32_t *part = parts; part < parts + 2 * s->parts; part += 2) {
      ec_unpack_words(&place, part[0]);
      EC_ROLLED for (int32_t group = part[1]; group > 0; --group, place.to += 16 * lanes) {
        codes = ec_mve_unpack_group(codes, tables, step, lanes, place.to);
      }
    }
  }
}

#else

EC_UNPACK_FUNCTION(ec_mve_unpack_4, ec_unpack_run, 4, 0)

#endif

#endif
