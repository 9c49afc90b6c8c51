#pragma once

#include <stddef.h>
#include <stdint.h>

/// Begins to load what stands at an address, which need not be valid, into the processor's cache.
static inline void mr_prefetch(const void *address) { __builtin_prefetch(address); }

/// Searches keys in a split-block Bloom filter: sets passes[i] to 1 where the key of row rows[i] may be in it, and leaves the others alone.
///
/// A block is eight 32-bit words, block_count of them stand one after the other, at least one; of a key one bit is set in each word
/// of its block: bit (low * salt of the word) >> 27, where the block is (low >> 32) * block_count >> 32 and low the first of the two 64-bit
/// halves of the row's hash. Uses the processor's AVX2 where it has it.
void mr_filter_search(const void *blocks, uint64_t block_count, const void *hashes, const int32_t *rows, size_t count, uint8_t *passes);

/// Adds the key whose hash has this low half. One thread adds; others may search meanwhile, and see each bit before or after it is set.
void mr_filter_add(void *blocks, uint64_t block_count, uint64_t low);

/// The same as mr_filter_search word by word, for processors without AVX2 and for tests that compare both.
void mr_filter_search_by_words(const void *blocks, uint64_t block_count, const void *hashes, const int32_t *rows, size_t count,
                               uint8_t *passes);
