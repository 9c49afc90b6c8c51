internal import MillBase
internal import MillClickHouse
internal import MillLog
internal import MillTestKit
internal import MillVerify

/// What the table has of a batch that was sealed and acked, counted row by row.
private struct Loss: Equatable {
  var missing: UInt64 = 0
  var double: UInt64 = 0
}

extension World {
  /// Runs `verify` over what the world has become, and compares what it says with the truth.
  func judgeByVerify() -> [String] {
    let truth: Loss
    do { truth = try trueLoss() } catch { return ["the log can't be read: \(error)"] }
    let report = Verification(
      VerifyParts(
        disk: disk, pipeline: "sim", stateDirectory: Job.stateDirectory, deadLetterDirectory: Job.deadLetterDirectory,
        checkpointDirectory: Job.checkpointDirectory,
        sources: SourcesOfFile(scenario, sourceFile.now, incarnation: incarnation).topics.sorted { $0.key < $1.key }.map { name, topic in
          VerifySource(name: name, topic: topic, end: SimKafka(topics.all.first { $0.topic == topic } ?? broker))
        },
        sinks: [
          VerifySink(
            name: "events", options: Job.sinkOptions(scenario), transports: [VerifyTransport(server)], rowsAreDistinct: false)
        ], pause: {})
    ).run()
    guard report.lostHistory.isEmpty, report.unproven.isEmpty else {
      return ["verify can't prove it: \(report.lostHistory + report.unproven)"]
    }
    let found = Loss(missing: report.missing, double: report.double)
    if found != truth { return ["verify finds \(found), the table has \(truth)"] }
    if truth != Loss() {
      trace.hit(.lossVerified, "\(truth)")
      if report.isProven { return ["verify calls proven what lacks \(truth)"] }
    }
    return []
  }

  /// Of what the log says is in the table.
  private func trueLoss() throws -> Loss {
    var finished: [Ack: HistoryBatch] = [:]
    var underWay: [Ack: HistoryBatch] = [:]
    var isInLog = false
    let reader = try HistoryReader(disk, stateDirectory: Job.stateDirectory, pipeline: "sim")
    _ = try reader.forEach(fromLog: { isInLog = true }) { entry in
      switch entry {
      case .ack(let ack): if let batch = underWay.removeValue(forKey: ack) { finished[ack] = batch }
      case .retire(let destination, let number, _):
        let parent = Ack(destination: destination, batch: number)
        (underWay[parent], finished[parent]) = (nil, nil)
      case .restart, .epochs, .gap, .seal: break
      }
      for batch in entry.batches where batch.destination == .table {
        let ack = Ack(destination: .table, batch: batch.number)
        if isInLog { underWay[ack] = batch } else { finished[ack] = batch }
      }
    }
    var loss = Loss()
    for batch in finished.values {
      let rows = UInt64(server.table.count(provenance: batch.token))
      if rows < batch.rowCount { loss.missing += batch.rowCount - rows }
      if rows > batch.rowCount { loss.double += rows - batch.rowCount }
    }
    return loss
  }
}

/// `verify` asks when the world stands still: each answer is there at once.
private final class VerifyTransport: Transport, @unchecked Sendable {
  private let server: SimClickHouse
  init(_ server: SimClickHouse) { self.server = server }

  func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
    done(.success(server.answerAtOnce(request)))
  }
}
