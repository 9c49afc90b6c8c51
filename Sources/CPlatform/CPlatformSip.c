#include "CPlatformSip.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

int mr_has_siphash128_four(void) { return __builtin_cpu_supports("avx2"); }

#define AVX2 __attribute__((target("avx2"))) static inline

AVX2 __m256i rotated(__m256i value, int by) { return _mm256_or_si256(_mm256_slli_epi64(value, by), _mm256_srli_epi64(value, 64 - by)); }

// By 32 bits, which is swapping halves.
AVX2 __m256i swapped(__m256i value) { return _mm256_shuffle_epi32(value, 0xB1); }

// One SipRound of four states, a lane each.
AVX2 void sip_round(__m256i v[4]) {
  v[0] = _mm256_add_epi64(v[0], v[1]);
  v[1] = _mm256_xor_si256(rotated(v[1], 13), v[0]);
  v[0] = swapped(v[0]);
  v[2] = _mm256_add_epi64(v[2], v[3]);
  v[3] = _mm256_xor_si256(rotated(v[3], 16), v[2]);
  v[0] = _mm256_add_epi64(v[0], v[3]);
  v[3] = _mm256_xor_si256(rotated(v[3], 21), v[0]);
  v[2] = _mm256_add_epi64(v[2], v[1]);
  v[1] = _mm256_xor_si256(rotated(v[1], 17), v[2]);
  v[2] = swapped(v[2]);
}

AVX2 void absorb(__m256i v[4], __m256i word) {
  v[3] = _mm256_xor_si256(v[3], word);
  sip_round(v);
  sip_round(v);
  v[0] = _mm256_xor_si256(v[0], word);
}

AVX2 __m256i squeezed(__m256i v[4]) {
  for (int round = 0; round < 4; round++) sip_round(v);
  return _mm256_xor_si256(_mm256_xor_si256(v[0], v[1]), _mm256_xor_si256(v[2], v[3]));
}

static inline uint64_t word_at(const uint8_t *bytes, size_t size) {
  uint64_t word = 0;
  memcpy(&word, bytes, size);
  return word;
}

__attribute__((target("avx2"))) void mr_siphash128_four(uint64_t key_low, uint64_t key_high, const void *inputs, size_t stride,
                                                        size_t count, uint64_t out[8]) {
  const uint8_t *a = inputs, *b = a + stride, *c = b + stride, *d = c + stride;
  __m256i v[4] = {_mm256_set1_epi64x((long long)(0x736f6d6570736575ull ^ key_low)),
                  _mm256_set1_epi64x((long long)(0x646f72616e646f6dull ^ key_high ^ 0xee)),
                  _mm256_set1_epi64x((long long)(0x6c7967656e657261ull ^ key_low)),
                  _mm256_set1_epi64x((long long)(0x7465646279746573ull ^ key_high))};
  size_t at = 0;
  for (; at + 8 <= count; at += 8)
    absorb(v, _mm256_set_epi64x((long long)word_at(d + at, 8), (long long)word_at(c + at, 8), (long long)word_at(b + at, 8),
                                (long long)word_at(a + at, 8)));
  // The last word: what is left of the bytes, and the length in the top byte.
  const uint64_t length = (uint64_t)count << 56;
  const size_t rest = count - at;
  absorb(v, _mm256_set_epi64x((long long)(word_at(d + at, rest) | length), (long long)(word_at(c + at, rest) | length),
                              (long long)(word_at(b + at, rest) | length), (long long)(word_at(a + at, rest) | length)));
  v[2] = _mm256_xor_si256(v[2], _mm256_set1_epi64x(0xee));
  uint64_t low[4], high[4];
  _mm256_storeu_si256((__m256i *)low, squeezed(v));
  v[1] = _mm256_xor_si256(v[1], _mm256_set1_epi64x(0xdd));
  _mm256_storeu_si256((__m256i *)high, squeezed(v));
  for (int lane = 0; lane < 4; lane++) {
    out[2 * lane] = low[lane];
    out[2 * lane + 1] = high[lane];
  }
}
#else
int mr_has_siphash128_four(void) { return 0; }

void mr_siphash128_four(uint64_t key_low, uint64_t key_high, const void *inputs, size_t stride, size_t count, uint64_t out[8]) {
  __builtin_trap();
}
#endif
