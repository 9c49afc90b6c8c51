internal import MillBase
internal import MillLog

/// One sealed batch of the table on its way, until it is acked and nothing of it can still be under way (R6–R10), or retired (R11).
struct Delivery {
  /// What is to be done next, when `readyAt` has come.
  enum Step: Hashable {
    case sendPlain
    /// R9: it may have been written, so it is counted before anything of it is sent again.
    case countInDoubt
    /// A success that is no proof, or a doubt: count by provenance.
    case count
    /// The first insert of this life that surely came in whole: is it seen?
    case countFirst
    case listBeforeGuard, countBeforeGuard, timeBeforeGuard
    case deadlineDurable(at: LogPosition)
    case sendGuarded
    /// After a guarded insert that was answered: was it in time?
    case timeAfterGuard
    case countAfterGuard(inTime: Bool)
    /// A guarded insert without an answer: past its deadline and no longer running it is dead.
    case timeForDeath, listForDeath, countAfterDeath
    /// A plain attempt of an earlier life, in a mode without tokens, or before a refusal counts: R7's look must have been made.
    case settled
    /// Its rows are refused, and every attempt is over: is nothing of it there (R11)?
    case countRefused
    /// Proven; waits to be retired (``SinkMachine/advanceBisection(_:)``).
    case refused
    case done
  }

  /// What the server said to the batch's rows.
  struct Refusal: Hashable {
    var kind: RefusalKind
    var code: Int
    var message: String
  }

  enum Cut: Hashable { case unasked, asked, answered }

  let batch: SealedBatch
  /// Of the seal or retire that made it.
  let seal: LogPosition
  let wasRecovered: Bool
  /// It replaces a batch that was refused (R11).
  let isPiece: Bool
  var step = Step.sendPlain
  /// Nil while an exchange or an append is under way, or before the batch was begun.
  var readyAt: Int64?
  var isBegun = false
  var isAwaiting = false
  var attempts = 0
  /// Some plain attempt may still write: it got no answer, or stems from an earlier life.
  var hasOpenAttempt = false
  var openedAt: Int64 = 0
  /// When the exchange under way was asked for.
  var askedAt: Int64 = 0
  /// When the first count was asked for that found nothing while an attempt was open: from then on others may use the window's reserve.
  var foundNoneAt: Int64?
  /// Nobody could say whether some attempt had written; rows that were missing then have been sent.
  var isInDoubt = false
  var isFilled = false
  /// Largest deadline written to the log, in this life or before.
  var recordedDeadline: Int64?
  var deadline: Int64 = 0
  /// The slowest server's clock as it was last read for the deadline.
  var serverSeconds: Int64?
  /// A query of the batch that was listed when last looked.
  var runningQuery: String?
  /// Added to the deadline's distance; doubled after one that came too late.
  var bodySeconds: Int64 = 5
  var guardLooks = true
  var tries = 0
  var viewFailures = 0
  /// Code and words of the last one.
  var viewFailure = ""
  var schemaFailures = 0
  /// Its last count was refused; the table has been described since.
  var wasDenied = false
  var refusal: Refusal?
  /// Which rows go into which piece, where the server was asked; nil: halves.
  var pieces: [[Range<Int>]]?
  /// Whether the server was asked for the pieces, and hasn't answered yet.
  var cut = Cut.unasked
  /// The epoch's clock when it was sealed, if the log still knows.
  var sealedWall: Int64?
  /// Bytes of the log before the first of its chunks, at most (``HeldLog``).
  var logBegin: UInt64 = 0
  var ackPosition: LogPosition?
  var isCommitted = false
  /// Something of it was sent in this life.
  var isSent = false

  var isAcked: Bool { ackPosition != nil }

  /// R9: its ack is durable and no attempt of it is open.
  func isSettled(durableEnd: LogPosition) -> Bool { ackPosition.map { $0 < durableEnd } == true && !hasOpenAttempt }

  init(batch: SealedBatch, seal: LogPosition, wasRecovered: Bool, isPiece: Bool) {
    self.batch = batch
    self.seal = seal
    self.wasRecovered = wasRecovered
    self.isPiece = isPiece
  }
}

/// Who asked.
enum ExchangeOwner: Hashable {
  case describe, tableLook, settleTime, settleList, settleKill
  /// R15, of a lineage; with the number of the next batch, as the state has it.
  case greatest(Lineage, nextBatch: BatchNumber)
  case delivery(BatchKey, Delivery.Step)
  case pieces(BatchKey)

  /// Whether a batch or a start goes on with the answer. Looks and probes come again and again, and hide no INSERT that hangs.
  var isAwaited: Bool {
    switch self {
    case .tableLook, .settleTime, .settleList, .settleKill: false
    default: true
    }
  }
}
