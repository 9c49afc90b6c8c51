internal import MillBase
internal import MillLog

/// What a start goes on from: a function of what the state directory holds and of nothing else (R4, R16, R17). Nothing is asked, written
/// or sent yet.
///
///     checkpoints  →  the newest that verifies  ─┐
///     log records  →  LogFold  ──────────────────┴→  State: epochs to replay, seals to compare them with, batches without an ack, numbers
struct Recovery {
  /// What is to be said, whatever comes of it.
  var notes: [(level: Command.Level, text: String)] = []
  var outcome: Result<Outcome, Stop>
  /// The lineage has sealed something.
  var hasSealed = false

  enum Outcome {
    /// There is neither checkpoint nor seal: a lineage begins.
    case birth
    case state(State)
  }

  struct State {
    var manifest: Manifest
    var checkpointName: String
    /// All of them, the damaged ones with what is wrong.
    var checkpoints: [FoundCheckpoint]
    /// Checkpoints that need more of the log than there is.
    var removals: Set<String>
    var log: LogFold
  }

  static func of(_ found: Opened, _ options: CoreOptions) -> Recovery {
    var recovery = Recovery(outcome: .success(.birth))
    recovery.outcome = Result { () throws(Stop) in try recovery.choose(found, options) }
    return recovery
  }

  private mutating func choose(_ found: Opened, _ options: CoreOptions) throws(Stop) -> Outcome {
    let (checkpoints, removals) = try Self.fitting(found, options)
    if let newest = checkpoints.first, newest.problem != nil { Reach.mark(.r17FellBack) }
    for broken in checkpoints where broken.problem != nil {
      notes.append((.warning, "checkpoint \(broken.name) does not verify: \(broken.problem ?? "")"))
    }
    let log = found.log
    let hasSeal = log.records.contains { if case .seal = $0.record { true } else { false } }
    let usable = checkpoints.first { $0.problem == nil && $0.manifest != nil }
    guard let usable, let manifest = usable.manifest else {
      guard checkpoints.isEmpty, !hasSeal else {
        Reach.mark(.r17NothingLeft)
        let problems = checkpoints.map { "\($0.name): \($0.problem ?? "no manifest")" }.joined(separator: "; ")
        throw Stop(
          .promise, rule: "R17",
          "no checkpoint can be recovered from (\(problems.isEmpty ? "there is none" : problems)): restore the state directory from a copy, or start anew with an empty one and --new-lineage"
        )
      }
      Reach.mark(log.records.isEmpty ? .r17Born : .r17BornAgain)
      return .birth
    }
    if log.first > manifest.position {
      throw Stop(
        .promise, rule: "R16",
        "checkpoint \(usable.name) needs the log from position \(manifest.position), which begins at \(log.first): log segments are missing"
      )
    }
    Reach.mark(.r17Recovered)
    let fold = LogFold(of: log, since: manifest)
    hasSealed = hasSeal || fold.nextBatch.contains { $0 > 1 }
    return .state(State(manifest: manifest, checkpointName: usable.name, checkpoints: checkpoints, removals: removals, log: fold))
  }

  /// The checkpoints, those that need more of the log than there is marked as damaged; these by name.
  private static func fitting(_ found: Opened, _ options: CoreOptions) throws(Stop) -> ([FoundCheckpoint], removals: Set<String>) {
    var checkpoints = found.checkpoints
    var removals: Set<String> = []
    let log = found.log
    for (index, checkpoint) in checkpoints.enumerated() where checkpoint.problem == nil {
      guard let manifest = checkpoint.manifest else { continue }
      if manifest.pipeline != options.pipeline {
        throw Stop(
          .promise, rule: "R17",
          "the state directory belongs to pipeline \"\(manifest.pipeline)\", this file is \"\(options.pipeline)\": give each pipeline a state.path of its own"
        )
      }
      if manifest.durableEnd > log.end {
        Reach.mark(.r17ManifestBeyondLog)
        guard options.newLineage else {
          throw Stop(
            .promise, rule: "R17",
            "checkpoint \(checkpoint.name) needs the log up to position \(manifest.durableEnd), but it ends at \(log.end): part of the log is gone (restored snapshot, copied disk). Rows after it may be in the table already: put the newer state back, or go on from an older checkpoint with --new-lineage, which may double them"
          )
        }
        // Gone before the log goes on, which will use that position again.
        checkpoints[index].problem = "it needs the log up to position \(manifest.durableEnd), which ends at \(log.end)"
        removals.insert(checkpoint.name)
      }
    }
    return (checkpoints, removals)
  }
}
