internal import MillBase
internal import MillCore
internal import MillLog
internal import Synchronization

/// Looks at server and table, at each replica where there are several, and decides what follows.
extension ClickHouseSink {
  func describe(_ pending: [SealedBatch], _ done: @escaping @Sendable (SinkAnswer) -> Void) {
    look(at: Array(replicas.urls.indices), []) { [self] looks in
      done(decide(looks.sorted { $0.replica < $1.replica }, pending))
    }
  }

  private typealias Look = (replica: Int, outcome: Looking.Outcome)

  /// One replica after the other.
  private func look(at rest: [Int], _ looks: [Look], _ done: @escaping @Sendable ([Look]) -> Void) {
    guard let replica = rest.first else { return done(looks) }
    let isFirst = state.withLock { $0.look == nil }
    Looking(options: options, transport: replicas.transport(replica), asksWriters: isFirst && options.delivery == .exactlyOnce).look {
      [self] outcome in
      look(at: Array(rest.dropFirst()), looks + [(replica, outcome)], done)
    }
  }

  private func decide(_ looks: [Look], _ pending: [SealedBatch]) -> SinkAnswer {
    var seen: [(replica: Int, look: TableLook)] = []
    var silent: [(replica: Int, reason: String)] = []
    var denied: [String] = []
    for (replica, outcome) in looks {
      switch outcome {
      case .success(let look): seen.append((replica, look))
      case .failure(.unanswered(let reason)): silent.append((replica, reason))
      case .failure(.denied(let reason)): denied.append(replicas.count == 1 ? reason : "\(replicas.urls[replica]): \(reason)")
      }
    }
    if !denied.isEmpty { return .unfit(denied) }
    guard let first = seen.first else { return .unanswered(reason: silent.map(\.reason).joined(separator: "; ")) }
    for (replica, look) in seen.dropFirst() {
      switch difference(first.look, look) {
      case nil: break
      case .otherTable(let how)?:
        return .unfit(["\(options.table) is not the same table at \(replicas.urls[first.replica]) and \(replicas.urls[replica]): \(how)"])
      case .otherColumns(let how)?:
        // Perhaps an ALTER on its way from one replica to the next.
        return .unanswered(
          reason: "columns differ between \(replicas.urls[first.replica]) and \(replicas.urls[replica]) (\(how)), until they agree")
      }
    }
    var look = first.look
    for other in seen.dropFirst() {
      look.dialect.narrow(to: other.look.dialect)
      look.lacking.formUnion(other.look.lacking)
    }
    return take(look, at: Set(seen.map(\.replica)), silent: silent, pending)
  }

  private func take(
    _ look: TableLook, at trusted: Set<Int>, silent: [(replica: Int, reason: String)], _ pending: [SealedBatch]
  ) -> SinkAnswer {
    let choice = DeliveryChoice.choose(look, options: options, fields: fields, pending: pending)
    state.withLock {
      $0.dialect = look.dialect
      $0.look = look
      // The last one that fitted stays: rows that wait are encoded by it until the core has ended.
      if case .success(let chosen) = choice { $0.chosen = chosen }
    }
    switch choice {
    case .failure(let refusal): return .unfit(Self.readable(refusal.problems))
    case .success(let chosen):
      replicas.trust(trusted)
      var facts = chosen.facts
      facts.warnings = Self.readable(facts.warnings)
      facts.warnings += silent.map { "replica \(replicas.urls[$0.replica]) doesn't answer, and isn't used until it does: \($0.reason)" }
      return .described(facts)
    }
  }

  /// Problems quote names and types of the server's: of any length and in any number.
  private static func readable(_ problems: [String]) -> [String] {
    let count = 200
    let more = problems.count > count ? ["and \(problems.count - count) problems more"] : []
    return problems.prefix(count).map { ForeignText.cut($0, to: 4000) } + more
  }

  /// A replica that didn't answer at the last look is looked at when those that did are in trouble; nobody waits for it.
  func lookAtOthers() {
    let others = replicas.beginLook()
    guard !others.isEmpty else { return }
    look(at: others, []) { [self] looks in
      let known = state.withLock { $0.look }
      let same = looks.filter { (_, outcome) in
        guard let known, case .success(let look) = outcome, look.dialect.settings.isSuperset(of: known.dialect.settings) else {
          return false
        }
        return difference(known, look) == nil
      }
      replicas.lookedAt(Set(same.map(\.replica)))
    }
  }

  private enum Difference: Equatable {
    case otherTable(String)
    case otherColumns(String)
  }

  private func difference(_ one: TableLook, _ other: TableLook) -> Difference? {
    if options.delivery == .exactlyOnce {
      if one.engine != other.engine { return .otherTable("\(one.engine) and \(other.engine)") }
      let (mine, theirs) = (DeliveryChoice.identity(one), DeliveryChoice.identity(other))
      if DeliveryChoice.family(of: one.engine) != .plain, mine != theirs {
        return .otherTable(
          "uuids \(mine) and \(theirs): create the table ON CLUSTER, or with the same UUID on each, or name one server in url")
      }
    }
    guard one.columns != other.columns else { return nil }
    let names = Set(one.columns).symmetricDifference(Set(other.columns)).map(\.name).sorted()
    return .otherColumns(names.isEmpty ? "their order" : ForeignText.cut(names.joined(separator: ", ")))
  }
}
