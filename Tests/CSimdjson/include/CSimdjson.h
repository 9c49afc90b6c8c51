#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  MR_SIMDJSON_OBJECT = 0,
  MR_SIMDJSON_OTHER_VALUE = 1,
  MR_SIMDJSON_REFUSED = 2,
  /// Refused for a number that simdjson can't hold or that is none.
  MR_SIMDJSON_NUMBER = 3,
};

/// What simdjson's DOM parser makes of a text. One thread at a time per thread's own parser.
int mr_simdjson_check(const uint8_t *bytes, size_t count);

#ifdef __cplusplus
}
#endif
