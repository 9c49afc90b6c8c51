#include "CSimdjson.h"

#include <simdjson.h>

extern "C" int mr_simdjson_check(const uint8_t *bytes, size_t count) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element element;
  const auto error = parser.parse(bytes, count, true).get(element);
  if (error == simdjson::NUMBER_ERROR) return MR_SIMDJSON_NUMBER;
  if (error != simdjson::SUCCESS) return MR_SIMDJSON_REFUSED;
  return element.is_object() ? MR_SIMDJSON_OBJECT : MR_SIMDJSON_OTHER_VALUE;
}
