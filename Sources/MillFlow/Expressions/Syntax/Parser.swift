/// Reads an expression by the grammar of docs/expressions.md.
struct Parser {
  static let byteCountMax = 64 << 10
  static let depthMax = 64
  static let nodeCountMax = 4096

  let text: String
  private let tokens: [Token]
  private var index = 0
  private var nodeCount = 0
  private var nesting = 0

  static func parse(_ text: String) throws(ExpressionProblem) -> Syntax {
    guard text.utf8.count <= byteCountMax else {
      throw ExpressionProblem(
        message: "the expression has \(text.utf8.count) bytes, at most \(byteCountMax) are allowed", text: text, offset: 0)
    }
    var parser = Parser(text: text, tokens: try Lexer.tokens(text))
    let result = try parser.expression()
    guard parser.token.kind == .end else { throw parser.stray() }
    return result
  }

  private init(text: String, tokens: [Token]) {
    self.text = text
    self.tokens = tokens
  }

  // MARK: Tokens

  var token: Token { tokens[index] }
  var following: Token { tokens[min(index + 1, tokens.count - 1)] }
  mutating func advance() { if index < tokens.count - 1 { index += 1 } }

  func problem(_ message: String, at offset: Int? = nil) -> ExpressionProblem {
    ExpressionProblem(message: message, text: text, offset: offset ?? token.offset)
  }

  func isSign(_ sign: String) -> Bool { token.kind == .sign && token.text == sign }
  func isWord(_ word: String) -> Bool { token.kind == .word && token.text.lowercased() == word }

  mutating func take(sign: String) -> Bool {
    guard isSign(sign) else { return false }
    advance()
    return true
  }

  mutating func take(word: String) -> Bool {
    guard isWord(word) else { return false }
    advance()
    return true
  }

  mutating func expect(sign: String, _ what: String) throws(ExpressionProblem) {
    guard take(sign: sign) else { throw problem("'\(sign)' is missing \(what)\(found)") }
  }

  mutating func expect(word: String, _ what: String) throws(ExpressionProblem) {
    guard take(word: word) else { throw problem("'\(word)' is missing \(what)\(found)") }
  }

  /// What stands here instead.
  var found: String { token.kind == .end ? ": the text ends here" : ", here is '\(String(token.text.prefix(32)))'" }

  private func stray() -> ExpressionProblem {
    if token.kind == .sign, token.text == ")" { return problem("this ')' closes nothing") }
    if let sign = BinaryOperator(sign: token.text), sign.isComparison {
      return problem("comparisons don't chain: write a \(token.text) b and b \(token.text) c")
    }
    let keywords = ["and", "or", "in", "is", "between", "like", "ilike", "not"]
    return problem("an operator is missing before '\(String(token.text.prefix(32)))'" + suggestion(token.text, keywords))
  }

  // MARK: Nodes

  /// A node over parts, counted and measured.
  mutating func node(_ kind: Syntax.Kind, _ offset: Int, _ parts: [Syntax] = []) throws(ExpressionProblem) -> Syntax {
    nodeCount += 1
    guard nodeCount <= Self.nodeCountMax else { throw problem("the expression has more than \(Self.nodeCountMax) parts", at: offset) }
    let depth = 1 + (parts.lazy.map(\.depth).max() ?? 0)
    guard depth <= Self.depthMax else { throw tooDeep(offset) }
    return Syntax(kind: kind, offset: offset, depth: depth)
  }

  func tooDeep(_ offset: Int) -> ExpressionProblem {
    problem("the expression is nested more than \(Self.depthMax) deep; long sums get flatter by parentheses around parts", at: offset)
  }

  mutating func expression() throws(ExpressionProblem) -> Syntax {
    nesting += 1
    guard nesting <= Self.depthMax else { throw tooDeep(token.offset) }
    defer { nesting -= 1 }
    return try list("or", { .any($0) }) { parser throws(ExpressionProblem) in
      try parser.list("and", { .all($0) }) { parser throws(ExpressionProblem) in try parser.negation() }
    }
  }

  /// Parts joined by a word; one alone is itself.
  private mutating func list(
    _ word: String, _ make: ([Syntax]) -> Syntax.Kind, _ part: (inout Parser) throws(ExpressionProblem) -> Syntax
  ) throws(ExpressionProblem) -> Syntax {
    var parts = [try part(&self)]
    let offset = token.offset
    while take(word: word) { parts.append(try part(&self)) }
    return parts.count == 1 ? parts[0] : try node(make(parts), offset, parts)
  }

