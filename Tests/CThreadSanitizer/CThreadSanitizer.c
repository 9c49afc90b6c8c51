// Tells the thread sanitizer how Swift's library orders memory: it isn't instrumented, and without this its users look like races.
//
// - Synchronization.Mutex: lock and unlock are inlined into our code, where they are seen; those that meet with contention are functions
//   of the library.
// - Reference counts: who finds itself to be an object's only owner, to write in place or to free it, comes after all who let go of it.
//
// Linked into our program, these functions take the library's place in all of it, and call the library's.
#define _GNU_SOURCE

#include "CThreadSanitizer.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *mutex
#define UNSEEN __attribute__((no_sanitize("thread")))

void __tsan_acquire(void *address);
void __tsan_release(void *address);

SWIFT void mill_tsan_lock(uint32_t thread, SELF) __asm__(LOCK);
SWIFT bool mill_tsan_try_lock(SELF) __asm__(TRY_LOCK);
SWIFT void mill_tsan_unlock(SELF) __asm__(UNLOCK);
void swift_release(void *object);
void swift_release_n(void *object, uint32_t count);
bool swift_isUniquelyReferenced_nonNull_native(const void *object);

static SWIFT void (*next_lock)(uint32_t thread, SELF);
static SWIFT bool (*next_try_lock)(SELF);
static SWIFT void (*next_unlock)(SELF);
static void (*next_release)(void *object);
static void (*next_release_n)(void *object, uint32_t count);
static bool (*next_is_unique)(const void *object);

static void *next(const char *name) {
  void *symbol = dlsym(RTLD_NEXT, name);
  if (symbol == NULL) {
    fprintf(stderr, "Swift's library has no %s: it has changed, CThreadSanitizer.c must follow\n", name);
    abort();
  }
  return symbol;
}

// Before the constructors of libraries and C++ run.
__attribute__((constructor(101))) static void find(void) {
  next_lock = next(LOCK);
  next_try_lock = next(TRY_LOCK);
  next_unlock = next(UNLOCK);
  next_release_n = next("swift_release_n");
  next_is_unique = next("swift_isUniquelyReferenced_nonNull_native");
  next_release = next("swift_release");
}

SWIFT void mill_tsan_lock(uint32_t thread, SELF) {
  next_lock(thread, mutex);
  __tsan_acquire(mutex);
}

SWIFT bool mill_tsan_try_lock(SELF) {
  bool locked = next_try_lock(mutex);
  if (locked) __tsan_acquire(mutex);
  return locked;
}

SWIFT void mill_tsan_unlock(SELF) {
  __tsan_release(mutex);
  next_unlock(mutex);
}

// An object's second word counts its references: the strong ones but one from bit 33 on; all ones in the lower half: it never dies.
UNSEEN static void let_go(void *object, uint32_t count) {
  if ((intptr_t)object <= 0) return;
  uint64_t bits = __atomic_load_n((uint64_t *)object + 1, __ATOMIC_RELAXED);
  if ((uint32_t)bits == UINT32_MAX) return;
  __tsan_release(object);
  if (bits >> 33 < count) __tsan_acquire(object);
}

UNSEEN void swift_release(void *object) {
  if (next_release == NULL) find();
  let_go(object, 1);
  next_release(object);
}

UNSEEN void swift_release_n(void *object, uint32_t count) {
  if (next_release == NULL) find();
  let_go(object, count);
  next_release_n(object, count);
}

UNSEEN bool swift_isUniquelyReferenced_nonNull_native(const void *object) {
  if (next_release == NULL) find();
  bool unique = next_is_unique(object);
  if (unique) __tsan_acquire((void *)object);
  return unique;
}
