#pragma once

#include "CPlatformThread.h"

#include <stddef.h>
#include <stdint.h>

#include "CPlatformFilter.h"
#include "CPlatformMemory.h"
#include "CPlatformProcess.h"
#include "CPlatformScan.h"
#include "CPlatformSip.h"

/// CRC-32C of `count` bytes, going on from the CRC `seed` of what stands before them (0 at the beginning).
/// Uses the processor's instruction where there is one.
uint32_t mr_crc32c(uint32_t seed, const void *bytes, size_t count);

/// The same by tables alone, for processors without the instruction and for tests that compare both.
uint32_t mr_crc32c_table(uint32_t seed, const void *bytes, size_t count);
