internal import Glibc
internal import Synchronization

/// A step at which a drill can end the process with SIGKILL: `MILLRACE_FAULT=<name>:<n>` at its n-th hit. The mark on stderr comes before.
package enum FaultPoint: String, CaseIterable, Sendable {
  case beforeInsert = "before_insert"
  case afterInsertBeforeAck = "after_insert_before_ack"

  private static let armed: (point: FaultPoint, hit: Int)? = {
    guard let value = unsafe getenv("MILLRACE_FAULT") else { return nil }
    let parts = unsafe String(cString: value).split(separator: ":")
    guard let name = parts.first, let point = FaultPoint(rawValue: String(name)) else { return nil }
    return (point, parts.count > 1 ? Int(parts[1]) ?? 1 : 1)
  }()
  private static let hits = Atomic<Int>(0)

  /// Ends the process where this point is armed and its number has come. Callable from any thread.
  package static func hit(_ point: FaultPoint, if condition: Bool = true) {
    guard condition, let armed, armed.point == point else { return }
    guard hits.add(1, ordering: .relaxed).newValue == armed.hit else { return }
    let mark = "fault point \(point.rawValue) hit \(armed.hit)\n"
    _ = unsafe mark.withCString { unsafe write(2, $0, strlen($0)) }
    kill(getpid(), SIGKILL)
  }
}
