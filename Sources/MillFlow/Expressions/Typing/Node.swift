/// A part of a typed expression. Immutable; where two parts use the same value they share its node, and it is computed once.
final class Node: Sendable {
  enum Kind: Sendable {
    /// A number that hasn't met a type yet, or NULL.
    case literal(NumberLiteral?)
    case constant(Constant)
    /// Index into the schema.
    case field(Int)
    case call(Operation, [Node])
    /// Bools, two or more; from left to right, each only for rows that those before leave open.
    case all([Node])
    case any([Node])
    /// The value of the first branch whose condition is true, else the last; without one NULL.
    case choice([Branch], otherwise: Node?)
  }

  struct Branch: Sendable {
    var condition: Node
    var value: Node
  }

  /// Byte offset into the text.
  let offset: Int
  /// Without LowCardinality; of a literal the type it has where it meets none.
  let type: DataType
  let kind: Kind

  init(_ kind: Kind, _ type: DataType, _ offset: Int) {
    self.kind = kind
    self.type = type
    self.offset = offset
  }

  var isLiteral: Bool { if case .literal = kind { true } else { false } }

  /// Whether it is NULL itself.
  var isNullLiteral: Bool { if case .literal(nil) = kind { true } else { false } }

  var number: NumberLiteral? { if case .literal(let literal) = kind { literal } else { nil } }

  var constant: Constant? { if case .constant(let value) = kind { value } else { nil } }

  /// The bytes of a text that is known before any row is seen.
  var constantText: [UInt8]? {
    guard type.base == .string, let constant, !constant.isNull else { return nil }
    return constant.bytes
  }
}

/// One value, its bytes as a column has them.
struct Constant: Hashable, Sendable {
  var bytes: [UInt8]
  var isNull = false

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// NULL of a type.
  init(nullOf type: DataType) {
    bytes = if case .fixed(let count) = type.layout { [UInt8](repeating: 0, count: count) } else { [] }
    isNull = true
  }

  init(fixed value: some BitwiseCopyable) { bytes = unsafe withUnsafeBytes(of: value) { unsafe Array($0) } }
}

/// What a node does with its arguments' values.
struct Operation: Sendable {
  /// What a NULL among the arguments does.
  enum Nulls: Sendable {
    /// The result is NULL, and the kernel doesn't see the row.
    case give
    /// The kernel reads the arguments' null bytes, and writes those of its result.
    case seen
    /// Nothing can be NULL, neither an argument nor the result.
    case absent
  }

  var name: String
  var nulls = Nulls.give
  /// Depends on nothing but its arguments.
  var isPure = true
  var kernel: Kernel

  init(_ name: String, nulls: Nulls = .give, isPure: Bool = true, _ kernel: @escaping Kernel) {
    self.name = name
    self.nulls = nulls
    self.isPure = isPure
    self.kernel = kernel
  }
}

extension DataType {
  /// Without Nullable, LowCardinality is none in expressions.
  var bare: DataType { if case .nullable(let inner) = self { inner } else { self } }

  /// The same type, with NULL among its values or not.
  func nullable(_ isNullable: Bool) -> DataType { isNullable && !isComposed ? .nullable(bare) : bare }

  /// As expressions have it.
  var plain: DataType {
    switch self {
    case .lowCardinality(let inner): inner
    default: self
    }
  }

  var isFloat: Bool { self == .float32 || self == .float64 }
  var isDecimal: Bool { if case .decimal = self { true } else { false } }
  var isNumber: Bool { isInteger || isFloat || isDecimal }

  /// Bytes of a value; 0: a text, array or map.
  var width: Int { if case .fixed(let count) = layout { count } else { 0 } }
}
