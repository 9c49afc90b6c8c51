internal import MillFlow

/// Reads the tree of a pipeline file into a ``Pipeline``; each part in an extension of its own.
///
/// Every part is read even where another is wrong, so that all problems are reported at once. The result counts only when
/// `problems` is empty at the end.
struct PipelineReader {
  let baseDirectory: String
  let environment: ConfigEnvironment
  let problems: ProblemList

  func read(_ root: ConfigNode) -> Pipeline? {
    guard case .map = root.content else {
      problems.add(root, "", "\(root.kindName) stands where a pipeline is wanted", remedy: "begin with pipeline: NAME")
      return nil
    }
    let top = Section(root, path: "", mark: root.mark, known: PipelineKeys.all.map(\.name), problems)
    let name = readName(top)
    let kafka = readKafka(top.section("kafka", known: PipelineKeys.kafka.map(\.name)))
    let deadLetters = top.section(
      "dead_letters", known: PipelineKeys.deadLetters.map(\.name),
      later: ["topic": "dead letters go to files: use path", "retention": "files are kept until you remove them"])
    let names = NameBook(problems)
    let readings = readSources(top, letterByteCountMax: deadLetters.size(Settings.deadLetterPayload), names)
    let sources = settings(readings, readClusters(kafka, top, readings))
    var edges = readOperators(top, sources: readings, names)
    let sinks = readSinks(top, &edges, names)
    edges.reportUnread(problems)
    let state = top.section("state", known: PipelineKeys.state.map(\.name))
    let statePath = path(state, "path", default: "state")
    let memory = state.size(Settings.memory)
    let checkpoint = readCheckpoint(top, statePath: statePath)
    let deadLetterBytes = deadLetters.size(Settings.deadLetterBytes)
    let deadLetterPath = path(deadLetters, "path", default: "dead-letters")
    let deadLetterDelay = deadLetters.duration(Settings.deadLetterDelay)
    let unacked = top.section("log", known: PipelineKeys.log.map(\.name), later: ["retention": "the log is truncated by checkpoints"])
      .size(Settings.unacked)
    let epoch = top.section("epoch", known: PipelineKeys.epoch.map(\.name))
    let (epochRows, epochBytes) = (epoch.count(Settings.epochRows), epoch.size(Settings.epochBytes))
    let epochDelay = epoch.duration(Settings.epochDelay)
    let prefetch = top.size(Settings.prefetch)
    let workers = readWorkers(top)
    let admin = readAdmin(top)
    guard problems.isEmpty, let name, let sources, let sinks, let statePath, let memory, let checkpoint,
      let deadLetterPath,
      let deadLetterDelay, let deadLetterBytes, let unacked, let epochRows, let epochBytes, let epochDelay, let prefetch, let workers
    else { return nil }
    return Pipeline(
      name: name, sources: sources, nodes: edges.nodes, deduplicate: edges.deduplicate, sinks: sinks,
      deadLetters: DeadLetterSettings(
        directory: deadLetterPath, delayMaxMilliseconds: deadLetterDelay, byteCountMax: deadLetterBytes), checkpoint: checkpoint,
      state: StateSettings(directory: statePath, memoryByteCount: memory), unackedByteCountMax: unacked,
      epoch: EpochSettings(rowCountMax: epochRows, byteCountMax: epochBytes, delayMaxMilliseconds: epochDelay),
      prefetchByteCount: prefetch, workerCount: workers, admin: admin)
  }

  private func readName(_ top: Section) -> String? {
    guard top.requires("pipeline", "give the pipeline a name: pipeline: my-pipeline"),
      let (node, text) = top.scalar("pipeline", wanted: "a name")
    else { return nil }
    let bytes = Array(text.utf8)
    let isLetter = { (byte: UInt8) in (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    let isRest = { (byte: UInt8) in isLetter(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-") }
    if (1...63).contains(bytes.count), isLetter(bytes[0]), bytes.allSatisfy(isRest) { return text }
    problems.add(
      node, "pipeline", "this is no name for a pipeline",
      remedy: "a lower-case letter, then lower-case letters, digits and -, 63 characters at most")
    return nil
  }

  private func readCheckpoint(_ top: Section, statePath: String?) -> CheckpointSettings? {
    let section = top.section("checkpoint", known: PipelineKeys.checkpoint.map(\.name))
    let interval = section.duration(Settings.checkpointInterval)
    let retain = section.count(Settings.retain)
    let directory = path(section, "location", default: (statePath ?? "state") + "/checkpoints")
    guard let interval, let retain, let directory else { return nil }
    return CheckpointSettings(intervalMilliseconds: interval, directory: directory, retainCount: retain)
  }

  private func readWorkers(_ top: Section) -> Int? {
    guard top.node("workers") != nil else { return 1 }
    guard let (node, text) = top.scalar("workers", wanted: "auto or a number") else { return nil }
    if text == "auto" || text == "1" { return 1 }
    let isCount = plainInteger(text).map { $0 > 1 } ?? false
    problems.add(
      node, "workers", isCount ? "more than one worker is not in this version" : "this is neither auto nor a number of workers",
      remedy: "auto or 1")
    return nil
  }

  /// An absolute path out of a section; nil after a problem.
  private func path(_ section: Section, _ key: String, default value: String) -> String? {
    guard let text = section.text(key, default: value, wanted: "a path", counts: 1...1000) else { return nil }
    if text.contains("://"), let node = section.node(key) {
      problems.add(node, section.child(key), "places other than directories are not in this version", remedy: "the path of a directory")
      return nil
    }
    return absolutePath(text, base: baseDirectory)
  }
}

extension PipelineReader {
  /// `text` as an absolute path; a file that can't be read is reported.
  func readablePath(_ text: String, _ node: ConfigNode, _ place: String, takesDirectory: Bool = false) -> String {
    let path = absolutePath(text, base: baseDirectory)
    if case .failure(let problem) = environment.file(path, 1), !(problem.isDirectory && takesDirectory) {
      problems.add(node, place, "can't read \(node.shown(path)): \(problem.reason)", remedy: "create the file or make it readable")
    }
    return path
  }
}

/// Names for a remedy, the first of very many.
func listed(_ names: [String]) -> String {
  let shown = names.prefix(30).joined(separator: ", ")
  return names.count > 30 ? "\(shown) and \(names.count - 30) more" : shown
}

/// Whether `text` is a port number, 1 to 65535.
func isPort(_ text: Substring) -> Bool {
  plainInteger(String(text)).map { (1...65_535).contains($0) } ?? false
}

/// `text` without blanks at its ends.
func trimmed(_ text: Substring) -> String {
  var text = text
  while text.first == " " { text.removeFirst() }
  while text.last == " " { text.removeLast() }
  return String(text)
}
