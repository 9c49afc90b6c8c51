internal import MillCore
internal import MillEngine
internal import MillFlow
internal import MillOperators

/// The second source of some worlds: a topic on a cluster of its own, with faults of its own, whose records meet the first one's in front
/// of the deduplicate. Both must be read whole, in one order, whatever befalls the other.
package struct SecondSource: Sendable {
  /// What the pipeline file has.
  package enum File: UInt64, Sendable {
    /// The first source alone.
    case alone
    case both
    /// Both, and the second one is called otherwise.
    case renamed
  }

  static let topic = "others"
  /// One of them stands before the first source's name, one behind it.
  private static let names = ["another", "more"]

  package var nameIsBefore: Bool
  package var partitions: Int
  package var partitionIsAdded: Bool
  /// Of the records, those that only this topic gets, and those that both get.
  package var share: Double
  package var shareOfBoth: Double
  /// Its fields stand in another order than the first source's.
  package var isReordered: Bool
  /// Which one stands first in the file changes from life to life.
  package var swapsOrder: Bool
  package var outOfOrderness: Int64
  package var idleAfter: Int64
  package var startsAtLatest: Bool
  /// What the file has at first, and what it is changed to, one after the other.
  package var files: [File]
  /// Mean time between outages of its cluster, ms; 0: none.
  package var outageEvery: Int64
  /// When the faults are over one of the two clusters goes away for so long that the other one must be seen to go on.
  package var isOutAtEnd: Bool
  /// It is the first one's.
  package var isFirstOut: Bool
  /// What happens beyond the promise befalls this one's topic.
  package var isTarget: Bool

  init(_ draws: Draws, _ scenario: Scenario) {
    nameIsBefore = draws.chance(0.5)
    partitions = draws.within(1...3)
    partitionIsAdded = draws.chance(0.2)
    share = draws.pick([0.05, 0.3, 0.5, 0.9])
    shareOfBoth = draws.pick([0, 0.05])
    isReordered = draws.chance(0.5)
    swapsOrder = draws.chance(0.5)
    outOfOrderness = draws.pick([scenario.outOfOrderness, scenario.outOfOrderness, 1500])
    idleAfter = draws.pick([500, 2000, 30_000])
    startsAtLatest = draws.chance(0.3)
    files = draws.pick([
      [.both], [.both], [.alone, .both], [.both, .renamed], [.both, .alone, .both], [.alone, .both, .renamed, .alone],
    ])
    let mean = draws.within(Int64(2000)...8000)
    outageEvery = draws.chance(0.4) ? mean : 0
    isOutAtEnd = draws.chance(0.4)
    isFirstOut = draws.chance(0.5)
    isTarget = draws.chance(0.5)
    // What the promise doesn't cover comes alone, and so do rows whose letters name their record only.
    if scenario.beyond != nil || scenario.profile != .usual { files = [.both] }
    if scenario.refusal != .nothing, files.count > 2 { files = [.alone, .both] }
  }

  package func name(_ file: File) -> String { Self.names[nameIsBefore == (file == .renamed) ? 1 : 0] }
}

extension Scenario {
  /// Where it is drawn, and the world is one for it.
  package var second: SecondSource? { outageFrom == 0 && profile != .weather ? drawnSecond : nil }
}

/// What the pipeline file says of the sources.
struct SourcesOfFile {
  private let scenario: Scenario
  private let file: SecondSource.File
  /// The second source stands first.
  private let isSwapped: Bool

  init(_ scenario: Scenario, _ file: SecondSource.File, incarnation: Int) {
    self.scenario = scenario
    self.file = file
    isSwapped = scenario.second?.swapsOrder == true && file != .alone && incarnation % 2 == 1
  }

  /// Topics by the source's name.
  var topics: [String: String] {
    guard let second = scenario.second, file != .alone else { return ["events": "events"] }
    return ["events": "events", second.name(file): SecondSource.topic]
  }

  private func ordered<T>(_ first: T, _ second: (SecondSource) -> T) -> [T] {
    guard let its = scenario.second, file != .alone else { return [first] }
    return isSwapped ? [second(its), first] : [first, second(its)]
  }

  func options() -> [SourceOptions] {
    var first = SourceOptions(name: "events", topic: "events")
    first.idleAfterMilliseconds = scenario.hasEventTime ? scenario.idleAfter : nil
    return ordered(first) {
      var options = SourceOptions(name: $0.name(file), topic: SecondSource.topic)
      options.idleAfterMilliseconds = scenario.hasEventTime ? $0.idleAfter : nil
      return options
    }
  }

  func plans(_ first: SourcePlan) -> [SourcePlan] { ordered(first) { Self.plan($0, $0.name(file), like: first) } }

  /// The first one's fields, perhaps in another order.
  private static func plan(_ its: SecondSource, _ name: String, like first: SourcePlan) -> SourcePlan {
    var fields = first.fields
    if its.isReordered { fields.reverse() }
    let time = first.eventTime.map { time in
      EventTimePlan(
        fieldIndex: its.isReordered ? fields.count - 1 - time.fieldIndex : time.fieldIndex, outOfOrderness: its.outOfOrderness,
        idleAfter: its.idleAfter, maxAhead: time.maxAhead, measuresClock: time.measuresClock)
    }
    do throws(PlanProblem) {
      var plan = try SourcePlan(name: name, topic: SecondSource.topic, fields: fields, eventTime: time)
      plan.limits = first.limits
      return plan
    } catch { preconditionFailure("the second source: \(error)") }
  }

  func parts(_ topics: Topics, _ plans: [SourcePlan]) -> [SourceParts] {
    plans.map { plan in
      guard let second = topics.second, plan.topic == second.topic else { return SourceParts(end: SimKafka(topics.first), plan: plan) }
      return SourceParts(end: SimKafka(second), plan: plan, start: scenario.second?.startsAtLatest == true ? .latest : .earliest)
    }
  }

  /// What the nodes read first: the only source, or the union of both, whose fields are the first one's.
  func head(_ plans: [SourcePlan]) -> (nodes: [GraphPlan.Node], input: GraphPlan.Input) {
    guard plans.count == 2 else { return ([], .source(0)) }
    let order = isSwapped ? [1, 0] : [0, 1]
    do throws(UnionMismatch) {
      let union = try UnionPlan(name: "all", inputs: order.map { (plans[$0].name, plans[$0].schema) })
      return ([GraphPlan.Node(inputs: order.map { .source($0) }, kind: .union(adapters: union.adapters))], .node(0))
    } catch { preconditionFailure("the sources' fields are the same: \(error)") }
  }
}
