/// What reading a field's values needs beyond what fits into ``FieldReader``'s bits; nil where nothing is.
///
/// One owner, which is that of the decoder: arrays and maps are gathered in it.
final class FieldAids {
  let zone: ZoneRules?
  /// Greatest magnitudes below and above zero of integers and Decimals of more than 64 bits.
  let wideBounds: (negative: UInt256, positive: UInt256)
  let enumNames: EnumLookup?
  let composed: ComposedReader?

  /// For the field itself.
  convenience init?(_ plan: FieldPlan, room: ComposedRoom = ComposedRoom()) {
    guard plan.type.isComposed else {
      self.init(items: plan)
      return
    }
    self.init(plan, composed: ComposedReader(plan, type: plan.type, room: room))
  }

  /// For what stands at the bottom of a field's arrays and maps.
  convenience init?(items plan: FieldPlan) {
    guard plan.type.leaf.needsAids || plan.zone != nil else { return nil }
    self.init(plan, composed: nil)
  }

  private init(_ plan: FieldPlan, composed: ComposedReader?) {
    zone = plan.zone
    wideBounds = plan.type.leaf.wideBounds
    enumNames = EnumLookup(plan.type.leaf)
    self.composed = composed
  }
}

extension DataType {
  fileprivate var needsAids: Bool {
    switch self {
    case .int128, .int256, .uint128, .uint256, .enum8, .enum16: true
    case .decimal(let precision, _): precision > 18
    default: false
    }
  }

  fileprivate var wideBounds: (negative: UInt256, positive: UInt256) {
    let zero = UInt256(low: 0)
    switch self {
    case .int128: return (UInt256(low: 1 << 127), UInt256(low: 1 << 127 - 1))
    case .int256: return (UInt256(low: 0, high: 1 << 127), UInt256(low: .max, high: 1 << 127 - 1))
    case .uint128: return (zero, UInt256(low: .max))
    case .uint256: return (zero, UInt256(low: .max, high: .max))
    case .decimal(let precision, _):
      guard let power = UInt256.powerOfTen(precision) else { preconditionFailure("Decimal of \(precision) digits") }
      let most = power.low == 0 ? UInt256(low: .max, high: power.high - 1) : UInt256(low: power.low - 1, high: power.high)
      return (most, most)
    default: return (zero, zero)
    }
  }
}

/// Names of an Enum, by their bytes.
struct EnumLookup {
  private let sorted: [EnumNames.Element]
  private let values: Set<Int16>

  /// Nil for types that aren't an Enum.
  init?(_ type: DataType) {
    switch type {
    case .enum8(let names), .enum16(let names):
      sorted = names.elements.sorted { $0.name.lexicographicallyPrecedes($1.name) }
      values = Set(names.elements.map(\.value))
    default: return nil
    }
  }

  /// The number of the name that stands at `start ..< end`.
  func value(named bytes: ByteView, _ start: Int, _ end: Int) -> Int16? {
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      let order = compare(sorted[middle].name, bytes, start, end)
      if order == 0 { return sorted[middle].value }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return nil
  }

  func hasName(_ value: Int64) -> Bool { Int16(exactly: value).map(values.contains) ?? false }

  /// Below 0 where the name stands before the bytes.
  private func compare(_ name: [UInt8], _ bytes: ByteView, _ start: Int, _ end: Int) -> Int {
    let count = min(name.count, end - start)
    for index in 0..<count where name[index] != bytes[start + index] { return Int(name[index]) - Int(bytes[start + index]) }
    return name.count - (end - start)
  }
}
