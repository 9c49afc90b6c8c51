/// Plain inserts as anybody must see them who knows no more than the promise: without an answer, one may still take effect until `settle`
/// is over since its connection closed, as long as it is listed, or until the server has started anew. Whether this one will is the
/// world's secret, so that a rule about open attempts needs no luck to be seen broken.
extension SimClickHouse {
  func noteSent(_ exchange: Exchange) {
    if case .insert? = exchange.statement { attempts.append(exchange) }
  }

  /// The engine's process is gone, and with it all that it waited for.
  func noteGone(incarnation: Int) {
    for exchange in attempts where exchange.incarnation <= incarnation && exchange.closedAt == nil { exchange.closedAt = scheduler.now }
  }

  /// What may still take effect and isn't waited for any more.
  var openAttempts: [InsertSeen] { all.flatMap(\.openHere) }

  private var openHere: [InsertSeen] {
    attempts.removeAll { $0.isAnswered || $0.boot != boot || !mayTakeEffect($0) }
    return attempts.filter { $0.closedAt != nil }.compactMap(\.seen)
  }

  private func mayTakeEffect(_ exchange: Exchange) -> Bool {
    guard let closed = exchange.closedAt else { return true }
    return scheduler.now < closed + settleMilliseconds || isListed(exchange)
  }
}
