internal import MillBase

/// Values out of a text that is JSON. Where the text is none, the path leads nowhere, or a value of another kind stands there: NULL.
extension Function {
  static let json: [Function] = [
    Function("JSONHas", "(s, key or number, …)", 1...Int.max) { (call) throws(ExpressionProblem) in
      let path = try path(call)
      return try call.result([call.text(0)], .bool) { call in
        let (texts, out) = (call.slices(0), call.results(UInt8.self))
        var document = JSONDocument()
        call.rows.each { row in out[row] = document.find(texts[row], path) == nil ? 0 : 1 }
      }
    },
    text("JSONExtractString") { (document, slot) in slot.kind == .string || slot.kind == .escapedString ? .unescaped : nil },
    text("JSONExtractRaw") { (document, slot) in .source },
    number("JSONExtractInt", .int64) { $0.integer.flatMap { Int64(exactly: $0) } },
    number("JSONExtractUInt", .uint64) { $0.integer.flatMap { UInt64(exactly: $0) } },
    number("JSONExtractFloat", .float64) { $0.double },
    Function("JSONExtractBool", "(s, key or number, …)", 1...Int.max) { (call) throws(ExpressionProblem) in
      try value(call, .bool) { _, slot in slot.kind == .true ? UInt8(1) : slot.kind == .false ? 0 : nil }
    },
    Function("JSON_VALUE", "(s, '$.path')", 2...2) { (call) throws(ExpressionProblem) in
      guard let path = JSONStep.path(try call.constantText(1, "a path")) else {
        throw call.problem("the path must be as '$.a.b[0]' is", at: 1)
      }
      return try texts(call, path) { _, slot in
        switch slot.kind {
        case .string, .escapedString: .unescaped
        case .number, .true, .false: .source
        default: nil
        }
      }
    },
  ]

  enum JSONText: Sendable {
    case unescaped, source
  }

  private static func text(_ name: String, _ form: @escaping @Sendable (JSONDocument.View, ValueSlot) -> JSONText?) -> Function {
    Function(name, "(s, key or number, …)", 1...Int.max) { (call) throws(ExpressionProblem) in try texts(call, path(call), form) }
  }

  private static func texts(_ call: Call, _ path: [JSONStep], _ form: @escaping @Sendable (JSONDocument.View, ValueSlot) -> JSONText?)
    throws(ExpressionProblem) -> Node
  {
    try call.result([call.text(0)], DataType.string.nullable(true)) { call in
      let texts = call.slices(0)
      var document = JSONDocument()
      var writer = call.textWriter()
      call.rows.each { row in
        if let slot = document.find(texts[row], path), let form = form(document.view, slot) {
          document.append(slot, asSource: form == .source, to: &writer)
        } else {
          call.setNull(row)
        }
        writer.end(row, &call)
      }
      writer.finish(&call)
    }
  }

  private static func number<R: BitwiseCopyable>(_ name: String, _ type: DataType, _ body: @escaping @Sendable (JSONDocument.Number) -> R?)
    -> Function
  {
    Function(name, "(s, key or number, …)", 1...Int.max) { (call) throws(ExpressionProblem) in
      try value(call, type) { view, slot in slot.kind == .number ? body(JSONDocument.Number(view: view, slot: slot)) : nil }
    }
  }

  private static func value<R: BitwiseCopyable>(
    _ call: Call, _ type: DataType, _ body: @escaping @Sendable (JSONDocument.View, ValueSlot) -> R?
  ) throws(ExpressionProblem) -> Node {
    let path = try path(call)
    return try call.result([call.text(0)], type.nullable(true)) { call in
      let (texts, out) = (call.slices(0), call.results(R.self))
      var document = JSONDocument()
      call.rows.each { row in
        guard let slot = document.find(texts[row], path), let value = body(document.view, slot) else { return call.setNull(row) }
        out[row] = value
      }
    }
  }

  private static func path(_ call: Call) throws(ExpressionProblem) -> [JSONStep] {
    var path: [JSONStep] = []
    for index in call.arguments.indices.dropFirst() {
      if let key = try call.argument(index).constantText {
        path.append(.key(key))
      } else {
        path.append(.number(try call.constantInteger(index, in: -1_000_000...1_000_000)))
      }
    }
    return path
  }
}

/// A step from a JSON value to one in it.
enum JSONStep: Hashable, Sendable {
  case key([UInt8])
  /// Of an array's item or an object's value, from 1, below 0 from the end.
  case number(Int)
  /// Of an array's item alone, from 1.
  case item(Int)

  /// `$.a."b c"[0]`; nil for anything else.
  static func path(_ text: [UInt8]) -> [JSONStep]? {
    guard text.first == UInt8(ascii: "$") else { return nil }
    var steps: [JSONStep] = []
    var rest = text.dropFirst()
    while let sign = rest.popFirst() {
      if sign == UInt8(ascii: "["), let end = rest.firstIndex(of: UInt8(ascii: "]")) {
        guard let number = Int(String(decoding: rest[..<end], as: UTF8.self)), number >= 0, number < 1_000_000 else { return nil }
        steps.append(.item(number + 1))
        rest = rest[(end + 1)...]
      } else if sign == UInt8(ascii: "."), rest.first == UInt8(ascii: "\"") {
        rest = rest.dropFirst()
        guard let end = rest.firstIndex(of: UInt8(ascii: "\"")), end > rest.startIndex else { return nil }
        steps.append(.key(Array(rest[..<end])))
        rest = rest[(end + 1)...]
      } else if sign == UInt8(ascii: ".") {
        let key = rest.prefix { ![UInt8(ascii: "."), UInt8(ascii: "["), UInt8(ascii: "*"), UInt8(ascii: " ")].contains($0) }
        guard !key.isEmpty else { return nil }
        steps.append(.key(Array(key)))
        rest = rest[key.endIndex...]
      } else {
        return nil
      }
    }
    return steps
  }
}
