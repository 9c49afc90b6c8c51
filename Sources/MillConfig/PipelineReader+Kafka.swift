internal import Glibc
internal import MillFlow

extension PipelineReader {
  /// A `kafka` section as it is written, each part of it checked by itself: the file's, or a source's own.
  struct KafkaPart {
    let section: Section
    /// Nil where none are written; empty where they are wrong.
    var brokers: [String]?
    /// Below `properties`.
    let map: Section
    var properties: [String: KafkaSecurity.Property] = [:]
    /// Properties that a source doesn't take from the file's section.
    var withoutNames: Set<String> = []

    var brokersMark: Mark { section.node("brokers")?.mark ?? section.mark }
  }

  /// - Parameter isOwn: of a source; null takes a property of the file's section away there.
  func readKafka(_ section: Section, isOwn: Bool = false) -> KafkaPart {
    var part = KafkaPart(section: section, map: section.map("properties"))
    if section.node("brokers") != nil { part.brokers = readBrokers(section) }
    for entry in part.map.keys where !entry.value.isInvalid {
      let path = part.map.child(entry.key)
      if entry.value.isNull, KafkaProperties.isKnown(entry.key) {
        if isOwn {
          part.withoutNames.insert(entry.key)
        } else {
          problems.add(entry.keyMark, path, "the value is empty", remedy: "write a value, or leave the property out")
        }
        continue
      }
      guard let (node, text) = section.scalar(entry.value, path, wanted: "a property's value") else { continue }
      if let refusal = KafkaProperties.refusal(of: entry.key, value: text) {
        // Under a name that isn't known, or mistyped, anything may stand: a password too.
        let value = KafkaProperties.isKnown(entry.key) ? node.shownValue : nil
        problems.add(node.mark, path, value: value, refusal.message, remedy: refusal.remedy, nearest: refusal.nearest)
      } else {
        let text = foundFile(entry.key, text, node, part.map)
        part.properties[entry.key] = KafkaSecurity.Property(text: text, node: node, path: path)
      }
    }
    return part
  }

  /// The connection that the file's section makes alone.
  func settings(_ part: KafkaPart, _ top: Section, others: String = "") -> KafkaSettings? {
    guard top.requires("kafka", "write kafka: {brokers: localhost:9092}" + others) else { return nil }
    _ = part.section.requires("brokers", "host:port, several separated by commas" + others)
    return KafkaSecurity(
      brokers: part.brokers ?? [], brokersMark: part.brokersMark, properties: part.properties, map: part.map,
      written: Set(part.map.keys.map(\.key)), problems: problems
    ).settings()
  }

  /// The connection of each source: the file's section, with what the source's own has in its place. Nil after problems.
  func readClusters(_ main: KafkaPart, _ top: Section, _ sources: [SourceReading]) -> [KafkaSettings?] {
    let before = problems.count
    let borrower = sources.first { $0.kafka?.brokers == nil }
    var shared: KafkaSettings?
    if sources.isEmpty || sources.contains(where: { $0.kafka == nil }) {
      let lender = sources.first { $0.kafka?.brokers != nil }
      shared = settings(main, top, others: lender != nil ? borrower.map { ", or sources.\($0.name).kafka.brokers" } ?? "" : "")
    } else if let borrower, let own = borrower.kafka, main.brokers == nil {
      problems.add(
        own.section.mark, own.section.child("brokers"), "brokers is missing, and kafka.brokers too",
        remedy: "host:port, several separated by commas, here or in the kafka section")
    }
    let isMainRight = problems.count == before
    return sources.map { source in
      guard let own = source.kafka else { return shared }
      // What is wrong in the file's section has been said.
      return isMainRight || !own.properties.isEmpty ? settings(own, over: main) : nil
    }
  }

  private func settings(_ own: KafkaPart, over main: KafkaPart) -> KafkaSettings? {
    guard let brokers = own.brokers ?? main.brokers else { return nil }
    let inherited = main.properties.filter { !own.withoutNames.contains($0.key) }
    let written = Set(main.map.keys.map(\.key)).union(own.map.keys.map(\.key)).subtracting(own.withoutNames)
    return KafkaSecurity(
      brokers: brokers, brokersMark: own.brokersMark, properties: inherited.merging(own.properties) { $1 }, map: own.map,
      written: written, problems: problems
    ).settings()
  }

  private func readBrokers(_ section: Section) -> [String] {
    let path = section.child("brokers")
    let items = section.list("brokers", wanted: "host:port, several separated by commas")
    var brokers: [String] = []
    var isWhole = true
    for item in items ?? [] {
      guard let (node, text) = section.scalar(item, path, wanted: "host:port") else { continue }
      for part in text.split(separator: ",", omittingEmptySubsequences: false) {
        let broker = trimmed(part)
        if let broker = brokerAddress(broker) {
          brokers.append(broker)
        } else {
          isWhole = false
          problems.add(
            node.mark, path, value: node.shownValue, "\(quoted(node.shown(broker))) is not host:port",
            remedy: "such as kafka-1:9092,kafka-2:9092; ports are 1 to 65535; no scheme (security.protocol says that)")
        }
      }
    }
    if let items, items.isEmpty { problems.add(section.node("brokers")!, path, "no broker is named", remedy: "host:port") }
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
