import MillBase
import Testing

@Suite struct BlockingQueueTests {
  @Test func `a nudge ends one wait, also one that begins after it`() {
    let queue = BlockingQueue<Int>()
    queue.nudge()
    #expect(queue.takeAll(waitingMilliseconds: nil) == [])
    let nudging = NamedThread("nudge") { queue.nudge() }
    #expect(queue.takeAll(waitingMilliseconds: nil) == [])
    nudging.join()
    #expect(queue.takeAll(waitingMilliseconds: 1) == [], "nothing is left of it")
    queue.put(7)
    queue.nudge()
    #expect(queue.takeAll(waitingMilliseconds: nil) == [7])
    #expect(queue.takeAll(waitingMilliseconds: 1) == [])
  }
}
