/// Arrays and maps stand in registers as in ``Column``: a LEB128 count, then the items.
extension Function {
  static let arrays: [Function] = [
    Function("array", "(x, …)", 1...Int.max) { (call) throws(ExpressionProblem) in
      let type = try call.typer.commonType(call.arguments, "the items of the array", call.offset)
      var nodes: [Node] = []
      for argument in call.arguments { nodes.append(try call.typer.converted(argument, to: type, keepsNull: true)) }
      let isNullable = nodes.contains { $0.type.isNullable }
      guard !type.isComposed || !isNullable else { throw call.problem("items that are \(type) can't be NULL") }
      let item = Items(type.nullable(isNullable))
      let count = nodes.count
      return try call.result(nodes, .array(type.nullable(isNullable)), nulls: .seen) { call in
        var writer = call.textWriter()
        call.rows.each { row in
          writer.append(count: count)
          for index in 0..<count {
            let argument = call.argument(index)
            let isNull = argument.isNull(row)
            if item.isNullable { writer.append(isNull ? 1 : 0) }
            if !isNull { item.append(Slices(argument, width: item.width)[row], to: &writer) }
          }
          call.output.setNull(row, 0)
          writer.end(row, &call)
        }
        writer.finish(&call)
      }
    },
    Function("arrayElement", "(array or map, number or key)", 2...2) { (call) throws(ExpressionProblem) in
      let container = try call.argument(0)
      if case .map(_, let value) = container.type { return try element(call, container, value, byKey: true) }
      return try element(call, container, call.item(0), byKey: false)
    },
    Function("arrayElementOrNull", "(array, number)", 2...2) { (call) throws(ExpressionProblem) in
      try element(call, call.argument(0), call.item(0), byKey: false)
    },
    Function("has", "(array, x)", 2...2) { (call) throws(ExpressionProblem) in
      try find(call, .bool) { index, _ in UInt8(index == nil ? 0 : 1) }
    },
    Function("indexOf", "(array, x)", 2...2) { (call) throws(ExpressionProblem) in
      try find(call, .uint64) { index, _ in UInt64(index.map { $0 + 1 } ?? 0) }
    },
    Function("mapContains", "(map, key)", 2...2) { (call) throws(ExpressionProblem) in
      let map = try call.argument(0)
      guard case .map(_, let value) = map.type else { throw call.wrong(0, wanted: "a map") }
      let item = Items(value)
      return try call.result([map, call.text(1)], .bool) { call in
        let (maps, keys, out) = (call.slices(0), call.slices(1), call.results(UInt8.self))
        call.rows.each { row in out[row] = item.value(of: keys[row], in: maps[row]) == nil ? 0 : 1 }
      }
    },
    Function("hasAny", "(array, array)", 2...2) { (call) throws(ExpressionProblem) in try overlap(call, all: false) },
    Function("hasAll", "(array, array)", 2...2) { (call) throws(ExpressionProblem) in try overlap(call, all: true) },
    Function("splitByChar", "(separator, s)", 2...2) { (call) throws(ExpressionProblem) in
      guard try call.constantText(0, "one byte").count == 1 else { throw call.problem("the separator must be one byte", at: 0) }
      return try split(call)
    },
    Function("splitByString", "(separator, s)", 2...2) { (call) throws(ExpressionProblem) in
      guard try !call.constantText(0, "a text").isEmpty else { throw call.problem("the separator is empty", at: 0) }
      return try split(call)
    },
  ]

  private static func split(_ call: Call) throws(ExpressionProblem) -> Node {
    try call.result([call.text(0), call.text(1)], .array(.string)) { call in
      let (separators, texts) = (call.slices(0), call.slices(1))
      written(&call) { row, writer in
        let (separator, text) = (separators[row], texts[row])
        var (count, start) = (1, 0)
        while let index = text.firstIndex(of: separator, from: start) {
          count += 1
          start = index + separator.count
        }
        writer.append(count: count)
        start = 0
        while let index = text.firstIndex(of: separator, from: start) {
          writer.append(counted: text.part(start, index))
          start = index + separator.count
        }
        writer.append(counted: text.part(start, text.count))
      }
    }
  }

  /// NULL where there is no such element; of arrays of arrays the row fails then.
  private static func element(_ call: Call, _ container: Node, _ type: DataType, byKey: Bool) throws(ExpressionProblem) -> Node {
    let item = Items(type)
    let result = type.plain.nullable(true)
    let isComposed = result.isComposed
    let key = byKey ? try call.text(1) : try call.count(1)
    let find: @Sendable (KernelCall, Int) -> Slice?? = { call, row in
      let slice = call.slices(0)[row]
      if byKey { return item.value(of: call.slices(1)[row], in: slice) }
      return item.item(Int(call.values(1, Int64.self)[row]), of: slice)
    }
    guard item.width == 0 else {
      let width = item.width
      return try call.result([container, key], result) { call in
        let output = call.output
        call.rows.each { row in
          guard let found = find(call, row) ?? nil else { return call.setNull(row) }
          unsafe (output.bytes + row * width).copyMemory(from: found.base, byteCount: width)
        }
      }
    }
    return try call.result([container, key], result) { call in
      var writer = call.textWriter()
      call.rows.each { row in
        if let found = find(call, row) ?? nil {
          writer.append(found)
        } else if isComposed {
          return call.fail(row, .badArgument)
        } else {
          call.setNull(row)
        }
        writer.end(row, &call)
      }
      writer.finish(&call)
    }
  }

