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

/* Constants stay in flash; a firmware may name a section of its own. */
#ifndef EC_WEIGHTS
#if defined(__GNUC__)
#define EC_WEIGHTS __attribute__((aligned(16)))
#else
#define EC_WEIGHTS
#endif
#endif

/* What the file offers to its users. */
#ifndef EC_EXPORT
#define EC_EXPORT
#endif

#include "edgecomp_divide.h"
#include "edgecomp_extreme.h"
#include "edgecomp_integer.h"
#include "edgecomp_log_softmax.h"
#include "edgecomp_math.h"
#include "edgecomp_quantize.h"
#include "edgecomp_softmax.h"

#endif
