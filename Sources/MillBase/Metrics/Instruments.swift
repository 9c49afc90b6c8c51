internal import Synchronization

/// A number that only grows while the process lives. Any thread; one relaxed addition, for a batch or an epoch, never for a record.
package final class Counter: Sendable {
  private let cell = Atomic<UInt64>(0)

  package init() {}

  package func add(_ amount: UInt64 = 1) { cell.wrappingAdd(amount, ordering: .relaxed) }

  package var value: UInt64 { cell.load(ordering: .relaxed) }
}

/// A number that goes up and down. Any thread.
package final class Gauge: Sendable {
  private let cell = Atomic<Int64>(0)

  package init() {}

  package func set(_ value: Int64) { cell.store(value, ordering: .relaxed) }

  package func add(_ amount: Int64) { cell.wrappingAdd(amount, ordering: .relaxed) }

  package var value: Int64 { cell.load(ordering: .relaxed) }
}

/// How values are spread: how many of them are at most each bound. Any thread; a lock without waiters for a batch or an epoch.
package final class Histogram: Sendable {
  /// Ascending; what lies beyond the last counts in a bucket of its own.
  package let bounds: [Double]
  private let state: Mutex<(counts: [UInt64], sum: Double)>

  /// A copy in which all numbers belong together.
  package struct Reading: Hashable, Sendable {
    package var bounds: [Double]
    /// Values of each bucket alone; one more than there are bounds.
    package var counts: [UInt64]
    package var sum: Double
  }

  package init(_ bounds: [Double]) {
    precondition(!bounds.isEmpty && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds \(bounds) don't ascend")
    self.bounds = bounds
    state = Mutex((Array(repeating: 0, count: bounds.count + 1), 0))
  }

  package func observe(_ value: Double) {
    let place = bounds.firstIndex { value <= $0 } ?? bounds.count
    state.withLock {
      $0.counts[place] += 1
      $0.sum += value
    }
  }

  /// A time, in seconds.
  package func observe(nanoseconds: Int64) { observe(Double(nanoseconds) / 1e9) }

  package var reading: Reading { state.withLock { Reading(bounds: bounds, counts: $0.counts, sum: $0.sum) } }
}
