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

  /// A shorter one isn't looked for in texts of others: it could be a word of theirs.
  static let byteCountToConceal = 8

  /// `text` with `***` in place of each of `secrets`: for texts that stem from elsewhere (a library, a server) and may quote one.
  package static func conceal(_ secrets: [Secret], in text: String) -> String {
    secrets.reduce(text) { $0.contains($1.revealed) ? $0.replacing($1.revealed, with: mask) : $0 }
  }

  /// Whether a value under this key is a secret by the key's name: password, secret, token or pem (keys) as a word of it; an address isn't.
  package static func isSecretKey(_ key: String) -> Bool {
    let words = key.lowercased().split(whereSeparator: { !$0.isLetter })
    return words.last != "url" && words.contains { ["password", "secret", "token", "passphrase", "pem"].contains($0) }
  }
}
