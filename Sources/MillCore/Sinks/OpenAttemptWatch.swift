internal import MillBase
internal import MillLog

/// Decides when plain INSERTs that got no answer can no longer write anything (R7): the server was seen at work for `settle`, and a look
/// into its process list after that finds none of them; or it has started since.
///
/// What is seen are answers to probes, one a second, each on a connection of its own. The time since the answer before counts, a second
/// of it at most: a server that stood still in between gets no more for it, and one that is only slow is done in the end.
struct OpenAttemptWatch {
  /// The oldest batch that the log held at start; nil once the look has been made (or nothing was there).
  var oldestInLog: BatchNumber?
  /// Where that one's seal stands in the log, which keeps it as long.
  var oldestSeal: LogPosition?
  /// Monotonic time of this process' start, when the attempts of earlier lives were at the latest begun.
  var startedAt: Int64 = 0
  /// Somebody waits for attempts to be dead.
  var isNeeded = false
  /// Attempts opened up to this moment are dead.
  var allDeadBefore = Int64.min
  /// Begin of the first probe of the count under way; nil: not begun.
  var probingSince: Int64?
  /// When its last answer came, and for how long the server has been seen at work.
  var answeredAt: Int64 = 0
  var seenMilliseconds: Int64 = 0
  /// A probe that takes longer begins the count anew: something stood still, and what was in a socket may come only now. Doubled each time
  /// over what was seen, so that a server which is always that slow isn't waited for without end.
  var patience: Int64 = OpenAttemptWatch.leastPatience
  static let leastPatience: Int64 = 1000
  var nextStepAt: Int64?
  var isAwaiting = false
  /// A query of an attempt that was listed when last looked.
  var runningQuery: String?
  /// The wait is over, the look is to be made.
  var isReadyToListQueries = false

  mutating func begin(oldestInLog: (number: BatchNumber, seal: LogPosition)?, at monotonic: Int64) {
    self.oldestInLog = oldestInLog?.number
    oldestSeal = oldestInLog?.seal
    startedAt = monotonic
    isNeeded = true
    nextStepAt = nil
  }
}

extension SinkMachine {
  mutating func advanceOpenAttempts() {
    guard openAttempts.isNeeded, !openAttempts.isAwaiting, (openAttempts.nextStepAt ?? 0) <= monotonic else { return }
    guard table?.mode != .atLeastOnce else {
      openAttempts.isNeeded = false
      openAttempts.oldestInLog = nil
      openAttempts.oldestSeal = nil
      return
    }
    openAttempts.nextStepAt = nil
    openAttempts.isAwaiting = true
    if openAttempts.isReadyToListQueries {
      exchange(.running(prefix: "mr-"), .settleList)
    } else {
      exchange(.serverTime, .settleTime)
    }
  }

  mutating func takeOpenAttempts(_ owner: ExchangeOwner, _ answer: SinkAnswer) {
    require(openAttempts.isAwaiting, "\(owner) was answered, and no probe of the server is under way")
    openAttempts.isAwaiting = false
    switch (owner, answer) {
    case (.settleTime, .serverTime(_, _, let uptime, let took)): takeProbe(uptime, took)
    case (.settleList, .running(let ids)): takeQueryList(ids)
    case (.settleKill, .killed): openAttempts.nextStepAt = monotonic
    case (.settleKill, _): openAttempts.nextStepAt = monotonic + options.retryMilliseconds
    case (_, .denied(let reason)): end(Stop(.failed, rule: "R7", reason))
    default:
      // No answer: the second of the count starts anew.
      openAttempts.probingSince = nil
      openAttempts.isReadyToListQueries = false
      openAttempts.nextStepAt = monotonic + options.retryMilliseconds
    }
  }

  private mutating func takeProbe(_ uptime: Int64, _ took: Int64) {
    let lastOpen = deliveries.filter(\.hasOpenAttempt).map(\.openedAt).max() ?? openAttempts.startedAt
    // uptime() counts whole seconds, so the server started after this moment.
    if monotonic - took - (uptime + 1) * 1000 > lastOpen {
      Reach.mark(.r9ServerRestarted)
      return attemptsAreDead(openedBefore: monotonic - took - (uptime + 1) * 1000)
    }
    guard took <= openAttempts.patience else {
      Reach.mark(.r7ProbeSlow)
      openAttempts.patience = 2 * took
      openAttempts.probingSince = nil
      openAttempts.nextStepAt = monotonic
      return
    }
    if openAttempts.probingSince == nil {
      openAttempts.probingSince = monotonic - took
      openAttempts.seenMilliseconds = 0
    } else {
      openAttempts.seenMilliseconds += min(1000, monotonic - openAttempts.answeredAt)
    }
    openAttempts.answeredAt = monotonic
    if openAttempts.seenMilliseconds >= tableOptions.settleMilliseconds {
      openAttempts.isReadyToListQueries = true
      openAttempts.nextStepAt = monotonic
    } else {
      openAttempts.nextStepAt = monotonic + min(1000, max(1, tableOptions.settleMilliseconds))
    }
  }

  private mutating func takeQueryList(_ ids: [String]) {
    guard let since = openAttempts.probingSince else { return }
    // Attempts under way now are not meant: they will be answered or time out.
    let underWay = Set(deliveries.filter { $0.isAwaiting }.map { "\($0.batch.token)-\($0.attempts)" })
    let ours = lineages.map { "mr-\($0)-" }
    let old = ids.filter { id in !underWay.contains(id) && ours.contains { id.hasPrefix($0) } }
    guard old.isEmpty else {
      Reach.mark(.r9QueriesStillRun)
      openAttempts.runningQuery = old[0]
      openAttempts.isAwaiting = true
      return exchange(.kill(prefix: old[0]), .settleKill)
    }
    Reach.mark(.r9Settled)
    openAttempts.runningQuery = nil
    attemptsAreDead(openedBefore: since)
  }

  /// Every plain attempt that got no answer before this moment will write nothing more.
  private mutating func attemptsAreDead(openedBefore moment: Int64) {
    for index in deliveries.indices
    where deliveries[index].hasOpenAttempt && deliveries[index].openedAt <= moment && deliveries[index].isCommitted {
      deliveries[index].hasOpenAttempt = false
    }
    openAttempts.allDeadBefore = max(openAttempts.allDeadBefore, moment)
    if openAttempts.startedAt <= moment {
      openAttempts.oldestInLog = nil
      openAttempts.oldestSeal = nil
    }
    openAttempts.probingSince = nil
    openAttempts.patience = OpenAttemptWatch.leastPatience
    openAttempts.isReadyToListQueries = false
    let isNeeded = openAttempts.oldestInLog != nil || deliveries.contains { $0.hasOpenAttempt && $0.isCommitted }
    openAttempts.isNeeded = isNeeded
    openAttempts.nextStepAt = isNeeded ? monotonic + options.retryMilliseconds : nil
  }
}
