#define _GNU_SOURCE
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>

#include "CPlatformScan.h"

// The locale "C": the decimal point is a point whatever the environment says.
static locale_t c_locale;
static pthread_once_t c_locale_made = PTHREAD_ONCE_INIT;

static void make_c_locale(void) {
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c_locale == (locale_t)0) abort();
}

double mr_nearest_double(const char *text) {
  pthread_once(&c_locale_made, make_c_locale);
  return strtod_l(text, NULL, c_locale);
}

float mr_nearest_float(const char *text) {
  pthread_once(&c_locale_made, make_c_locale);
  return strtof_l(text, NULL, c_locale);
}
