internal import MillBase
internal import MillClickHouse
internal import MillCore
internal import MillLog

/// Requests to the table's server, and the dead letters' files.
extension Executor {
  /// The batch's bytes are read back from the log on the delivery lane, but for those sealed just before: batches that wait take no memory.
  func exchange(_ index: Int, _ id: UInt64, _ request: SinkRequest) {
    let sink = parts.sinks[index]
    let lanes = lanes
    let (log, sealed) = (log, sealed)
    let (clock, metrics) = (parts.clock, parts.metrics)
    lanes.run(.delivery) {
      var chunks: [[UInt8]] = []
      if let batch = Self.batch(of: request) {
        guard let log else { return .failed(Stop(.failed, "a batch was to be sent before the log was open")) }
        do throws(LogError) {
          if let kept = sealed.take(batch) {
            Reach.mark(.r2SentFromMemory)
            chunks = kept
          } else {
            Reach.mark(.r2ReadFromLog)
            for position in batch.chunks.dropLast(Int(batch.originChunkCount)) { chunks.append(try log.readChunk(position)) }
          }
        } catch {
          return Executor.event(of: error, .append)
        }
        if case .pieces = request {} else { FaultPoint.hit(.beforeInsert) }
      }
      let (start, byteCount) = (clock.nanoseconds(), chunks.reduce(0) { $0 + Int64($1.count) })
      metrics.sendingByteCount.add(byteCount)
      sink.perform(request, body: { chunks }) { answer in
        metrics.sendingByteCount.add(-byteCount)
        metrics.answered(request, answer, nanoseconds: clock.nanoseconds() - start)
        if answer == .committed { FaultPoint.hit(.afterInsertBeforeAck) }
        lanes.post(.sink(index, exchange: id, answer))
      }
      return nil
    }
  }

  private static func batch(of request: SinkRequest) -> SealedBatch? {
    switch request {
    case .insert(let batch, _, _, _), .guardedInsert(let batch, _, _, _, _), .pieces(let batch, _): batch
    default: nil
    }
  }

  /// R12: one file a batch, written aside, synced, renamed, its directory synced; another delivery writes the same bytes to the same name.
  func writeDeadLetters(_ batch: SealedBatch) {
    guard let log else { return }
    let disk = parts.disk
    let path = "\(parts.deadLetterDirectory)/\(parts.core.pipeline)-\(batch.token).jsonl"
    lanes.run(.delivery) {
      do {
        var chunks: [[UInt8]] = []
        for position in batch.chunks { chunks.append(try log.readChunk(position)) }
        let lines = try Frames.decode(chunks)
        var byteCount = 0
        if disk.exists(path) {
          guard try disk.read(path) == lines else {
            return .failed(
              Stop(.promise, rule: "R12", "\(path) is there with other content than batch \(batch.token): move it away and start again"))
          }
          // It may stem from a life that ended before its name was durable.
          try disk.syncFile(path)
          try disk.syncDirectory(parentDirectory(of: path))
        } else {
          try disk.writeDurably(
            lines, to: path, faults: DurableWriteFaults(torn: .letterTorn, written: .letterWritten, renamed: .letterRenamed))
          byteCount = lines.count
        }
        FaultPoint.hit(.letterDurable)
        return .deadLettersWritten(batch.key, byteCount: byteCount)
      } catch let error as DiskError {
        return Executor.event(of: error, .deadLetters)
      } catch let error as LogError {
        return Executor.event(of: error, .deadLetters)
      } catch {
        return .failed(Stop(.promise, rule: "R12", "the bytes of dead letters \(batch.token) in the log: \(error)"))
      }
    }
  }

  /// Other pipelines may have files in the same directory: their names begin with other letters.
  func measureDeadLetters() {
    let (disk, directory, prefix) = (parts.disk, parts.deadLetterDirectory, "\(parts.core.pipeline)-mr-")
    // Behind it the lineage, 16 digits, and the destination: other pipelines' names may go on from this one's.
    @Sendable func isOurs(_ name: String) -> Bool {
      name.hasPrefix(prefix) && name.dropFirst(prefix.count + 16).hasPrefix("-\(deadLettersTokenName)-")
    }
    lanes.run(.delivery) {
      var byteCount: UInt64 = 0
      if disk.exists(directory) {
        do throws(DiskError) {
          for name in try disk.list(directory) where isOurs(name) {
            do throws(DiskError) {
              byteCount += UInt64(try disk.byteCount("\(directory)/\(name)"))
            } catch .notFound {
              // Somebody has removed it meanwhile.
            }
          }
        } catch {
          return Executor.event(of: error, .deadLetters)
        }
      }
      return .deadLettersMeasured(byteCount: byteCount, directory: directory)
    }
  }
}
