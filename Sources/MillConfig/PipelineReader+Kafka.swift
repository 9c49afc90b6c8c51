internal import Glibc
internal import MillFlow

extension PipelineReader {
  func readKafka(_ section: Section, _ top: Section) -> KafkaSettings? {
    guard top.requires("kafka", "write kafka: {brokers: localhost:9092}") else { return nil }
    let brokers = readBrokers(section)
    let map = section.map("properties")
    var properties: [String: KafkaSecurity.Property] = [:]
    for entry in map.keys where !entry.value.isInvalid {
      guard let (node, text) = section.scalar(entry.value, map.child(entry.key), wanted: "a property's value") else { continue }
      if let refusal = KafkaProperties.refusal(of: entry.key, value: text) {
        // Under a name that isn't known, or mistyped, anything may stand: a password too.
        let value = KafkaProperties.isKnown(entry.key) ? node.shownValue : nil
        problems.add(
          node.mark, map.child(entry.key), value: value, refusal.message, remedy: refusal.remedy, nearest: refusal.nearest)
      } else {
        properties[entry.key] = KafkaSecurity.Property(text: foundFile(entry.key, text, node, map), node: node)
      }
    }
    let mark = section.node("brokers")?.mark ?? section.mark
    return KafkaSecurity(brokers: brokers, brokersMark: mark, properties: properties, map: map, problems: problems).settings()
  }

  private func readBrokers(_ section: Section) -> [String] {
    let hasBrokers = section.requires("brokers", "host:port, several separated by commas")
    let items = hasBrokers ? section.list("brokers", wanted: "host:port, several separated by commas") : nil
    var brokers: [String] = []
    var isWhole = true
    for item in items ?? [] {
      guard let (node, text) = section.scalar(item, "kafka.brokers", wanted: "host:port") else { continue }
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let broker = trimmed(part)
        if let broker = brokerAddress(broker) {
          brokers.append(broker)
        } else {
          isWhole = false
          problems.add(
            node.mark, "kafka.brokers", value: node.shownValue, "\(quoted(node.shown(broker))) is not host:port",
            remedy: "such as kafka-1:9092,kafka-2:9092; ports are 1 to 65535; no scheme (security.protocol says that)")
        }
      }
    }
    if let items, items.isEmpty { problems.add(section.node("brokers")!, "kafka.brokers", "no broker is named", remedy: "host:port") }
    // Of a list that is wrong no more is said.
    return isWhole ? brokers : []
  }

  /// `host:port` with the port filled in; nil where it is none.
  private func brokerAddress(_ text: String) -> String? {
    if text.hasPrefix("[") {
      // An IPv6 address in brackets, perhaps with the interface it is reached by: [fe80::1%eth0].
      guard let end = text.firstIndex(of: "]"), addressBytes(text[..<end].dropFirst().prefix { $0 != "%" }, AF_INET6) != nil else {
        return nil
      }
      let rest = text[text.index(after: end)...]
      if rest.isEmpty { return text + ":9092" }
      return rest.first == ":" && isPort(rest.dropFirst()) ? text : nil
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard let host = parts.first, !host.isEmpty, parts.count <= 2,
      host.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) })
    else { return nil }
    if parts.count == 1 { return text + ":9092" }
    return isPort(parts[1]) ? text : nil
  }

  /// The value as it is handed on: paths absolute. A file that isn't there is reported.
  private func foundFile(_ name: String, _ text: String, _ node: ConfigNode, _ map: Section) -> String {
    let kind = KafkaProperties.allowed[name] ?? KafkaProperties.tokens[name]
    guard let kind, [.file, .commandFile, .place].contains(kind) else { return text }
    // librdkafka's word for "look in the usual places".
    if name == "ssl.ca.location", text == "probe" { return text }
    let path = absolutePath(text, base: baseDirectory)
    // The directory before it, too, stands in the command.
    if let refusal = KafkaProperties.refusal(of: path, kind: kind) {
      problems.add(node, map.child(name), "\(refusal.message), which is \(node.shown(path))", remedy: refusal.remedy)
      return path
    }
    return readablePath(text, node, map.child(name), takesDirectory: kind == .place)
  }
}