  private static func find<R: BitwiseCopyable>(_ call: Call, _ result: DataType, _ body: @escaping @Sendable (Int?, Int) -> R)
    throws(ExpressionProblem) -> Node
  {
    let type = try call.item(0).plain
    guard !type.isComposed, !type.bare.isFloat else { throw call.wrong(0, wanted: "an array of neither arrays nor Floats") }
    let wanted = try call.typer.meeting(call.arguments[1], type.bare)
    guard wanted.type.bare == type.bare else { throw call.wrong(1, wanted: "\(type.bare), as the array's items are") }
    let item = Items(type)
    return try call.result([call.argument(0), wanted], result) { call in
      let (arrays, values, out) = (call.slices(0), call.slices(1, width: item.width), call.results(R.self))
      call.rows.each { row in
        let array = arrays[row]
        var (index, found) = (0, nil as Int?)
        let count = array.count(at: &index)
        for number in 0..<count {
          if let one = item.next(array, &index), one.isEqual(values[row]) {
            found = number
            break
          }
        }
        out[row] = body(found, count)
      }
    }
  }

  /// A NULL item is equal to a NULL item here, as in ClickHouse.
  private static func overlap(_ call: Call, all: Bool) throws(ExpressionProblem) -> Node {
    var sides = [try call.argument(0), try call.argument(1)]
    // An array that stands in the text takes the other's type.
    for (index, other) in [(0, 1), (1, 0)] where sides[index].constant != nil && sides[index].type != sides[other].type {
      guard case .array(let item) = sides[other].type.bare, sides[index].type.isComposed else { continue }
      sides[index] = try call.typer.converted(sides[index], to: .array(item.bare), keepsNull: true)
    }
    let call = Call(typer: call.typer, function: call.function, arguments: sides, offset: call.offset, name: call.name)
    let (first, second) = (try call.item(0).plain, try call.item(1).plain)
    guard first.bare == second.bare, !first.isComposed, !first.bare.isFloat else {
      throw call.problem("takes two arrays of one type, neither of arrays nor of Floats, these are \(call.types)")
    }
    let (x, y) = (Items(first), Items(second))
    return try call.result([call.argument(0), call.argument(1)], .bool) { call in
      let (a, b, out) = (call.slices(0), call.slices(1), call.results(UInt8.self))
      call.rows.each { row in
        var index = 0
        var answer = all
        for _ in 0..<b[row].count(at: &index) {
          let one = y.next(b[row], &index)
          if x.contains(one, a[row]) != all {
            answer = !all
            break
          }
        }
        out[row] = answer ? 1 : 0
      }
    }
  }
}

extension Call {
  /// The type of an array's items.
  func item(_ index: Int) throws(ExpressionProblem) -> DataType {
    guard case .array(let item) = try argument(index).type else { throw wrong(index, wanted: "an array") }
    return item
  }
}

/// How the items of arrays, and the values of maps, of one type stand.
struct Items: Sendable {
  let type: DataType
  let isNullable: Bool
  /// Bytes of an item that isn't NULL; 0: a text, array or map.
  let width: Int

  init(_ type: DataType) {
    self.type = type
    isNullable = type.isNullable
    width = type.width
  }

  /// The item at `index`, and goes behind it; nil for NULL. Of an array or map in it all of its bytes.
  func next(_ bytes: Slice, _ index: inout Int) -> Slice? {
    if isNullable {
      index += 1
      if bytes[index - 1] == 1 { return nil }
    }
    let start: Int
    if width > 0 {
      start = index
      index += width
    } else if type.plain.isComposed {
      start = index
      Self.skip(type.plain, bytes, &index)
    } else {
      let count = bytes.count(at: &index)
      start = index
      index += count
    }
    return bytes.part(start, index)
  }

  private static func skip(_ type: DataType, _ bytes: Slice, _ index: inout Int) {
    switch type {
    case .array(let inner):
      let items = Items(inner)
      for _ in 0..<bytes.count(at: &index) { _ = items.next(bytes, &index) }
    case .map(_, let value):
      let (keys, values) = (Items(.string), Items(value))
      for _ in 0..<bytes.count(at: &index) {
        _ = keys.next(bytes, &index)
        _ = values.next(bytes, &index)
      }
    default: preconditionFailure("\(type) is no array or map")
    }
  }

  /// As it stands in an array; NULL's byte aside.
  func append(_ value: Slice, to writer: inout TextWriter) {
    if width == 0, !type.plain.isComposed { writer.append(count: value.count) }
    writer.append(value)
  }

  /// By number from 1, below 0 from the end. Nil: there is none; nil inside: it is NULL.
  func item(_ number: Int, of array: Slice) -> Slice?? {
    var index = 0
    let count = array.count(at: &index)
    let place = number > 0 ? number - 1 : count + number
    guard number != 0, place >= 0, place < count else { return .none }
    if width > 0, !isNullable {
      index += place * width
      return .some(next(array, &index))
    }
    for _ in 0..<place { _ = next(array, &index) }
    return .some(next(array, &index))
  }

  /// A map's value; as ``item(_:of:)``.
  func value(of key: Slice, in map: Slice) -> Slice?? {
    var index = 0
    for _ in 0..<map.count(at: &index) {
      let keyCount = map.count(at: &index)
      let isFound = map.part(index, index + keyCount).isEqual(key)
      index += keyCount
      let value = next(map, &index)
      if isFound { return .some(value) }
    }
    return .none
  }

  func contains(_ wanted: Slice?, _ array: Slice) -> Bool {
    var index = 0
    for _ in 0..<array.count(at: &index) {
      switch (next(array, &index), wanted) {
      case (nil, nil): return true
      case (let a?, let b?) where a.isEqual(b): return true
      default: continue
      }
    }
    return false
  }
}

extension TextWriter {
  /// LEB128.
  @inline(__always)
  mutating func append(count: Int) {
    var rest = count
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  /// A text as it stands in an array.
  @inline(__always)
  mutating func append(counted slice: Slice) {
    append(count: slice.count)
    append(slice)
  }
}
