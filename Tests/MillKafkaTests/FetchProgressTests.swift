import MillFlow
import MillKafka
import Testing

@Suite struct FetchProgressTests {
  @Test(arguments: [KafkaFailure.Kind.damaged, .positionLost, .unknownTopic])
  func `after damage or a lost position nothing more is taken from that partition, and it is told once`(kind: KafkaFailure.Kind) {
    var progress = FetchProgress([10, 0])
    #expect(progress.admit(0, 10) == .take)
    let notice: SourceNotice =
      kind == .damaged ? .damaged(partition: 0, offset: 11, reason: "why") : .positionLost(partition: 0, offset: 11, reason: "why")
    let failure = FetchEvent.failed(partition: 0, KafkaFailure(kind, "why"))
    #expect(progress.take(failure) == .tell(notice))
    #expect(progress.admit(0, 20) == .discard)
    #expect(progress.take(.end(partition: 0, offset: 30)) == .nothing)
    #expect(progress.take(failure) == .nothing)
    #expect(progress.admit(1, 0) == .take)
    #expect(progress.trouble == nil)
  }

  @Test func `an offset that doesn't rise is damage and stops its partition`() {
    var progress = FetchProgress([5])
    #expect(progress.admit(0, 7) == .take)
    let reason = "a record at offset 7 came where at least 8 must follow"
    #expect(progress.admit(0, 7) == .stop(.damaged(partition: 0, offset: 8, reason: reason)))
    #expect(progress.admit(0, 8) == .discard)
  }

  @Test(arguments: [Int64.max, Int64.max - 1, 1 << 62])
  func `an offset that no partition has stops its partition, and overflows nothing`(offset: Int64) {
    var progress = FetchProgress([5, 5])
    guard case .stop(.damaged(0, 5, let record)) = progress.admit(0, offset) else { return #expect(Bool(false)) }
    #expect(record.contains("offset \(offset), which no partition has"))
    #expect(progress.admit(0, 5) == .discard)
    guard offset > offsetMax else { return }
    guard case .tell(.damaged(1, 5, let end)) = progress.take(.end(partition: 1, offset: offset)) else { return #expect(Bool(false)) }
    #expect(end.contains("ends at \(offset), which is no offset"))
    #expect(progress.admit(1, 5) == .discard)
  }

  @Test(arguments: [Int64.min, -7, -1])
  func `negative offsets are told by name`(offset: Int64) {
    var progress = FetchProgress([5, 5])
    guard case .stop(.damaged(0, 5, _)) = progress.admit(0, offset) else { return #expect(Bool(false)) }
    guard case .tell(.positionLost(1, 5, _)) = progress.take(.end(partition: 1, offset: offset)) else { return #expect(Bool(false)) }
  }

  @Test func `what can't be unpacked stops its partition, behind all that stood before it`() {
    var progress = FetchProgress([5])
    #expect(progress.admit(0, 6) == .take)
    #expect(
      progress.take(.failed(partition: 0, KafkaFailure(.unreadable, "why"))) == .tell(.unreadable(partition: 0, offset: 7, reason: "why")))
    #expect(progress.admit(0, 9) == .discard)
    // It begins further on: what stands between was never visible. Or before where reading began.
    for (base, told) in [(Int64(20), Int64(20)), (3, 8), (.max, offsetMax), (-1, 8)] {
      var progress = FetchProgress([8])
      var failure = KafkaFailure(.unreadable, "why")
      failure.offset = base
      #expect(progress.take(.failed(partition: 0, failure)) == .tell(.unreadable(partition: 0, offset: told, reason: "why")))
    }
  }

  @Test(arguments: [(-7, 10), (0, -1), (10, 3), (.min, .max), (0, .max), (0, 1 << 62 + 1)] as [(Int64, Int64)])
  func `bounds that no partition has are no bounds`(low: Int64, high: Int64) throws {
    let failure = #expect(throws: KafkaFailure.self) { try PartitionBounds.checked(low, high, topic: "t", partition: 3) }
    #expect(failure?.kind == .unreachable)
    #expect(failure?.description.contains("partition 3 of t has the offsets \(low) to \(high)") == true)
  }

  @Test(arguments: [(0, 0), (7, 7), (0, offsetMax)] as [(Int64, Int64)])
  func `bounds that a partition may have are taken as they are`(low: Int64, high: Int64) throws {
    #expect(try PartitionBounds.checked(low, high, topic: "t", partition: 0) == PartitionBounds(low: low, stableEnd: high))
  }

  @Test func `an end moves the position on, one before the position loses it`() {
    var progress = FetchProgress([5])
    #expect(progress.take(.end(partition: 0, offset: 9)) == .advance(partition: 0, to: 9))
    #expect(progress.admit(0, 9) == .take)
    let lost = SourceNotice.positionLost(partition: 0, offset: 10, reason: "the partition ends at 4, before the position")
    #expect(progress.take(.end(partition: 0, offset: 4)) == .tell(lost))
    #expect(progress.admit(0, 10) == .discard)
  }

  @Test func `trouble of a partition ends with its next record, an outage doesn't`() {
    var progress = FetchProgress([0, 0])
    #expect(progress.take(.failed(partition: 1, KafkaFailure(.unreachable, "no rights"))) == .nothing)
    #expect(progress.trouble == "no rights")
    #expect(progress.admit(0, 0) == .take)
    #expect(progress.trouble == "no rights")
    #expect(progress.admit(1, 0) == .take)
    #expect(progress.trouble == nil)
    #expect(progress.take(.failed(partition: -1, KafkaFailure(.unreachable, "all down"))) == .nothing)
    #expect(progress.admit(1, 1) == .take)
    #expect(progress.trouble == "all down")
  }
}
