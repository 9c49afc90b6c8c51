internal import MillBase

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

  /// Further names under which drivers and services take secrets in an address.
  static func isSecretParameter(_ name: String) -> Bool {
    let words = name.lowercased().split(whereSeparator: { !$0.isLetter })
    return words.contains {
      ["pass", "passwd", "pwd", "auth", "credential", "credentials", "key", "apikey", "sig", "signature"].contains($0)
    }
  }
}

/// Passwords within an address or connection string: of `user:password@host`, and of parameters whose name says so, as in
/// `?user=loader&password=…` or `password=…;`.
func secretsWithin(_ text: String) -> [String] {
  var found: [String] = []
  for part in text.split(whereSeparator: { "?&;, \t\n".contains($0) }) {
    guard let equals = part.firstIndex(of: "=") else { continue }
    let value = part[part.index(after: equals)...].drop { "\"'".contains($0) }
    let isSecret = Secret.isSecretKey(String(part[..<equals])) || Secret.isSecretParameter(String(part[..<equals]))
    if isSecret, !value.isEmpty { found.append(String(value)) }
  }
  if let at = text.lastIndex(of: "@"), let colon = text[..<at].lastIndex(of: ":"), !text[text.index(after: colon)...].hasPrefix("//") {
    found.append(String(text[text.index(after: colon)..<at]))
  }
  return found
}

/// The secrets of one file, and the one rule by which they are found in texts that quote them.
///
/// From 8 bytes on a secret is masked wherever it stands. A shorter one could be part of anybody's word, so it is masked only where it
/// stands as a word, and only if messages of ours show it, as they do with a topic or a database: a password they never show.
package struct Secrets: Hashable, Sendable {
  private static let byteCountAnywhere = 8
  /// Less of one that was cut gives nothing away.
  private static let cutByteCountMin = 4

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
        guard !isWord, !isShown else { continue }
        for form in Self.encoded(text) { found.insert(Form(bytes: Array(form.utf8), isWord: false)) }
      }
    }
    forms = Dictionary(grouping: found) { $0.bytes[0] }.mapValues { $0.sorted { $0.bytes.count > $1.bytes.count } }
  }

  /// The text, and what messages quote of it alone: an item of a list with commas, a line.
  private static func parts(_ text: String) -> [String] {
    let pieces = text.split(whereSeparator: { $0 == "," || $0.isNewline }).map { trimmed($0) }
    return ([text] + pieces).filter { !$0.isEmpty }
  }

  /// As it stands in a URL or form, and in base64 with anything before and behind it, as in `Authorization: Basic`; without the letters
  /// that depend on those.
  private static func encoded(_ text: String) -> Set<String> {
    var forms: Set<String> = []
    for kept in ["-._~", "-._*"] {
      for uppercase in [true, false] {
        let form = percentEncoded(text, keeping: kept, uppercase: uppercase)
        forms.formUnion([form, form.replacing("%20", with: "+")])
      }
    }
    let count = text.utf8.count
    for before in 0..<3 {
      // Each letter holds 6 bits: those wholly of the secret's bytes.
      let whole = Array(base64Text([UInt8](repeating: 0, count: before) + text.utf8).utf8)
      let letters = whole[((before * 8 + 5) / 6)..<((before + count) * 8 / 6)]
      let form = String(decoding: letters, as: UTF8.self)
      forms.formUnion([form, form.replacing("+", with: "-").replacing("/", with: "_")])
    }
    return forms
  }

  /// `text` with `***` in place of every secret, also of what ``ForeignText`` has left of one. Before any escaping but that of
  /// ``quoted(_:)``, which it knows.
  package func conceal(_ text: String) -> String {
    guard !forms.isEmpty else { return text }
    let bytes = Array(text.utf8)
    // Where something was cut out; the next place last.
    var cuts = Array(Self.places(of: Self.cutMark, in: bytes).reversed())
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      while let cut = cuts.last, cut < index { cuts.removeLast() }
      if cuts.last == index {
        result += Self.cutMark
        index += Self.cutMark.count
        if let tail = tail(of: bytes[index...]) {
          result += Secret.mask.utf8
          index += tail
        }
      } else if let count = forms[bytes[index]].flatMap({ Self.count($0, in: bytes, at: index, cut: cuts.last) }) {
        result += Secret.mask.utf8
        index += count
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private static let cutMark = Array(ForeignText.cutMark.utf8)

  private static func places(of mark: [UInt8], in bytes: [UInt8]) -> [Int] {
    guard bytes.count >= mark.count else { return [] }
    return (0...(bytes.count - mark.count)).filter { bytes[$0] == mark[0] && bytes[$0..<($0 + mark.count)].elementsEqual(mark) }
  }

  /// How many bytes from `index` on are a secret, or the beginning of one that ends at the cut.
  private static func count(_ forms: [Form], in bytes: [UInt8], at index: Int, cut: Int?) -> Int? {
    if let form = forms.first(where: { stands($0, in: bytes, at: index) }) { return form.bytes.count }
    guard let cut, cut - index >= cutByteCountMin, forms.contains(where: { $0.bytes.starts(with: bytes[index..<cut]) }) else { return nil }
    return cut - index
  }

  /// How many bytes behind a cut are the end of a secret.
  private func tail(of rest: ArraySlice<UInt8>) -> Int? {
    var longest: Int?
    for form in forms.values.joined() where form.bytes.count > Self.cutByteCountMin {
      for start in 1...(form.bytes.count - Self.cutByteCountMin) where rest.starts(with: form.bytes[start...]) {
        longest = max(longest ?? 0, form.bytes.count - start)
        break
      }
    }
    return longest
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
