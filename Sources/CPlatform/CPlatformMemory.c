#include "CPlatformMemory.h"

#include <malloc.h>

void mr_return_large_memory(void) {
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  // Setting one bound freezes the other: 128 KiB at the end of each arena, given back and asked for again all the time.
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
}
