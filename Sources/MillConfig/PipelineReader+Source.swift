internal import MillBase
internal import MillFlow

extension PipelineReader {
  /// A source as far as it could be read: its names serve the operators and the sinks even where something else in it is wrong.
  struct SourceReading {
    var name: String
    var mark: Mark
    /// Of all fields in the file, also of wrong ones.
    var fieldNames: [String]
    /// Whether there is an `event_time`, right or wrong.
    var hasEventTime: Bool
    /// Its own connection; nil where it has none.
    var kafka: KafkaPart?
    /// Nil where something is wrong.
    var plan: SourcePlan?
    var start: StartPosition?
    var isMaxAheadWritten: Bool
    /// Of its topic's name.
    var topicMark: Mark
  }

  /// Sources of a file at most.
  private static let sourceCountMax = 100

  /// `letterByteCountMax`: of the dead letters, nil where it is wrong.
  func readSources(_ top: Section, letterByteCountMax: Int?, _ names: NameBook) -> [SourceReading] {
    guard top.requires("sources", "name the topic to read: sources: {NAME: {topic: ..., fields: ...}}") else { return [] }
    let sources = top.map("sources")
    if sources.keys.count > Self.sourceCountMax {
      problems.add(
        sources.mark, sources.path, "the file has \(sources.keys.count) sources", remedy: "at most \(Self.sourceCountMax)")
    }
    if sources.keys.isEmpty, case .map = top.node("sources")?.content {
      problems.add(sources.mark, "sources", "no source is named", remedy: "sources: {NAME: {topic: ..., fields: ...}}")
    }
    return sources.keys.map { entry in
      checkName(entry, sources)
      names.enter(entry.key, entry.keyMark, sources.path, "a source")
      return readSource(entry, path: sources.child(entry.key), letterByteCountMax)
    }
  }

  /// The sources with their connections; nil where something is wrong with one.
  func settings(_ readings: [SourceReading], _ clusters: [KafkaSettings?]) -> [SourceSettings]? {
    var read: [SourceSettings] = []
    /// By topic, for each broker who reads it there.
    var readers: [String: [String: String]] = [:]
    for (reading, kafka) in zip(readings, clusters) {
      guard let plan = reading.plan, let start = reading.start, let kafka else { continue }
      let brokers = kafka.brokers.split(separator: ",").map(String.init)
      let known = readers[plan.topic, default: [:]]
      if let broker = brokers.first(where: { known[$0] != nil }), let other = known[broker] {
        problems.add(
          reading.topicMark, "sources.\(reading.name).topic", value: plan.topic,
          "source \(other) reads this topic at \(broker) already",
          remedy: "read it once: several operators and sinks can read one source")
      }
      for broker in brokers { readers[plan.topic, default: [:]][broker] = reading.name }
      read.append(SourceSettings(kafka: kafka, plan: plan, start: start, isMaxAheadWritten: reading.isMaxAheadWritten))
    }
    return !read.isEmpty && read.count == readings.count ? read : nil
  }

