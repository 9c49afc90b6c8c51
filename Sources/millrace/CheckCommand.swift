internal import Glibc
internal import MillBase
internal import MillConfig
internal import MillFlow

/// `millrace check FILE`.
func checkFile(_ arguments: Arguments, _ logger: Logger) -> ExitCode {
  let file = arguments.positional[0]
  guard let pipeline = loadPipeline(file) else { return .invalidFile }
  guard Assembly.takesProperties(pipeline, logger) else { return .invalidFile }
  let plan = planText(pipeline)
  Output.line("\(file): pipeline \(pipeline.name) is valid")
  Output.line("  reads   topic \(pipeline.source.plan.topic) at \(pipeline.kafka.brokers), group \(pipeline.consumerGroup)")
  if let deduplicate = pipeline.deduplicate {
    let key = deduplicate.key.map { pipeline.source.plan.fields[$0].name }.joined(separator: ", ")
    Output.line("  drops   records with the same \(key) within \(ScalarText.durationText(deduplicate.withinMilliseconds))")
  }
  Output.line("  writes  \(pipeline.sink.database).\(pipeline.sink.table) at \(pipeline.sink.url), \(pipeline.sink.delivery.rawValue)")
  Output.line("  keeps   state in \(pipeline.state.directory), checkpoints in \(pipeline.checkpoint.directory)")
  if let admin = pipeline.admin {
    Output.line("  serves  metrics and health at http://\(admin.address)\(admin.token == nil ? "" : ", with a token")")
  }
  Output.line("  plan    \(planHash(plan).paddedHex)")
  for warning in pipeline.warnings { logger.warning(warning) }
  if arguments.flag("--connect") { return checkConnections(pipeline, logger) }
  for warning in pipeline.kafka.warnings { logger.warning(warning) }
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
