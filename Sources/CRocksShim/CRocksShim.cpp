#include "CRocksShim.h"

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>

using namespace rocksdb;

namespace {

// Remembers that RocksDB has stopped its background work, until it could go on; counts what merges write.
struct Listener : EventListener {
  std::mutex mutex;
  bool failed = false;
  std::atomic<uint64_t> merged_bytes{0};

  void OnCompactionCompleted(DB *, const CompactionJobInfo &job) override { merged_bytes += job.stats.total_output_bytes; }

  void OnBackgroundError(BackgroundErrorReason, Status *) override {
    std::lock_guard<std::mutex> guard(mutex);
    failed = true;
  }
};

// RocksDB's own log file asserts on the first line after one that found no room (7.8), which would end the process; what goes wrong comes
// by status and listener.
struct NoLog : Logger {
  using Logger::Logv;
  void Logv(const char *, va_list) override {}
};

// A column family; a look-up keeps it alive while another thread drops it.
struct Family {
  DB *db;
  ColumnFamilyHandle *handle;
  Family(DB *db, ColumnFamilyHandle *handle) : db(db), handle(handle) {}
  Family(const Family &) = delete;
  ~Family() { db->DestroyColumnFamilyHandle(handle); }
};

int report(const Status &status, char **message) {
  if (status.ok()) return MR_OK;
  *message = strdup(status.ToString().c_str());
  if (status.IsNoSpace() || (status.IsIOError() && status.subcode() == Status::SubCode::kNoSpace)) return MR_OUT_OF_SPACE;
  if (status.IsCorruption()) return MR_CORRUPT;
  return MR_FAILED;
}

std::string absolute(const std::string &path) {
  std::error_code code;
  auto result = std::filesystem::absolute(path, code);
  return code ? path : result.lexically_normal().string();
}

} // namespace

struct mr_store {
  DB *db = nullptr;
  std::string path;
  Options options;
  std::shared_ptr<Listener> listener = std::make_shared<Listener>();
  std::atomic<uint64_t> flushed_bytes{0};
  // Guards `families`, not what they point to.
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Family>> families;
  std::shared_ptr<Family> standard;

  std::shared_ptr<Family> find(const char *name) {
    std::lock_guard<std::mutex> guard(mutex);
    auto found = families.find(name);
    return found == families.end() ? nullptr : found->second;
  }

  // Goes on after an error in the background, or says that it can't.
  Status resume() {
    {
      std::lock_guard<std::mutex> guard(listener->mutex);
      if (!listener->failed) return Status::OK();
    }
    Status status = db->Resume();
    if (status.ok()) {
      std::lock_guard<std::mutex> guard(listener->mutex);
      listener->failed = false;
    }
    return status;
  }

  Status find_or_create(const char *name, std::shared_ptr<Family> &family) {
    family = find(name);
    if (family) return Status::OK();
    ColumnFamilyHandle *handle = nullptr;
    Status status = db->CreateColumnFamily(options, name, &handle);
    if (!status.ok()) return status;
    family = std::make_shared<Family>(db, handle);
    std::lock_guard<std::mutex> guard(mutex);
    families[name] = family;
    return status;
  }
};

// A file that is being written for a column family.
struct mr_run {
  mr_store *store;
  std::shared_ptr<Family> family;
  // In the store's directory, so that it is moved by a link and goes with the directory after a crash.
  std::string file;
  std::unique_ptr<SstFileWriter> writer;
  size_t count = 0;

  Status open() {
    std::remove(file.c_str());
    // Hashes don't compress: LZ4 saves a third of a fresh run at a quarter of what writing it costs. Merges compress.
    Options plain = store->options;
    plain.compression = kNoCompression;
    // The last argument keeps the new file in the page cache: its keys are the ones that are asked for next.
    writer = std::make_unique<SstFileWriter>(EnvOptions(), plain, family->handle, /*invalidate_page_cache=*/false);
    return writer->Open(file);
  }
};

