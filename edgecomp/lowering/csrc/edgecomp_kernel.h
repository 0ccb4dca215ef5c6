/* What every generated file includes. */
#ifndef EDGECOMP_KERNEL_H
#define EDGECOMP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A kernel stays a function of its own, so that a profile can name it. */
#if defined(__GNUC__)
#define EC_KERNEL static __attribute__((noinline))
#else
#define EC_KERNEL static
#endif

#define EC_INFINITY __builtin_inff()
#define EC_NAN __builtin_nanf("")

#include "edgecomp_integer.h"
#include "edgecomp_math.h"
#include "edgecomp_quantize.h"
#include "edgecomp_softmax.h"

#endif
