internal import MillBase
internal import MillFlow

extension PipelineReader {
  /// What the operators section gave.
  struct Operators {
    var deduplicate: DeduplicateSettings?
    /// Where the operator stands; nil without one.
    var entry: ConfigNode.Entry?
    /// Names that can be read as an input, also of operators that are wrong otherwise.
    var names: [String] = []
  }

  func readOperators(_ top: Section, source: SourceReading?) -> Operators {
    let operators = top.map("operators")
    var result = Operators()
    for entry in operators.keys {
      checkName(entry, operators)
      let path = operators.child(entry.key)
      if entry.key == source?.name {
        problems.add(entry.keyMark, path, "a source has this name already", remedy: "give each source, operator and sink a name of its own")
      }
      guard case .map(let kinds) = entry.value.content else {
        if !entry.value.isInvalid {
          problems.add(
            entry.keyMark, path, "\(entry.value.kindName) stands where an operator is wanted", remedy: "write deduplicate: {...} below it")
        }
        continue
      }
      guard kinds.count == 1, let kind = kinds.first else {
        problems.add(entry.keyMark, path, "an operator does one thing; here stand \(kinds.count)", remedy: "one key: deduplicate")
        continue
      }
      result.names.append(entry.key)
      let kindPath = path + "." + kind.key
      if kind.key != "deduplicate" {
        let isLater = PipelineKeys.laterOperators.contains(kind.key)
        problems.add(
          kind.keyMark, kindPath, isLater ? "\(kind.key) is not in this version" : "there is no operator \(quoted(kind.key))",
          remedy: "deduplicate", nearest: isLater ? nil : nearestKnown(to: kind.key, among: ["deduplicate"] + PipelineKeys.laterOperators))
      } else if result.entry != nil {
        problems.add(entry.keyMark, path, "several deduplicate operators are not in this version", remedy: "one deduplicate")
      } else {
        result.entry = entry
        let section = Section(
          kind.value, path: kindPath, mark: kind.keyMark, known: PipelineKeys.deduplicate.map(\.name),
          later: ["late": "late records are dead letters", "keep": "the first record of a key is kept"], problems)
        result.deduplicate = readDeduplicate(section, name: entry.key, source: source)
      }
    }
    return result
  }

  private func readDeduplicate(_ section: Section, name: String, source: SourceReading?) -> DeduplicateSettings? {
    // Without a readable source nothing is said about its time.
    let hasEventTime = source?.hasEventTime ?? true
    var input: String?
    if section.requires("input", "the name of the source: \(source?.name ?? "NAME")"),
      let (node, text) = section.scalar("input", wanted: "a name")
    {
      input = text
      if let source, text != source.name {
        problems.add(
          node, section.child("input"), text == name ? "an operator can't read itself" : "there is no source or operator of this name",
          remedy: source.name, nearest: nearestKnown(to: text, among: [source.name]))
      }
    }
    let key = readKey(section, fieldNames: source?.fieldNames ?? [], types: source?.settings?.plan.types ?? [])
    var within: Int64?
    if section.requires("within", "how far apart duplicates may be, such as 24h") { within = section.duration(Settings.within) }
    let lateness = section.duration(Settings.allowedLateness)
    let exact = section.flag("exact")
    let nullKeys = section.choice("null_keys", default: NullKeys.pass)
    let time = section.choice("time", default: hasEventTime ? TimeKind.event : .processing)
    if time == .event, !hasEventTime, let node = section.node("time") {
      problems.add(
        node, section.child("time"), "the source has no event_time",
        remedy: "processing, or give sources.\(source?.name ?? "NAME") an event_time")
    }
    guard let input, let within, let lateness, let exact, let nullKeys, let time else { return nil }
    return DeduplicateSettings(
      name: name, input: input, key: key, withinMilliseconds: within, allowedLatenessMilliseconds: lateness, isExact: exact, time: time,
      nullKeys: nullKeys)
  }

  private func readKey(_ section: Section, fieldNames: [String], types: [DataType]) -> [Int] {
    guard section.requires("key", "the fields that make records the same, such as [transaction_id]"),
      let items = section.list("key", wanted: "a list of fields")
    else { return [] }
    var key: [Int] = []
    for (position, item) in items.enumerated() {
      let path = "\(section.child("key"))[\(position)]"
      guard let (node, text) = section.scalar(item, path, wanted: "a field's name"), let index = fieldIndex(text, node, path, fieldNames)
      else { continue }
      if types.indices.contains(index), types[index].isComposed {
        problems.add(
          node, path, "field \(quoted(text)) is \(types[index]), which can't be part of a key",
          remedy: "a field that holds one value; with coerce: true a String holds an array or object as its source text")
      }
      if key.contains(index) { problems.add(node, path, "this field stands in the key twice", remedy: "name it once") }
      key.append(index)
    }
    if items.isEmpty {
      problems.add(
        section.node("key")!.mark, section.child("key"), "the key is empty", remedy: "at least one field, such as [transaction_id]")
    }
    return key
  }
}
