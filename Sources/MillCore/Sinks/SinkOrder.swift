internal import MillBase
internal import MillLog

/// What a ``SinkMachine`` wants done.
enum SinkOrder {
  case say(Command.Level, String)
  case exchange(UInt64, SinkRequest)
  /// An ack or a deadline, into the log.
  case append(LogRecord)
  /// It waits for something in the log to be durable.
  case sync
  /// R11: the batch gives way. `rows`: which of its rows go into which piece, as runs; nil: its one row becomes a dead letter.
  case retire(SealedBatch, Delivery.Refusal, rows: [[Range<Int>]]?)
  /// The process ends.
  case stop(Stop)
}

/// What a ``SinkMachine`` has to know of what spans destinations.
struct SinkSurroundings {
  var now = Instant(wallMilliseconds: 0, monotonicMilliseconds: 0)
  /// How far the log is durable.
  var durableEnd: LogPosition = 0
  /// Nothing was written or sent yet.
  var isLooking = false
  /// Epochs are replayed or cut.
  var isRunning = false
  var stopRequested = false
  /// A seal or a retire is under way.
  var isSealing = false
  /// A retire may begin now: none is under way, no seal, and no checkpoint stands between.
  var mayRetire = false
}
