internal import MillBase
internal import MillFlow
internal import MillOperators

/// What decides the rows of a pipeline, as text that can be compared: topic and start, format, fields, operators, tables and columns. Not
/// in it: addresses, credentials, sizes, intervals.
///
/// One `name value` a line, values in quotes where they are the user's, nested lines indented by two spaces. The text is kept with the
/// state (protocol R4), so what stands here changes for the same file only where the replay version rises, and ``Pipeline/asRead(by:)``
/// must still give the text of the version before. New settings add lines only where they are set.
package func planText(_ pipeline: Pipeline) -> String {
  // Version 2 was written without its number.
  var lines = pipeline.replayVersion > .two ? ["replay_version \(pipeline.replayVersion.rawValue)"] : []
  // By name, which is the order in which an epoch takes their records, whatever the file's.
  for source in pipeline.sources.sorted(by: { $0.plan.name < $1.plan.name }) { lines += planLines(source) }
  for node in pipeline.nodes { lines += planLines(node, pipeline) }
  for sink in pipeline.sinks {
    let columns = pipeline.schema(of: sink.input).fields
    lines.append("clickhouse \(quoted(sink.name))")
    lines.append("  input \(quoted(sink.input))")
    lines.append("  table \(quoted(sink.database)).\(quoted(sink.table))")
    for mapping in sink.columns { lines.append("  column \(quoted(mapping.column)) \(quoted(columns[mapping.field].name))") }
    if let column = sink.provenanceColumn { lines.append("  provenance_column \(quoted(column))") }
  }
  return lines.map { $0 + "\n" }.joined()
}

private func planLines(_ settings: SourceSettings) -> [String] {
  let source = settings.plan
  var lines: [String] = []
  lines.append("source \(quoted(source.name))")
  lines.append("  topic \(quoted(source.topic))")
  lines.append("  start \(text(settings.start))")
  lines.append("  format json")
  lines.append("  on_error \(source.onError.rawValue)")
  if let limits = source.limits {
    if limits.recordByteCountMax != Settings.recordBytes.value {
      lines.append("  max_record_bytes \(ScalarText.sizeText(limits.recordByteCountMax))")
    }
    if limits.letterByteCountMax != Settings.deadLetterPayload.value {
      lines.append("  payload_max \(ScalarText.sizeText(limits.letterByteCountMax))")
    }
  }
  for field in source.fields {
    lines.append("  field \(quoted(field.name))")
    lines.append("    type \(field.type)")
    lines.append("    from \(text(field.source))")
    if let value = field.defaultValue { lines.append("    default \(quoted(value))") }
    if field.format != .iso8601 { lines.append("    format \(field.format.rawValue)") }
    if field.coerce { lines.append("    coerce true") }
    if field.truncate { lines.append("    truncate true") }
  }
  if let time = source.eventTime {
    lines.append("  event_time \(quoted(source.fields[time.fieldIndex].name))")
    lines.append("    out_of_orderness \(ScalarText.durationText(time.outOfOrderness))")
    lines.append("    max_ahead \(ScalarText.durationText(time.maxAhead))")
  }
  return lines
}

private func planLines(_ node: PipelineNode, _ pipeline: Pipeline) -> [String] {
  var lines: [String] = []
  switch node {
  case .operator(let plan):
    lines.append("\(type(of: plan).word) \(quoted(plan.name))")
    lines.append("  input \(quoted(plan.input))")
    lines += plan.planLines.map { "  " + $0 }
    if plan.onError != .deadLetter { lines.append("  on_error \(plan.onError.rawValue)") }
  case .deduplicate:
    let deduplicate = pipeline.deduplicateSettings
    let fields = pipeline.schema(of: deduplicate.input).fields
    lines.append("deduplicate \(quoted(deduplicate.name))")
    lines.append("  input \(quoted(deduplicate.input))")
    lines.append("  key \(deduplicate.key.map { quoted(fields[$0].name) }.joined(separator: ", "))")
    lines.append("  within \(ScalarText.durationText(deduplicate.withinMilliseconds))")
    lines.append("  allowed_lateness \(ScalarText.durationText(deduplicate.allowedLatenessMilliseconds))")
    lines.append("  time \(deduplicate.time.rawValue)")
    if deduplicate.isExact { lines.append("  exact true") }
    if deduplicate.nullKeys != .pass, pipeline.replayVersion >= .three { lines.append("  null_keys \(deduplicate.nullKeys.rawValue)") }
  case .union(let plan):
    lines.append("\(UnionPlan.word) \(quoted(plan.name))")
    lines += plan.planLines.map { "  " + $0 }
  }
  return lines
}

/// What is recorded below a plan's text, and not covered by its hash: a line for each time zone, `zone "NAME" FINGERPRINT`. Another version
/// of the tz database isn't another plan, but may be why a replay differs.
package func zoneNotes(_ pipeline: Pipeline) -> String {
  let zones = Set(pipeline.sources.flatMap { $0.plan.fields.compactMap(\.zone) } + selectedZones(pipeline)).filter { $0.fingerprint != 0 }
  return zones.map { "zone \(quoted($0.name)) \($0.fingerprint.paddedHex)\n" }.sorted().joined()
}

/// Of the types that selects make; those that only an expression names aren't known.
private func selectedZones(_ pipeline: Pipeline) -> [ZoneRules] {
  let fields = pipeline.nodes.flatMap { node -> [Schema.Field] in
    if case .operator(let plan) = node { return plan.schema.fields }
    return []
  }
  return fields.compactMap { Pipeline.plan($0).zone }
}

/// FNV-1a, 64 bits, of a plan's text: what intents carry.
package func planHash(_ text: String) -> UInt64 { fnv1a(text.utf8) }

private func text(_ start: StartPosition) -> String {
  switch start {
  case .earliest: return "earliest"
  case .latest: return "latest"
  case .timestamp(let milliseconds): return "timestamp \(milliseconds)"
  case .offsets(let offsets):
    return "offsets " + offsets.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
  }
}

private func text(_ source: FieldSource) -> String {
  switch source {
  case .path(let keys): keys.map(quoted).joined(separator: ".")
  case .metadata(.header(let name)): "$headers \(quoted(name))"
  case .metadata: source.description
  }
}
