/// Three-valued logic over Bools.
enum Logic {
  /// `left and right`, where left is true or NULL.
  static let all: Kernel = { call in
    let (left, right, out) = (call.argument(0), call.argument(1), call.results(UInt8.self))
    let (a, b) = (Values<UInt8>(left), Values<UInt8>(right))
    call.rows.each { row in
      let (nullA, nullB) = (left.null(row), right.null(row))
      let isFalse = (nullA ^ 1) & (a[row] ^ 1) | (nullB ^ 1) & (b[row] ^ 1)
      let isNull = (isFalse ^ 1) & (nullA | nullB)
      out[row] = (isFalse ^ 1) & (isNull ^ 1)
      call.output.setNull(row, isNull)
    }
  }

  /// `left or right`, where left is false or NULL.
  static let any: Kernel = { call in
    let (left, right, out) = (call.argument(0), call.argument(1), call.results(UInt8.self))
    let (a, b) = (Values<UInt8>(left), Values<UInt8>(right))
    call.rows.each { row in
      let (nullA, nullB) = (left.null(row), right.null(row))
      let isTrue = (nullA ^ 1) & a[row] | (nullB ^ 1) & b[row]
      out[row] = isTrue
      call.output.setNull(row, (isTrue ^ 1) & (nullA | nullB))
    }
  }

  static let not = Operation("not") { call in
    let (a, out) = (call.values(0, UInt8.self), call.results(UInt8.self))
    call.rows.each { row in out[row] = a[row] ^ 1 }
  }

  /// Whether the value is NULL, or isn't.
  static func isNull(negated: Bool) -> Operation {
    let flip: UInt8 = negated ? 1 : 0
    return Operation(negated ? "isNotNull" : "isNull", nulls: .seen) { call in
      let (a, out) = (call.argument(0), call.results(UInt8.self))
      call.rows.each { row in
        out[row] = a.null(row) ^ flip
        call.output.setNull(row, 0)
      }
    }
  }
}
