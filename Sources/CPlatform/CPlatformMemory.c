#include "CPlatformMemory.h"

#include <malloc.h>

void mr_return_large_memory(void) { mallopt(M_MMAP_THRESHOLD, 256 << 10); }
