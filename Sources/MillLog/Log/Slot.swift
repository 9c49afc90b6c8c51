/// Which source of a pipeline. A number is given once, and means the same for the life of a state directory (``NamedSource``).
package struct SourceNumber: RawRepresentable, Hashable, Comparable, Sendable {
  package let rawValue: UInt16

  /// At most ``max``.
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  /// Of the source that was there first; the only one in states of older releases.
  package static let first = SourceNumber(rawValue: 0)
  package static let max: UInt16 = 2047

  package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A source's number, and the source that it was given to.
package struct NamedSource: Hashable, Sendable {
  package var number: SourceNumber
  /// As the file had it.
  package var name: String
  package var topic: String
  /// The file has it no more, and its number isn't given again.
  package var isGone: Bool

  package init(number: SourceNumber, name: String, topic: String, isGone: Bool = false) {
    self.number = number
    self.name = name
    self.topic = topic
    self.isGone = isGone
  }
}

/// A partition of any of a pipeline's sources as one number: where rows and remembered keys come from, what was given up, what was read.
///
///     bits 30…20 the source's number, bits 19…0 the partition's
///
/// Those of the first source are Kafka's numbers, as they were in releases that had one source.
package struct Slot: RawRepresentable, Hashable, Comparable, Sendable {
  package let rawValue: Int32

  package init(rawValue: Int32) { self.rawValue = rawValue }

  /// `partition`: below ``partitionMax``.
  package init(_ source: SourceNumber, _ partition: Int32) {
    precondition(0 <= partition && partition < Self.partitionMax && source.rawValue <= SourceNumber.max, "partition \(partition)")
    rawValue = Int32(source.rawValue) << Self.partitionBits | partition
  }

  package static let partitionMax: Int32 = 1 << partitionBits
  private static let partitionBits: Int32 = 20

  package var source: SourceNumber { SourceNumber(rawValue: UInt16(truncatingIfNeeded: rawValue >> Self.partitionBits)) }
  package var partition: Int32 { rawValue & (Self.partitionMax - 1) }

  package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
