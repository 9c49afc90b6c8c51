internal import MillBase
internal import MillClickHouse
package import MillCore
internal import MillFlow
internal import MillLog
internal import MillState

/// Does what the core commands, through the seams. It decides nothing: where something can go two ways, it says so in an event.
///
/// Flow thread only; what runs on lanes captures just what it needs.
package final class Executor {
  let parts: EngineParts
  let lanes: any Lanes
  let say: @Sendable (Command.Level, String) -> Void
  let checkpoints: CheckpointStore
  /// Set while a command of the start runs on the control lane, read by the flow thread after its event.
  let opening = Opening()
  var log: EpochLog? { opening.log }
  var flow: Flow?
  /// The sinks' numbers; index: sink. Known once the state is opened.
  var destinations: [Destination] = []
  /// As ``FlowStart/named``.
  var namedSources: [NamedSource] = []
  /// Index: source, then partition.
  var buffers: [[RecordBuffer]]
  /// Frozen tables until the state lane has written them.
  var frozen: [UInt64: FrozenTable] = [:]
  /// Buckets that epochs have let expire, until the state lane has dropped them.
  var expired: [EpochNumber: [BucketID]] = [:]
  /// What the state lane has flushed, until the flow thread has taken it into its view.
  let flushed = Flushed()
  /// What was sealed and not sent yet, as far as there is room: as much as one batch may take.
  let sealed: SealedChunks
  let encodingMemory = EncodingMemory()
  /// The seal or retire under way.
  var logJob: (any LogJob)?
  /// When the state was frozen at the end of these epochs, by the clock that measures; until their checkpoint is published.
  var freezes: [EpochNumber: Int64] = [:]
  /// Digests of sorted files that this process has published; state lane only.
  let knownDigests = PublishedDigests()
  var epochCut: EpochCut
  /// The buffers'; index: source.
  var recordMemories: [RecordMemory]
  /// Which source is the first to give more than its share.
  var pollTurn = 0
  /// What each source has told last.
  var sourceTroubles: [String?]

  package init(parts: EngineParts, lanes: any Lanes, say: @escaping @Sendable (Command.Level, String) -> Void) {
    self.parts = parts
    self.lanes = lanes
    self.say = say
    checkpoints = CheckpointStore(parts.disk, directory: parts.checkpointDirectory)
    sealed = SealedChunks(byteCountMax: Int(clamping: parts.core.tables.reduce(0) { max($0, $1.batchMaxBytes) }))
    epochCut = EpochCut(parts.sources.map { RowBound($0.plan) }, byteCountMax: parts.core.epochMaxRowBytes)
    buffers = parts.sources.map { _ in [] }
    recordMemories = parts.sources.map { _ in RecordMemory() }
    sourceTroubles = parts.sources.map { _ in nil }
  }

  /// Does one command. Returns the event of an inline one; the others' events come by way of the lanes.
  package func execute(_ command: Command) -> Event? {
    switch command {
    case .open: open()
    case .ask(let source, let request): ask(source, request)
    case .exchange(let sink, let id, let request): exchange(sink, id, request)
    case .beginLog(let records): beginLog(records)
    case .openState(let checkpoint, let start): openState(checkpoint, start)
    case .assign(let source, let offsets): assign(source, offsets)
    case .fetch(let source, let offsets): parts.sources[source].end.assign(offsets)
    case .cut(let intent): return cut(intent)
    case .replay(let intent, let isWhole): return replay(intent, isWhole)
    case .compareSeal(let seal, let isWhole): return compare(seal, isWhole)
    case .seal(let order): seal(order)
    case .retire(let order): retire(order)
    case .resumeSeal: runLogJob()
    case .append(let record): return append(record)
    case .sync: sync()
    case .freeze(let id, let epoch): return freeze(id, epoch)
    case .stateWork(let work): stateWork(work)
    case .publish(let manifest, let name): publish(manifest, name)
    case .removeCheckpoint(let name): removeCheckpoint(name)
    case .truncate(let position): truncate(position)
    case .writeDeadLetters(let batch): writeDeadLetters(batch)
    case .measureDeadLetters: measureDeadLetters()
    case .say(let level, let text): say(level, text)
    case .stop: break
    }
    return nil
  }

  /// Ends all that holds files or locks; after the lanes have come to rest.
  package func close() {
    opening.state?.store.close()
    opening.lock?.release()
  }

  // MARK: - Log

  private func append(_ record: LogRecord) -> Event {
    guard let log else { return .failed(Stop(.failed, "the log is not open")) }
    do throws(LogError) {
      let position = try log.append(record)
      switch record {
      case .ack: FaultPoint.hit(.ackWritten)
      case .deadline: FaultPoint.hit(.deadlineWritten)
      default: break
      }
      return .appended(position, end: log.end)
    } catch {
      return Self.event(of: error, .append)
    }
  }

  private func sync() {
    guard let log else { return }
    lanes.run(.log) {
      do throws(LogError) {
        return .synced(durableEnd: try log.sync())
      } catch {
        return Self.event(of: error, .append)
      }
    }
  }

  private func truncate(_ position: LogPosition) {
    guard let log, let ledger = opening.ledger else { return }
    lanes.run(.control) {
      do throws(LogError) {
        return .truncated(count: try log.truncate(before: position, into: ledger))
      } catch .outOfSpace {
        // The next checkpoint truncates.
        return .truncated(count: 0)
      } catch {
        return Self.event(of: error, .append)
      }
    }
  }

  static func event(of error: LogError, _ work: SpaceWork) -> Event {
    switch error {
    case .outOfSpace(let path): return .outOfSpace(work, place: path)
    case .corrupt(let path, let position, let why):
      Reach.mark(.r5CorruptBeforeVouched)
      return .failed(
        Stop(
          .promise, rule: "R5",
          "\(path): record \(position) of the epoch log is damaged (\(why)), and it is known to have been durable. Restore the state directory from a copy, or go on from what is before it with --new-lineage, which may double rows"
        ))
    case .otherPipeline(let path, _, _):
      return .failed(
        Stop(.promise, rule: "R17", "\(path) belongs to another pipeline than this file's: give each pipeline a state.path of its own"))
    case .newerVersion(let path, let found, let supported):
      return .failed(
        Stop(.promise, rule: "R5", "\(path) has format \(found), this program reads up to \(supported): use the newer program"))
    case .poisoned(let reason):
      Reach.mark(.r5SyncFailed)
      return .failed(Stop(.failed, rule: "R5", "the disk did not keep the epoch log (\(reason)): look after the disk, then start again"))
    case .disk, .recordTooLarge, .noChunk: return .failed(Stop(.failed, rule: "R5", "the epoch log: \(error)"))
    }
  }

  static func event(of error: CheckpointError, _ work: SpaceWork) -> Event {
    switch error {
    case .outOfSpace(let path): .outOfSpace(work, place: path)
    case .disk(let error): event(of: error, work)
    case .published(let path): .failed(Stop(.failed, rule: "R14", "\(path) is there already: two processes use one checkpoint directory"))
    case .changed: .failed(stop(of: RunStoreError.corrupt("\(error)")))
    case .unusablePath(let path, let why): .failed(Stop(.failed, rule: "R14", "checkpoint file \(path): \(why)"))
    }
  }

  static func event(of error: DiskError, _ work: SpaceWork) -> Event {
    if case .outOfSpace(let path) = error { return .outOfSpace(work, place: path) }
    if case .locked(let path, let holder) = error {
      return .failed(Stop(.inUse, rule: "R19", "another instance holds the state directory (\(path)): \(holder)"))
    }
    return .failed(Stop(.failed, "\(error)"))
  }
}