  private mutating func negation() throws(ExpressionProblem) -> Syntax {
    var offsets: [Int] = []
    while isWord("not") {
      offsets.append(token.offset)
      guard offsets.count <= Self.depthMax else { throw tooDeep(token.offset) }
      advance()
    }
    var result = try predicate()
    for offset in offsets.reversed() { result = try node(.not(result), offset, [result]) }
    return result
  }

  private mutating func predicate() throws(ExpressionProblem) -> Syntax {
    let left = try sum()
    let offset = token.offset
    if token.kind == .sign, let comparison = BinaryOperator(sign: token.text), comparison.isComparison {
      advance()
      let right = try sum()
      return try node(.binary(comparison, left, right), offset, [left, right])
    }
    if take(word: "is") {
      let negated = take(word: "not")
      try expect(word: "null", negated ? "behind 'is not'" : "behind 'is'")
      return try node(.isNull(left, negated: negated), offset, [left])
    }
    let negated = isWord("not") && ["in", "between", "like", "ilike"].contains(following.text.lowercased())
    if negated { advance() }
    if take(word: "in") { return try membership(left, offset, negated) }
    if take(word: "between") {
      let low = try sum()
      try expect(word: "and", "between the two bounds of 'between'")
      let high = try sum()
      return try node(.between(left, low, high, negated: negated), offset, [left, low, high])
    }
    for word in ["like", "ilike"] where take(word: word) {
      guard case .string(let pattern) = token.kind else { throw problem("a pattern in single quotes is missing behind '\(word)'\(found)") }
      advance()
      return try node(.like(left, pattern, ignoresCase: word == "ilike", negated: negated), offset, [left])
    }
    return left
  }

  private mutating func membership(_ left: Syntax, _ offset: Int, _ negated: Bool) throws(ExpressionProblem) -> Syntax {
    try expect(sign: "(", "behind 'in'")
    if isSign(")") { throw problem("the list of 'in' is empty") }
    let items = try expressions(until: ")", "the list of 'in'")
    return try node(.isIn(left, items, negated: negated), offset, [left] + items)
  }

  /// Parts separated by commas, with the closing sign; none is allowed.
  mutating func expressions(until close: String, _ what: String) throws(ExpressionProblem) -> [Syntax] {
    if take(sign: close) { return [] }
    var items: [Syntax] = []
    repeat { items.append(try expression()) } while take(sign: ",")
    try expect(sign: close, "at the end of \(what)")
    return items
  }

  private mutating func sum() throws(ExpressionProblem) -> Syntax {
    var result = try product()
    while true {
      let offset = token.offset
      if isSign("||") {
        var parts = [result]
        while take(sign: "||") { parts.append(try product()) }
        result = try node(.joined(parts), offset, parts)
      } else if isSign("+") || isSign("-"), let sign = BinaryOperator(sign: token.text) {
        advance()
        let right = try product()
        result = try node(.binary(sign, result, right), offset, [result, right])
      } else {
        return result
      }
    }
  }

  private mutating func product() throws(ExpressionProblem) -> Syntax {
    var result = try unary()
    while isSign("*") || isSign("/") || isSign("%"), let sign = BinaryOperator(sign: token.text) {
      let offset = token.offset
      advance()
      let right = try unary()
      result = try node(.binary(sign, result, right), offset, [result, right])
    }
    return result
  }

  private mutating func unary() throws(ExpressionProblem) -> Syntax {
    var offsets: [Int] = []
    // A minus right before a number belongs to it.
    while isSign("-"), following.kind != .number {
      offsets.append(token.offset)
      guard offsets.count <= Self.depthMax else { throw tooDeep(token.offset) }
      advance()
    }
    var result = try postfix()
    for offset in offsets.reversed() { result = try node(.negative(result), offset, [result]) }
    return result
  }

  private mutating func postfix() throws(ExpressionProblem) -> Syntax {
    var result = try primary()
    while true {
      let offset = token.offset
      if take(sign: "[") {
        let key = try expression()
        try expect(sign: "]", "behind the element's number or key")
        result = try node(.element(result, key), offset, [result, key])
      } else if take(sign: "::") {
        let type = try typeName(endings: [])
        result = try node(.cast(result, to: type, orNull: false), offset, [result])
      } else {
        return result
      }
    }
  }
}
