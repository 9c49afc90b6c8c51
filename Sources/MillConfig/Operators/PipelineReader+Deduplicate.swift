internal import MillBase
internal import MillFlow

extension PipelineReader {
  /// `input`: what it reads, nil where that is nothing of the file; `sourceCount`: of the file.
  func readDeduplicate(_ section: Section, name: String, input: Edges.Edge?, sourceCount: Int) -> DeduplicateSettings? {
    // Without a readable source nothing is said about its time.
    let hasEventTime = input?.hasEventTime ?? true
    let key = readKey(section, fieldNames: input?.fieldNames ?? [], types: input?.schema?.types ?? [])
    var within: Int64?
    if section.requires("within", "how far apart duplicates may be, such as 24h") { within = section.duration(Settings.within) }
    let lateness = section.duration(Settings.allowedLateness)
    let exact = section.flag("exact")
    let nullKeys = section.choice("null_keys", default: NullKeys.pass)
    let time = section.choice("time", default: hasEventTime ? TimeKind.event : .processing)
    if time == .event, !hasEventTime, let node = section.node("time") {
      let timeless = input?.timeless ?? []
      let (names, verb) = (listed(timeless), timeless.count == 1 ? "has" : "have")
      problems.add(
        node, section.child("time"),
        sourceCount == 1 ? "the source has no event_time" : "rows of \(names) come here, which \(verb) no event_time",
        remedy: "processing, or give \(listed(timeless.map { "sources.\($0)" })) an event_time")
    }
    guard let input, let within, let lateness, let exact, let nullKeys, let time else { return nil }
    return DeduplicateSettings(
      name: name, input: input.name, key: key, withinMilliseconds: within, allowedLatenessMilliseconds: lateness, isExact: exact,
      time: time,
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
