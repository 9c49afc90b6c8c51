// LD_PRELOAD: the wall clock that the program itself reads is so many seconds off as the file CLOCK_FILE says, read at each call.
//
// Libraries are told the truth: they wait until moments that the kernel's own clock must come to, which doesn't jump here.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
  const char *path = getenv("CLOCK_FILE");
  char text[32] = "";
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  return length > 0 ? atol(text) : 0;
}

// Whether an address lies in the executable: the object that the kernel's program headers belong to.
static int is_program(const void *address) {
  Dl_info caller, program;
  return dladdr(address, &caller) && dladdr((const void *)getauxval(AT_PHDR), &program) && caller.dli_fbase == program.dli_fbase;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME && is_program(__builtin_return_address(0))) now->tv_sec += offset();
  return result;
}
