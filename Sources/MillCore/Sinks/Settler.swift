internal import MillBase
internal import MillLog

/// R7 for plain inserts: when are the open attempts dead? The server was seen at work for `settle`, and a look into the process list after
/// that finds none of them; or it has started since.
///
/// What is seen are answers to probes, one a second, each on a connection of its own. The time since the answer before counts, a second
/// of it at most: a server that stood still in between gets no more for it, and one that is only slow is done in the end.
struct Settler {
  /// The oldest batch that the log held at start; nil once the look has been made (or nothing was there).
  var oldestInLog: BatchNumber?
  /// Where that one's seal stands in the log, which keeps it as long.
  var oldestSeal: LogPosition?
  /// Monotonic time of this process' start, when the attempts of earlier lives were at the latest begun.
  var startedAt: Int64 = 0
  /// Somebody waits for attempts to be dead.
  var isWanted = false
  /// Attempts opened up to this moment are dead.
  var deadBefore = Int64.min
  /// Begin of the first probe of the count under way; nil: not begun.
  var since: Int64?
  /// When its last answer came, and for how long the server has been seen at work.
  var answeredAt: Int64 = 0
  var seenMilliseconds: Int64 = 0
  /// A probe that takes longer begins the count anew: something stood still, and what was in a socket may come only now. Doubled each time
  /// over what was seen, so that a server which is always that slow isn't waited for without end.
  var patience: Int64 = Settler.leastPatience
  static let leastPatience: Int64 = 1000
  var nextAt: Int64?
  var isAwaiting = false
  /// A query of an attempt that was listed when last looked.
  var runningQuery: String?
  /// The wait is over, the look is to be made.
  var mayLook = false

  var isUnderWay: Bool { isWanted || since != nil || isAwaiting || oldestInLog != nil }

  mutating func begin(oldestInLog: (number: BatchNumber, seal: LogPosition)?, at monotonic: Int64) {
    self.oldestInLog = oldestInLog?.number
    oldestSeal = oldestInLog?.seal
    startedAt = monotonic
    isWanted = true
    nextAt = nil
  }
}

extension SinkMachine {
  mutating func advanceSettler() {
    guard settler.isWanted, !settler.isAwaiting, (settler.nextAt ?? 0) <= monotonic else { return }
    guard table?.mode != .atLeastOnce else {
      settler.isWanted = false
      settler.oldestInLog = nil
      settler.oldestSeal = nil
      return
    }
    settler.nextAt = nil
    settler.isAwaiting = true
    if settler.mayLook {
      exchange(.running(prefix: "mr-"), .settleList)
    } else {
      exchange(.serverTime, .settleTime)
    }
  }

  mutating func takeSettling(_ owner: ExchangeOwner, _ answer: SinkAnswer) {
    precondition(settler.isAwaiting, "\(owner) was answered, and the settler waits for no answer")
    settler.isAwaiting = false
    switch (owner, answer) {
    case (.settleTime, .serverTime(_, _, let uptime, let took)): takeProbe(uptime, took)
    case (.settleList, .running(let ids)): takeSettleList(ids)
    case (.settleKill, .killed): settler.nextAt = monotonic
    case (.settleKill, _): settler.nextAt = monotonic + options.retryMilliseconds
    case (_, .denied(let reason)): end(Stop(.failed, rule: "R7", reason))
    default:
      // No answer: the second of the count starts anew.
      settler.since = nil
      settler.mayLook = false
      settler.nextAt = monotonic + options.retryMilliseconds
    }
  }

  private mutating func takeProbe(_ uptime: Int64, _ took: Int64) {
    let lastOpen = deliveries.filter(\.hasOpenAttempt).map(\.openedAt).max() ?? settler.startedAt
    // uptime() counts whole seconds, so the server started after this moment.
    if monotonic - took - (uptime + 1) * 1000 > lastOpen {
      Reach.mark(.r9ServerRestarted)
      return attemptsAreDead(openedBefore: monotonic - took - (uptime + 1) * 1000)
    }
    guard took <= settler.patience else {
      Reach.mark(.r7ProbeSlow)
      settler.patience = 2 * took
      settler.since = nil
      settler.nextAt = monotonic
      return
    }
    if settler.since == nil {
      settler.since = monotonic - took
      settler.seenMilliseconds = 0
    } else {
      settler.seenMilliseconds += min(1000, monotonic - settler.answeredAt)
    }
    settler.answeredAt = monotonic
    if settler.seenMilliseconds >= options.settleMilliseconds {
      settler.mayLook = true
      settler.nextAt = monotonic
    } else {
      settler.nextAt = monotonic + min(1000, max(1, options.settleMilliseconds))
    }
  }

  private mutating func takeSettleList(_ ids: [String]) {
    guard let since = settler.since else { return }
    // Attempts under way now are not meant: they will be answered or time out.
    let underWay = Set(deliveries.filter { $0.isAwaiting }.map { "\($0.batch.token)-\($0.attempts)" })
    let ours = lineages.map { "mr-\($0)-" }
    let old = ids.filter { id in !underWay.contains(id) && ours.contains { id.hasPrefix($0) } }
    guard old.isEmpty else {
      Reach.mark(.r9QueriesStillRun)
      settler.runningQuery = old[0]
      settler.isAwaiting = true
      return exchange(.kill(prefix: old[0]), .settleKill)
    }
    Reach.mark(.r9Settled)
    settler.runningQuery = nil
    attemptsAreDead(openedBefore: since)
  }

  /// Every plain attempt that got no answer before this moment will write nothing more.
  private mutating func attemptsAreDead(openedBefore moment: Int64) {
    for index in deliveries.indices
    where deliveries[index].hasOpenAttempt && deliveries[index].openedAt <= moment && deliveries[index].isCommitted {
      deliveries[index].hasOpenAttempt = false
    }
    settler.deadBefore = max(settler.deadBefore, moment)
    if settler.startedAt <= moment {
      settler.oldestInLog = nil
      settler.oldestSeal = nil
    }
    settler.since = nil
    settler.patience = Settler.leastPatience
    settler.mayLook = false
    let isNeeded = settler.oldestInLog != nil || deliveries.contains { $0.hasOpenAttempt && $0.isCommitted }
    settler.isWanted = isNeeded
    settler.nextAt = isNeeded ? monotonic + options.retryMilliseconds : nil
  }
}
