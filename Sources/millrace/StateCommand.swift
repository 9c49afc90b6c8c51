internal import Glibc
internal import MillBase
internal import MillConfig
internal import MillEngine
internal import MillFlow
internal import MillLog
internal import MillState

/// `millrace state stats FILE`.
func showStateStats(_ arguments: Arguments, _ logger: Logger) -> ExitCode {
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  return withState(pipeline) { look, _ in
    // Coarser buckets come after finer ones there.
    let parts = Dictionary(grouping: look.store.buckets(), by: \.whole)
    let buckets = parts.sorted { (look.start(of: $0.key), $0.key) < (look.start(of: $1.key), $1.key) }.map { bucket, parts in
      BucketStats(
        start: look.start(of: bucket), keys: parts.reduce(0) { $0 + look.store.keyCount(of: $1) },
        bytes: parts.reduce(0) { $0 + UInt64(look.store.byteCount(of: $1)) })
    }
    let filters = look.manifest.files.filter { $0.path.contains("/filters/") }.reduce(0) { $0 + $1.byteCount }
    let stats = StateStats(
      buckets: buckets, filterBytes: filters, filterBytesMax: look.filterByteLimit, memoryBytes: pipeline.state.memoryByteCount)
    if arguments.flag("--json") { Output.json(stats.json(look) + "\n") } else { Output.out(stats.text(look)) }
    return .done
  }
}

/// `millrace state get FILE field=value …`: why a record of this key was dropped, or wouldn't be.
func getState(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  guard pipeline.deduplicate != nil else { return withState(pipeline) { _, _ in .failed } }
  let names = pipeline.keyFields.map(\.name)
  var values: [String: String] = [:]
  for word in arguments.positional.dropFirst() {
    guard let equals = word.firstIndex(of: "=") else { throw arguments.usage("\(word): must be field=value") }
    let name = String(word[..<equals])
    guard names.contains(name) else {
      throw arguments.usage("\(name) is no field of the key, which is \(names.joined(separator: ", "))" + hint(name, names))
    }
    guard values.updateValue(String(word[word.index(after: equals)...]), forKey: name) == nil else {
      throw arguments.usage("\(name) is given twice")
    }
  }
  if let missing = names.first(where: { values[$0] == nil }) {
    throw arguments.usage("\(missing)=VALUE is missing; the key is \(names.joined(separator: ", "))")
  }
  let block: RowBlock
  do throws(KeyText.Problem) {
    block = try KeyText.row(names.map { values[$0] ?? "" }, fields: pipeline.keyFields)
  } catch {
    throw arguments.usage(error.message)
  }
  let key = names.map { "\($0)=\(values[$0] ?? "")" }.joined(separator: " ")
  return withState(pipeline) { look, settings in
    let hasher = KeyHasher(fieldIndexes: Array(names.indices), types: block.columns.map(\.type), seed: look.manifest.hashSeed)
    var hashes: [Digest128] = []
    hasher.hash(block, into: &hashes)
    var bytes = GrowableBytes()
    var ends = GrowableBytes()
    hasher.keyBytes(block, into: &bytes, ends: &ends)
    do throws(StateLookError) {
      let origin = try look.origin(hash: hashes[0], key: settings.isExact ? unsafe Array(bytes.raw) : [])
      let answer = StateAnswer(key: key, origin: origin, settings: settings)
      if arguments.flag("--json") { Output.json(answer.json(look) + "\n") } else { Output.out(answer.text(look)) }
      return .done
    } catch {
      Output.errorLine("millrace: \(error)")
      return .failed
    }
  }
}

/// Opens the newest checkpoint's state for `body`; says why where it can't.
private func withState(_ pipeline: Pipeline, _ body: (StateLook, DeduplicateSettings) -> ExitCode) -> ExitCode {
  guard let settings = pipeline.deduplicate, let plan = Assembly.deduplicatePlan(pipeline) else {
    Output.errorLine("millrace: pipeline \(pipeline.name) has no deduplicate operator: it keeps no state to look into")
    return .failed
  }
  let look: StateLook
  do throws(StateLookError) {
    look = try StateLook.open(
      RealDisk(), checkpoints: pipeline.checkpoint.directory, pipeline: pipeline.name, plan: plan,
      stores: RocksDBStoreOpener(cacheByteCount: 8 << 20), name: CheckpointStore.lookName(process: getpid()))
  } catch {
    Output.errorLine("millrace: \(error)")
    if case .unusable = error { return .stopped }
    return .failed
  }
  defer { look.close() }
  if let change = stateChange(from: look.manifest.plan.text, to: planText(pipeline)) {
    Output.errorLine("millrace: the keys in \(pipeline.checkpoint.directory) were made otherwise: \(change)")
    return .stopped
  }
  return body(look, settings)
}

/// Key values as the user types them, read by the code that reads records.
enum KeyText {
  struct Problem: Error {
    var message: String
  }

  /// One row with the fields, in their order; nil is null.
  static func row(_ values: [String?], fields: [FieldPlan]) throws(Problem) -> RowBlock {
    var parts: [(field: FieldPlan, json: String)] = []
    for (index, field) in fields.enumerated() {
      let plain: FieldPlan
      do throws(PlanProblem) {
        plain = try FieldPlan(
          name: field.name, type: field.type, source: .path(["k\(index)"]), format: field.format, coerce: field.coerce,
          truncate: field.truncate)
      } catch {
        throw Problem(message: "\(field.name): \(error.message)")
      }
      parts.append((plain, try values[index].map { (value) throws(Problem) in try json(value, plain, key: "k\(index)") } ?? "null"))
    }
    let text = "{" + parts.enumerated().map { "\"k\($0)\":\($1.json)" }.joined(separator: ",") + "}"
    guard case .success(let block) = decode(text, parts.map(\.field)) else { throw Problem(message: "\(text) can't be read as a record") }
    return block
  }

  /// As a JSON string, which most types take; else as it stands: numbers of a unix format, true and false, null.
  private static func json(_ value: String, _ field: FieldPlan, key: String) throws(Problem) -> String {
    let text = jsonLiteral(value)
    let asText = decode("{\"\(key)\":\(text)}", [field])
    guard case .failure(let problem) = asText else { return text }
    if case .success = decode("{\"\(key)\":\(value)}", [field]) { return value }
    throw Problem(message: "\(field.name)=\(value) is no value of \(field.type): \(problem.message)")
  }

  private static func decode(_ record: String, _ fields: [FieldPlan]) -> Result<RowBlock, Problem> {
    let plan: SourcePlan
    do throws(PlanProblem) { plan = try SourcePlan(name: "key", topic: "key", fields: fields) } catch {
      return .failure(Problem(message: error.message))
    }
    let buffer = RecordBuffer(nextOffset: 0)
    unsafe Array(record.utf8).withRawBytes {
      unsafe buffer.append(offset: 0, timestamp: 0, key: nil, payload: $0, headers: nil)
    }
    let rows = DecodedRows(plan)
    var failures: [DecodeFailure] = []
    RecordDecoder(plan: plan).decode(buffer, first: 1, partition: 0, into: rows, failures: &failures)
    if let failure = failures.first { return .failure(Problem(message: "\(failure.reason.sentence): \(failure.detail)")) }
    return rows.rowCount == 1 ? .success(rows.block) : .failure(Problem(message: "it is no record"))
  }
}
