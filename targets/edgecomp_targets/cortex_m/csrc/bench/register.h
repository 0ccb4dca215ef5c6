/* Memory-mapped registers. */
#ifndef REGISTER_H
#define REGISTER_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#endif
