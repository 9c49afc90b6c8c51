// What Millrace needs of RocksDB, in batches over flat buffers. RocksDB's own C API gives errors as text only, has no Resume(), evicts
// fresh files from the page cache and takes keys one by one.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_store mr_store;
typedef struct mr_run mr_run;

/// Kinds of errors.
#define MR_OK 0
#define MR_OUT_OF_SPACE 1
#define MR_CORRUPT 2
#define MR_FAILED 3

/// Compressions of the files.
#define MR_COMPRESS_NONE 0
#define MR_COMPRESS_LZ4 1
#define MR_COMPRESS_ZSTD 2

/// Frees what a function below has handed out.
void mr_free(void *memory);

// Each function returns one of the kinds above and, where it isn't MR_OK, a text in *message that the caller frees.

int mr_store_open(const char *path, size_t cache_byte_count, int compression, mr_store **store, char **message);

/// No other call may be under way. Frees the store.
int mr_store_close(mr_store *store, char **message);

/// The names of the column families but "default", a line each; freed by the caller.
char *mr_store_families(mr_store *store);

/// Begins a file of keys for a column family, which is created when missing; one at a time. Also after an error *run is to be ended.
int mr_run_begin(mr_store *store, const char *family, mr_run **run, char **message);

/// Adds `count` keys with their values to the file, strictly ascending over all calls.
int mr_run_add(mr_run *run, const uint8_t *keys, const uint32_t *key_ends, const uint8_t *values, const uint32_t *value_ends, size_t count,
               char **message);

/// Makes the file, with all that was added, part of the store; nothing where nothing was.
int mr_run_ingest(mr_run *run, char **message);

/// Frees the run, NULL too; what was not ingested is gone.
void mr_run_end(mr_run *run);

int mr_store_drop(mr_store *store, const char *family, char **message);

/// Looks `count` ascending keys up. lengths[i] is the byte count of value i or -1; the values stand one after the other in *bytes, which the
/// caller frees. May run beside every other function but mr_store_close.
int mr_store_lookup(mr_store *store, const char *family, const uint8_t *keys, const uint32_t *key_ends, size_t count, int64_t *lengths,
                    uint8_t **bytes, char **message);

int mr_store_checkpoint(mr_store *store, const char *directory, char **message);

/// Bytes of the files of a column family; 0 where there is none.
uint64_t mr_store_family_byte_count(mr_store *store, const char *family);

/// How much a store holds.
struct mr_store_counts {
  uint64_t families;
  /// Estimated from the files' entries.
  uint64_t keys;
  uint64_t files;
  uint64_t file_bytes;
  /// Bytes of files written since the store was opened: runs, and what merges made of them.
  uint64_t flushed_bytes;
  uint64_t merged_bytes;
  /// Block cache, memtables, and what readers of files hold outside of it.
  uint64_t memory_bytes;
};

/// May run beside every other function but mr_store_close.
void mr_store_count(mr_store *store, struct mr_store_counts *counts);

/// About how many keys a column family has; 0 where there is none. May run beside every other function but mr_store_close.
uint64_t mr_store_family_key_count(mr_store *store, const char *family);

#ifdef __cplusplus
}
#endif
