internal import MillBase

/// Why a text is no expression over a schema. Found before any row is seen.
package struct ExpressionProblem: Error, Hashable, Sendable {
  /// What is wrong and what would be right, as a sentence without a full stop.
  package var message: String
  /// The whole text.
  package var text: String
  /// Byte offset into the text at which it was seen.
  package var offset: Int

  package init(message: String, text: String, offset: Int) {
    self.message = message
    self.text = text
    self.offset = offset
  }

  /// From 1, by the text's own line ends.
  package var line: Int { text.utf8.prefix(offset).count { $0 == 0x0A } + 1 }

  /// From 1, in characters.
  package var column: Int { lineStart.distance(to: text.utf8.index(text.startIndex, offsetBy: offset), in: text) + 1 }

  /// The line, and below it a caret under the place.
  package var picture: String {
    let end = text.utf8[lineStart...].firstIndex(of: 0x0A) ?? text.endIndex
    // Long lines are shown around the place.
    let skipped = max(0, column - 1 - 60)
    let shown = String(text[lineStart..<end].dropFirst(skipped).prefix(120)).map { $0 == "\t" ? " " : $0 }
    return String(shown) + "\n" + String(repeating: " ", count: column - 1 - skipped) + "^"
  }

  private var lineStart: String.Index {
    let place = text.utf8.index(text.startIndex, offsetBy: offset)
    guard let end = text.utf8[..<place].lastIndex(of: 0x0A) else { return text.startIndex }
    return text.utf8.index(after: end)
  }
}

extension ExpressionProblem: CustomStringConvertible {
  package var description: String { "line \(line), column \(column): \(message)" }
}

extension String.Index {
  fileprivate func distance(to end: String.Index, in text: String) -> Int { text.distance(from: self, to: end) }
}

/// `, did you mean X?` or nothing.
func suggestion(_ name: String, _ known: [String]) -> String {
  nearestKnown(to: name, among: known).map { ", did you mean \($0)?" } ?? ""
}