static Options make_options(size_t cache_byte_count, int compression) {
  Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.max_background_jobs = 2;
  options.info_log = std::make_shared<NoLog>();
  // It is copied into each checkpoint.
  options.max_manifest_file_size = 4 << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // Nothing is ever written through a memtable, so each family's can be small.
  options.write_buffer_size = 64 << 10;
  options.arena_block_size = 4 << 10;
  options.compaction_style = kCompactionStyleUniversal;
  // What a merge saves is files to ask, of one part of a bucket; our own filters answer nearly all. So it waits for many.
  options.level0_file_num_compaction_trigger = 32;
  // A merge keeps 8 bytes of each of a file's keys until the file is whole.
  options.target_file_size_base = 32 << 20;
  // Runs hold different keys, so that merging all of them because the newer ones outweigh the oldest would win no room.
  options.compaction_options_universal.max_size_amplification_percent = 100000;
  options.compression = compression == MR_COMPRESS_ZSTD   ? kZSTD
                        : compression == MR_COMPRESS_LZ4 ? kLZ4Compression
                                                         : kNoCompression;
  BlockBasedTableOptions table;
  // One shard: the flow thread is nearly the only reader, and what is larger than a shard is never kept but read again each time.
  table.block_cache = NewLRUCache(cache_byte_count, /*num_shard_bits=*/0, false, 0.5);
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.filter_policy.reset(NewBloomFilterPolicy(10));
  // In parts of a block each: a file's whole filter is megabytes, too much to read for one key where the cache is small.
  table.index_type = BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = 16 << 10;
  // Nearly all keys that are asked for in vain stop at our own filters: larger blocks, with no index of their own, are cheaper to write
  // and need less memory.
  table.block_size = 16 << 10;
  table.format_version = 5;
  options.table_factory.reset(NewBlockBasedTableFactory(table));
  return options;
}

