import Foundation
import Testing

private let list = swiftFiles(in: "Sources/MillBase").first { $0.path.hasSuffix("FaultPoints.swift") }!

/// Case and name of each fault point, as the list declares them.
private let points: [(name: String, text: String)] = list.lines.compactMap { line in
  let words = line.split(separator: " ")
  guard words.count == 4, words[0] == "case", words[2] == "=" else { return nil }
  return (String(words[1]), words[3].trimmingCharacters(in: ["\""]))
}

@Test func `every fault point stands at a step of the product, in one place or in a durable write's`() {
  #expect(points.count > 30)
  let others = swiftFiles(in: "Sources").filter { $0.path != list.path }
  let idle = points.filter { point in !others.contains { $0.code.contains { stands(point.name, in: $0) } } }
  #expect(idle.map(\.name) == [])
}

/// Whether a line names the point as a whole word after a dot.
private func stands(_ name: String, in line: String) -> Bool {
  var rest = Substring(line)
  while let range = rest.firstRange(of: "." + name) {
    rest = rest[range.upperBound...]
    guard let next = rest.first, next.isLetter || next.isNumber || next == "_" else { return true }
  }
  return false
}

@Test func `the end-to-end tests drive every fault point`() throws {
  let table = try String(contentsOf: root.appendingPathComponent("Tests/EndToEnd/failpoints.py"), encoding: .utf8)
  #expect(points.filter { !table.contains("\"\($0.text)\": Point(") }.map(\.text) == [], "not in failpoints.py")
  let named = table.split(separator: "\n").filter { $0.contains(": Point(") }.count
  #expect(named == points.count, "failpoints.py names \(named), the engine has \(points.count)")
}
