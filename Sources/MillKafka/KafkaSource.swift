package import MillFlow
internal import Glibc
internal import Synchronization

/// One topic of Kafka, read through librdkafka under `assign` with read_committed and offsets of our own.
///
/// Two clients: one that only asks (control lane, one call at a time, each bounded in time), and one that fetches, made anew by
/// every ``assign(_:)`` so that nothing of an older assignment can come out of it; librdkafka also goes on after damage, which a
/// new client ends. ``poll(into:limit:)`` belongs to one thread.
package final class KafkaSource: Source, @unchecked Sendable {
  /// How long a control call may wait for brokers, per question.
  package static let timeoutMilliseconds = 8000

  let options: KafkaOptions
  let tokens: TokenCache?
  let log: KafkaLog
  private let control: KafkaClient
  private let controlLane = Mutex(())
  /// Asks where partitions end beyond open transactions; made when first needed. Control lane only.
  private var uncommitted: KafkaClient?
  private let assignment = Mutex(Assignment())
  /// The polling thread's own: what was last told of brokers; nil: they are there.
  private var reportedTrouble: String?

  private struct Assignment {
    var offsets: [Int64?]?
    var session: FetchSession?
    var whenFetched: (@Sendable () -> Void)?
  }

  /// Checks the properties; brokers needn't answer yet. `tokens`: what is shown under SASL OAUTHBEARER.
  ///
  /// - Throws: ``SourceError/refused(_:)`` for a property that librdkafka doesn't take, naming it (never a secret value).
  package init(_ options: KafkaOptions, tokens: TokenCache? = nil, log: @escaping KafkaLog) throws(SourceError) {
    self.options = options
    self.tokens = tokens
    self.log = log
    do {
      control = try KafkaClient(
        .consumer, required: options.consumerSettings(), optional: KafkaOptions.optionalSettings,
        signals: KafkaSignals(tokens: tokens, log: log))
    } catch { throw .refused("topic \(options.topic): \(error.text)") }
  }

  /// Checks the properties and reads the files that they name, without a connection: a client of no brokers is made for a moment.
  ///
  /// - Throws: ``SourceError/refused(_:)``, as ``init(_:tokens:log:)`` does.
  package static func check(_ options: KafkaOptions) throws(SourceError) {
    do {
      let settings = try options.consumerSettings().filter { $0.name != "bootstrap.servers" }
      _ = try KafkaClient(.consumer, required: settings, optional: KafkaOptions.optionalSettings, signals: KafkaSignals { _, _ in })
    } catch { throw .refused("topic \(options.topic): \(error.text)") }
  }

  // MARK: Control lane

  package func describe() throws(SourceError) -> TopicDescription {
    try ask(needs: .describeTopic) { client throws(KafkaFailure) in
      let count = try client.partitionCount(of: options.topic, timeoutMilliseconds: Self.timeoutMilliseconds)
      let cluster = try client.clusterID(timeoutMilliseconds: Self.timeoutMilliseconds)
      return TopicDescription(
        clusterID: cluster, topicID: nil, partitions: try bounds(client, count, wantsHigh: true), isCompacted: try isCompacted(client))
    }
  }

  package func resolve(_ start: StartPosition, partitionCount: Int) throws(SourceError) -> [Int64] {
    try ask(needs: .describeTopic) { client throws(KafkaFailure) in
      let bounds = try bounds(client, partitionCount, wantsHigh: false)
      switch start {
      case .earliest: return bounds.map(\.low)
      case .latest: return bounds.map(\.stableEnd)
      case .timestamp(let milliseconds):
        let found = try client.offsets(
          options.topic, count: partitionCount, milliseconds: milliseconds, timeoutMilliseconds: Self.timeoutMilliseconds)
        return zip(found, bounds).map { $0 ?? $1.stableEnd }
      case .offsets(let wanted):
        for (partition, offset) in wanted.sorted(by: { $0.key < $1.key }) {
          guard bounds.indices.contains(Int(partition)) else {
            throw KafkaFailure(.rejected, "start offset for partition \(partition): there are partitions 0 to \(partitionCount - 1)")
          }
          let kept = bounds[Int(partition)]
          guard kept.low...max(kept.low, kept.stableEnd) ~= offset else {
            throw KafkaFailure(
              .rejected, "start offset \(offset) of partition \(partition): must be from \(kept.low) to \(kept.stableEnd)")
          }
        }
        return bounds.indices.map { wanted[Int32($0)] ?? bounds[$0].low }
      }
    }
  }

  package func anchor(partition: Int32, offset: Int64) throws(SourceError) -> Anchor? {
    try ask(needs: .readTopic) { client throws(KafkaFailure) in
      let count = try client.partitionCount(of: options.topic, timeoutMilliseconds: Self.timeoutMilliseconds)
      guard partition >= 0, partition < count else { return nil }
      let kept = try client.bounds(options.topic, partition: partition, timeoutMilliseconds: Self.timeoutMilliseconds)
      guard kept.low <= offset, offset < kept.stableEnd else { return nil }
      return try readAnchor(partition, offset)
    }
  }

  package func readWitness() throws(SourceError) -> String? {
    try ask(needs: .readGroup) { client throws(KafkaFailure) in
      try client.committedMetadata(options.topic, partition: 0, timeoutMilliseconds: Self.timeoutMilliseconds)
    }
  }

  package func commitWitness(_ witness: String, offsets: [Int64]) throws(SourceError) {
    try ask(needs: .readGroup) { client throws(KafkaFailure) in
      try client.commit(options.topic, offsets: offsets, metadata: witness, timeoutMilliseconds: Self.timeoutMilliseconds)
    }
  }

  /// `wantsHigh`: also where partitions end beyond open transactions.
  private func bounds(_ client: KafkaClient, _ count: Int, wantsHigh: Bool) throws(KafkaFailure) -> [PartitionBounds] {
    let fetching = assignment.withLock { $0.session }?.client
    var bounds: [PartitionBounds] = []
    for partition in 0..<Int32(count) {
      var found = try client.bounds(options.topic, partition: partition, timeoutMilliseconds: Self.timeoutMilliseconds)
      // A client that reads committed records only is told the last stable offset. Its fetches tell the end beyond that too, but maybe an
      // old one; as a rule there is none.
      let end = wantsHigh ? fetching?.fetchedEnd(options.topic, partition: partition) : found.stableEnd
      if end.map({ $0 > found.stableEnd }) ?? true {
        if uncommitted == nil { uncommitted = try uncommittedClient() }
        let asked = try uncommitted?.bounds(options.topic, partition: partition, timeoutMilliseconds: Self.timeoutMilliseconds)
        found.high = max(asked?.stableEnd ?? 0, found.stableEnd)
      }
      bounds.append(found)
    }
    return bounds
  }

  /// One that only asks where partitions end; it reads nothing.
  private func uncommittedClient() throws(KafkaFailure) -> KafkaClient {
    let settings = try options.consumerSettings().filter { $0.name != "isolation.level" } + [("isolation.level", "read_uncommitted")]
    return try KafkaClient(
      .consumer, required: settings, optional: KafkaOptions.optionalSettings, signals: KafkaSignals(tokens: tokens, log: log))
  }

  /// Reads with a client of its own, so that the poll isn't disturbed and nothing else can come out of its queue.
  func readAnchor(_ partition: Int32, _ offset: Int64) throws(KafkaFailure) -> Anchor? {
    var found: Anchor?
    let event = try first(in: partition, from: offset, signals: KafkaSignals(tokens: tokens, log: log)) { record in
      // A record further on: what stood here was never visible, or isn't any more.
      guard record.offset == offset else { return }
      let checksum = unsafe Anchor.checksum(key: record.key, payload: record.payload)
      found = Anchor(offset: offset, timestamp: record.timestamp, checksum: checksum)
    }
    if case .failed(_, let failure) = event, failure.kind != .positionLost { throw failure }
    return found
  }

  /// What a client of its own is given first from `offset` on: nil: a record, which `onRecord` gets.
  func first(
    in partition: Int32, from offset: Int64, signals: KafkaSignals, settings: [KafkaOptions.Setting] = [],
    onRecord: (borrowing FetchedRecord) -> Void
  ) throws(KafkaFailure) -> FetchEvent? {
    let client = try KafkaClient(.consumer, required: options.anchorSettings() + settings, signals: signals)
    var offsets = [Int64?](repeating: nil, count: Int(partition) + 1)
    offsets[Int(partition)] = offset
    let queue = try FetchQueue(client, topic: options.topic, offsets: offsets, readsHeaders: false)
    var isDone = false
    var found: FetchEvent?
    var waits = 0
    while !isDone {
      guard waits < Self.timeoutMilliseconds / 100 else {
        let reason = client.signals.takeAllDown() ?? "no answer in \(Self.timeoutMilliseconds) ms"
        throw KafkaFailure(.unreachable, "reading offset \(offset) of partition \(partition): \(reason)")
      }
      waits += 1
      _ = queue.take(limit: 1, timeoutMilliseconds: 100) { record in
        if !isDone { onRecord(record) }
        isDone = true
      } onEvent: { event in
        if case .failed(_, let reason) = event, reason.kind == .unreachable || isDone { return }
        isDone = true
        found = event
      }
    }
    return found
  }

  /// One control call at a time, its failure in the seam's words. `needs`: the right that it can lack.
  func ask<R>(needs right: KafkaRight, _ body: (KafkaClient) throws(KafkaFailure) -> R) throws(SourceError) -> R {
    let result: Result<R, KafkaFailure> = controlLane.withLock { _ in
      control.serve(timeoutMilliseconds: 0)
      do throws(KafkaFailure) { return .success(try body(control)) } catch {
        control.serve(timeoutMilliseconds: 0)
        var failure = error
        if failure.isBare, let reason = control.signals.lastReason { failure.text = reason }
        // A coordinator that may not be asked shows as a time-out.
        if failure.kind == .unreachable, failure.text.contains("authorization failed") { failure.kind = .denied }
        return .failure(failure)
      }
    }
    switch result {
    case .success(let value): return value
    case .failure(let failure):
      switch failure.kind {
      case .unknownTopic: throw .topicMissing(topic: options.topic, nearest: nearestTopic(control))
      case .denied: throw .unavailable("\(failure.text): \(lack(of: right))")
      case .rejected, .unsupported: throw .refused("topic \(options.topic): \(failure.text)")
      case .unreachable, .positionLost, .damaged, .unreadable, .exists, .queueFull:
        throw .unavailable("topic \(options.topic): \(failure.text)")
      }
    }
  }

  // MARK: Fetching

  package func assign(_ offsets: [Int64?]) {
    // The old session ends outside of the lock: that joins librdkafka's threads.
    let old = assignment.withLock {
      let old = $0.session
      ($0.offsets, $0.session) = (offsets, nil)
      return old
    }
    _ = consume old
    // Fetching begins at once; where the client can't be made, the poll tries again and tells.
    _ = currentSession()
  }

  package func whenFetched(_ tell: @escaping @Sendable () -> Void) { assignment.withLock { $0.whenFetched = tell } }

  package func poll(into buffers: [RecordBuffer], limit: Int) -> [SourceNotice] {
    precondition(limit > 0, "poll limit \(limit): must be at least 1")
    switch currentSession() {
    case .failure(let failure): return availability(of: failure.text)
    case .success(let session):
      var notices = session.poll(into: buffers, limit: limit, afterOutage: reportedTrouble != nil)
      // A new session's silence doesn't end an outage.
      if session.trouble != nil || session.hasHeard { notices += availability(of: session.trouble) }
      return notices
    }
  }

  package func fetchedEnd(partition: Int32) -> Int64? {
    assignment.withLock { $0.session?.client }?.fetchedEnd(options.topic, partition: partition)
  }

  package var prefetchedCount: Int { assignment.withLock { $0.session?.waitingCount ?? 0 } }

  /// Tells brokers' state when it isn't the one told last.
  private func availability(of trouble: String?) -> [SourceNotice] {
    guard trouble != reportedTrouble else { return [] }
    reportedTrouble = trouble
    return [trouble.map { .unavailable("topic \(options.topic): \($0)") } ?? .available]
  }

  private func currentSession() -> Result<FetchSession, KafkaFailure> {
    assignment.withLock {
      guard let offsets = $0.offsets else { preconditionFailure("poll before assign") }
      if let session = $0.session { return .success(session) }
      do throws(KafkaFailure) {
        let client = try KafkaClient(
          .consumer, required: options.consumerSettings(), optional: KafkaOptions.optionalSettings,
          signals: KafkaSignals(tokens: tokens, log: log))
        let session = FetchSession(
          try FetchQueue(
            client, topic: options.topic, offsets: offsets, readsHeaders: options.readsHeaders, whenFilled: $0.whenFetched),
          offsets: offsets, patienceMaxMilliseconds: options.outagePatienceMilliseconds)
        $0.session = session
        return .success(session)
      } catch { return .failure(error) }
    }
  }
}