extern "C" {

void mr_free(void *memory) { free(memory); }

int mr_store_open(const char *path, size_t cache_byte_count, int compression, mr_store **out, char **message) {
  auto store = std::make_unique<mr_store>();
  store->path = absolute(path);
  store->options = make_options(cache_byte_count, compression);
  store->options.listeners.push_back(store->listener);
  std::vector<std::string> names;
  std::error_code code;
  if (std::filesystem::exists(store->path + "/CURRENT", code)) {
    Status status = DB::ListColumnFamilies(store->options, store->path, &names);
    if (!status.ok()) return report(status, message);
  } else {
    if (std::filesystem::exists(store->path, code) && !std::filesystem::is_empty(store->path, code))
      return report(Status::Corruption(store->path, "is neither empty nor a store: it has no file CURRENT"), message);
    names = {"default"};
  }
  std::vector<ColumnFamilyDescriptor> descriptors;
  for (auto &name : names) descriptors.emplace_back(name, store->options);
  std::vector<ColumnFamilyHandle *> handles;
  Status status = DB::Open(store->options, store->path, descriptors, &handles, &store->db);
  if (!status.ok()) return report(status, message);
  for (size_t i = 0; i < handles.size(); i++) {
    auto family = std::make_shared<Family>(store->db, handles[i]);
    if (names[i] == "default") store->standard = family;
    else store->families[names[i]] = family;
  }
  *out = store.release();
  return MR_OK;
}

int mr_store_close(mr_store *store, char **message) {
  // Debian's library asserts that no handle is alive when it closes.
  store->families.clear();
  store->standard.reset();
  Status status = store->db->Close();
  delete store->db;
  delete store;
  return report(status, message);
}

char *mr_store_families(mr_store *store) {
  std::string lines;
  std::lock_guard<std::mutex> guard(store->mutex);
  for (auto &entry : store->families) lines += entry.first + "\n";
  return strdup(lines.c_str());
}

int mr_run_begin(mr_store *store, const char *name, mr_run **out, char **message) {
  auto run = std::make_unique<mr_run>();
  run->store = store;
  run->file = store->path + "/ingest.tmp";
  Status status = store->resume();
  if (status.ok()) status = store->find_or_create(name, run->family);
  if (status.ok()) status = run->open();
  *out = run.release();
  return report(status, message);
}

int mr_run_add(mr_run *run, const uint8_t *keys, const uint32_t *key_ends, const uint8_t *values, const uint32_t *value_ends, size_t count,
               char **message) {
  Status status;
  size_t key_start = 0, value_start = 0;
  for (size_t i = 0; i < count && status.ok(); i++) {
    status = run->writer->Put(Slice((const char *)keys + key_start, key_ends[i] - key_start),
                              Slice((const char *)values + value_start, value_ends[i] - value_start));
    key_start = key_ends[i];
    value_start = value_ends[i];
  }
  run->count += count;
  return report(status, message);
}

int mr_run_ingest(mr_run *run, char **message) {
  if (run->count == 0) return MR_OK;
  Status status = run->writer->Finish();
  if (status.ok()) {
    IngestExternalFileOptions ingest;
    ingest.move_files = true;
    ingest.snapshot_consistency = false;
    ingest.allow_blocking_flush = false;
    uint64_t byte_count = run->writer->FileSize();
    status = run->store->db->IngestExternalFile(run->family->handle, {run->file}, ingest);
    if (status.ok()) run->store->flushed_bytes += byte_count;
  }
  return report(status, message);
}

void mr_run_end(mr_run *run) {
  if (!run) return;
  run->writer.reset();
  std::remove(run->file.c_str());
  delete run;
}

int mr_store_drop(mr_store *store, const char *name, char **message) {
  std::shared_ptr<Family> family = store->find(name);
  if (!family) return MR_OK;
  Status status = store->resume();
  if (status.ok()) status = store->db->DropColumnFamily(family->handle);
  if (!status.ok()) return report(status, message);
  std::lock_guard<std::mutex> guard(store->mutex);
  store->families.erase(name);
  return MR_OK;
}

int mr_store_lookup(mr_store *store, const char *name, const uint8_t *keys, const uint32_t *key_ends, size_t count, int64_t *lengths,
                    uint8_t **bytes, char **message) {
  *bytes = nullptr;
  std::shared_ptr<Family> family = store->find(name);
  if (!family) {
    for (size_t i = 0; i < count; i++) lengths[i] = -1;
    return MR_OK;
  }
  std::vector<Slice> slices(count);
  size_t start = 0;
  for (size_t i = 0; i < count; i++) {
    slices[i] = Slice((const char *)keys + start, key_ends[i] - start);
    start = key_ends[i];
  }
  std::string found;
  // In parts, so that blocks pinned by values stay few.
  const size_t part = 256;
  std::vector<PinnableSlice> values(std::min(part, count));
  std::vector<Status> statuses(std::min(part, count));
  ReadOptions read;
  for (size_t from = 0; from < count; from += part) {
    size_t size = std::min(part, count - from);
    store->db->MultiGet(read, family->handle, size, slices.data() + from, values.data(), statuses.data(), /*sorted_input=*/true);
    for (size_t i = 0; i < size; i++) {
      if (statuses[i].ok()) {
        lengths[from + i] = (int64_t)values[i].size();
        found.append(values[i].data(), values[i].size());
      } else if (statuses[i].IsNotFound()) {
        lengths[from + i] = -1;
      } else {
        return report(statuses[i], message);
      }
      values[i].Reset();
    }
  }
  *bytes = (uint8_t *)malloc(found.size() + 1);
  if (!*bytes) return report(Status::MemoryLimit("values of a look-up"), message);
  memcpy(*bytes, found.data(), found.size());
  return MR_OK;
}

int mr_store_checkpoint(mr_store *store, const char *directory, char **message) {
  Status status = store->resume();
  Checkpoint *checkpoint = nullptr;
  if (status.ok()) status = Checkpoint::Create(store->db, &checkpoint);
  if (status.ok()) status = checkpoint->CreateCheckpoint(absolute(directory), /*log_size_for_flush=*/0);
  delete checkpoint;
  return report(status, message);
}

uint64_t mr_store_family_byte_count(mr_store *store, const char *name) {
  std::shared_ptr<Family> family = store->find(name);
  uint64_t count = 0;
  if (family) store->db->GetIntProperty(family->handle, DB::Properties::kTotalSstFilesSize, &count);
  return count;
}

void mr_store_count(mr_store *store, mr_store_counts *counts) {
  std::vector<std::shared_ptr<Family>> families;
  {
    std::lock_guard<std::mutex> guard(store->mutex);
    for (auto &entry : store->families) families.push_back(entry.second);
  }
  *counts = {};
  counts->families = families.size();
  for (auto &family : families) {
    uint64_t value = 0;
    auto property = [&](const std::string &name) { return store->db->GetIntProperty(family->handle, name, &value) ? value : 0; };
    counts->keys += property(DB::Properties::kEstimateNumKeys);
    counts->file_bytes += property(DB::Properties::kTotalSstFilesSize);
    ColumnFamilyMetaData files;
    store->db->GetColumnFamilyMetaData(family->handle, &files);
    counts->files += files.file_count;
    counts->memory_bytes += property(DB::Properties::kSizeAllMemTables) + property(DB::Properties::kEstimateTableReadersMem);
  }
  counts->flushed_bytes = store->flushed_bytes;
  counts->merged_bytes = store->listener->merged_bytes;
  // One cache for all families.
  uint64_t cached = 0;
  if (store->db->GetIntProperty(store->standard->handle, DB::Properties::kBlockCacheUsage, &cached)) counts->memory_bytes += cached;
}

uint64_t mr_store_family_key_count(mr_store *store, const char *name) {
  std::shared_ptr<Family> family = store->find(name);
  uint64_t count = 0;
  if (family) store->db->GetIntProperty(family->handle, DB::Properties::kEstimateNumKeys, &count);
  return count;
}

} // extern "C"
