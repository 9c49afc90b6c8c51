internal import Glibc

extension Function {
  /// Over characters, which are Unicode's code points. Bytes that are no UTF-8 count as what they would begin.
  static let characters: [Function] = [
    Function("lengthUTF8", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.text(0)], .uint64) { call in
        let (slices, out) = (call.slices(0), call.results(UInt64.self))
        call.rows.each { row in out[row] = UInt64(slices[row].characterCount(upTo: slices[row].count)) }
      }
    },
    Function("substringUTF8", "(s, start[, length])", 2...3) { (call) throws(ExpressionProblem) in
      try substring(call) { slice, start, length in
        let range = Range.of(slice.characterCount(upTo: slice.count), start, length)
        let first = slice.index(ofCharacter: range.lowerBound, from: 0)
        return first..<slice.index(ofCharacter: range.count, from: first)
      }
    },
    Function("positionUTF8", "(s, part[, start])", 2...3) { (call) throws(ExpressionProblem) in
      try position(call) { text, part, start in
        guard start - 1 <= text.characterCount(upTo: text.count) else { return 0 }
        let from = text.index(ofCharacter: start - 1, from: 0)
        return text.firstIndex(of: part, from: from).map { text.characterCount(upTo: $0) + 1 } ?? 0
      }
    },
    Function("reverseUTF8", "(s)", 1...1) { (call) throws(ExpressionProblem) in
      try call.result([call.text(0)], .string) { call in
        let slices = call.slices(0)
        written(&call) { row, writer in
          let slice = slices[row]
          var end = slice.count
          while end > 0 {
            var start = end - 1
            while start > 0, slice[start] & 0xC0 == 0x80 { start -= 1 }
            writer.append(slice.part(start, end))
            end = start
          }
        }
      }
    },
  ]
}

extension Slice {
  /// Bytes that begin a character, before `end`.
  @inline(__always)
  func characterCount(upTo end: Int) -> Int {
    var count = 0
    for index in 0..<end { count &+= self[index] & 0xC0 == 0x80 ? 0 : 1 }
    return count
  }

  /// Byte offset of the character that stands `number` behind the one at `start`.
  func index(ofCharacter number: Int, from start: Int) -> Int {
    var (index, rest) = (start, number)
    while index < count, rest > 0 {
      index += 1
      while index < count, self[index] & 0xC0 == 0x80 { index += 1 }
      rest -= 1
    }
    return index
  }

  /// Where `part` stands first from byte `start` on; nil where it doesn't.
  func firstIndex(of part: Slice, from start: Int) -> Int? {
    guard start <= count, count - start >= part.count else { return nil }
    if part.count == 0 { return start }
    var from = start
    let last = count - part.count
    while from <= last, let found = unsafe memchr(base + from, Int32(part[0]), last - from + 1) {
      from = unsafe UnsafeRawPointer(found) - UnsafeRawPointer(base)
      if unsafe memcmp(base + from, part.base, part.count) == 0 { return from }
      from += 1
    }
    return nil
  }
}
