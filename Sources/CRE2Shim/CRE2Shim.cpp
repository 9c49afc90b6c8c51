#include "CRE2Shim.h"

#include <cstdlib>
#include <cstring>
#include <re2/re2.h>

struct mr_regex {
  mr_regex(const char *pattern, size_t count, const RE2::Options &options) : re2(re2::StringPiece(pattern, count), options) {}

  RE2 re2;
};

extern "C" {

mr_regex *mr_regex_compile(const char *pattern, size_t count, int ignores_case, char **message) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_dot_nl(true);
  options.set_case_sensitive(ignores_case == 0);
  auto *regex = new mr_regex(pattern, count, options);
  if (regex->re2.ok()) return regex;
  *message = strdup(regex->re2.error().c_str());
  delete regex;
  return nullptr;
}

void mr_regex_free(mr_regex *regex) { delete regex; }

void mr_regex_free_message(char *message) { free(message); }

int mr_regex_group_count(const mr_regex *regex) { return regex->re2.NumberOfCapturingGroups(); }

int mr_regex_search(const mr_regex *regex, const char *text, size_t count, size_t start, int group_count, int64_t *places) {
  re2::StringPiece groups[10];
  if (group_count > 10) group_count = 10;
  if (!regex->re2.Match(re2::StringPiece(text, count), start, count, RE2::UNANCHORED, groups, group_count)) return 0;
  for (int i = 0; i < group_count; i++) {
    places[2 * i] = groups[i].data() == nullptr ? -1 : groups[i].data() - text;
    places[2 * i + 1] = static_cast<int64_t>(groups[i].size());
  }
  return 1;
}
}
