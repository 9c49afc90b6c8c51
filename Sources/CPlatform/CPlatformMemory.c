#include "CPlatformMemory.h"

#include <malloc.h>

void mr_return_large_memory(int from) {
  mallopt(M_MMAP_THRESHOLD, from);
  // Setting one bound freezes the other: 128 KiB at the end of each arena, given back and asked for again all the time.
  mallopt(M_TRIM_THRESHOLD, from > 8 << 20 ? from : 8 << 20);
}

void mr_return_free_memory(void) { malloc_trim(0); }
