extension Function {
  /// Those with a type in their name, each with `OrNull` too.
  static let conversions: [Function] =
    [
      Function("toString", "(x)", 1...1) { (call) throws(ExpressionProblem) in
        let x = try call.argument(0)
        return try call.typer.cast(x, to: DataType.string.nullable(x.type.isNullable), orNull: false, call.offset, name: "toString")
      }
    ]
    + [
      "Int8", "Int16", "Int32", "Int64", "Int128", "Int256", "UInt8", "UInt16", "UInt32", "UInt64", "UInt128", "UInt256", "Float32",
      "Float64",
    ]
    .flatMap { name in plain("to" + name, TypeReader.plain[name] ?? .int64) }
    + [false, true].flatMap { orNull in
      let ending = orNull ? "OrNull" : ""
      return [
        Function("toDate" + ending, "(x)", 1...1) { (call) throws(ExpressionProblem) in try converted(call, .date, orNull: orNull) },
        Function("toDate32" + ending, "(x)", 1...1) { (call) throws(ExpressionProblem) in try converted(call, .date32, orNull: orNull) },
        Function("toDateTime" + ending, "(x[, zone])", 1...2) { (call) throws(ExpressionProblem) in
          try converted(call, .dateTime(zone: zoneName(call, 1)), orNull: orNull)
        },
        Function("toDateTime64" + ending, "(x, precision[, zone])", 2...3) { (call) throws(ExpressionProblem) in
          let precision = try call.constantInteger(1, in: 0...9)
          return try converted(call, .dateTime64(precision: precision, zone: zoneName(call, 2)), orNull: orNull)
        },
      ]
    }
    + [("toDecimal32", 9), ("toDecimal64", 18), ("toDecimal128", 38), ("toDecimal256", 76)].flatMap { decimal($0.0, $0.1) }

  private static func plain(_ name: String, _ type: DataType) -> [Function] {
    [false, true].map { orNull in
      Function(orNull ? name + "OrNull" : name, "(x)", 1...1) { (call) throws(ExpressionProblem) in
        try converted(call, type, orNull: orNull)
      }
    }
  }

  private static func decimal(_ name: String, _ precision: Int) -> [Function] {
    [false, true].map { orNull in
      Function(orNull ? name + "OrNull" : name, "(x, places)", 2...2) { (call) throws(ExpressionProblem) in
        let scale = try call.constantInteger(1, in: 0...precision)
        return try converted(call, .decimal(precision: precision, scale: scale), orNull: orNull)
      }
    }
  }

  /// The zone that is given, or that of the time that comes in.
  private static func zoneName(_ call: Call, _ index: Int) throws(ExpressionProblem) -> String? {
    if call.arguments.count > index { return try call.zoneName(index) }
    switch call.arguments[0].type.bare {
    case .dateTime(let zone), .dateTime64(_, let zone): return zone
    default: return nil
    }
  }

  /// NULL stays NULL.
  static func converted(_ call: Call, _ type: DataType, orNull: Bool) throws(ExpressionProblem) -> Node {
    let x = call.arguments[0].isNullLiteral ? call.typer.null(type, call.arguments[0].offset) : call.arguments[0]
    return try call.typer.cast(x, to: type.nullable(x.type.isNullable), orNull: orNull, call.offset, name: call.function.name)
  }
}
