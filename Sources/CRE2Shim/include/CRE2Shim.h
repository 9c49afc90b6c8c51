// What Millrace needs of RE2, with its options as ClickHouse sets them: UTF-8, '.' takes line ends too, no messages on stderr.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_regex mr_regex;

/// Compiles a pattern. NULL where it is none; then *message says why, to be freed by mr_regex_free_message.
mr_regex *mr_regex_compile(const char *pattern, size_t count, int ignores_case, char **message);

void mr_regex_free(mr_regex *regex);

void mr_regex_free_message(char *message);

/// How many groups in parentheses the pattern has.
int mr_regex_group_count(const mr_regex *regex);

/// Searches the text from byte `start` on. 1 where the pattern matches; then places[2 * i] is the offset and places[2 * i + 1] the length of
/// the whole match (i = 0) and of each group below `group_count`, offset -1 where the group took no part. Any number of threads at once.
int mr_regex_search(const mr_regex *regex, const char *text, size_t count, size_t start, int group_count, int64_t *places);

#ifdef __cplusplus
}
#endif
