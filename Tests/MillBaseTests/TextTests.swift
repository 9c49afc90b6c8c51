import MillBase
import Testing

/// Every category that steers or hides, at its edges and beyond the basic plane.
private let steering: [(text: String, shown: String, json: String)] = [
  ("\u{1B}[2J", "\\u{1b}[2J", "\\u001b[2J"), ("\u{7}\u{8}", "\\u{7}\\u{8}", "\\u0007\\u0008"), ("\u{0}", "\\u{0}", "\\u0000"),
  ("a\nb\r", "a\\u{a}b\\u{d}", "a\\u000ab\\u000d"), ("\u{7F}", "\\u{7f}", "\\u007f"), ("\u{9B}31m", "\\u{9b}31m", "\\u009b31m"),
  ("\u{202E}x", "\\u{202e}x", "\\u202ex"), ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}", "\\u2028\\u2029"),
  ("\u{FEFF}\u{200B}\u{AD}", "\\u{feff}\\u{200b}\\u{ad}", "\\ufeff\\u200b\\u00ad"), ("\u{E0041}", "\\u{e0041}", "\\udb40\\udc41"),
  ("grüße 🦔 \\ \"", "grüße 🦔 \\ \"", "grüße 🦔 \\ \""), ("e\u{301}\u{200D}", "e\u{301}\\u{200d}", "e\u{301}\\u200d"),
]

@Test(arguments: steering)
func `a text for people holds nothing that steers a terminal`(text: String, shown: String, json: String) {
  #expect(harmless(text) == shown)
  #expect(harmlessJSON(text) == json)
  #expect(harmless(text, keepsLineEnds: true) == shown.replacing("\\u{a}", with: "\n"))
}

@Test func `every scalar is either shown as it is or as its number`() {
  for value in 0...UInt32(0x10FFFF) {
    guard let scalar = Unicode.Scalar(value) else { continue }
    let category = scalar.properties.generalCategory
    let steers = [.control, .format, .lineSeparator, .paragraphSeparator].contains(category)
    #expect(isHarmless(scalar) == !steers, "\(value)")
  }
}

@Test func `words of others are cut in their middle, between scalars, and say so`() {
  #expect(ForeignText.cut("short") == "short" && ForeignText.cut(String(repeating: "a", count: 500)).utf8.count == 500)
  for text in ["a", "ß", "€", "🦔"].map({ "begin " + String(repeating: $0, count: 1000) + " end" }) {
    for byteCount in 490...500 {
      let cut = ForeignText.cut(text, to: byteCount)
      #expect(cut.hasPrefix("begin ") && cut.hasSuffix(" end") && cut.contains(ForeignText.cutMark) && !cut.contains("\u{FFFD}"))
      #expect(cut.utf8.count <= byteCount + ForeignText.cutMark.utf8.count)
    }
  }
}

@Test func `encodings are those of their RFCs`() {
  #expect(["", "f", "fo", "foo", "foob"].map { base64Text($0.utf8) } == ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="])
  #expect(percentEncoded("a b/ü~", keeping: "~") == "a%20b%2F%C3%BC~" && percentEncoded("/", keeping: "", uppercase: false) == "%2f")
}
