internal import Glibc
internal import MillBase
internal import MillConfig
internal import MillFlow
internal import MillOperators

/// `millrace check FILE`.
func checkFile(_ arguments: Arguments, _ logger: Logger) -> ExitCode {
  let file = arguments.positional[0]
  guard let pipeline = loadPipeline(file) else { return .invalidFile }
  guard Assembly.takesProperties(pipeline, logger) else { return .invalidFile }
  let plan = planText(pipeline)
  Output.line("\(file): pipeline \(pipeline.name) is valid")
  for source in pipeline.sources {
    let what = pipeline.sources.count == 1 ? "" : "\(source.plan.name): "
    Output.line("  reads   \(what)topic \(source.plan.topic) at \(source.kafka.brokers), group \(pipeline.consumerGroup)")
  }
  for node in pipeline.nodes {
    if case .operator(let plan) = node { Output.line("  \(shownOperator(plan))") }
    if case .union(let plan) = node { Output.line("  unites  \(plan.name): \(plan.inputs.joined(separator: ", "))") }
    guard case .deduplicate = node, let deduplicate = pipeline.deduplicate else { continue }
    let key = pipeline.keyFields.map(\.name).joined(separator: ", ")
    Output.line("  drops   records with the same \(key) within \(ScalarText.durationText(deduplicate.withinMilliseconds))")
  }
  for sink in pipeline.sinks {
    let what = pipeline.sinks.count == 1 ? "" : "\(sink.input) into "
    Output.line("  writes  \(what)\(sink.database).\(sink.table) at \(sink.url), \(sink.delivery.rawValue)")
  }
  Output.line("  keeps   state in \(pipeline.state.directory), checkpoints in \(pipeline.checkpoint.directory)")
  if let admin = pipeline.admin {
    Output.line("  serves  metrics and health at http://\(admin.address)\(admin.token == nil ? "" : ", with a token")")
  }
  Output.line("  plan    \(planHash(plan).paddedHex)")
  for warning in pipeline.warnings { logger.warning(warning) }
  if arguments.flag("--connect") { return checkConnections(pipeline, logger) }
  var told: Set<String> = []
  for warning in pipeline.sources.flatMap(\.kafka.warnings) where told.insert(warning).inserted { logger.warning(warning) }
  return .done
}

/// Reads the file; prints its problems to stderr and returns nil where it has any.
func loadPipeline(_ file: String) -> Pipeline? {
  do throws(ConfigProblems) {
    let pipeline = try PipelineFile.load(file, workingDirectory: workingDirectory(), environment: .process)
    Output.conceal(pipeline.secrets)
    return pipeline
  } catch {
    Output.error(error.text(file: file))
    return nil
  }
}

/// The directory that relative paths of the command line begin at.
func workingDirectory() -> String {
  guard let path = unsafe getcwd(nil, 0) else { return "/" }
  defer { unsafe free(path) }
  return unsafe String(cString: path)
}

/// `filters orders: amount > 0`, or `selects orders: id String, total Int64`.
private func shownOperator(_ plan: any FileOperator) -> String {
  let fields = plan.schema.fields.map { "\($0.name) \($0.type)" }
  let shown = fields.prefix(8).joined(separator: ", ") + (fields.count > 8 ? " and \(fields.count - 8) more" : "")
  let what = plan.schema == plan.inputSchema ? plan.expressions.map(\.expression.text).joined(separator: ", ") : shown
  return "\(type(of: plan).word)s".padded(8) + plan.name + ": " + what
}

extension String {
  fileprivate func padded(_ count: Int) -> String { self + String(repeating: " ", count: max(0, count - self.count)) }
}
