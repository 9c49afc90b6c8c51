package import MillBase

/// How a manifest lies on the disk: magic u32 | version u32 | payload length u64 | payload | CRC-32C u32 over all before. Little endian;
/// the payload has the fields in order of their declaration in ``Manifest``.
package enum ManifestFormat {
  static let magic: UInt32 = 0x464d_524d  // MRMF
  /// The oldest that is read.
  static let oldestVersion: UInt32 = 2
  static let headerByteCount = 16

  /// Why bytes are no manifest.
  package enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    case newerVersion(found: UInt32, supported: UInt32)
    case malformed(ByteReaderError)

    package var description: String {
      switch self {
      case .newerVersion(let found, let supported): "format version \(found); this millrace reads up to \(supported)"
      case .malformed(let error): "\(error)"
      }
    }
  }

  package static func encode(_ manifest: Manifest) -> [UInt8] {
    var payload = ByteWriter(reserving: 4096)
    payload.manifest(manifest)
    var writer = ByteWriter(reserving: payload.bytes.count + headerByteCount + 4)
    writer.integer(magic)
    writer.integer(Manifest.formatVersion)
    writer.integer(UInt64(payload.bytes.count))
    writer.raw(payload.bytes)
    writer.integer(crc32c(0, writer.bytes))
    return writer.bytes
  }

  /// Reads what ``encode(_:)`` writes, and nothing else. A path in it never leads out of the checkpoint's directory.
  package static func decode(_ bytes: [UInt8]) throws(Failure) -> Manifest {
    do throws(ByteReaderError) {
      var header = ByteReader(bytes)
      let magic = try header.integer(UInt32.self)
      guard magic == Self.magic else { throw header.failure("the magic is \(magic), must be \(Self.magic)") }
      let version = try header.integer(UInt32.self)
      let length = try header.integer(UInt64.self)
      // The CRC comes first: a damaged version number isn't a newer one.
      guard header.remaining >= 4, length == UInt64(header.remaining - 4) else {
        throw header.failure("the payload has \(length) bytes, \(header.remaining) are left for it and its CRC of 4")
      }
      let end = bytes.count - 4
      var tail = ByteReader(bytes, end..<bytes.count)
      let checksum = try tail.integer(UInt32.self)
      let expected = crc32c(0, Array(bytes[..<end]))
      guard checksum == expected else { throw tail.failure("the CRC is \(checksum), the bytes give \(expected)") }
      guard (oldestVersion...Manifest.formatVersion).contains(version) else {
        return try unreadable(version, at: header)
      }
      var payload = ByteReader(bytes, headerByteCount..<end)
      let manifest = try payload.manifest(version)
      try payload.finish()
      return manifest
    } catch {
      if let version = newerVersion(bytes) { throw .newerVersion(found: version, supported: Manifest.formatVersion) }
      throw .malformed(error)
    }
  }

  private static func unreadable(_ version: UInt32, at reader: ByteReader) throws(ByteReaderError) -> Manifest {
    throw reader.failure("a manifest of version \(version); this release reads \(oldestVersion) to \(Manifest.formatVersion)")
  }

  /// The version of a whole manifest that a newer release wrote.
  private static func newerVersion(_ bytes: [UInt8]) -> UInt32? {
    guard bytes.count >= headerByteCount + 4 else { return nil }
    let little = { (at: Int) in (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) } }
    let isWhole = little(0) == magic && little(bytes.count - 4) == crc32c(0, Array(bytes[..<(bytes.count - 4)]))
    return isWhole && little(4) > Manifest.formatVersion ? little(4) : nil
  }

  /// Why a path of a manifest isn't one inside its checkpoint's directory; nil for one that is.
  package static func pathProblem(_ path: String) -> String? {
    if path.isEmpty { return "is empty" }
    if path.utf8.contains(0) { return "has a NUL" }
    if path.utf8.first == UInt8(ascii: "/") { return "is absolute" }
    for part in path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
      if part.isEmpty || part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8) {
        return "has the component '\(Substring(part))'"
      }
    }
    return nil
  }
}

