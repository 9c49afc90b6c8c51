import MillBase
import MillCore
import MillEngine
import Synchronization
import Testing

@Suite struct LaneTests {
  @Test func `jobs of one lane run one at a time in the order given, and each hands in its event`() {
    let lanes = ThreadLanes(sourceCount: 1)
    let seen = Mutex<[Int]>([])
    for number in 0..<200 {
      lanes.run(.state) {
        seen.withLock { $0.append(number) }
        return .truncated(count: number)
      }
    }
    var events: [Int] = []
    while events.count < 200 {
      for event in lanes.events.takeAll(waitingMilliseconds: 10_000) {
        if case .truncated(let number) = event { events.append(number) }
      }
    }
    #expect(events == Array(0..<200))
    #expect(seen.withLock { $0 } == Array(0..<200))
    lanes.close()
  }

  @Test func `a lane that is busy holds up no other`() {
    let lanes = ThreadLanes(sourceCount: 1)
    let gate = BlockingQueue<Int>()
    lanes.run(.log) {
      _ = gate.takeAll(waitingMilliseconds: nil)
      return .truncated(count: 1)
    }
    lanes.run(.delivery) { .truncated(count: 2) }
    var order: [Int] = []
    while order.count < 2 {
      for event in lanes.events.takeAll(waitingMilliseconds: 10_000) {
        if case .truncated(let number) = event { order.append(number) }
        gate.put(0)
      }
    }
    #expect(order == [2, 1])
    lanes.close()
  }

  @Test func `closing lets every job that was given come to its end`() {
    let lanes = ThreadLanes(sourceCount: 1)
    let done = Mutex(0)
    for _ in 0..<50 {
      lanes.run(.control) {
        done.withLock { $0 += 1 }
        return nil
      }
    }
    lanes.close()
    #expect(done.withLock { $0 } == 50)
  }
}
