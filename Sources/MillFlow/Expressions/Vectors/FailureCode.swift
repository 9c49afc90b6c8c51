/// Why a row has no value of an expression.
package enum FailureCode: UInt8, Hashable, Sendable, CaseIterable {
  /// 0: the row hasn't failed.
  case none = 0
  case overflow, divisionByZero, notFinite, losesDigits, invalidText, isNull, badArgument, tooLong, outOfRange, noSuchLocalTime
  case unknownName

  /// What happened, as a sentence without a full stop.
  package var sentence: String {
    switch self {
    case .none: "nothing failed"
    case .overflow: "the result doesn't fit its type"
    case .divisionByZero: "division by zero"
    case .notFinite: "the result is not a finite number"
    case .losesDigits: "digits would be lost; round or truncate first"
    case .invalidText: "the text is no value of the type"
    case .isNull: "the value is NULL"
    case .badArgument: "an argument is out of its range"
    case .tooLong: "the text is longer than 16 MiB"
    case .outOfRange: "the time is out of the type's range"
    case .noSuchLocalTime: "clocks in the zone never show this time"
    case .unknownName: "the enum has no such name or number"
    }
  }
}

/// A row that failed.
package struct RowFailure: Hashable, Sendable {
  /// Index into the block.
  package var row: Int
  /// Which of the evaluator's expressions.
  package var expression: Int
  /// Byte offset into its text of the operator or function that failed.
  package var offset: Int
  package var code: FailureCode
}
