import MillSim
import Testing

struct SchedulerTests {
  @Test func `events come in the order of their times`() {
    let scheduler = Scheduler(seed: 1)
    var order: [Int] = []
    for delay in [30, 10, 20, 0] { scheduler.after(Int64(delay)) { order.append(delay) } }
    while scheduler.step() {}
    #expect(order == [0, 10, 20, 30])
    #expect(scheduler.now == 30)
  }

  @Test func `what belongs to a dead incarnation never happens`() {
    let scheduler = Scheduler(seed: 1)
    var happened: [Int] = []
    for incarnation in 0...3 { scheduler.after(5, incarnation: incarnation) { happened.append(incarnation) } }
    scheduler.drop(incarnation: 2)
    while scheduler.step() {}
    #expect(happened.sorted() == [0, 3])
  }

  @Test func `events of one moment come in an order that the seed draws`() {
    func order(_ seed: UInt64) -> [Int] {
      let scheduler = Scheduler(seed: seed)
      var order: [Int] = []
      for number in 0..<8 { scheduler.after(1) { order.append(number) } }
      while scheduler.step() {}
      return order
    }
    #expect(order(1) == order(1))
    #expect(Set((1...20).map { order($0) }).count > 1)
  }

  @Test func `a lane does its jobs one after the other, in order`() {
    let scheduler = Scheduler(seed: 7)
    let lane = SimLane(scheduler, draws: .stream(seed: 7, "lane"), incarnation: 1, slowest: 50)
    var done: [Int] = []
    for number in 0..<20 { lane.enqueue { done.append(number) } }
    #expect(done == [])
    while scheduler.step() {}
    #expect(done == Array(0..<20))
  }
}
