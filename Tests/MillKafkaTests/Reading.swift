import Foundation
import MillFlow
import MillKafka

/// One assignment of a source, polled by a test.
final class Reading {
  let source: KafkaSource
  private(set) var buffers: [RecordBuffer] = []
  private(set) var notices: [SourceNotice] = []

  init(_ source: KafkaSource, from offsets: [Int64]) {
    self.source = source
    assign(offsets)
  }

  func assign(_ offsets: [Int64]) {
    source.assign(offsets)
    buffers = offsets.map { RecordBuffer(nextOffset: $0) }
  }

  var recordCount: Int { buffers.reduce(0) { $0 + $1.count } }

  /// Polls until `done` or, so that a test can't hang, for about `seconds`; true when done.
  func poll(limit: Int = 10_000, seconds: Int = 30, until done: () -> Bool) -> Bool {
    for _ in 0..<(seconds * 200) {
      if done() { return true }
      let before = (recordCount, notices.count)
      notices += source.poll(into: buffers, limit: limit)
      if before == (recordCount, notices.count) { usleep(5000) }
    }
    return done()
  }

  func poll(untilRecords count: Int) -> Bool { poll { recordCount >= count } }

  func payloads(_ partition: Int) -> [String] {
    let buffer = buffers[partition]
    return buffer.entries[buffer.head...].map { entry in
      unsafe String(
        decoding: UnsafeRawBufferPointer(
          start: buffer.bytes + entry.payloadStart, count: Int(max(entry.payloadByteCount, 0))), as: UTF8.self)
    }
  }

  func offsets(_ partition: Int) -> [Int64] { buffers[partition].entries[buffers[partition].head...].map(\.offset) }
}

extension KafkaSource {
  convenience init(_ address: String, _ topic: String, group: String = "millrace-test") throws {
    try self.init(KafkaOptions(brokers: address, topic: topic, group: group)) { _, _ in }
  }
}

extension TopicWriter {
  convenience init(_ address: String, _ topic: String, transactionalID: String? = nil) throws {
    var options = Options(brokers: address, topic: topic)
    options.transactionalID = transactionalID
    try self.init(options)
  }

  /// Writes `count` records, their payloads `prefix` and a number, to one partition.
  func write(_ count: Int, to partition: Int32, prefix: String, timestamp: Int64? = nil) throws {
    for number in 0..<count {
      try produce(
        partition: partition, key: Array("k\(number)".utf8), payload: Array("\(prefix)\(number)".utf8),
        timestamp: timestamp.map { $0 + Int64(number) })
    }
  }
}