extension ByteWriter {
  fileprivate mutating func manifest(_ manifest: Manifest) {
    string(manifest.pipeline)
    integer(manifest.lineage.value)
    digest(manifest.hashSeed)
    integer(manifest.epoch)
    integer(manifest.clockMilliseconds)
    integer(manifest.watermark)
    count(manifest.sources.count)
    for source in manifest.sources {
      integer(source.number.rawValue)
      integer(source.watermark)
      string(source.name)
      string(source.clusterID)
      string(source.topic)
      string(source.topicID)
      count(source.partitions.count)
      for partition in source.partitions {
        integer(partition.nextOffset)
        integer(partition.maxEventTime)
        integer(partition.anchorOffset)
        integer(partition.anchorTimestamp)
        integer(partition.anchorChecksum)
      }
    }
    plan(manifest.plan)
    integer(manifest.position)
    integer(manifest.durableEnd)
    count(manifest.unacked.count)
    for batch in manifest.unacked {
      integer(batch.destination.rawValue)
      integer(batch.number)
      integer(batch.seal)
      integer(batch.firstChunk)
    }
    count(manifest.nextBatchNumbers.count)
    for number in manifest.nextBatchNumbers { integer(number) }
    count(manifest.files.count)
    for file in manifest.files {
      string(file.path)
      integer(file.byteCount)
      blob(file.sha256)
    }
    count(manifest.tableIdentities.count)
    for identity in manifest.tableIdentities { string(identity) }
  }
}

extension ByteReader {
  /// Version 2 has one table and one source, and a plan that doesn't name them.
  fileprivate mutating func manifest(_ version: UInt32) throws(ByteReaderError) -> Manifest {
    let pipeline = try string()
    let lineage = Lineage(try integer())
    let hashSeed = try digest()
    let epoch = try integer(UInt64.self)
    let clock = try integer(Int64.self)
    let watermark = try integer(Int64.self)
    var sources: [Manifest.SourceState] = []
    for _ in 0..<(try count(itemByteCount: 5)) { sources.append(try source(version, watermark)) }
    guard zip(sources, sources.dropFirst()).allSatisfy({ $0.number < $1.number }) else { throw failure("sources out of order") }
    let plan = try plan(hasNames: version >= 3)
    let position = try integer(UInt64.self)
    let durableEnd = try integer(UInt64.self)
    var unacked: [Manifest.UnackedBatch] = []
    for _ in 0..<(try count(itemByteCount: 25)) {
      unacked.append(
        Manifest.UnackedBatch(
          destination: try destination(), number: try integer(), seal: try integer(), firstChunk: try integer()))
    }
    var numbers: [BatchNumber] = []
    for _ in 0..<(try count(itemByteCount: 8)) { numbers.append(try integer()) }
    var files: [Manifest.File] = []
    for _ in 0..<(try count(itemByteCount: 42)) { files.append(try file()) }
    var identities: [String] = []
    if version < 3 {
      identities = [try string(), ""]
    } else {
      for _ in 0..<(try count(itemByteCount: 1)) { identities.append(try string()) }
    }
    guard identities.count == numbers.count else {
      throw failure("\(identities.count) identities of tables for \(numbers.count) destinations")
    }
    return Manifest(
      pipeline: pipeline, lineage: lineage, hashSeed: hashSeed, epoch: epoch, clockMilliseconds: clock, watermark: watermark,
      sources: sources, plan: plan, position: position, unacked: unacked, nextBatchNumbers: numbers, files: files,
      tableIdentities: identities, durableEnd: durableEnd)
  }

  /// - Parameter watermark: the pipeline's, which is the source's where there is one.
  private mutating func source(_ version: UInt32, _ watermark: Int64) throws(ByteReaderError) -> Manifest.SourceState {
    let number = version < 3 ? SourceNumber.first : SourceNumber(rawValue: try integer())
    guard number.rawValue <= SourceNumber.max else { throw failure("a source \(number.rawValue)") }
    let watermark = try version < 3 ? watermark : integer(Int64.self)
    let name = try string()
    let clusterID = try string()
    let topic = try string()
    let topicID = try string()
    var partitions: [Manifest.PartitionState] = []
    for _ in 0..<(try count(itemByteCount: 36)) {
      partitions.append(
        Manifest.PartitionState(
          nextOffset: try integer(), maxEventTime: try integer(), anchorOffset: try integer(), anchorTimestamp: try integer(),
          anchorChecksum: try integer()))
    }
    return Manifest.SourceState(
      number: number, name: name, clusterID: clusterID, topic: topic, topicID: topicID, partitions: partitions, watermark: watermark)
  }

  private mutating func file() throws(ByteReaderError) -> Manifest.File {
    let path = try string()
    if let problem = ManifestFormat.pathProblem(path) {
      throw failure("the path '\(path)' \(problem); it must lie inside of the checkpoint's directory")
    }
    let byteCount = try integer(UInt64.self)
    let sha256 = try blob()
    guard sha256.count == 32 else { throw failure("a SHA-256 of \(sha256.count) bytes, must be 32") }
    return Manifest.File(path: path, byteCount: byteCount, sha256: sha256)
  }
}
