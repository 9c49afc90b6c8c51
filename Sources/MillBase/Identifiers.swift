/// A random id born with a pipeline's state; `--new-lineage` gives state a new one.
package struct Lineage: Hashable, Sendable, CustomStringConvertible {
  package let value: UInt64

  package init(_ value: UInt64) { self.value = value }

  /// 16 lower-case hex digits, as in tokens, file names and messages.
  package var description: String { value.paddedHex }

  /// Reads what ``description`` writes; nil for anything else.
  package init?(hex text: some StringProtocol) {
    guard text.utf8.count == 16, let value = UInt64(text, radix: 16), value.paddedHex == text else { return nil }
    self.value = value
  }
}

/// The number of an epoch within a lineage; the first is 1, 0 stands for "before any".
package typealias EpochNumber = UInt64

/// The number of a batch within its destination; the first is 1.
package typealias BatchNumber = UInt64

/// The number of a log record, from 0 without gaps; as an end, the number that the next record will get.
package typealias LogPosition = UInt64

/// 128 bits that name content: of a batch's rows, of an epoch's input.
@usableFromInline
package struct Digest128: Hashable, Sendable, CustomStringConvertible {
  @usableFromInline package var low: UInt64
  @usableFromInline package var high: UInt64

  @inlinable
  package init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// 32 lower-case hex digits, high half first.
  @usableFromInline package var description: String { high.paddedHex + low.paddedHex }
}

extension UInt64 {
  /// 16 lower-case hex digits.
  package var paddedHex: String { zeroPadded(String(self, radix: 16), 16) }

  /// 20 decimal digits, as many as the largest has: texts of numbers sort as the numbers do.
  package var paddedDecimal: String { zeroPadded(String(self), 20) }
}

/// `digits` (ASCII) behind as many zeros as make `count` characters; more than that stay as they are.
package func zeroPadded(_ digits: String, _ count: Int) -> String {
  String(repeating: "0", count: max(0, count - digits.utf8.count)) + digits
}
