import Foundation

/// The repository's root.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// A Swift file of the repository, as the checks look at it.
struct SwiftFile: Sendable {
  /// From the root: `Sources/MillBase/Clock.swift`.
  var path: String
  /// The target it belongs to: the folder below Sources or Tests.
  var target: String
  var lines: [String]
  /// The lines with comments and the insides of string literals blanked out.
  var code: [String]

  init(path: String, text: String) {
    self.path = path
    self.target = String(path.split(separator: "/")[1])
    self.lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    self.code = codeOnly(text).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// Modules that it imports.
  var imports: [String] {
    code.compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard let index = words.firstIndex(of: "import"), words.count > index + 1, words[..<index].allSatisfy({ importWords.contains($0) })
      else { return nil }
      let name = words[index + 1]
      return ["struct", "enum", "class", "func", "protocol"].contains(name) ? words.last : String(name.prefix { $0 != "." })
    }
  }
}

private let importWords: Set<String> = ["package", "internal", "public", "private", "fileprivate", "@testable", "@_exported"]

/// Every Swift file below a folder of the root, sorted by path.
func swiftFiles(in folder: String) -> [SwiftFile] {
  let names = FileManager.default.enumerator(atPath: root.appendingPathComponent(folder).path)?.compactMap { $0 as? String } ?? []
  return names.filter { $0.hasSuffix(".swift") }.sorted().map { name in
    let path = folder + "/" + name
    let text = (try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)) ?? ""  // an unreadable file fails as empty
    return SwiftFile(path: path, text: text)
  }
}

/// `text` with comments and string literals' contents replaced by blanks, line by line. Interpolations count as text.
func codeOnly(_ text: String) -> String {
  var result: [UInt8] = []
  let bytes = Array(text.utf8)
  var index = 0
  func starts(_ word: String, _ at: Int) -> Bool {
    at + word.utf8.count <= bytes.count && bytes[at..<(at + word.utf8.count)].elementsEqual(word.utf8)
  }
  func blank(to end: Int) {
    while index < end {
      result.append(bytes[index] == UInt8(ascii: "\n") ? bytes[index] : UInt8(ascii: " "))
      index += 1
    }
  }
  while index < bytes.count {
    if starts("//", index) {
      blank(to: bytes[index...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count)
    } else if starts("/*", index) {
      var end = index + 2
      while end < bytes.count, !starts("*/", end) { end += 1 }
      blank(to: min(end + 2, bytes.count))
    } else if bytes[index] == UInt8(ascii: "\"") {
      let mark = starts("\"\"\"", index) ? "\"\"\"" : "\""
      var end = index + mark.utf8.count
      while end < bytes.count, !starts(mark, end), mark.utf8.count == 3 || bytes[end] != UInt8(ascii: "\n") {
        end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
      }
      blank(to: min(end + mark.utf8.count, bytes.count))
    } else {
      result.append(bytes[index])
      index += 1
    }
  }
  return String(decoding: result, as: UTF8.self)
}
