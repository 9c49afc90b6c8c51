internal import Synchronization

/// The replicas of one shard, or the one server there is: which of them gets a request.
///
/// One replica is current and stays so until it doesn't answer, or has trouble of its own; then the next in the order of the file is. Only
/// trusted replicas become current: those whose table has been looked at. Callable from any thread.
final class Replicas: Sendable {
  typealias Answer = Result<HTTPResponse, TransportError>

  /// As the file names them; never empty.
  let urls: [String]
  private let transports: [any Transport]
  private let state: Mutex<State>

  private struct State {
    var current = 0
    var trusted: Set<Int> = []
    /// A look at the others is under way.
    var isLooking = false
  }

  init(urls: [String], transports: [any Transport]) {
    precondition(!transports.isEmpty && urls.count == transports.count, "\(urls.count) URLs, \(transports.count) transports")
    self.urls = urls
    self.transports = transports
    state = Mutex(State())
  }

  var count: Int { transports.count }
  var current: Int { state.withLock { $0.current } }

  /// Those whose table was looked at and is the one.
  func trust(_ replicas: Set<Int>) {
    state.withLock {
      $0.trusted = replicas
      if !replicas.contains($0.current), let first = replicas.min() { $0.current = first }
    }
  }

  /// The replicas that can't be used until they have been looked at, where some are and nobody looks; ``lookedAt(_:)`` ends it.
  func beginLook() -> [Int] {
    state.withLock {
      guard !$0.isLooking, $0.trusted.count < transports.count else { return [] }
      $0.isLooking = true
      return transports.indices.filter { [trusted = $0.trusted] in !trusted.contains($0) }
    }
  }

  func lookedAt(_ found: Set<Int>) {
    state.withLock {
      $0.isLooking = false
      $0.trusted.formUnion(found)
    }
  }

  func transport(_ replica: Int) -> any Transport { transports[replica] }

  /// To the current replica, and on to the next ones as long as nothing could be sent: it stays one attempt.
  func send(_ request: HTTPRequest, done: @escaping @Sendable (Answer) -> Void) { send(request, to: current, mayMoveOn: count - 1, done) }

  /// To this replica and no other.
  func send(_ request: HTTPRequest, to replica: Int, done: @escaping @Sendable (Answer) -> Void) {
    send(request, to: replica, mayMoveOn: 0, done)
  }

  private func send(_ request: HTTPRequest, to replica: Int, mayMoveOn: Int, _ done: @escaping @Sendable (Answer) -> Void) {
    transports[replica].send(request) { [self] answer in
      guard isTroubled(answer) else { return done(answer) }
      let next = leave(replica)
      if case .failure(let error) = answer, error.nothingSent, mayMoveOn > 0, next != replica {
        return send(request, to: next, mayMoveOn: mayMoveOn - 1, done)
      }
      done(answer)
    }
  }

  /// To all at once; `done` gets their answers in the order of the file.
  func sendToAll(_ request: HTTPRequest, done: @escaping @Sendable ([Answer]) -> Void) {
    let answers = Collected(count: count)
    for (index, transport) in transports.enumerated() {
      transport.send(request) { answer in
        if let all = answers.put(answer, at: index) { done(all) }
      }
    }
  }

  /// Another one may answer, or take what this one can't.
  private func isTroubled(_ answer: Answer) -> Bool {
    switch answer {
    case .failure: return true
    case .success(let response):
      switch Classification.reading(response) {
      case .success: return false
      case .unreadable: return true
      case .failed(let error): return ErrorTable.ofOneReplica.contains(error.code)
      }
    }
  }

  /// The replica that is current from now on.
  private func leave(_ replica: Int) -> Int {
    state.withLock { state in
      if state.current == replica {
        let others = (1..<max(1, transports.count)).map { (replica + $0) % transports.count }
        state.current = others.first { state.trusted.contains($0) } ?? replica
      }
      return state.current
    }
  }
}

/// Answers that come in any order, on any thread.
private final class Collected: Sendable {
  private let answers: Mutex<[Replicas.Answer?]>

  init(count: Int) { answers = Mutex(Array(repeating: nil, count: count)) }

  /// All of them, at the last one.
  func put(_ answer: Replicas.Answer, at index: Int) -> [Replicas.Answer]? {
    answers.withLock {
      $0[index] = answer
      let all = $0.compactMap { $0 }
      return all.count == $0.count ? all : nil
    }
  }
}
