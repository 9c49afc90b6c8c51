#pragma once

#include <stddef.h>
#include <stdint.h>

/// Whether the processor can do ``mr_siphash128_four``.
int mr_has_siphash128_four(void);

/// SipHash-2-4 with 128 bits of output of four inputs of `count` bytes each, `stride` bytes from one to the next, under one key; their
/// hashes, two 64-bit halves each, go to `out`. Only where ``mr_has_siphash128_four`` says so.
void mr_siphash128_four(uint64_t key_low, uint64_t key_high, const void *inputs, size_t stride, size_t count, uint64_t out[8]);
