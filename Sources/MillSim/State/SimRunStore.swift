package import MillBase
package import MillState

/// Opens ``SimRunStore``s over one disk.
package final class SimRunStoreOpener: RunStoreOpener, @unchecked Sendable {
  private let disk: any Disk
  private let trace: Trace
  private let draws: Draws
  /// Probability that an ingest fails for want of space.
  package var outOfSpaceRate = 0.0

  package init(disk: any Disk, draws: Draws, trace: Trace) {
    self.disk = disk
    self.draws = draws
    self.trace = trace
  }

  package func open(_ directory: String) throws(RunStoreError) -> any RunStore {
    try SimRunStore(disk: disk, directory: directory) { [self] in
      guard draws.chance(outOfSpaceRate) else { return false }
      trace.hit(.stateOutOfSpace)
      return true
    }
  }
}

/// RocksDB's stand-in: each ingested run is a file, never changed again; a checkpoint is hard links. What a crash does to files it has
/// not synced is the disk's business, so a live directory that is trusted after one shows.
package final class SimRunStore: RunStore, @unchecked Sendable {
  private struct Run {
    var name: String
    var run: SortedRun
  }

  private let disk: any Disk
  private let directory: String
  private let failsIngest: () -> Bool
  /// By bucket, oldest run first.
  private var runs: [BucketID: [Run]] = [:]
  private var nextSequence: UInt64 = 0

  init(disk: any Disk, directory: String, failsIngest: @escaping () -> Bool) throws(RunStoreError) {
    self.disk = disk
    self.directory = directory
    self.failsIngest = failsIngest
    do {
      try disk.createDirectory(directory)
      for name in try disk.list(directory) {
        guard let (bucket, sequence) = Self.parse(name) else { continue }
        let run = try Self.decode(try disk.read(directory + "/" + name), path: directory + "/" + name)
        runs[bucket, default: []].append(Run(name: name, run: run))
        nextSequence = max(nextSequence, sequence + 1)
      }
    } catch let error as DiskError {
      throw .failed("\(error)")
    } catch let error as RunStoreError {
      throw error
    } catch {
      throw .failed("\(error)")
    }
  }

  package func buckets() -> [BucketID] { runs.keys.sorted() }

  package func ingest(_ nextPiece: () -> SortedRun?, into bucket: BucketID) throws(RunStoreError) {
    if failsIngest() { throw .outOfSpace(directory) }
    var run = SortedRun()
    while let piece = nextPiece() { run.append(piece) }
    let name = Self.name(bucket, sequence: nextSequence)
    let path = directory + "/" + name
    do {
      let file = try disk.open(path, create: true)
      defer { file.close() }
      try unsafe Self.encode(run).withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
    } catch {
      try? disk.remove(path)  // what stays is named by no list of runs
      if case .outOfSpace = error { throw .outOfSpace(path) }
      throw .failed("\(error)")
    }
    nextSequence += 1
    runs[bucket, default: []].append(Run(name: name, run: run))
  }

  package func drop(_ bucket: BucketID) throws(RunStoreError) {
    for run in runs.removeValue(forKey: bucket) ?? [] {
      do { try disk.remove(directory + "/" + run.name) } catch { throw .failed("\(error)") }
    }
  }

  package func lookup(_ bucket: BucketID, keys: [UInt8], ends: [UInt32], into values: inout [[UInt8]?]) throws(RunStoreError) {
    values.removeAll(keepingCapacity: true)
    let runs = runs[bucket] ?? []
    var start = 0
    for end in ends {
      let key = keys[start..<Int(end)]
      start = Int(end)
      var found: [UInt8]?
      for run in runs.reversed() {
        found = run.run.value(of: key)
        if found != nil { break }
      }
      values.append(found)
    }
  }

  package func checkpoint(to directory: String) throws(RunStoreError) {
    do {
      try disk.createDirectory(directory)
      for bucket in buckets() {
        for run in runs[bucket]! { try linkOrCopy(self.directory + "/" + run.name, to: directory + "/" + run.name) }
      }
    } catch {
      if case .outOfSpace = error { throw .outOfSpace(directory) }
      throw .failed("\(error)")
    }
  }

  /// Like RocksDB: a copy where the directory is on another file system.
  private func linkOrCopy(_ from: String, to: String) throws(DiskError) {
    do throws(DiskError) {
      return try disk.link(from, to: to)
    } catch {
      guard case .io(_, _, 18) = error else { throw error }
    }
    let bytes = try disk.read(from)
    let file = try disk.open(to, create: true)
    defer { file.close() }
    try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
  }

  package func close() {}

  // Names sort by bucket's state and by sequence, so that a later run of a bucket is read later.
  private static func name(_ bucket: BucketID, sequence: UInt64) -> String { "\(sequence.paddedHex).\(bucket.name).sst" }

  private static func parse(_ name: String) -> (BucketID, UInt64)? {
    guard name.hasSuffix(".sst"), let dot = name.firstIndex(of: "."), let sequence = UInt64(name[..<dot], radix: 16),
      let bucket = BucketID(name[name.index(after: dot)...].dropLast(4))
    else { return nil }
    return (bucket, sequence)
  }

  private static func encode(_ run: SortedRun) -> [UInt8] {
    var writer = ByteWriter(reserving: run.keyBytes.count + run.valueBytes.count + 8 * run.count + 16)
    writer.count(run.count)
    for end in run.keyEnds { writer.integer(end) }
    for end in run.valueEnds { writer.integer(end) }
    writer.blob(run.keyBytes)
    writer.blob(run.valueBytes)
    writer.integer(crc32c(0, writer.bytes))
    return writer.bytes
  }

  private static func decode(_ bytes: [UInt8], path: String) throws(RunStoreError) -> SortedRun {
    do {
      guard bytes.count > 4 else { throw ByteReaderError(offset: 0, reason: "\(bytes.count) bytes are no run") }
      var trailer = ByteReader(bytes, bytes.count - 4..<bytes.count)
      let expected = try trailer.integer(UInt32.self)
      guard crc32c(0, Array(bytes.dropLast(4))) == expected else { throw ByteReaderError(offset: 0, reason: "wrong checksum") }
      var reader = ByteReader(bytes, 0..<bytes.count - 4)
      var run = SortedRun()
      let count = try reader.count(itemByteCount: 8)
      for _ in 0..<count { run.keyEnds.append(try reader.integer()) }
      for _ in 0..<count { run.valueEnds.append(try reader.integer()) }
      run.keyBytes = try reader.blob()
      run.valueBytes = try reader.blob()
      try reader.finish()
      return run
    } catch {
      throw .corrupt("\(path): \(error)")
    }
  }
}

extension SortedRun {
  fileprivate mutating func append(_ piece: SortedRun) {
    keyEnds += piece.keyEnds.map { $0 + UInt32(keyBytes.count) }
    valueEnds += piece.valueEnds.map { $0 + UInt32(valueBytes.count) }
    keyBytes += piece.keyBytes
    valueBytes += piece.valueBytes
  }

  /// The value of a key, by binary search; nil where it has none.
  fileprivate func value(of key: ArraySlice<UInt8>) -> [UInt8]? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      let from = middle == 0 ? 0 : Int(keyEnds[middle - 1])
      if keyBytes[from..<Int(keyEnds[middle])].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
    }
    guard low < count, keyBytes[(low == 0 ? 0 : Int(keyEnds[low - 1]))..<Int(keyEnds[low])].elementsEqual(key) else { return nil }
    return Array(valueBytes[(low == 0 ? 0 : Int(valueEnds[low - 1]))..<Int(valueEnds[low])])
  }
}
