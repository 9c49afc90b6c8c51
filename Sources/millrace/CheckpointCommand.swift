internal import MillBase
internal import MillConfig
internal import MillLog

/// `millrace checkpoint list FILE`: what there is, by manifests and the files' sizes.
func listCheckpoints(_ arguments: Arguments, _ logger: Logger) -> ExitCode {
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  guard let found = checkpoints(of: pipeline, .manifestOnly, logger) else { return .failed }
  if arguments.flag("--json") {
    Output.json("[" + found.map(summaryJSON).joined(separator: ",\n ") + "]\n")
  } else {
    Output.line("EPOCH                 LINEAGE           SAVED AT                  BYTES            STATE")
    for checkpoint in found { Output.line(summaryLine(checkpoint)) }
  }
  return .done
}

/// `millrace checkpoint verify FILE`: every byte of every file.
func verifyCheckpoints(_ arguments: Arguments, _ logger: Logger) -> ExitCode {
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  guard let found = checkpoints(of: pipeline, .full, logger) else { return .failed }
  if arguments.flag("--json") {
    Output.json("[" + found.map(summaryJSON).joined(separator: ",\n ") + "]\n")
  } else {
    for checkpoint in found { Output.line("\(checkpoint.id): \(stateText(checkpoint.state))") }
  }
  return found.allSatisfy { $0.manifest != nil } ? .done : .failed
}

/// `millrace checkpoint show FILE [--epoch N]`.
func showCheckpoint(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  var epoch: EpochNumber?
  if let text = arguments.text("--epoch") {
    guard let number = EpochNumber(text) else { throw arguments.usage("--epoch \(text): must be a whole number from 0") }
    epoch = number
  }
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  guard let found = checkpoints(of: pipeline, .manifestOnly, logger) else { return .failed }
  let wanted = epoch.map { number in found.first { $0.id.epoch == number } } ?? found.first { $0.manifest != nil }
  guard let wanted else {
    let epochs = found.map { "\($0.id.epoch)" }.joined(separator: ", ")
    logger.error(
      "no such checkpoint", ["epochs": .text(epochs.isEmpty ? "none" : epochs), "directory": .text(pipeline.checkpoint.directory)])
    return .failed
  }
  guard let manifest = wanted.manifest else {
    logger.error("the checkpoint can't be used", ["path": .text(wanted.path), "reason": .text(stateText(wanted.state))])
    return .failed
  }
  if arguments.flag("--json") { Output.json(json(manifest) + "\n") } else { Output.out(text(manifest)) }
  return .done
}

/// Nil after an error, which is then logged.
private func checkpoints(
  of pipeline: Pipeline, _ verification: CheckpointStore.Verification, _ logger: Logger
) -> [CheckpointStore.Checkpoint]? {
  let disk = RealDisk()
  let directory = pipeline.checkpoint.directory
  guard disk.exists(directory) else {
    logger.error("there are no checkpoints: the directory isn't there; has the pipeline run?", ["directory": .text(directory)])
    return nil
  }
  do throws(CheckpointError) {
    var known = KnownDigests()
    return try CheckpointStore(disk, directory: directory).list(verification, known: &known)
  } catch {
    logger.error("can't read the checkpoints", ["directory": .text(directory), "reason": .text("\(error)")])
    return nil
  }
}

private func stateText(_ state: CheckpointStore.Checkpoint.State) -> String {
  switch state {
  case .valid: "whole"
  case .invalid(let why): "damaged: \(why)"
  case .newerVersion(let found, let supported): "written by a newer release (format \(found), this one reads up to \(supported))"
  }
}

private func byteCount(_ manifest: Manifest) -> UInt64 { manifest.files.reduce(0) { $0 &+ $1.byteCount } }

private func summaryLine(_ checkpoint: CheckpointStore.Checkpoint) -> String {
  func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
  let saved = checkpoint.manifest.map { utcText(milliseconds: $0.clockMilliseconds) } ?? "-"
  let bytes = checkpoint.manifest.map { grouped(Int64(clamping: byteCount($0))) } ?? "-"
  return padded("\(checkpoint.id.epoch)", 22) + padded("\(checkpoint.id.lineage)", 18) + padded(saved, 26) + padded(bytes, 17)
    + stateText(checkpoint.state)
}

private func summaryJSON(_ checkpoint: CheckpointStore.Checkpoint) -> String {
  var text = "{\"epoch\":\(checkpoint.id.epoch),\"lineage\":\"\(checkpoint.id.lineage)\",\"path\":\(jsonText(checkpoint.path))"
  if let manifest = checkpoint.manifest {
    text += ",\"saved_at\":\"\(utcText(milliseconds: manifest.clockMilliseconds))\",\"bytes\":\(byteCount(manifest))"
  }
  return text + ",\"whole\":\(checkpoint.manifest != nil),\"state\":\(jsonText(stateText(checkpoint.state)))}"
}

private func text(_ manifest: Manifest) -> String {
  let watermark = manifest.watermark == .min ? "none yet" : utcText(milliseconds: manifest.watermark)
  var lines = [
    "pipeline   \(manifest.pipeline)", "lineage    \(manifest.lineage)", "epoch      \(manifest.epoch)",
    "clock      \(utcText(milliseconds: manifest.clockMilliseconds))", "watermark  \(watermark)",
    "log        position \(manifest.position), \(manifest.unacked.count) unacked batches as of it",
    "plan       \(manifest.plan.hash.paddedHex), replay version \(manifest.plan.replayVersion)",
  ]
  for source in manifest.sources {
    lines.append("source     \(source.name): topic \(source.topic), cluster \(source.clusterID)")
    for (partition, state) in source.partitions.enumerated() {
      let time = state.maxEventTime == .min ? "none" : utcText(milliseconds: state.maxEventTime)
      lines.append("  partition \(partition): next offset \(state.nextOffset), highest event time \(time)")
    }
  }
  lines.append("files      \(manifest.files.count), \(grouped(Int64(clamping: byteCount(manifest)))) bytes")
  for file in manifest.files { lines.append("  \(file.path): \(file.byteCount) bytes") }
  return lines.map { shown($0) + "\n" }.joined()
}

private func json(_ manifest: Manifest) -> String {
  let sources = manifest.sources.map { source in
    let partitions = source.partitions.map { state in
      "{\"next_offset\":\(state.nextOffset),\"max_event_time_ms\":\(state.maxEventTime == .min ? "null" : "\(state.maxEventTime)")}"
    }
    return "{\"name\":\(jsonText(source.name)),\"topic\":\(jsonText(source.topic)),\"cluster_id\":\(jsonText(source.clusterID)),"
      + "\"partitions\":[\(partitions.joined(separator: ","))]}"
  }
  let files = manifest.files.map { "{\"path\":\(jsonText($0.path)),\"bytes\":\($0.byteCount)}" }
  return "{\"pipeline\":\(jsonText(manifest.pipeline)),\"lineage\":\"\(manifest.lineage)\",\"epoch\":\(manifest.epoch),"
    + "\"clock_ms\":\(manifest.clockMilliseconds),\"watermark_ms\":\(manifest.watermark == .min ? "null" : "\(manifest.watermark)"),"
    + "\"position\":\(manifest.position),\"unacked_batches\":\(manifest.unacked.count),\"plan_hash\":\"\(manifest.plan.hash.paddedHex)\","
    + "\"replay_version\":\(manifest.plan.replayVersion),\"sources\":[\(sources.joined(separator: ","))],"
    + "\"files\":[\(files.joined(separator: ","))]}"
}