  /// Names of sources, operators and sinks.
  func checkName(_ entry: ConfigNode.Entry, _ parent: Section) {
    let isName =
      (1...63).contains(entry.key.utf8.count)
      && entry.key.unicodeScalars.allSatisfy {
        $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "_-".unicodeScalars.contains($0))
      }
    if isName { return }
    problems.add(
      entry.keyMark, parent.child(entry.key), "\(quoted(entry.key)) is no name", remedy: "letters, digits, _ and -, 63 characters at most")
  }

  private func readSource(_ entry: ConfigNode.Entry, path: String, _ letterByteCountMax: Int?) -> SourceReading {
    let section = Section(
      entry.value, path: path, mark: entry.keyMark, known: PipelineKeys.source.map(\.name),
      later: ["tombstones": "a tombstone is an error of the record"], problems)
    let topic = readTopic(section)
    let start = readStart(section)
    if let (node, text) = section.scalar("format", wanted: "json"), text != "json" {
      problems.add(
        node, section.child("format"),
        ["avro", "protobuf", "csv", "json_schema"].contains(text) ? "\(text) is not in this version" : "this is no format",
        remedy: "json")
    }
    let written = section.requires("fields", "name: type for each field, such as transaction_id: String") ? section.map("fields") : nil
    let names = written?.keys.map(\.key) ?? []
    let fields = written.map(readFields) ?? []
    let (eventTime, isMaxAheadWritten) = readEventTime(section, fieldNames: names)
    let onError = section.choice("on_error", default: OnError.deadLetter)
    let recordBytes = section.size(Settings.recordBytes)
    let kafka = section.section("kafka", known: PipelineKeys.kafka.map(\.name))
    var reading = SourceReading(
      name: entry.key, mark: entry.keyMark, fieldNames: names, hasEventTime: section.node("event_time") != nil,
      kafka: kafka.isPresent ? readKafka(kafka, isOwn: true) : nil, start: start, isMaxAheadWritten: isMaxAheadWritten,
      topicMark: section.node("topic")?.mark ?? section.mark)
    guard let topic, start != nil, let onError, let recordBytes, !fields.isEmpty, fields.count == names.count else { return reading }
    do throws(PlanProblem) {
      var plan = try SourcePlan(name: entry.key, topic: topic, fields: fields, eventTime: eventTime, onError: onError)
      plan.limits = RecordLimits(
        recordByteCountMax: recordBytes, letterByteCountMax: letterByteCountMax ?? Settings.deadLetterPayload.value)
      reading.plan = plan
    } catch {
      let isTime = error.setting.hasPrefix("event_time")
      let node = isTime ? section.section("event_time", known: PipelineKeys.eventTime.map(\.name)).node("field") : nil
      let place = isTime ? section.child("event_time.field") : section.child(error.setting)
      problems.add(
        node?.mark ?? section.node(error.setting)?.mark ?? section.mark, place, value: node?.shownValue, error.message,
        remedy: error.remedy)
    }
    return reading
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
        node, path, "this is no start", remedy: remedy, nearest: nearestKnown(to: scalar.text, among: ["earliest", "latest"]))
    case .list: problems.add(node, path, "a list stands where a start is wanted", remedy: remedy)
    case .map(let entries):
      let map = section.section("start", known: ["timestamp", "offsets"])
      if entries.count == 1, map.node("timestamp") != nil { return readMoment(map) }
      if entries.count == 1, map.node("offsets") != nil { return readOffsets(map.map("offsets")) }
      // An unknown key alone is reported already.
      if entries.count != 1 || entries[0].value.isNull {
        problems.add(node.mark, path, "timestamp or offsets, one of the two, is wanted", remedy: remedy)
      }
    }
    return nil
  }

  private func readMoment(_ map: Section) -> StartPosition? {
    guard let (node, text) = map.scalar("timestamp", wanted: "a moment") else { return nil }
    if let moment = ScalarText.moment(text) { return .timestamp(milliseconds: moment) }
    problems.add(
      node, map.child("timestamp"), "this is no moment",
      remedy: "2026-01-01T00:00:00Z, or with milliseconds or an offset: 2026-01-01T02:00:00.250+02:00")
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
      if let offset = plainInteger(text), offset >= 0 {
        offsets[partition] = Int64(offset)
      } else {
        problems.add(node, map.child(entry.key), "this is no offset", remedy: "a whole number from 0")
      }
    }
    if map.keys.isEmpty { problems.add(map.mark, map.path, "no partition is named", remedy: "partition: offset, such as {0: 42}") }
    return .offsets(offsets)
  }

  // MARK: Fields

  private func readFields(_ map: Section) -> [FieldPlan] {
    if map.keys.isEmpty {
      problems.add(map.mark, map.path, "no field is named", remedy: "name: type for each field, such as transaction_id: String")
    }
    return map.keys.compactMap { readField($0, path: map.child($0.key)) }
  }

  private func readField(_ entry: ConfigNode.Entry, path: String) -> FieldPlan? {
    switch entry.value.content {
    case .invalid: return nil
    case .scalar(let scalar) where scalar.isNull:
      problems.add(entry.keyMark, path, "the field has no type", remedy: "name: type, such as \(entry.key): String")
      return nil
    case .scalar:
      guard let type = readType(entry.value, path) else { return nil }
      do throws(PlanProblem) { return try FieldPlan(name: entry.key, type: type) } catch {
        report(error, entry, path, in: nil)
        return nil
      }
    case .list, .map:
      let map = Section(entry.value, path: path, mark: entry.keyMark, known: PipelineKeys.field, problems)
      guard case .map = entry.value.content, map.requires("type", "such as type: String"), let typeNode = map.node("type") else {
        return nil
      }
      let type = readType(typeNode, map.child("type"))
      let from = map.scalar("from", wanted: "a path such as payment.amount")
      let defaultText = map.scalar("default", wanted: "a value")?.text
      let format = map.choice("format", default: FieldFormat.iso8601)
      let (coerce, truncate) = (map.flag("coerce"), map.flag("truncate"))
      guard let type, let format, let coerce, let truncate else { return nil }
      do throws(PlanProblem) {
        let source = try from.map { (_, text) throws(PlanProblem) in try FieldSource.parse(text, field: entry.key) }
        return try FieldPlan(
          name: entry.key, type: type, source: source, defaultValue: defaultText, format: format, coerce: coerce, truncate: truncate)
      } catch {
        report(error, entry, path, in: map)
        return nil
      }
    }
  }

  private func readType(_ node: ConfigNode, _ path: String) -> DataType? {
    guard case .scalar(let scalar) = node.content else {
      if !node.isInvalid { problems.add(node, path, "\(node.kindName) stands where a type is wanted", remedy: "such as String") }
      return nil
    }
    do throws(TypeProblem) { return try DataType.parse(scalar.text) } catch {
      problems.add(
        node, path, node.isSecret ? "this is no type" : error.message,
        remedy: "a type such as String, Int64, Decimal(18, 2), DateTime64(3) or Nullable(String)",
        nearest: node.isSecret ? nil : error.nearest)
      return nil
    }
  }

  /// A field's problem at the setting that it is about; `map` is nil where only a type is written.
  private func report(_ problem: PlanProblem, _ entry: ConfigNode.Entry, _ path: String, in map: Section?) {
    guard problem.setting != "name" else {
      problems.add(entry.keyMark, path, problem.message, remedy: problem.remedy + "; metadata is read by {type: Int64, from: $offset}")
      return
    }
    let node = map?.node(problem.setting) ?? entry.value
    let place = map?.node(problem.setting) == nil ? path : path + "." + problem.setting
    problems.add(node, place, problem.message, remedy: problem.remedy)
  }

  // MARK: Event time

  private func readEventTime(_ source: Section, fieldNames: [String]) -> (plan: EventTimePlan?, isMaxAheadWritten: Bool) {
    guard source.node("event_time") != nil else { return (nil, false) }
    let section = source.section("event_time", known: PipelineKeys.eventTime.map(\.name))
    let outOfOrderness = section.duration(Settings.outOfOrderness)
    let idleAfter = section.duration(Settings.idleAfter)
    let maxAhead = section.duration(Settings.maxAhead)
    guard section.requires("field", "the field with the record's own time"),
      let (node, name) = section.scalar("field", wanted: "a field's name"),
      let index = fieldIndex(name, node, section.child("field"), fieldNames), let outOfOrderness, let idleAfter, let maxAhead
    else { return (nil, false) }
    let plan = EventTimePlan(fieldIndex: index, outOfOrderness: outOfOrderness, idleAfter: idleAfter, maxAhead: maxAhead)
    return (plan, section.node("max_ahead") != nil)
  }

  /// The index of the field called `name`; a name that is no field's is reported.
  func fieldIndex(_ name: String, _ node: ConfigNode, _ path: String, _ names: [String]) -> Int? {
    if let index = names.firstIndex(of: name) { return index }
    // Where there are no fields, that is the problem to report.
    if !names.isEmpty {
      problems.add(
        node, path, "there is no field of this name", remedy: "one of \(listed(names))",
        // Of thousands, for each of thousands, the search would take minutes.
        nearest: names.count <= 500 ? nearestKnown(to: name, among: names) : nil)
    }
    return nil
  }
}
