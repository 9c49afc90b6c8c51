extension Function {
  static let strings: [Function] = [
    Function("length", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try sized(call)
      return try call.result([x], .uint64, lengths(x.type.bare) { UInt64($0) })
    },
    Function("empty", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try sized(call)
      return try call.result([x], .bool, lengths(x.type.bare) { $0 == 0 ? UInt8(1) : 0 })
    },
    Function("notEmpty", "(x)", 1...1) { (call) throws(ExpressionProblem) in
      let x = try sized(call)
      return try call.result([x], .bool, lengths(x.type.bare) { $0 == 0 ? UInt8(0) : 1 })
    },
    Function("lower", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.text(0)], .string) { mappedBytes(&$0) { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 } }
    },
    Function("upper", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.text(0)], .string) { mappedBytes(&$0) { $0 &- 0x61 < 26 ? $0 & 0xDF : $0 } }
    },
    Function("substring", "(s, start[, length])", 2...3) { (call) throws(ExpressionProblem) in
      try substring(call) { slice, start, length in Range.of(slice.count, start, length) }
    },
    Function("position", "(s, part[, start])", 2...3) { (call) throws(ExpressionProblem) in
      try position(call) { text, part, start in
        guard start - 1 <= text.count else { return 0 }
        return text.firstIndex(of: part, from: start - 1).map { $0 + 1 } ?? 0
      }
    },
    Function("startsWith", "(s, part)", 2...2) { (call) throws(ExpressionProblem) in
      try test(call) { text, part in text.count >= part.count && text.part(0, part.count).isEqual(part) }
    },
    Function("endsWith", "(s, part)", 2...2) { (call) throws(ExpressionProblem) in
      try test(call) { text, part in text.count >= part.count && text.part(text.count - part.count, text.count).isEqual(part) }
    },
    Function("trim", "(s)", 1...1) { (call) throws(ExpressionProblem) in try trim(call, left: true, right: true) },
    Function("trimLeft", "(s)", 1...1) { (call) throws(ExpressionProblem) in try trim(call, left: true, right: false) },
    Function("trimRight", "(s)", 1...1) { (call) throws(ExpressionProblem) in try trim(call, left: false, right: true) },
    Function("concat", "(s, …)", 1...Int.max) { (call) throws(ExpressionProblem) in try joined(call, from: 0) },
    Function("concatWithSeparator", "(separator, s, …)", 1...Int.max) { (call) throws(ExpressionProblem) in try joined(call, from: 1) },
    Function("replaceAll", "(s, part, by)", 3...3) { (call) throws(ExpressionProblem) in try replace(call, all: true) },
    Function("replaceOne", "(s, part, by)", 3...3) { (call) throws(ExpressionProblem) in try replace(call, all: false) },
    Function("repeat", "(s, count)", 2...2) { (call) throws(ExpressionProblem) in
      try call.result([call.text(0), call.count(1)], .string) { call in
        let (texts, counts) = (call.slices(0), call.values(1, Int64.self))
        written(&call) { row, writer in
          let text = texts[row]
          guard text.count > 0, counts[row] > 0 else { return }
          // One more than fits makes it too long.
          for _ in 0..<min(counts[row], Int64(TextWriter.byteCountMax + 1)) { writer.append(text) }
        }
      }
    },
  ]

  /// Writes a text a row.
  @inline(__always)
  static func written(_ call: inout KernelCall, _ body: (Int, inout TextWriter) -> Void) {
    var writer = call.textWriter()
    call.rows.each { row in
      body(row, &writer)
      writer.end(row, &call)
    }
    writer.finish(&call)
  }

  /// A String, array or map.
  private static func sized(_ call: Call) throws(ExpressionProblem) -> Node {
    let x = try call.argument(0)
    guard x.type.bare == .string || x.type.isComposed else { throw call.wrong(0, wanted: "a String, an array or a map") }
    return x
  }

  private static func lengths<R: BitwiseCopyable>(_ type: DataType, _ body: @escaping @Sendable (Int) -> R) -> Kernel {
    let isComposed = type.isComposed
    return { call in
      let (slices, out) = (call.slices(0), call.results(R.self))
      call.rows.each { row in
        var index = 0
        let slice = slices[row]
        out[row] = body(isComposed ? slice.count(at: &index) : slice.count)
      }
    }
  }

  @inline(__always)
  private static func mappedBytes(_ call: inout KernelCall, _ body: (UInt8) -> UInt8) {
    let slices = call.slices(0)
    written(&call) { row, writer in
      let slice = slices[row]
      unsafe writer.append(count: slice.count) { target in for index in 0..<slice.count { unsafe target[index] = body(slice[index]) } }
    }
  }

  /// `range` gives the part from the text, a start from 1 (below 0 from the end), and a length, Int64.max where none is given.
  static func substring(_ call: Call, _ range: @escaping @Sendable (Slice, Int, Int?) -> Range<Int>) throws(ExpressionProblem) -> Node {
    let hasLength = call.arguments.count > 2
    var arguments = [try call.text(0), try call.count(1)]
    if hasLength { arguments.append(try call.count(2)) }
    return try call.result(arguments, .string) { call in
      let (texts, starts) = (call.slices(0), call.values(1, Int64.self))
      let lengths = call.values(hasLength ? 2 : 1, Int64.self)
      written(&call) { row, writer in
        let part = range(texts[row], clamped(starts[row]), hasLength ? clamped(lengths[row]) : nil)
        writer.append(texts[row].part(part.lowerBound, part.upperBound))
      }
    }
  }

  /// No text is so long.
  private static func clamped(_ value: Int64) -> Int { Int(max(-1 << 40, min(1 << 40, value))) }

  /// `find` gives a position from 1, 0 for none, from a start of 1 at least.
  static func position(_ call: Call, _ find: @escaping @Sendable (Slice, Slice, Int) -> Int) throws(ExpressionProblem) -> Node {
    let hasStart = call.arguments.count > 2
    var arguments = [try call.text(0), try call.text(1)]
    if hasStart { arguments.append(try call.count(2)) }
    return try call.result(arguments, .uint64) { call in
      let (texts, parts, out) = (call.slices(0), call.slices(1), call.results(UInt64.self))
      let starts = call.values(hasStart ? 2 : 0, Int64.self)
      call.rows.each { row in
        let start = hasStart ? clamped(starts[row]) : 1
        guard start >= 0 else { return call.fail(row, .badArgument) }
        out[row] = UInt64(find(texts[row], parts[row], max(start, 1)))
      }
    }
  }

  static func test(_ call: Call, _ body: @escaping @Sendable (Slice, Slice) -> Bool) throws(ExpressionProblem) -> Node {
    try call.result([call.text(0), call.text(1)], .bool) { call in
      let (a, b, out) = (call.slices(0), call.slices(1), call.results(UInt8.self))
      call.rows.each { row in out[row] = body(a[row], b[row]) ? 1 : 0 }
    }
  }

  private static func trim(_ call: Call, left: Bool, right: Bool) throws(ExpressionProblem) -> Node {
    try call.result([call.text(0)], .string) { call in
      let slices = call.slices(0)
      written(&call) { row, writer in
        let slice = slices[row]
        var (start, end) = (0, slice.count)
        while left, start < end, slice[start] == 0x20 { start += 1 }
        while right, end > start, slice[end - 1] == 0x20 { end -= 1 }
        writer.append(slice.part(start, end))
      }
    }
  }

  /// Texts joined; with `from` 1 by the first.
  private static func joined(_ call: Call, from: Int) throws(ExpressionProblem) -> Node {
    var arguments: [Node] = []
    for index in call.arguments.indices {
      let node = try call.argument(index)
      guard node.type.bare == .string else { throw call.wrong(index, wanted: "a String: toString(x) makes one") }
      arguments.append(node)
    }
    let count = arguments.count
    return try call.result(arguments, .string) { call in
      var writer = call.textWriter()
      call.rows.each { row in
        for index in from..<count {
          if from == 1, index > 1 { writer.append(call.slices(0)[row]) }
          writer.append(call.slices(index)[row])
        }
        writer.end(row, &call)
      }
      writer.finish(&call)
    }
  }

  private static func replace(_ call: Call, all: Bool) throws(ExpressionProblem) -> Node {
    try call.result([call.text(0), call.text(1), call.text(2)], .string) { call in
      let (texts, parts, others) = (call.slices(0), call.slices(1), call.slices(2))
      written(&call) { row, writer in
        let (text, part) = (texts[row], parts[row])
        var start = 0
        while part.count > 0, let index = text.firstIndex(of: part, from: start) {
          writer.append(text.part(start, index))
          writer.append(others[row])
          start = index + part.count
          if !all { break }
        }
        writer.append(text.part(start, text.count))
      }
    }
  }
}

extension Range<Int> {
  /// What `substring` takes of `size` bytes or characters: `start` counts from 1, below 0 from the end; a length below 0 leaves so many at
  /// the end.
  static func of(_ size: Int, _ start: Int, _ length: Int?) -> Range<Int> {
    if start == 0 || start > size { return 0..<0 }
    let low = start > 0 ? start - 1 : size + start
    let high = length.map { $0 >= 0 ? Swift.min(size, low + $0) : size + $0 } ?? size
    let first = Swift.max(low, 0)
    return high <= first ? 0..<0 : first..<high
  }
}
