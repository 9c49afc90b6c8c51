import Foundation
import Testing

private let sources = swiftFiles(in: "Sources")
private let all = sources + swiftFiles(in: "Tests")

/// A call that product code doesn't make, and what stands in its place.
private struct Ban {
  var call: String
  var instead: String
  /// Targets that may.
  var except: Set<String> = []
}

private let bans: [Ban] = [
  Ban(call: "Date(", instead: "Clock"),
  Ban(call: "ContinuousClock", instead: "Clock"),
  Ban(call: "SuspendingClock", instead: "Clock"),
  Ban(call: ".random(", instead: "SeededRandom", except: ["MillBase"]),
  Ban(call: ".shuffled()", instead: "SeededRandom", except: ["MillBase"]),
  Ban(call: ".randomElement()", instead: "SeededRandom", except: ["MillBase"]),
  Ban(call: "SystemRandomNumberGenerator", instead: "SeededRandom", except: ["MillBase"]),
  Ban(call: "Thread(", instead: "a named OS thread"),
  Ban(call: "Thread.", instead: "a named OS thread"),
  Ban(call: "DispatchQueue", instead: "a named OS thread"),
  Ban(call: "Task.detached", instead: "a named OS thread"),
  Ban(call: "try!", instead: "a typed error"),
  Ban(call: "fatalError(", instead: "require or precondition with the fact in its message", except: ["MillBase"]),
  Ban(call: "print(", instead: "Output or Logger", except: ["millrace-sim", "MillSim"]),
  Ban(call: "debugPrint(", instead: "Output or Logger"),
  Ban(call: "NSLock", instead: "Mutex of Synchronization"),
]

@Test func `product code makes no banned call`() {
  let found = sources.flatMap { file in
    file.code.enumerated().flatMap { number, line in
      bans.filter { !$0.except.contains(file.target) && calls(line, $0.call) }
        .map { "\(file.path):\(number + 1): \($0.call) is banned; use \($0.instead)" }
    }
  }
  #expect(found == [])
}

/// Whether `call` stands in a line as a word of its own: `Date(` isn't in `toDate(`.
private func calls(_ line: String, _ call: String) -> Bool {
  var rest = Substring(line)
  while let range = rest.firstRange(of: call) {
    let before = range.lowerBound > line.startIndex ? line[line.index(before: range.lowerBound)] : " "
    let isPart = before.isLetter || before.isNumber || before == "_"
    if call.hasPrefix(".") || !isPart && before != "." { return true }
    rest = rest[range.upperBound...]
  }
  return false
}

@Test func `the ban finds calls in code and leaves comments, texts and longer names alone`() {
  let file = SwiftFile(
    path: "Sources/MillX/X.swift", text: "// Date(\nlet a = \"Date(\"; toDate(b)\nlet c = \"\"\"\n  Date(\n  \"\"\"\nlet d = Date()")
  #expect(file.code.map { calls($0, "Date(") } == [false, false, false, false, false, true])
}

@Test func `no file is longer than 600 lines`() {
  #expect(all.filter { $0.lines.count > 600 }.map { "\($0.path): \($0.lines.count)" } == [])
}

/// A message stays in one piece, so that it can be searched for: only what stands outside of string literals counts.
@Test func `no line is longer than 140 characters, a text in quotes aside`() {
  let found = all.flatMap { file in
    file.lines.enumerated().filter { $0.element.count > 140 && !isMostlyText($0.element) }
      .map { "\(file.path):\($0.offset + 1): \($0.element.count)" }
  }
  #expect(found == [])
}

@Test func `no function of the product is longer than 70 lines`() {
  let found = sources.flatMap { file in
    functions(file.code).filter { $0.count > 70 }.map { "\(file.path):\($0.start): \($0.count)" }
  }
  #expect(found == [])
}

/// First line and length of every function, initialiser included, whose braces stand as the formatter puts them: the closing one at the
/// indentation of the line that begins the declaration.
private func functions(_ code: [String]) -> [(start: Int, count: Int)] {
  var result: [(Int, Int)] = []
  for (index, line) in code.enumerated() {
    let words = line.split(whereSeparator: { $0 == " " || $0 == "(" || $0 == "<" })
    guard words.contains("func") || words.contains("init") && line.contains("init("), !line.contains("{ "), !line.hasSuffix("}") else {
      continue
    }
    let margin = line.prefix { $0 == " " }
    for end in code[(index + 1)...].indices {
      let next = code[end]
      if next.isEmpty || next.prefix(while: { $0 == " " }).count > margin.count { continue }
      if next == margin + "}" { result.append((index + 1, end - index + 1)) }
      if !next.hasPrefix(margin + ")") && next != margin + "{" && !next.hasPrefix(margin + "where") { break }
    }
  }
  return result
}

@Test func `the scanner sees the length of functions`() {
  let code = ["  func a(", "    b: Int", "  ) {", "    c()", "  }", "  init(d: Int) {", "  }", "  func e() { f() }"]
  #expect(functions(code).map { [$0.start, $0.count] } == [[1, 5], [6, 2]])
}

/// Messages quote errors whole: an enum without a description shows its Swift, `unavailable("…")`.
@Test func `every enum of errors says in words what happened`() {
  let lines = sources.flatMap { file in file.code.map { (file.path, $0) } }
  let described = Set(
    lines.compactMap { _, line in line.firstMatch(of: /extension (\w+): .*CustomStringConvertible/).map { String($0.1) } })
  let errors = lines.compactMap { path, line in line.firstMatch(of: /enum (\w+): .*\bError\b.*/).map { (path, String($0.1), line) } }
  #expect(errors.count > 5)
  let found = errors.filter { !$0.2.contains("CustomStringConvertible") && !described.contains($0.1) }
  #expect(found.map { "\($0.0): \($0.1)" } == [])
}

@Test func `nothing is left to be done`() {
  let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
  let found = all.flatMap { file in
    file.lines.enumerated().filter { line in words.contains { line.element.contains($0) } }.map { "\(file.path):\($0.offset + 1)" }
  }
  #expect(found == [])
}

/// Whether a line is too long only for the string literal that ends it.
private func isMostlyText(_ line: some StringProtocol) -> Bool {
  guard let quote = line.firstIndex(of: "\"") else { return false }
  return line[..<quote].count <= 100
}
