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
