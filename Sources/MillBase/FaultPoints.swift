internal import Glibc
internal import Synchronization

/// A step at which a drill can end the process with SIGKILL: `MILLRACE_FAULT=<name>:<n>` at its n-th hit. The mark on stderr comes before.
///
/// In the released binary too: what is drilled is what runs. Each stands at a step of the path of a record; Tests/EndToEnd/failpoints.py
/// names the fault that each is. Callable from any thread; without the variable a hit is one comparison, at most once a chunk or epoch.
package enum FaultPoint: String, CaseIterable, Sendable {
  // An epoch
  case beforeIntent = "before_intent"
  case intentTorn = "intent_torn"
  case intentWritten = "intent_written"
  case amidProcess = "amid_process"
  case processed = "processed"
  // A seal
  case chunkTorn = "chunk_torn"
  case amidChunks = "amid_chunks"
  case beforeSeal = "before_seal"
  case sealTorn = "seal_torn"
  case sealWritten = "seal_written"
  case segmentBegun = "segment_begun"
  // A batch
  case beforeInsert = "before_insert"
  case deadlineWritten = "deadline_written"
  case insertHalfSent = "insert_half_sent"
  case insertSent = "insert_sent"
  case afterInsertBeforeAck = "after_insert_before_ack"
  case ackTorn = "ack_torn"
  case ackWritten = "ack_written"
  // A refused batch gives way to its halves, or to its dead letter
  case beforeRetireDurable = "before_retire_durable"
  case afterRetireDurableBeforeSend = "after_retire_durable_before_send"
  // Dead letters
  case letterTorn = "letter_torn"
  case letterWritten = "letter_written"
  case letterRenamed = "letter_renamed"
  case letterDurable = "letter_durable"
  // State
  case amidFlush = "amid_flush"
  case flushed = "flushed"
  case beforeDrop = "before_drop"
  case dropped = "dropped"
  // A checkpoint
  case checkpointBegun = "checkpoint_begun"
  case amidCheckpointFiles = "amid_checkpoint_files"
  case checkpointFilesMade = "checkpoint_files_made"
  case checkpointFilesSynced = "checkpoint_files_synced"
  case manifestTorn = "manifest_torn"
  case manifestWritten = "manifest_written"
  case manifestRenamed = "manifest_renamed"
  case published = "published"
  case witnessCommitted = "witness_committed"
  case checkpointHalfRemoved = "checkpoint_half_removed"
  case segmentRemoved = "segment_removed"
  // A start
  case startCopyTorn = "start_copy_torn"
  case startCopied = "start_copied"
  case logBegun = "log_begun"
  case amidRestore = "amid_restore"
  case restored = "restored"
  case amidReplay = "amid_replay"

  /// Whether a drill is under way: for steps that must first be taken apart.
  package static var isArmed: Bool { armed != nil }

  /// Where a drill ends the process, `NAME:N`; nil: none is under way. A wrong name ends the process here.
  package static var armedText: String? { armed.map { "\($0.point.rawValue):\($0.hit)" } }

  /// Ends the process where this point is armed and its number has come.
  package static func hit(_ point: FaultPoint, if condition: Bool = true) {
    if condition, strikes(point) { end(point) }
  }

  /// Counts a hit. True where its number has come: the caller does half of its step, then calls ``end(_:)``.
  package static func strikes(_ point: FaultPoint) -> Bool {
    guard let armed, armed.point == point else { return false }
    return hits.add(1, ordering: .relaxed).newValue == armed.hit
  }

  /// Leaves the mark and kills the process.
  package static func end(_ point: FaultPoint) -> Never {
    say("fault point \(point.rawValue) hit \(hits.load(ordering: .relaxed))")
    kill(getpid(), SIGKILL)
    while true { pause() }
  }

  private static let hits = Atomic<Int>(0)

  private static let armed: (point: FaultPoint, hit: Int)? = {
    guard let value = unsafe getenv("MILLRACE_FAULT") else { return nil }
    let text = unsafe String(cString: value)
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let number = parts.count == 2 ? Int(parts[1]) : parts.count == 1 ? 1 : nil
    guard let point = FaultPoint(rawValue: String(parts[0])), let hit = number, hit > 0 else {
      // A drill that hits nothing would pass for one that was survived.
      say("MILLRACE_FAULT=\(text): must be NAME or NAME:N, NAME one of \(allCases.map(\.rawValue).joined(separator: " "))")
      exit(2)
    }
    return (point, hit)
  }()

  private static func say(_ text: String) {
    let line = text + "\n"
    _ = unsafe line.withCString { unsafe write(2, $0, strlen($0)) }
  }
}
