internal import MillBase
internal import MillCore
internal import MillFlow
internal import MillLog

/// How one source's records become rows: its decoders, the rows that were decoded last, how far its event time has come. Flow thread only.
final class SourceFlow {
  /// What the rules of one plan need while records are read.
  struct Rules {
    let plan: SourcePlan
    let decoder: RecordDecoder
    let pieceRoom: PieceRoom

    init(_ plan: SourcePlan) {
      self.plan = plan
      decoder = RecordDecoder(plan: plan)
      pieceRoom = PieceRoom(plan)
    }
  }

  /// Which of the file's sources.
  let index: Int
  let number: SourceNumber
  /// Today's.
  let plan: SourcePlan
  /// Of today's plan, and of those that epochs to be replayed were recorded under, by their hash.
  private let rules: Rules
  private let earlierRules: [UInt64: Rules]
  let letters: DeadLetterEncoder
  let decoded: DecodedRows
  var watermarks: WatermarkTracker
  /// Every partition is idle in this epoch.
  private(set) var isIdle = false

  init(_ index: Int, _ parts: EngineParts, _ start: FlowStart.Source) {
    self.index = index
    number = start.number
    plan = parts.sources[index].plan
    rules = Rules(plan)
    earlierRules = parts.earlierRules.mapValues { Rules($0.sourcePlans[index]) }
    letters = DeadLetterEncoder(pipeline: parts.core.pipeline, source: plan.name, topic: plan.topic)
    decoded = DecodedRows(plan)
    watermarks = WatermarkTracker(
      outOfOrderness: plan.eventTime?.outOfOrderness, maxEventTimes: start.maxEventTimes, watermark: start.watermark)
  }

  func rules(_ planHash: UInt64) -> Rules { earlierRules[planHash] ?? rules }

  func origin(_ partition: Int32) -> Int32 { Slot(number, partition).rawValue }

  /// Moves the watermark to that of this epoch's start.
  func advance(_ part: IntentPart?, clockMilliseconds: Int64) {
    let count = part?.partitionCount ?? 0
    watermarks.grow(partitionCount: count)
    // In a replay the topic may have partitions by now that the epoch didn't know: they had no say then.
    let idle = watermarks.maxEventTimes.indices.map { $0 >= count || part?.idle.contains(Int32($0)) == true }
    isIdle = idle.allSatisfy(\.self)
    watermarks.advance(idle: idle, clockMilliseconds: clockMilliseconds)
  }
}
