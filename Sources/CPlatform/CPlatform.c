#include "CPlatform.h"

#include <pthread.h>
#include <string.h>

// Reflected Castagnoli polynomial.
static const uint32_t polynomial = 0x82F63B78u;

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t crc = n;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
    tables[0][n] = crc;
  }
  for (uint32_t n = 0; n < 256; n++)
    for (int t = 1; t < 8; t++) tables[t][n] = tables[t - 1][n] >> 8 ^ tables[0][tables[t - 1][n] & 255];
}

uint32_t mr_crc32c_table(uint32_t seed, const void *bytes, size_t count) {
  pthread_once(&tables_once, fill_tables);
  const unsigned char *p = bytes;
  uint32_t crc = ~seed;
  while (count >= 8) {
    uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^
          tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
    p += 8;
    count -= 8;
  }
  while (count-- > 0) crc = crc >> 8 ^ tables[0][(crc ^ *p++) & 255];
  return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_instruction(uint32_t seed, const void *bytes, size_t count) {
  const unsigned char *p = bytes;
  uint64_t crc = (uint32_t)~seed;
  while (count >= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    crc = _mm_crc32_u64(crc, word);
    p += 8;
    count -= 8;
  }
  uint32_t rest = (uint32_t)crc;
  while (count-- > 0) rest = _mm_crc32_u8(rest, *p++);
  return ~rest;
}

uint32_t mr_crc32c(uint32_t seed, const void *bytes, size_t count) {
  // Reads a word that the runtime fills at load time; no cpuid here.
  if (__builtin_cpu_supports("sse4.2")) return crc32c_instruction(seed, bytes, count);
  return mr_crc32c_table(seed, bytes, count);
}
#else
uint32_t mr_crc32c(uint32_t seed, const void *bytes, size_t count) { return mr_crc32c_table(seed, bytes, count); }
#endif
