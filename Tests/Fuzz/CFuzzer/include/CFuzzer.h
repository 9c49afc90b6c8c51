#pragma once

#include <stddef.h>
#include <stdint.h>

/// libFuzzer's entry for programs with a main of their own.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t count));

/// What is allocated between the two on this thread is not taken for leaked.
void __lsan_disable(void);
void __lsan_enable(void);
