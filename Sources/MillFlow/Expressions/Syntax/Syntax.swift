/// An expression as it is written, before it is known what its names are.
struct Syntax {
  indirect enum Kind {
    case number(NumberLiteral)
    case string([UInt8])
    case bool(Bool)
    case null
    /// As the schema has it, parts joined by dots.
    case name(String)
    case call(String, [Syntax])
    case negative(Syntax)
    case not(Syntax)
    /// Two or more, from left to right.
    case all([Syntax])
    case any([Syntax])
    case joined([Syntax])
    case binary(BinaryOperator, Syntax, Syntax)
    case isNull(Syntax, negated: Bool)
    case isIn(Syntax, [Syntax], negated: Bool)
    case between(Syntax, Syntax, Syntax, negated: Bool)
    case like(Syntax, [UInt8], ignoresCase: Bool, negated: Bool)
    case element(Syntax, Syntax)
    case array([Syntax])
    case interval(Int64, TimeUnit)
    case choice(subject: Syntax?, branches: [Branch], otherwise: Syntax?)
    case cast(Syntax, to: DataType, orNull: Bool)
  }

  struct Branch {
    var condition: Syntax
    var value: Syntax
  }

  var kind: Kind
  /// Byte offset of what a problem with it points at: a binary operator's sign, a call's name.
  var offset: Int
  /// Levels of nesting, 1 for a leaf.
  var depth: Int
}

enum BinaryOperator: String, Hashable, Sendable {
  case equal = "=", notEqual = "!=", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
  case add = "+", subtract = "-", multiply = "*", divide = "/", modulo = "%"

  /// By its sign, `==` and `<>` too.
  init?(sign: String) {
    switch sign {
    case "==": self = .equal
    case "<>": self = .notEqual
    default: self.init(rawValue: sign)
    }
  }

  var isComparison: Bool {
    switch self {
    case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: true
    default: false
    }
  }
}

/// Units of `interval` and of functions of time.
enum TimeUnit: String, CaseIterable, Sendable {
  case second, minute, hour, day, week, month, quarter, year

  /// In any case, with an `s` behind it too.
  init?(word: String) {
    let lower = word.lowercased()
    self.init(rawValue: lower.hasSuffix("s") ? String(lower.dropLast()) : lower)
  }
}

/// A number as it is written, which has no type until it meets one.
struct NumberLiteral: Hashable, Sendable {
  /// All digits as a whole number; 76 digits at most, but for floats, which are read from the text.
  var magnitude: UInt256
  var isNegative: Bool
  /// Digits behind the point, without zeros at the end.
  var scale: Int
  /// Written with an exponent.
  var isFloat: Bool
  /// As it stands, with its minus.
  var text: String

  /// Nil for more than 76 digits.
  init?(_ text: String, isNegative: Bool) {
    self.text = (isNegative ? "-" : "") + text
    self.isNegative = isNegative
    isFloat = text.utf8.contains { $0 | 0x20 == UInt8(ascii: "e") }
    let parts = text.split(separator: ".")
    var fraction = parts.count > 1 ? String(parts[1]) : ""
    while fraction.hasSuffix("0") { fraction.removeLast() }
    scale = fraction.utf8.count
    magnitude = UInt256(low: 0)
    if isFloat { return }
    for digit in (String(parts[0]) + fraction).utf8 {
      guard let next = magnitude.times(10, plus: UInt64(digit &- 0x30)) else { return nil }
      magnitude = next
    }
    guard magnitude.digits.utf8.count <= 76 else { return nil }
  }

  var isZero: Bool { !isFloat && magnitude == UInt256(low: 0) }
}
