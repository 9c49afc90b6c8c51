package import MillFlow
internal import MillBase

/// The newest records of a topic, for a look at them.
package struct TopicSample {
  /// Index: partition; each holds its records in the order of their offsets.
  package var buffers: [RecordBuffer]
  /// Why partitions gave nothing, or not all that was asked for; empty: each was read to its end.
  package var gaps: [String] = []

  package var recordCount: Int { buffers.reduce(0) { $0 + $1.count } }
}

extension KafkaSource {
  /// Reads the newest records of each partition, committed ones only, with a client of its own; no group is joined, nothing is committed.
  /// It ends after `milliseconds`, and with `byteCountMax` bytes, whatever has come by then.
  ///
  /// - Parameters:
  ///   - bounds: index: partition, as ``describe()`` gave them. Where records are aborted or compacted away fewer are found.
  ///   - limits: of the file: what it makes of larger records.
  ///   - recordCountMax: of each partition.
  package func sample(
    _ bounds: [PartitionBounds], limits: RecordLimits?, recordCountMax: Int, byteCountMax: Int = 64 << 20, milliseconds: Int = 10_000
  ) throws(SourceError) -> TopicSample {
    let offsets = bounds.map { $0.stableEnd > $0.low ? max($0.low, $0.stableEnd - Int64(recordCountMax)) : nil }
    let memory = RecordMemory(limits: limits)
    var sample = TopicSample(buffers: zip(offsets, bounds).map { RecordBuffer(nextOffset: $0 ?? $1.low, memory: memory) })
    var open = Set(offsets.indices.filter { offsets[$0] != nil })
    guard !open.isEmpty else { return sample }
    do throws(KafkaFailure) {
      let client = try KafkaClient(.consumer, required: options.anchorSettings(), signals: KafkaSignals(tokens: tokens, log: log))
      let queue = try FetchQueue(client, topic: options.topic, offsets: offsets, readsHeaders: options.readsHeaders)
      var byteCount = 0
      let clock = SystemClock()
      let end = clock.now().monotonicMilliseconds + Int64(milliseconds)
      while !open.isEmpty, byteCount < byteCountMax, clock.now().monotonicMilliseconds < end {
        // Few at a time: what is taken in one go is beyond the bound on bytes.
        _ = queue.take(limit: 16, timeoutMilliseconds: 100) { record in
          let partition = Int(record.partition)
          guard open.contains(partition) else { return }
          // It came after the bounds were asked for, or has an offset that no partition has.
          guard record.offset < bounds[partition].stableEnd else {
            open.remove(partition)
            if record.offset >= offsetMax {
              sample.gaps.append("partition \(partition): a record came with offset \(record.offset), which no partition has")
            }
            return
          }
          guard record.offset >= sample.buffers[partition].nextOffset else { return }
          unsafe sample.buffers[partition].append(
            offset: record.offset, timestamp: record.timestamp, key: record.key, payload: record.payload, headers: record.headers)
          byteCount += unsafe (record.key?.count ?? 0) + (record.payload?.count ?? 0) + (record.headers?.count ?? 0)
          // What was there when the bounds were asked for.
          if record.offset + 1 >= bounds[partition].stableEnd { open.remove(partition) }
        } onEvent: { event in
          switch event {
          case .end(let partition, _): open.remove(Int(partition))
          case .failed(_, let reason) where reason.kind == .unreachable: break
          case .failed(let partition, let reason):
            if open.remove(Int(partition)) != nil { sample.gaps.append("partition \(partition): \(reason.text)") }
          }
        }
      }
      if !open.isEmpty, byteCount < byteCountMax {
        let reason = client.signals.takeAllDown() ?? "not read to their end within \(milliseconds / 1000) s"
        sample.gaps.append("partitions \(open.sorted().prefix(10).map(String.init).joined(separator: ", ")): \(reason)")
      }
    } catch {
      throw .unavailable("topic \(options.topic): \(error.text)")
    }
    return sample
  }
}
