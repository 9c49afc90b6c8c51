/// A text that prints as `***` whichever way it is printed; only ``revealed`` gives it away.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The text itself: for the call that needs it, never for a message.
  package let revealed: String

  package init(_ text: String) { revealed = text }

  package var description: String { Self.mask }
  package var debugDescription: String { Self.mask }
  /// Without children, so that `dump` shows nothing either.
  package var customMirror: Mirror { Mirror(self, children: []) }

  /// What stands for a secret in every message.
  package static let mask = "***"

  /// Whether a value under this key is a secret by the key's name: password, secret, token or pem (keys) as a word of it; an address isn't.
  static func isSecretKey(_ key: String) -> Bool {
    let words = key.lowercased().split(whereSeparator: { !$0.isLetter })
    return words.last != "url" && words.contains { ["password", "secret", "token", "passphrase", "pem"].contains($0) }
  }
}

/// The secrets of one file, and the one rule by which they are found in texts that quote them.
///
/// From 8 bytes on a secret is masked wherever it stands. A shorter one could be part of anybody's word, so it is masked only where it
/// stands as a word, and only if messages of ours show it, as they do with a topic or a database: a password they never show.
package struct Secrets: Hashable, Sendable {
  private static let byteCountAnywhere = 8

  private struct Form: Hashable {
    var bytes: [UInt8]
    var isWord: Bool
  }

  /// By first byte, the longest first: where one begins another, no tail of it is left.
  private var forms: [UInt8: [Form]] = [:]

  /// - Parameters:
  ///   - hidden: values under keys that say they are secrets.
  ///   - shown: values of other keys that came from a file.
  package init(hidden: [String] = [], shown: [String] = []) {
    var found: Set<Form> = []
    for (texts, isShown) in [(hidden, false), (shown, true)] {
      for text in texts.flatMap(Self.parts) {
        let isWord = text.utf8.count < Self.byteCountAnywhere
        // A short number is no word: messages are full of them.
        guard !isWord || isShown && text.contains(where: \.isLetter) else { continue }
        for form in Set([text, escaped(text)]) { found.insert(Form(bytes: Array(form.utf8), isWord: isWord)) }
      }
    }
    forms = Dictionary(grouping: found) { $0.bytes[0] }.mapValues { $0.sorted { $0.bytes.count > $1.bytes.count } }
  }

  /// The text, and what messages quote of it alone: an item of a list with commas, a line.
  private static func parts(_ text: String) -> [String] {
    let pieces = text.split(whereSeparator: { $0 == "," || $0.isNewline }).map { trimmed($0) }
    return ([text] + pieces).filter { !$0.isEmpty }
  }

  /// `text` with `***` in place of every secret. Before any escaping but that of ``quoted(_:)``, which it knows.
  package func conceal(_ text: String) -> String {
    guard !forms.isEmpty else { return text }
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if let form = forms[bytes[index]]?.first(where: { Self.stands($0, in: bytes, at: index) }) {
        result += Secret.mask.utf8
        index += form.bytes.count
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static func stands(_ form: Form, in bytes: [UInt8], at index: Int) -> Bool {
    let end = index + form.bytes.count
    guard end <= bytes.count, bytes[index..<end].elementsEqual(form.bytes) else { return false }
    return !form.isWord || (index == 0 || !isOfWord(bytes[index - 1])) && (end == bytes.count || !isOfWord(bytes[end]))
  }

  private static func isOfWord(_ byte: UInt8) -> Bool {
    byte >= 0x80 || byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }
}
