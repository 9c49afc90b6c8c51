extension Parser {
  /// Words that can't be a field's name without backticks.
  static let keywords: Set<String> = [
    "and", "or", "not", "is", "in", "between", "like", "ilike", "null", "true", "false", "case", "when", "then", "else", "end", "cast",
    "try_cast", "interval", "as",
  ]

  mutating func primary() throws(ExpressionProblem) -> Syntax {
    let start = token
    switch start.kind {
    case .number:
      advance()
      return try number(start, isNegative: false)
    case .string(let value):
      advance()
      return try node(.string(value), start.offset)
    case .quotedWord: return try name()
    case .word: return try word()
    case .sign:
      if start.text == "-", following.kind == .number {
        advance()
        let digits = token
        advance()
        return try number(digits, isNegative: true)
      }
      if take(sign: "(") {
        let inner = try expression()
        if isSign(",") { throw problem("a list in parentheses stands behind 'in' only; an array is written [a, b]") }
        try expect(sign: ")", "for the '(' at column \(problem("", at: start.offset).column)")
        return inner
      }
      if take(sign: "[") {
        let items = try expressions(until: "]", "the array")
        return try node(.array(items), start.offset, items)
      }
      if start.text == "$" { return try name() }
      if start.text == "+" { throw problem("a number has no plus before it") }
      if start.text == "*" { throw problem("'*' is no value; name the fields") }
      throw problem("a value is missing before '\(start.text)'")
    case .end: throw problem(text.isEmpty ? "the expression is empty" : "a value is missing: the text ends here")
    }
  }

  private mutating func number(_ token: Token, isNegative: Bool) throws(ExpressionProblem) -> Syntax {
    guard let literal = NumberLiteral(token.text, isNegative: isNegative) else {
      throw problem("the number has more than 76 digits", at: token.offset)
    }
    return try node(.number(literal), token.offset)
  }

  private mutating func word() throws(ExpressionProblem) -> Syntax {
    let start = token
    let isCall = following.kind == .sign && following.text == "("
    switch start.text.lowercased() {
    case "true", "false":
      advance()
      return try node(.bool(start.text.lowercased() == "true"), start.offset)
    case "null":
      advance()
      return try node(.null, start.offset)
    case "case":
      advance()
      return try choice(start.offset)
    case "cast", "try_cast":
      guard isCall else { throw problem("\(start.text) needs a value and a type, as in cast(x as Int64)") }
      return try cast()
    case "interval":
      if following.kind == .number || following.text == "-" { return try interval() }
      return isCall ? try call() : try name()
    case "and", "or", "is", "in", "between", "like", "ilike", "when", "then", "else", "end", "as", "not":
      throw problem("a value is missing before '\(start.text)'; a field of that name stands in backticks")
    default: return isCall ? try call() : try name()
    }
  }

  private mutating func call() throws(ExpressionProblem) -> Syntax {
    let start = token
    advance()
    advance()
    let arguments = try expressions(until: ")", "the arguments of \(start.text)")
    return try node(.call(start.text, arguments), start.offset, arguments)
  }

  /// `a.b`, `` `a b`.c ``, `$timestamp`, `$headers.name`.
  private mutating func name() throws(ExpressionProblem) -> Syntax {
    let start = token
    var text = ""
    if take(sign: "$") { text = "$" }
    repeat {
      guard token.kind == .word || token.kind == .quotedWord else { throw problem("a name is missing\(found)") }
      text += token.text
      advance()
      // Only a dot right behind a name goes on with it.
      if isSign(".") { text += "." }
    } while take(sign: ".")
    return try node(.name(text), start.offset)
  }

  private mutating func choice(_ offset: Int) throws(ExpressionProblem) -> Syntax {
    let subject = isWord("when") ? nil : try expression()
    var branches: [Syntax.Branch] = []
    while take(word: "when") {
      let condition = try expression()
      try expect(word: "then", "behind the condition of 'when'")
      branches.append(Syntax.Branch(condition: condition, value: try expression()))
    }
    guard !branches.isEmpty else { throw problem("'when' is missing behind 'case'\(found)") }
    let otherwise = take(word: "else") ? try expression() : nil
    try expect(word: "end", "at the end of 'case'")
    let parts = [subject, otherwise].compactMap(\.self) + branches.flatMap { [$0.condition, $0.value] }
    return try node(.choice(subject: subject, branches: branches, otherwise: otherwise), offset, parts)
  }

  private mutating func cast() throws(ExpressionProblem) -> Syntax {
    let start = token
    advance()
    advance()
    let value = try expression()
    guard take(word: "as") else {
      if isSign(",") { throw problem("write \(start.text)(x as Type)") }
      throw problem("'as' is missing behind the value of \(start.text)\(found)")
    }
    let type = try typeName(endings: [")"])
    try expect(sign: ")", "behind the type")
    return try node(.cast(value, to: type, orNull: start.text.lowercased() == "try_cast"), start.offset, [value])
  }

  private mutating func interval() throws(ExpressionProblem) -> Syntax {
    let start = token.offset
    advance()
    let isNegative = take(sign: "-")
    guard token.kind == .number, let count = Int64(token.text), count <= 1_000_000_000 else {
      throw problem("interval needs a whole number up to 1000000000\(found)")
    }
    advance()
    guard token.kind == .word, let unit = TimeUnit(word: token.text) else {
      let units = TimeUnit.allCases.map(\.rawValue)
      throw problem("interval needs a unit: \(units.joined(separator: ", "))\(found)" + suggestion(token.text, units))
    }
    advance()
    return try node(.interval(isNegative ? -count : count, unit), start)
  }

  /// A type of DataType's own text: a word and, where it has them, its parentheses.
  mutating func typeName(endings: [String]) throws(ExpressionProblem) -> DataType {
    let start = token
    guard start.kind == .word else { throw problem("a type is missing\(found)") }
    advance()
    var end = start.end
    if isSign("(") {
      var open = 0
      repeat {
        if isSign("(") { open += 1 }
        if isSign(")") { open -= 1 }
        guard token.kind != .end else { throw problem("')' is missing behind the type") }
        end = token.end
        advance()
      } while open > 0
    }
    let utf8 = text.utf8
    let from = utf8.index(utf8.startIndex, offsetBy: start.offset)
    let written = String(text[from..<utf8.index(utf8.startIndex, offsetBy: end)])
    do {
      return try DataType.parse(written)
    } catch {
      throw problem(error.message, at: start.offset)
    }
  }
}
