/// Functions of NULL.
enum Nulls {
  /// The value; NULL fails the row.
  static func assumeNotNull(_ type: DataType) -> Operation {
    let copy = Copying.kernel(width: type.width)
    return Operation("assumeNotNull", nulls: .seen) { call in
      let argument = call.argument(0)
      copy(&call)
      call.rows.each { row in
        if argument.isNull(row) { call.fail(row, .isNull) }
        call.output.setNull(row, 0)
      }
    }
  }

  /// NULL where the condition, the second argument, is true; else the first.
  static func nullIf(_ type: DataType) -> Operation {
    let copy = Copying.kernel(width: type.width)
    return Operation("nullIf", nulls: .seen) { call in
      copy(&call)
      let (condition, values) = (call.argument(1), call.values(1, UInt8.self))
      call.rows.each { row in if !condition.isNull(row), values[row] == 1 { call.setNull(row) } }
    }
  }
}
