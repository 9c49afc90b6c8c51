package import MillBase

/// What names a batch at ClickHouse, taken apart: `mr-<lineage>-<destination>-<batch, 20 digits>-<digest>`.
package struct TokenParts: Hashable, Sendable {
  /// `mr-<lineage>-<destination>-`
  package var prefix: String
  package var number: BatchNumber
  package var digest: Digest128

  package init(prefix: String, number: BatchNumber, digest: Digest128) {
    self.prefix = prefix
    self.number = number
    self.digest = digest
  }

  /// How many bytes stand behind the prefix: 20 digits, a dash, 32 hex digits.
  package static let tailByteCount = 53
  package static let numberByteCount = 20

  package var text: String { prefix + number.paddedDecimal + "-" + digest.description }

  /// nil for what has no such end. Whether all of it is as ``text`` writes it is the caller's to compare.
  package init?(_ token: String) {
    let bytes = Array(token.utf8)
    guard bytes.count > 53, bytes[bytes.count - 33] == UInt8(ascii: "-") else { return nil }
    let number = String(decoding: bytes[(bytes.count - 53)..<(bytes.count - 33)], as: UTF8.self)
    let high = String(decoding: bytes[(bytes.count - 32)..<(bytes.count - 16)], as: UTF8.self)
    let low = String(decoding: bytes[(bytes.count - 16)...], as: UTF8.self)
    guard let number = BatchNumber(number), let high = UInt64(high, radix: 16), let low = UInt64(low, radix: 16) else { return nil }
    prefix = String(decoding: bytes[..<(bytes.count - 53)], as: UTF8.self)
    self.number = number
    digest = Digest128(low: low, high: high)
  }

  /// The lineage in the prefix.
  package var lineage: Lineage? { Self.lineage(ofPrefix: prefix) }

  /// The lineage in a ``prefix``.
  package static func lineage(ofPrefix prefix: String) -> Lineage? {
    guard prefix.hasPrefix("mr-") else { return nil }
    return Lineage(hex: prefix.dropFirst(3).prefix { $0 != "-" })
  }
}
