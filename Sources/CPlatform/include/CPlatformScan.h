#pragma once

#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/// Bit i is set where byte i of the 16 at `bytes` needs a closer look inside a JSON string: a quote, a backslash, a control
/// character, or a byte of 0x80 and up. All 16 must be readable.
static inline uint32_t mr_scan_string(const void *bytes) {
#if defined(__SSE2__)
  const __m128i block = _mm_loadu_si128((const __m128i *)bytes);
  const __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
  const __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
  // Compared as signed numbers, both control characters and bytes of 0x80 and up are less than a space.
  const __m128i other = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
  return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), other));
#else
  uint32_t mask = 0;
  for (int i = 0; i < 16; i++) {
    const uint8_t byte = ((const uint8_t *)bytes)[i];
    mask |= (uint32_t)(byte == '"' || byte == '\\' || byte < 0x20 || byte >= 0x80) << i;
  }
  return mask;
#endif
}

/// 10^exponent; exponent 0...19.
static inline uint64_t mr_power_of_ten(uint32_t exponent) {
  static const uint64_t powers[20] = {
      1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL, 10000000000ULL,
      100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL, 10000000000000000ULL,
      100000000000000000ULL, 1000000000000000000ULL, 10000000000000000000ULL};
  return powers[exponent];
}

/// 10^exponent, which a double holds exactly; exponent 0...22.
static inline double mr_double_power_of_ten(uint32_t exponent) {
  static const double powers[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  return powers[exponent];
}

/// The double nearest to a number's text that ends in a zero byte, whatever the locale; infinite beyond its range.
double mr_nearest_double(const char *text);

/// The float nearest to a number's text that ends in a zero byte, whatever the locale; infinite beyond its range.
float mr_nearest_float(const char *text);
