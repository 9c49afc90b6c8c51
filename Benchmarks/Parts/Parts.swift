import Glibc
import MillBase
import MillClickHouse
import MillConfig
import MillCore
import MillFlow
import MillKafka
import MillLog
import MillState

/// The parts of the engine's way, each run alone on what the one before has made. One thread, but for the libraries' own.
final class Parts {
  private let pipeline: Pipeline
  private let events: Int
  /// Some of the topic's records, and their rows.
  private let sample = RecordBuffer(nextOffset: 0)
  private let rows: DecodedRows
  private let batch: RowBlock
  private var chunks: [[UInt8]] = []

  private static let sampleCount = 65_536
  private static let pieceCount = 4096

  init(_ pipeline: Pipeline, events: Int) {
    self.pipeline = pipeline
    self.events = events
    rows = DecodedRows(pipeline.sources[0].plan)
    batch = RowBlock(pipeline.sources[0].plan.types)
  }

  /// CPU nanoseconds of the process so far, all threads.
  private static func cpuNanoseconds() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }

  /// Nanoseconds an event of `body`, which says how many it has handled.
  private func measure(_ body: () -> Int) -> Double {
    let start = Self.cpuNanoseconds()
    let count = body()
    return (Self.cpuNanoseconds() - start) / Double(max(count, 1))
  }

  /// Takes the topic's first records out of librdkafka into record buffers, as the flow thread does; its own threads count too.
  func librdkafka() -> Double {
    let options = KafkaOptions(
      brokers: pipeline.sources[0].kafka.brokers, topic: pipeline.sources[0].plan.topic, group: "millrace-parts",
      properties: pipeline.sources[0].kafka.properties.mapValues(\.revealed), prefetchByteCount: pipeline.prefetchByteCount,
      readsHeaders: pipeline.sources[0].plan.readsHeaders)
    do throws(SourceError) {
      let source = try KafkaSource(options) { _, _ in }
      let topic = try source.describe()
      let buffers = topic.partitions.map { RecordBuffer(nextOffset: $0.low) }
      return measure {
        source.assign(topic.partitions.map(\.low))
        var count = 0
        while count < events {
          _ = source.poll(into: buffers, limit: Self.sampleCount)
          if buffers.allSatisfy({ $0.count == 0 }) { usleep(5000) }
          for buffer in buffers {
            if sample.count < Self.sampleCount { copySample(buffer) }
            count += buffer.count
            buffer.consume(buffer.count)
          }
        }
        return count
      }
    } catch { fail("Kafka: \(error)") }
  }

  private func copySample(_ buffer: RecordBuffer) {
    for entry in buffer.entries[buffer.head...] where sample.count < Self.sampleCount && entry.payloadByteCount >= 0 {
      let payload = unsafe UnsafeRawBufferPointer(start: buffer.bytes + entry.payloadStart, count: Int(entry.payloadByteCount))
      unsafe sample.append(
        offset: sample.nextOffset, timestamp: entry.timestamp, key: nil, payload: payload, headers: nil)
    }
  }

  /// JSON to columns.
  func scanner() -> Double {
    let decoder = RecordDecoder(plan: pipeline.sources[0].plan)
    var failures: [DecodeFailure] = []
    let rounds = max(1, events / max(sample.count, 1))
    let cost = measure {
      for _ in 0..<rounds {
        for start in stride(from: 0, to: sample.count, by: Self.pieceCount) {
          rows.removeAll()
          decoder.decode(
            sample, skipping: start, first: min(Self.pieceCount, sample.count - start), partition: 0, into: rows, failures: &failures)
          failures.removeAll(keepingCapacity: true)
        }
      }
      return rounds * sample.count
    }
    // The last piece is what the next parts work on.
    while batch.rowCount < min(pipeline.sinks[0].batchRowCountMax, 500_000) { batch.append(rows.block) }
    return cost
  }

  /// Hashing keys, looking them up, writing them to RocksDB; all are new. Without checkpoints.
  func deduplication() -> Double {
    guard let plan = pipeline.deduplicate else { return 0 }
    let directory = pipeline.state.directory + "-parts"
    let disk = RealDisk()
    defer { try? disk.removeTree(directory) }
    let options = DeduplicateOptions(
      stateNumber: 1, withinMilliseconds: plan.withinMilliseconds, allowedLatenessMilliseconds: plan.allowedLatenessMilliseconds,
      memoryByteCount: pipeline.state.memoryByteCount)
    do {
      let cache = DeduplicateOptions.cacheByteCount(memoryByteCount: options.memoryByteCount)
      try disk.createDirectory(directory)
      let store = try RocksDBStoreOpener(cacheByteCount: cache).open(directory + "/store")
      defer { store.close() }
      let lane = DeduplicateLane(options: options, store: store, disk: disk)
      let state = DeduplicateState(options: options, store: store, filters: lane.filters)
      let hasher = KeyHasher(fieldIndexes: plan.key, types: pipeline.sources[0].plan.types, seed: Digest128(low: 1, high: 2))
      var failure: RunStoreError?
      let cost = measure {
        var count = 0
        do throws(RunStoreError) {
          while count < events { count += try takePiece(hasher, state, lane, from: count) }
        } catch { failure = error }
        return count
      }
      if let failure { throw failure }
      return cost
    } catch { fail("state: \(error)") }
  }

  private func takePiece(
    _ hasher: KeyHasher, _ state: DeduplicateState, _ lane: DeduplicateLane, from number: Int
  ) throws(RunStoreError) -> Int {
    let count = rows.rowCount
    var hashes: [Digest128] = []
    hasher.hash(rows.block, into: &hashes)
    // The same rows again and again: their numbers make the keys new.
    for row in 0..<count {
      hashes[row].low ^= UInt64(number) &* 0x9E37_79B9_7F4A_7C15
      hashes[row].high ^= UInt64(number) &* 0xC2B2_AE3D_27D4_EB4F
    }
    var keep = [UInt8](repeating: 1, count: count)
    _ = try state.deduplicate(
      hashes: hashes, times: Array(repeating: 1_700_000_000_000, count: count), partitions: Array(repeating: 0, count: count),
      offsets: (0..<count).map { Int64(number + $0) }, keep: &keep)
    if state.needsFreeze { state.release(try lane.flush(state.freeze(epoch: EpochNumber(number))))() }
    return count
  }

  /// Columns to a Native block in compressed frames.
  func encoder() -> Double {
    let (sink, _) = connected()
    guard let encoder = sink.chosen?.encoder else { fail("the table doesn't fit the pipeline") }
    let rounds = max(1, events / batch.rowCount)
    return measure {
      for _ in 0..<rounds { chunks = encoder.freeze(encoder.encode(batch, rows: 0..<batch.rowCount), token: "millrace-parts") }
      return rounds * batch.rowCount
    }
  }

  /// Frames to ClickHouse.
  func post() -> Double {
    let (sink, transport) = connected()
    guard let encoder = sink.chosen?.encoder else { fail("the table doesn't fit the pipeline") }
    let columns = encoder.batchColumns.map { "`\($0.name)`" }.joined(separator: ",")
    let statement = "INSERT INTO \(sink.options.table) (\(columns)) FORMAT Native"
    let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    let query = statement.utf8.map { allowed.contains($0) ? String(Unicode.Scalar($0)) : "%" + hex($0) }.joined()
    let body = chunks.flatMap { $0 }
    let request = HTTPRequest(target: "/?query=\(query)&decompress=1", body: body, timeoutMilliseconds: 60_000)
    let rounds = max(1, events / batch.rowCount)
    return measure {
      for _ in 0..<rounds {
        switch answer({ transport.send(request, done: $0) }) {
        case .success(let response) where response.status == 200: break
        case .success(let response): fail("ClickHouse: \(String(decoding: response.body.prefix(300), as: UTF8.self))")
        case .failure(let error): fail("ClickHouse: \(error.reason)")
        }
      }
      return rounds * batch.rowCount
    }
  }

  private func hex(_ byte: UInt8) -> String { String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }

  /// The sink of the pipeline, its table described.
  private func connected() -> (ClickHouseSink, CurlTransport) {
    let settings = pipeline.sinks[0]
    let tls = TLSFiles(authorities: settings.tls.authorities, certificate: settings.tls.certificate, key: settings.tls.key)
    let transports = settings.urls.map { CurlTransport(TransportOptions(url: $0, tls: tls)) }
    let options = SinkOptions(
      urls: settings.urls, user: settings.user, password: settings.password.revealed,
      table: TableName(database: settings.database, table: settings.table), provenanceColumn: settings.provenanceColumn,
      delivery: .atLeastOnce)
    let fields = pipeline.sources[0].plan.fields.enumerated().map { index, field in
      SinkField(field: field.name, columns: settings.columns(of: index), type: field.type)
    }
    let sink = ClickHouseSink(options: options, fields: fields, transports: transports, clock: SystemClock())
    let found: SinkAnswer = answer { sink.perform(.describe(pending: []), body: { [] }, done: $0) }
    guard case .described = found else { fail("ClickHouse: \(found)") }
    return (sink, transports[0])
  }

  /// Waits for what a callback is given.
  private func answer<T: Sendable>(_ ask: (@escaping @Sendable (T) -> Void) -> Void) -> T {
    let queue = BlockingQueue<T>()
    ask { queue.put($0) }
    while true {
      if let first = queue.takeAll(waitingMilliseconds: nil).first { return first }
    }
  }
}
