import MillConfig
import MillFlow
import MillKafka
import Testing

private func isTaken(_ name: String, _ value: String) -> Bool {
  var properties = [name: value]
  if name == "ssl.keystore.location" { properties["ssl.keystore.password"] = "x" }
  do throws(SourceError) {
    _ = try KafkaSource(KafkaOptions(brokers: "127.0.0.1:1", topic: "t", group: "g", properties: properties)) { _, _ in }
    return true
  } catch { return false }
}

@Test func `every property that a pipeline file may set is one of this librdkafka, with the same bounds`() {
  for (name, kind) in KafkaProperties.allowed.sorted(by: { $0.key < $1.key }) {
    switch kind {
    case .count(let range):
      // The ends that the library refuses together with its own defaults for other properties.
      let isBound = ["receive.message.max.bytes", "fetch.max.bytes", "reconnect.backoff.ms", "reconnect.backoff.max.ms"].contains(name)
      if !isBound { #expect(isTaken(name, "\(range.lowerBound)") && isTaken(name, "\(range.upperBound)"), "\(name)") }
      #expect(!isTaken(name, "\(range.lowerBound - 1)") && !isTaken(name, "\(range.upperBound + 1)"), "\(name)")
    case .flag: #expect(isTaken(name, "true") && isTaken(name, "false") && !isTaken(name, "maybe"), "\(name)")
    case .choice(let choices) where name.hasPrefix("sasl.mechanism"):
      for choice in choices where choice != "OAUTHBEARER" { #expect(isTaken(name, choice), "\(name) \(choice)") }
    case .choice(let choices):
      for choice in choices where !choice.hasPrefix("sasl") { #expect(isTaken(name, choice), "\(name) \(choice)") }
      #expect(!isTaken(name, "nonsense"), "\(name)")
    case .text, .lines, .commandWord, .file, .commandFile, .place: #expect(isTaken(name, "x"), "\(name)")
    }
  }
}

@Test func `a property that this librdkafka doesn't have is refused`() { #expect(!isTaken("ssl.providers.x", "y")) }
