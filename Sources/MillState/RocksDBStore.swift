internal import CRocksShim
internal import MillBase

/// How the files of a store are compressed.
package enum StoreCompression: Hashable, Sendable {
  case none, lz4, zstd
}

/// Opens stores in RocksDB.
package final class RocksDBStoreOpener: RunStoreOpener {
  /// Bytes of RocksDB's block cache, which also holds the indexes and filters of its files.
  private let cacheByteCount: Int
  private let compression: StoreCompression

  package init(cacheByteCount: Int = 256 << 20, compression: StoreCompression = .lz4) {
    self.cacheByteCount = cacheByteCount
    self.compression = compression
  }

  package func open(_ directory: String) throws(RunStoreError) -> any RunStore { try openStore(directory) }

  /// As ``open(_:)``, for whoever also asks what only RocksDB knows.
  package func openStore(_ directory: String) throws(RunStoreError) -> RocksDBStore {
    try RocksDBStore(directory, cacheByteCount: cacheByteCount, compression: compression)
  }
}

/// Sorted runs in RocksDB: a column family for each bucket (``BucketID/name``), no write-ahead log, nothing ever in a memtable.
///
/// The library locks for itself; the shim keeps a column family alive while a look-up uses it. ``close()`` only when no other call is under
/// way. After an error in RocksDB's background work (a full disk) each change first tries to go on, and throws while that fails.
@safe package final class RocksDBStore: RunStore, @unchecked Sendable {
  private var handle: OpaquePointer?
  private let directory: String

  init(_ directory: String, cacheByteCount: Int, compression: StoreCompression) throws(RunStoreError) {
    self.directory = directory
    let code =
      switch compression {
      case .none: MR_COMPRESS_NONE
      case .lz4: MR_COMPRESS_LZ4
      case .zstd: MR_COMPRESS_ZSTD
      }
    var opened: OpaquePointer?
    var message: UnsafeMutablePointer<CChar>?
    let result = unsafe mr_store_open(directory, cacheByteCount, code, &opened, &message)
    try unsafe Self.check(result, message, "open", directory)
    unsafe handle = opened
    for name in families() where BucketID(name) == nil {
      close()
      throw .corrupt("\(directory): open: column family \(name) isn't a bucket's (s<state>.b<number>[.l<level>])")
    }
  }

  deinit { close() }

  package func buckets() -> [BucketID] { families().compactMap { BucketID($0) }.sorted() }

  /// The names of all column families but the default one.
  private func families() -> [String] {
    guard let lines = unsafe mr_store_families(open()) else { return [] }
    defer { unsafe mr_free(lines) }
    return unsafe String(cString: lines).split(separator: "\n").map(String.init)
  }

  package func ingest(_ nextPiece: () -> SortedRun?, into bucket: BucketID) throws(RunStoreError) {
    var message: UnsafeMutablePointer<CChar>?
    var run: OpaquePointer?
    var result = unsafe mr_run_begin(open(), bucket.name, &run, &message)
    var count = 0
    while result == MR_OK, let piece = nextPiece() {
      precondition(piece.keyEnds.count == piece.valueEnds.count, "\(piece.keyEnds.count) keys with \(piece.valueEnds.count) values")
      count += piece.count
      result = unsafe mr_run_add(run, piece.keyBytes, piece.keyEnds, piece.valueBytes, piece.valueEnds, piece.count, &message)
    }
    if result == MR_OK { result = unsafe mr_run_ingest(run, &message) }
    unsafe mr_run_end(run)
    try unsafe Self.check(result, message, "ingest of \(count) keys into \(bucket.name)", directory)
  }

  package func drop(_ bucket: BucketID) throws(RunStoreError) {
    var message: UnsafeMutablePointer<CChar>?
    let result = unsafe mr_store_drop(open(), bucket.name, &message)
    try unsafe Self.check(result, message, "drop of \(bucket.name)", directory)
  }

  package func lookup(
    _ bucket: BucketID, keys: [UInt8], ends: [UInt32], into values: inout [[UInt8]?]
  ) throws(RunStoreError) {
    values.removeAll(keepingCapacity: true)
    var lengths = [Int64](repeating: -1, count: ends.count)
    var bytes: UnsafeMutablePointer<UInt8>?
    var message: UnsafeMutablePointer<CChar>?
    let result = unsafe mr_store_lookup(open(), bucket.name, keys, ends, ends.count, &lengths, &bytes, &message)
    defer { unsafe mr_free(bytes) }
    try unsafe Self.check(result, message, "look-up of \(ends.count) keys in \(bucket.name)", directory)
    var start = 0
    for length in lengths {
      guard length >= 0, let from = unsafe bytes else {
        values.append(nil)
        continue
      }
      unsafe values.append(Array(UnsafeBufferPointer(start: from + start, count: Int(length))))
      start += Int(length)
    }
  }

  package func checkpoint(to directory: String) throws(RunStoreError) {
    var message: UnsafeMutablePointer<CChar>?
    let result = unsafe mr_store_checkpoint(open(), directory, &message)
    try unsafe Self.check(result, message, "checkpoint to \(directory)", self.directory)
  }

  package func facts() -> RunStoreFacts {
    var counted = mr_store_counts()
    unsafe mr_store_count(open(), &counted)
    var facts = RunStoreFacts()
    facts.bucketCount = Set(buckets().map(\.whole)).count
    facts.keyCount = counted.keys
    facts.fileCount = Int(counted.files)
    facts.fileByteCount = counted.file_bytes
    facts.flushedByteCount = counted.flushed_bytes
    facts.mergedByteCount = counted.merged_bytes
    facts.memoryByteCount = counted.memory_bytes
    return facts
  }

  /// Bytes of a bucket's files.
  package func byteCount(of bucket: BucketID) -> Int { unsafe Int(mr_store_family_byte_count(open(), bucket.name)) }

  /// About how many keys a bucket has, by RocksDB's estimate; a key written again counts again until its files are merged.
  package func keyCount(of bucket: BucketID) -> UInt64 { unsafe mr_store_family_key_count(open(), bucket.name) }

  package func close() {
    guard let store = unsafe handle else { return }
    unsafe handle = nil
    var message: UnsafeMutablePointer<CChar>?
    // Nothing is in memory that isn't in files: a failure to close loses nothing.
    _ = unsafe mr_store_close(store, &message)
    unsafe mr_free(message)
  }

  private func open() -> OpaquePointer {
    guard let handle = unsafe handle else { preconditionFailure("\(directory) is used after it was closed") }
    return unsafe handle
  }

  /// Turns a result into an error, and frees its text.
  private static func check(
    _ result: Int32, _ message: UnsafeMutablePointer<CChar>?, _ operation: @autoclosure () -> String, _ directory: String
  ) throws(RunStoreError) {
    guard result != MR_OK else { return }
    defer { unsafe mr_free(message) }
    let reason = unsafe message.map { unsafe String(cString: $0) } ?? "no reason given"
    let text = "\(directory): \(operation()): \(reason)"
    switch result {
    case MR_OUT_OF_SPACE: throw .outOfSpace(text)
    case MR_CORRUPT: throw .corrupt(text)
    default: throw .failed(text)
    }
  }
}
