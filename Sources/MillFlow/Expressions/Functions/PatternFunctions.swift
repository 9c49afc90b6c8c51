extension Function {
  /// Regular expressions are RE2's, patterns stand in the expression and are compiled once.
  static let patterns: [Function] = [
    Function("like", "(s, pattern)", 2...2) { (call) throws(ExpressionProblem) in try like(call, ignoresCase: false) },
    Function("ilike", "(s, pattern)", 2...2) { (call) throws(ExpressionProblem) in try like(call, ignoresCase: true) },
    Function("match", "(s, regex)", 2...2) { (call) throws(ExpressionProblem) in
      let regex = try regex(call, 1)
      return try call.result([call.text(0)], .bool) { call in
        let (slices, out) = (call.slices(0), call.results(UInt8.self))
        call.rows.each { row in out[row] = regex.matches(slices[row]) ? 1 : 0 }
      }
    },
    Function("extract", "(s, regex)", 2...2) { (call) throws(ExpressionProblem) in
      let regex = try regex(call, 1)
      // The first group where there is one.
      let group = regex.groupCount > 0 ? 1 : 0
      return try call.result([call.text(0)], .string) { call in
        let slices = call.slices(0)
        var places = Regex.Places()
        written(&call) { row, writer in
          guard regex.search(slices[row], from: 0, groups: group + 1, &places), let range = places.range(group) else { return }
          writer.append(slices[row].part(range.lowerBound, range.upperBound))
        }
      }
    },
    Function("replaceRegexpOne", "(s, regex, by)", 3...3) { (call) throws(ExpressionProblem) in try replace(call, all: false) },
    Function("replaceRegexpAll", "(s, regex, by)", 3...3) { (call) throws(ExpressionProblem) in try replace(call, all: true) },
  ]

  private static func regex(_ call: Call, _ index: Int) throws(ExpressionProblem) -> Regex {
    let pattern = try call.constantText(index, "a regular expression")
    do throws(Regex.Problem) { return try Regex(pattern) } catch {
      throw call.problem("the regular expression is wrong: \(error.message)", at: index)
    }
  }

  private static func like(_ call: Call, ignoresCase: Bool) throws(ExpressionProblem) -> Node {
    let bytes = try call.constantText(1, "a pattern")
    let pattern: LikePattern
    do throws(Regex.Problem) { pattern = try LikePattern(bytes, ignoresCase: ignoresCase) } catch {
      throw call.problem("the pattern is wrong: \(error.message)", at: 1)
    }
    return try call.result([call.text(0)], .bool) { call in
      let (slices, out) = (call.slices(0), call.results(UInt8.self))
      call.rows.each { row in out[row] = pattern.matches(slices[row]) ? 1 : 0 }
    }
  }

  /// A piece of what stands for a match.
  private enum Piece: Sendable {
    case bytes([UInt8])
    case group(Int)
  }

  /// `\0` to `\9` are groups, `\\` is a backslash.
  private static func pieces(_ call: Call, _ regex: Regex) throws(ExpressionProblem) -> [Piece] {
    let text = try call.constantText(2, "a replacement")
    var pieces: [Piece] = []
    var literal: [UInt8] = []
    var index = 0
    while index < text.count {
      let next = index + 1 < text.count ? text[index + 1] : 0
      if text[index] == UInt8(ascii: "\\"), next &- 0x30 <= 9 || next == UInt8(ascii: "\\") {
        if next == UInt8(ascii: "\\") {
          literal.append(next)
        } else {
          let group = Int(next &- 0x30)
          guard group <= regex.groupCount else {
            throw call.problem("the replacement names group \(group), the regular expression has \(regex.groupCount)", at: 2)
          }
          pieces += [.bytes(literal), .group(group)]
          literal = []
        }
        index += 2
      } else {
        literal.append(text[index])
        index += 1
      }
    }
    return pieces + [.bytes(literal)]
  }

  private static func replace(_ call: Call, all: Bool) throws(ExpressionProblem) -> Node {
    let regex = try regex(call, 1)
    let pieces = try pieces(call, regex)
    // An empty expression replaces nothing, as in ClickHouse.
    let isEmpty = try call.constantText(1, "a regular expression").isEmpty
    let groups = min(Regex.groupCountMax, regex.groupCount + 1)
    return try call.result([call.text(0)], .string) { call in
      let slices = call.slices(0)
      written(&call) { row, writer in
        guard !isEmpty else { return writer.append(slices[row]) }
        replaceMatches(slices[row], regex, pieces, groups, all: all, &writer)
      }
    }
  }

  private static func replaceMatches(
    _ text: Slice, _ regex: Regex, _ pieces: [Piece], _ groups: Int, all: Bool, _ writer: inout TextWriter
  ) {
    var places = Regex.Places()
    var (copied, position) = (0, 0)
    while position <= text.count, regex.search(text, from: position, groups: groups, &places), let match = places.range(0) {
      writer.append(text.part(copied, match.lowerBound))
      for piece in pieces {
        switch piece {
        case .bytes(let bytes): writer.append(bytes)
        case .group(let number):
          if let range = places.range(number) { writer.append(text.part(range.lowerBound, range.upperBound)) }
        }
      }
      copied = match.upperBound
      position = match.upperBound
      // Behind an empty match one character goes on as it is.
      if match.isEmpty { position = position < text.count ? text.index(ofCharacter: 1, from: position) : position + 1 }
      if !all { break }
    }
    writer.append(text.part(copied, text.count))
  }
}
