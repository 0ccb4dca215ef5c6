/* Outputs of sums for cores that multiply one number at a time: Cortex-M0+ and M3. */
#ifndef EDGECOMP_MUL_OUTPUT_H
#define EDGECOMP_MUL_OUTPUT_H

#include "edgecomp_dsp.h"

/* Which instructions the assembly has: all of Thumb-2, or those of Armv6-M; 0 for the portable twins. */
#if defined(__GNUC__) && defined(__thumb2__) && !defined(EC_PORTABLE)
#define EC_MUL_THUMB 2
#elif defined(__GNUC__) && defined(__thumb__) && !defined(EC_PORTABLE)
#define EC_MUL_THUMB 1
#else
#define EC_MUL_THUMB 0
#endif

/* As `mul_conv.py` writes it. */
typedef struct {
  int32_t twice_bias, multiplier, shift;
} ec_mul_channel;

/* Four sums of one channel, and what makes outputs of them; the assembly knows the offsets. */
typedef struct {
  uint32_t sums[4];
  uint32_t excess[4];            /* offset 16: how much each is too large */
  int32_t twice_zero;            /* offset 32: 2 * the output's zero point + 1 */
  const ec_mul_channel *channel;
  int32_t step;                  /* offset 40: bytes from one output to the next */
} ec_mul_outputs;

#if EC_MUL_THUMB == 2

/* r5: twice the bias; r6: multiplier; r8: shift; r9: addend; r10: step. */
#define EC_MUL_OUTPUT(sum, excess)      \
  "ldr r2, [%[s], #" sum "]\n"          \
  "ldr r3, [%[s], #" excess "]\n"       \
  "sub r2, r2, r3\n"                    \
  "add r2, r5, r2, lsl #1\n"            \
  "add r4, r9, r2, asr #31\n"           \
  "mov r3, #0x80000000\n"               \
  "smlal r3, r4, r2, r6\n"              \
  "asr r4, r4, r8\n"                    \
  "ssat r4, #8, r4\n"                   \
  "strb r4, [%[out]]\n"                 \
  "add %[out], %[out], r10\n"

/* Four outputs; gives where they end. */
EC_INLINE int8_t *ec_mul_store(const ec_mul_outputs *o, int8_t *out) {
  __asm__ volatile(
      "ldr r2, [%[s], #36]\n"
      "ldr r9, [%[s], #32]\n"
      "ldr r10, [%[s], #40]\n"
      "ldmia r2, {r5, r6, r8}\n"
      "lsl r9, r9, r8\n"
      "asr r9, r9, #1\n" EC_MUL_OUTPUT("0", "16") EC_MUL_OUTPUT("4", "20")
          EC_MUL_OUTPUT("8", "24") EC_MUL_OUTPUT("12", "28")
      : [out] "+r"(out)
      : [s] "r"(o)
      : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "memory");
  return out;
}

#elif EC_MUL_THUMB == 1

/* r8: twice the bias; r9, r10: halves of the multiplier; r11: addend; r12: shift; lr: step. As
 * `ec_high_multiply`. */
#define EC_MUL_OUTPUT(sum, excess)                     \
  "ldr r2, [%[s], #" sum "]\n"                         \
  "ldr r3, [%[s], #" excess "]\n"                      \
  "subs r2, r2, r3\n"                                  \
  "lsls r2, r2, #1\n"                                  \
  "add r2, r8\n"                                       \
  "uxth r3, r2\n"                                      \
  "asrs r2, r2, #16\n"                                 \
  "mov r4, r9\n"                                       \
  "movs r5, r3\n"                                      \
  "muls r5, r4, r5\n" /* low times low */              \
  "lsrs r5, r5, #16\n"                                 \
  "muls r4, r2, r4\n"                                  \
  "adds r4, r4, r5\n" /* middle */                     \
  "mov r5, r10\n"                                      \
  "muls r3, r5, r3\n"                                  \
  "muls r5, r2, r5\n" /* high times high */            \
  "uxth r6, r4\n"                                      \
  "adds r3, r3, r6\n"                                  \
  "lsrs r3, r3, #15\n"                                 \
  "adds r3, r3, #1\n"                                  \
  "lsrs r3, r3, #1\n"                                  \
  "asrs r4, r4, #16\n"                                 \
  "adds r5, r5, r4\n"                                  \
  "adds r5, r5, r3\n"                                  \
  "asrs r2, r2, #31\n"                                 \
  "adds r5, r5, r2\n"                                  \
  "add r5, r11\n"                                      \
  "mov r6, r12\n"                                      \
  "asrs r5, r6\n"                                      \
  "sxtb r6, r5\n"                                      \
  "cmp r6, r5\n"                                       \
  "beq 1f\n"                                           \
  "asrs r5, r5, #31\n" /* too large: 127; too small: -128 */ \
  "movs r6, #127\n"                                    \
  "eors r5, r6\n"                                      \
  "1:\n"                                               \
  "strb r5, [%[out]]\n"                                \
  "add %[out], lr\n"

/* Four outputs; gives where they end. */
EC_INLINE int8_t *ec_mul_store(const ec_mul_outputs *o, int8_t *out) {
  __asm__ volatile(
      ".syntax unified\n"
      "ldr r6, [%[s], #36]\n"
      "ldmia r6!, {r2, r3, r4}\n"
      "mov r8, r2\n"
      "uxth r2, r3\n"
      "lsrs r3, r3, #16\n"
      "mov r9, r2\n"
      "mov r10, r3\n"
      "mov r12, r4\n"
      "ldr r2, [%[s], #32]\n"
      "lsls r2, r4\n"
      "asrs r2, r2, #1\n"
      "mov r11, r2\n"
      "ldr r2, [%[s], #40]\n"
      "mov lr, r2\n" EC_MUL_OUTPUT("0", "16") EC_MUL_OUTPUT("4", "20")
          EC_MUL_OUTPUT("8", "24") EC_MUL_OUTPUT("12", "28")
      : [out] "+l"(out)
      : [s] "l"(o)
      : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
  return out;
}

#else

/* Four outputs; gives where they end. */
EC_INLINE int8_t *ec_mul_store(const ec_mul_outputs *o, int8_t *out) {
  const ec_mul_channel *const c = o->channel;
  const int32_t addend = ec_shift_left(o->twice_zero, c->shift) >> 1;
  const ec_dsp_channel channel = {c->twice_bias, c->multiplier, addend, c->shift};
  for (int32_t i = 0; i < 4; ++i, out += o->step) {
    const uint32_t twice = 2 * (o->sums[i] - o->excess[i]) + (uint32_t)channel.twice_bias;
    *out = (int8_t)ec_clamp(ec_dsp_rescale((int32_t)twice, &channel), -128, 127);
  }
  return out;
}

#endif

/* The first `count` of the four. */
EC_NOINLINE void ec_mul_store_some(ec_mul_outputs *o, int32_t count, int8_t *out) {
  int8_t four[4];
  const int32_t step = o->step;
  o->step = 1;
  ec_mul_store(o, four);
  o->step = step;
  EC_ROLLED for (int32_t i = 0; i < count; ++i, out += step) *out = four[i];
}

#endif
