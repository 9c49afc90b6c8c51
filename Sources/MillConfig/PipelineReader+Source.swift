internal import MillFlow

extension PipelineReader {
  /// A source as far as it could be read: its names serve the operators and the sink even where something else in it is wrong.
  func readSources(_ top: Section) -> SourceSettings? {
    guard top.requires("sources", "name the topic to read: sources: {NAME: {topic: ..., fields: ...}}") else { return nil }
    let sources = top.map("sources")
    for extra in sources.keys.dropFirst() {
      problems.add(
        extra.keyMark, sources.child(extra.key), "several sources are not in this version", remedy: "one source in one pipeline file")
    }
    guard let entry = sources.keys.first else {
      if case .map = top.node("sources")?.content {
        problems.add(sources.mark, "sources", "no source is named", remedy: "sources: {NAME: {topic: ..., fields: ...}}")
      }
      return nil
    }
    checkName(entry, sources)
    return readSource(entry, path: sources.child(entry.key))
  }

  /// Names of sources, operators and sinks.
  func checkName(_ entry: ConfigNode.Entry, _ parent: Section) {
    let isName =
      (1...63).contains(entry.key.utf8.count)
      && entry.key.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "_-".unicodeScalars.contains($0)) }
    if isName { return }
    problems.add(
      entry.keyMark, parent.child(entry.key), "\(quoted(entry.key)) is no name", remedy: "letters, digits, _ and -, 63 characters at most")
  }

  private func readSource(_ entry: ConfigNode.Entry, path: String) -> SourceSettings? {
    let section = Section(
      entry.value, path: path, mark: entry.keyMark, known: PipelineKeys.source.map(\.name),
      later: ["kafka": "use the kafka section of the file", "tombstones": "a tombstone is an error of the record"], problems)
    let topic = readTopic(section)
    let start = readStart(section)
    if let (node, text) = section.scalar("format", wanted: "json"), text != "json" {
      problems.add(
        node, section.child("format"),
        ["avro", "protobuf", "csv", "json_schema"].contains(text) ? "\(text) is not in this version" : "this is no format",
        remedy: "json")
    }
    let fields = readFields(section)
    let eventTime = readEventTime(section, fields: fields)
    let onError = section.choice("on_error", default: ErrorPolicy.deadLetter)
    return SourceSettings(
      name: entry.key, topic: topic ?? "", start: start ?? .earliest, fields: fields, eventTime: eventTime, onError: onError ?? .deadLetter)
  }

  private func readTopic(_ section: Section) -> String? {
    guard section.requires("topic", "the name of the Kafka topic to read"), let (node, text) = section.scalar("topic", wanted: "a topic")
    else { return nil }
    let isTopic =
      (1...249).contains(text.utf8.count) && text != "." && text != ".."
      && text.utf8.allSatisfy {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains($0)
      }
    if isTopic { return text }
    problems.add(
      node, section.child("topic"), "this is no name of a Kafka topic", remedy: "letters, digits, . _ and -, 249 characters at most")
    return nil
  }

  private func readStart(_ section: Section) -> StartPosition? {
    guard let node = section.node("start") else { return .earliest }
    let path = section.child("start")
    let remedy = "earliest, latest, {timestamp: 2026-01-01T00:00:00Z} or {offsets: {0: 42}}"
    switch node.content {
    case .invalid: return nil
    case .scalar(let scalar):
      if scalar.text == "earliest" { return .earliest }
      if scalar.text == "latest" { return .latest }
      problems.add(
        node, path, "this is no start", remedy: remedy, nearest: nearestName(to: scalar.text, among: ["earliest", "latest"]))
    case .list: problems.add(node, path, "a list stands where a start is wanted", remedy: remedy)
    case .map(let entries):
      let map = section.section("start", known: ["timestamp", "offsets"])
      guard entries.count == 1 else {
        problems.add(node.mark, path, "timestamp or offsets, one of the two, is wanted", remedy: remedy)
        return nil
      }
      if map.node("timestamp") != nil { return readMoment(map) }
      if map.node("offsets") != nil { return readOffsets(map.map("offsets")) }
    }
    return nil
  }

  private func readMoment(_ map: Section) -> StartPosition? {
    guard let (node, text) = map.scalar("timestamp", wanted: "a moment") else { return nil }
    if let moment = ScalarText.moment(text) { return .timestamp(milliseconds: moment) }
    problems.add(
      node, map.child("timestamp"), "this is no moment", remedy: "2026-01-01T00:00:00Z, or with milliseconds or an offset: 2026-01-01T02:00:00.250+02:00")
    return nil
  }

  private func readOffsets(_ map: Section) -> StartPosition? {
    var offsets: [Int32: Int64] = [:]
    for entry in map.keys {
      guard let partition = Int32(entry.key), partition >= 0, "\(partition)" == entry.key else {
        problems.add(
          entry.keyMark, map.child(entry.key), "\(quoted(entry.key)) is no partition", remedy: "partition: offset, such as {0: 42, 1: 7}")
        continue
      }
      guard let (node, text) = map.scalar(entry.value, map.child(entry.key), wanted: "an offset") else { continue }
      if let offset = plainInteger(text), offset >= 0 { offsets[partition] = Int64(offset) } else {
        problems.add(node, map.child(entry.key), "this is no offset", remedy: "a whole number from 0")
      }
    }
    if map.keys.isEmpty { problems.add(map.mark, map.path, "no partition is named", remedy: "partition: offset, such as {0: 42}") }
    return .offsets(offsets)
  }

  // MARK: Fields

  private func readFields(_ section: Section) -> [FieldSettings] {
    guard section.requires("fields", "name: type for each field, such as transaction_id: String") else { return [] }
    let map = section.map("fields")
    if map.keys.isEmpty, case .map = section.node("fields")?.content {
      problems.add(map.mark, map.path, "no field is named", remedy: "name: type for each field, such as transaction_id: String")
    }
    return map.keys.compactMap { readField($0, path: map.child($0.key)) }
  }

  private func readField(_ entry: ConfigNode.Entry, path: String) -> FieldSettings? {
    let isName = (1...256).contains(entry.key.utf8.count) && entry.key.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
    if !isName {
      problems.add(entry.keyMark, path, "this is no field's name", remedy: "1 to 256 bytes without control characters")
    }
    if case .scalar(let scalar) = entry.value.content, !scalar.isNull {
      let origin = origin(entry.key, isWritten: false, entry.keyMark, path) ?? .path([entry.key])
      return FieldSettings(
        name: entry.key, typeText: scalar.text, origin: origin, defaultText: nil, format: .iso8601, coerce: false, truncate: false,
        mark: entry.value.mark)
    }
    if entry.value.isNull {
      problems.add(entry.keyMark, path, "the field has no type", remedy: "name: type, such as \(entry.key): String")
      return nil
    }
    let map = Section(entry.value, path: path, mark: entry.keyMark, known: PipelineKeys.field, problems)
    guard case .map = entry.value.content, map.requires("type", "such as type: String"), let (typeNode, type) = map.scalar("type", wanted: "a type")
    else { return nil }
    var fieldOrigin = origin(entry.key, isWritten: false, entry.keyMark, path)
    if let (node, text) = map.scalar("from", wanted: "a path such as payment.amount") {
      fieldOrigin = origin(text, isWritten: true, node.mark, map.child("from"))
    }
    let defaultText = map.scalar("default", wanted: "a value")?.text
    let format = map.choice("format", default: TimeFormat.iso8601)
    let (coerce, truncate) = (map.flag("coerce"), map.flag("truncate"))
    guard let fieldOrigin, let format, let coerce, let truncate else { return nil }
    return FieldSettings(
      name: entry.key, typeText: type, origin: fieldOrigin, defaultText: defaultText, format: format, coerce: coerce, truncate: truncate,
      mark: typeNode.mark)
  }

  /// What `text` names in a record: metadata behind a `$`, else a path, which has dots only where it is written as `from`.
  private func origin(_ text: String, isWritten: Bool, _ mark: Mark, _ path: String) -> FieldOrigin? {
    if text.hasPrefix("$headers."), text.utf8.count > 9 { return .header(String(text.dropFirst(9))) }
    let metadata: [(String, FieldOrigin)] = [
      ("$key", .key), ("$timestamp", .timestamp), ("$topic", .topic), ("$partition", .partition), ("$offset", .offset),
    ]
    if let found = metadata.first(where: { $0.0 == text }) { return found.1 }
    if text.hasPrefix("$") {
      let names = metadata.map(\.0) + ["$headers.NAME"]
      problems.add(
        mark, path, value: text, "there is no such metadata", remedy: "one of \(names.joined(separator: ", "))",
        nearest: nearestName(to: text, among: names))
      return nil
    }
    if !isWritten { return .path([text]) }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if parts.count <= 16, parts.allSatisfy({ !$0.isEmpty }) { return .path(parts) }
    problems.add(
      mark, path, value: text, "this is no path of keys", remedy: "keys of nested objects with dots between them, 16 at most: payment.amount")
    return nil
  }

  // MARK: Event time

  private func readEventTime(_ source: Section, fields: [FieldSettings]) -> EventTimeSettings? {
    guard source.node("event_time") != nil else { return nil }
    let section = source.section("event_time", known: PipelineKeys.eventTime.map(\.name))
    let outOfOrderness = section.duration(Settings.outOfOrderness)
    let idleAfter = section.duration(Settings.idleAfter)
    let maxAhead = section.duration(Settings.maxAhead)
    guard section.requires("field", "the field with the record's own time"), let (node, name) = section.scalar("field", wanted: "a field's name")
    else { return nil }
    checkField(name, node, section.child("field"), fields)
    guard let outOfOrderness, let idleAfter, let maxAhead else { return nil }
    return EventTimeSettings(
      field: name, outOfOrdernessMilliseconds: outOfOrderness, idleAfterMilliseconds: idleAfter, maxAheadMilliseconds: maxAhead)
  }

  /// Reports a name that is no field's; true where it is one.
  @discardableResult
  func checkField(_ name: String, _ node: ConfigNode, _ path: String, _ fields: [FieldSettings]) -> Bool {
    let names = fields.map(\.name)
    if names.contains(name) { return true }
    // Where the fields themselves could not be read, that is the problem to report.
    if !names.isEmpty {
      problems.add(
        node, path, "there is no field of this name", remedy: "one of \(names.joined(separator: ", "))",
        nearest: nearestName(to: name, among: names))
    }
    return false
  }
}
