internal import MillBase

/// A record's batches. What several have in common, columns above all, stands with the first that has it.
///
/// A batch: index of its shape, the shape where it is new, flags, number, rows, digest, chunks as differences, sizes, content sum: some 50
/// bytes.
private enum Flag {
  static let ownToken: UInt8 = 1
  static let contentSum: UInt8 = 2
  /// The digest isn't the one in the token.
  static let ownDigest: UInt8 = 4
  static let all: UInt8 = 7
}

extension ByteWriter {
  mutating func batches(_ batches: [SealedBatch]) {
    var shapes: [NamedShape] = []
    count(batches.count)
    for batch in batches { self.batch(batch, &shapes) }
  }

  private mutating func batch(_ batch: SealedBatch, _ shapes: inout [NamedShape]) {
    let token = NamedShape.usualToken(batch.token, batch.number)
    let shape = NamedShape(
      destination: batch.destination, prefix: token?.prefix ?? "", shape: BatchShape(target: batch.target, columns: batch.columns))
    self.shape(shape, &shapes)
    let hasOwnDigest = token != nil && token?.digest != batch.digest
    integer((token == nil ? Flag.ownToken : 0) | (batch.contentSum == nil ? 0 : Flag.contentSum) | (hasOwnDigest ? Flag.ownDigest : 0))
    varint(batch.number)
    varint(batch.rowStart)
    varint(batch.rowCount)
    digest(batch.digest)
    if hasOwnDigest, let token { digest(token.digest) }
    if token == nil { string(batch.token) }
    count(batch.chunks.count)
    var before: LogPosition = 0
    for position in batch.chunks {
      signed(Int64(bitPattern: position &- before))
      before = position
    }
    integer(batch.originChunkCount)
    varint(batch.byteCount)
    if let sum = batch.contentSum { integer(sum) }
  }
}

extension ByteReader {
  /// `version`: the payload's.
  mutating func batches(_ version: UInt8) throws(ByteReaderError) -> [SealedBatch] {
    var batches: [SealedBatch] = []
    guard version >= 3 else {
      for _ in 0..<(try count(itemByteCount: 57)) { batches.append(try oldBatch(version)) }
      return batches
    }
    var shapes: [NamedShape] = []
    for _ in 0..<(try count(itemByteCount: 27)) { batches.append(try batch(&shapes)) }
    return batches
  }

  private mutating func batch(_ shapes: inout [NamedShape]) throws(ByteReaderError) -> SealedBatch {
    let shape = try shape(&shapes)
    let flags = try integer(UInt8.self)
    guard flags & ~Flag.all == 0 else { throw failure("flags \(flags) of a batch") }
    let number = try varint()
    let rowStart = try varint()
    let rowCount = try varint()
    let digest = try digest()
    let named = flags & Flag.ownDigest == 0 ? digest : try self.digest()
    let token = flags & Flag.ownToken == 0 ? TokenParts(prefix: shape.prefix, number: number, digest: named).text : try string()
    let isUsual = NamedShape.usualToken(token, number) != nil
    guard isUsual == (flags & Flag.ownToken == 0), isUsual || shape.prefix.isEmpty, named != digest || flags & Flag.ownDigest == 0 else {
      throw failure("a batch with flags \(flags) and token \(token)")
    }
    var chunks: [LogPosition] = []
    for _ in 0..<(try count(itemByteCount: 1)) { chunks.append(try (chunks.last ?? 0) &+ UInt64(bitPattern: signed())) }
    let originChunkCount = try originChunkCount(chunks.count)
    let byteCount = try varint()
    let sum: UInt64? = flags & Flag.contentSum == 0 ? nil : try integer()
    return SealedBatch(
      destination: shape.destination, number: number, rowStart: rowStart, rowCount: rowCount, digest: digest, token: token, chunks: chunks,
      originChunkCount: originChunkCount, byteCount: byteCount, target: shape.shape.target, columns: shape.shape.columns, contentSum: sum)
  }

  private mutating func originChunkCount(_ chunkCount: Int) throws(ByteReaderError) -> UInt32 {
    let found = try integer(UInt32.self)
    guard found <= chunkCount else { throw failure("\(found) chunks of origins, of \(chunkCount) in all") }
    return found
  }

  /// Versions 1 and 2: each batch has all that is its own.
  private mutating func oldBatch(_ version: UInt8) throws(ByteReaderError) -> SealedBatch {
    let destination = try destination()
    let number = try integer(UInt64.self)
    let rowStart = try integer(UInt64.self)
    let rowCount = try integer(UInt64.self)
    let digest = try digest()
    let token = try string()
    var chunks: [LogPosition] = []
    for _ in 0..<(try count(itemByteCount: 1)) { chunks.append(try varint()) }
    let originChunkCount = try originChunkCount(chunks.count)
    let byteCount = try integer(UInt64.self)
    let target = try string()
    var columns: [BatchColumn] = []
    for _ in 0..<(try count(itemByteCount: 2)) { columns.append(BatchColumn(name: try string(), type: try string())) }
    let contentSum: UInt64? = version == 1 ? nil : try optional { (reader) throws(ByteReaderError) in try reader.integer() }
    return SealedBatch(
      destination: destination, number: number, rowStart: rowStart, rowCount: rowCount, digest: digest, token: token, chunks: chunks,
      originChunkCount: originChunkCount, byteCount: byteCount, target: target, columns: columns, contentSum: contentSum)
  }
}
