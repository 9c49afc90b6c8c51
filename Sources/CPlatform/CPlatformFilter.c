#include "CPlatformFilter.h"

// Odd multipliers; those of the split-block filter of Apache Parquet's specification.
static const uint32_t salts[8] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

// Blocks lie anywhere in megabytes: they are asked for so many keys ahead.
enum { AHEAD = 16 };

static inline const uint32_t *block_of(const void *blocks, uint64_t block_count, uint64_t low) {
  return (const uint32_t *)blocks + 8 * ((low >> 32) * block_count >> 32);
}

void mr_filter_add(void *blocks, uint64_t block_count, uint64_t low) {
  uint32_t *block = (uint32_t *)block_of(blocks, block_count, low);
  for (int word = 0; word < 8; word++) {
    // No other thread writes: what counts is that a store is whole.
    uint32_t bits = __atomic_load_n(&block[word], __ATOMIC_RELAXED);
    __atomic_store_n(&block[word], bits | (uint32_t)1 << ((uint32_t)low * salts[word] >> 27), __ATOMIC_RELAXED);
  }
}

// Another thread may be adding keys: whatever is loaded of their bits, the bits of keys that were there are set.
#if defined(__clang__)
#define BESIDE_ADDITIONS __attribute__((no_sanitize("thread")))
#else
#define BESIDE_ADDITIONS
#endif

void mr_filter_search_by_words(const void *blocks, uint64_t block_count, const void *hashes, const int32_t *rows, size_t count,
                               uint8_t *passes) {
  const uint64_t *halves = hashes;
  for (size_t i = 0; i < count; i++) {
    const uint64_t low = halves[2 * (size_t)rows[i]];
    const uint32_t *block = block_of(blocks, block_count, low);
    uint32_t missing = 0;
    for (int word = 0; word < 8; word++) {
      const uint32_t bits = __atomic_load_n(&block[word], __ATOMIC_RELAXED);
      missing |= ~bits & (uint32_t)1 << ((uint32_t)low * salts[word] >> 27);
    }
    if (!missing) passes[i] = 1;
  }
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) BESIDE_ADDITIONS static void search_by_blocks(const void *blocks, uint64_t block_count, const void *hashes,
                                                             const int32_t *rows, size_t count, uint8_t *passes) {
  const uint64_t *halves = hashes;
  const __m256i salt = _mm256_loadu_si256((const __m256i *)salts);
  const __m256i one = _mm256_set1_epi32(1);
  for (size_t i = 0; i < count; i++) {
    if (i + AHEAD < count) __builtin_prefetch(block_of(blocks, block_count, halves[2 * (size_t)rows[i + AHEAD]]));
    const uint64_t low = halves[2 * (size_t)rows[i]];
    const __m256i shift = _mm256_srli_epi32(_mm256_mullo_epi32(_mm256_set1_epi32((int)low), salt), 27);
    const __m256i block = _mm256_loadu_si256((const __m256i *)block_of(blocks, block_count, low));
    passes[i] |= (uint8_t)_mm256_testc_si256(block, _mm256_sllv_epi32(one, shift));
  }
}

void mr_filter_search(const void *blocks, uint64_t block_count, const void *hashes, const int32_t *rows, size_t count, uint8_t *passes) {
  if (__builtin_cpu_supports("avx2")) return search_by_blocks(blocks, block_count, hashes, rows, count, passes);
  mr_filter_search_by_words(blocks, block_count, hashes, rows, count, passes);
}
#else
void mr_filter_search(const void *blocks, uint64_t block_count, const void *hashes, const int32_t *rows, size_t count, uint8_t *passes) {
  mr_filter_search_by_words(blocks, block_count, hashes, rows, count, passes);
}
#endif
