// LD_PRELOAD: one call on one file of the process fails. For the tests of what the engine does on a disk that fails.
//
// DISK_FAULT=CALL:PART:N:WHAT   CALL: sync (fsync, fdatasync), write (write, pwrite, writev), rename, link or unlink
//                               PART: what the file's path must hold (of two paths, the new one)
//                               N:    the number of the call, counted over those that fit; "N+": that one and all after it
//                               WHAT: EIO, ENOSPC, EROFS, short (half of the bytes are written), kill (SIGKILL before the call) or
//                                     wait (it comes a second later)
// A line "disk fault CALL PATH" on stderr says that it has come.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PASS, SHORT = -1 };

static char call[16], part[PATH_MAX], what[16];
static long number;
static int lasting;
static atomic_long seen;

__attribute__((constructor)) static void read_fault(void) {
  const char *text = getenv("DISK_FAULT");
  char hit[16];
  if (!text) return;
  if (sscanf(text, "%15[^:]:%4095[^:]:%15[^:]:%15s", call, part, hit, what) != 4 || (number = atol(hit)) < 1) {
    fprintf(stderr, "DISK_FAULT=%s: must be CALL:PART:N:WHAT\n", text);
    _exit(2);
  }
  lasting = hit[strlen(hit) - 1] == '+';
}

// PASS, SHORT, or the errno that the call must fail with.
static int strike(const char *name, const char *path) {
  if (strcmp(call, name) != 0 || !strstr(path, part)) return PASS;
  long mine = atomic_fetch_add(&seen, 1) + 1;
  if (mine != number && !(lasting && mine > number)) return PASS;
  char line[PATH_MAX + 32];
  int length = snprintf(line, sizeof line, "disk fault %s %s\n", name, path);
  syscall(SYS_write, 2, line, (size_t)length);
  if (!strcmp(what, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(what, "wait")) return (void)sleep(1), PASS;
  if (!strcmp(what, "short")) return SHORT;
  return !strcmp(what, "ENOSPC") ? ENOSPC : !strcmp(what, "EROFS") ? EROFS : EIO;
}

static int strike_file(const char *name, int file) {
  char link[64], path[PATH_MAX];
  if (strcmp(call, name) != 0) return PASS;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return PASS;
  path[length] = 0;
  return strike(name, path);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAIL(code) do { errno = (code); return -1; } while (0)

int fsync(int file) {
  REAL(fsync);
  int fault = strike_file("sync", file);
  if (fault > 0) FAIL(fault);
  return real(file);
}

int fdatasync(int file) {
  REAL(fdatasync);
  int fault = strike_file("sync", file);
  if (fault > 0) FAIL(fault);
  return real(file);
}

ssize_t write(int file, const void *bytes, size_t count) {
  REAL(write);
  int fault = strike_file("write", file);
  if (fault > 0) FAIL(fault);
  return real(file, bytes, fault == SHORT ? (count + 1) / 2 : count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  REAL(pwrite);
  int fault = strike_file("write", file);
  if (fault > 0) FAIL(fault);
  return real(file, bytes, fault == SHORT ? (count + 1) / 2 : count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  REAL(pwrite64);
  int fault = strike_file("write", file);
  if (fault > 0) FAIL(fault);
  return real(file, bytes, fault == SHORT ? (count + 1) / 2 : count, offset);
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
  REAL(writev);
  int fault = strike_file("write", file);
  if (fault > 0) FAIL(fault);
  return real(file, pieces, fault == SHORT ? 1 : count);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  int fault = strike("rename", to);
  if (fault > 0) FAIL(fault);
  return real(from, to);
}

int link(const char *from, const char *to) {
  REAL(link);
  int fault = strike("link", to);
  if (fault > 0) FAIL(fault);
  return real(from, to);
}

int unlink(const char *path) {
  REAL(unlink);
  int fault = strike("unlink", path);
  if (fault > 0) FAIL(fault);
  return real(path);
}
