internal import CMicroHTTPD
internal import Glibc

/// Why nobody can be served.
package struct AdminError: Error, Hashable, Sendable {
  /// The system's error number; 0: none.
  package var code: Int32
  /// What failed, where, and in the system's words why.
  package var message: String

  /// Another program listens there.
  package var isTaken: Bool { code == EADDRINUSE }
}

/// Serves ``AdminPages`` by libmicrohttpd, on one thread of the library. Bounded in all that a client decides: connections (one too many
/// closes the oldest), bytes of a request's line and headers (a body is never read), and how long it may say nothing.
@safe package final class AdminServer: @unchecked Sendable {
  private static let connectionsMax: UInt32 = 32
  private static let silenceSecondsMax: UInt32 = 10
  /// Request line, headers and the answer's headers of one connection.
  private static let connectionByteCount = 16 << 10

  /// Nil once closed.
  private var daemon: OpaquePointer?
  private let handler: UnsafeMutablePointer<mr_mhd_handler>
  private let pages: Unmanaged<PagesBox>

  /// Listens at once. `host`: an IPv4 or IPv6 address in its usual text form.
  package init(host: String, port: UInt16, _ pages: AdminPages) throws(AdminError) {
    let listener = try listen(host, port)
    unsafe self.pages = Unmanaged.passRetained(PagesBox(pages))
    unsafe handler = .allocate(capacity: 1)
    unsafe handler.initialize(to: mr_mhd_handler())
    unsafe handler.pointee.answer = answerRequest
    unsafe handler.pointee.context = self.pages.toOpaque()
    unsafe handler.pointee.connections = Self.connectionsMax
    guard
      let daemon = unsafe mr_mhd_start(listener, handler, Self.silenceSecondsMax, Self.connectionByteCount)
    else {
      Glibc.close(listener)
      unsafe handler.deallocate()
      unsafe self.pages.release()
      throw AdminError(code: 0, message: "libmicrohttpd could not serve \(shown(host, port))")
    }
    unsafe self.daemon = daemon
  }

  deinit { close() }

  /// Ends all connections and joins the thread. Once; not beside another call.
  package func close() {
    guard let daemon = unsafe daemon else { return }
    unsafe self.daemon = nil
    unsafe MHD_stop_daemon(daemon)
    unsafe handler.deallocate()
    unsafe pages.release()
  }
}

/// What the library's callback is given.
private final class PagesBox {
  let pages: AdminPages

  init(_ pages: AdminPages) { self.pages = pages }
}

/// Answers one request; 0 where that could not even be begun. On the library's thread.
@c private func answerRequest(
  _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ method: UnsafePointer<CChar>?
) -> Int32 {
  guard let context = unsafe context, let connection = unsafe connection, let path = unsafe path, let method = unsafe method else {
    return 0
  }
  let pages = unsafe Unmanaged<PagesBox>.fromOpaque(context).takeUnretainedValue().pages
  let authorization = unsafe mr_mhd_header(connection, "Authorization").map { unsafe String(cString: $0) }
  let host = unsafe mr_mhd_header(connection, "Host").map { unsafe String(cString: $0) }
  let answer = unsafe pages.answer(method: String(cString: method), path: String(cString: path), authorization: authorization, host: host)
  let body = Array(answer.body.utf8)
  guard let response = unsafe body.withUnsafeBytes({ unsafe mr_mhd_response($0.baseAddress, $0.count) }) else { return 0 }
  var headers = [("Content-Type", answer.contentType), ("Cache-Control", "no-store")]
  if let header = answer.header { headers.append(header) }
  for (name, value) in headers { _ = unsafe mr_mhd_add_header(response, name, value) }
  return unsafe mr_mhd_queue(connection, UInt32(answer.status), response)
}

/// A socket that listens at the address.
private func listen(_ host: String, _ port: UInt16) throws(AdminError) -> Int32 {
  func failed(_ call: String, _ code: Int32) -> AdminError {
    AdminError(code: code, message: "can't listen on \(shown(host, port)): \(call): \(unsafe String(cString: strerror(code)))")
  }
  var four = sockaddr_in()
  var six = sockaddr_in6()
  let isFour = unsafe inet_pton(AF_INET, host, &four.sin_addr) == 1
  let isSix = unsafe inet_pton(AF_INET6, host, &six.sin6_addr) == 1
  guard isFour || isSix else { throw failed("address", EINVAL) }
  (four.sin_family, four.sin_port) = (sa_family_t(AF_INET), port.bigEndian)
  (six.sin6_family, six.sin6_port) = (sa_family_t(AF_INET6), port.bigEndian)
  let listener = socket(isFour ? AF_INET : AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  guard listener >= 0 else { throw failed("socket", errno) }
  var one: Int32 = 1
  // What an ended process leaves behind for a minute doesn't keep the next one from its port.
  unsafe setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
  func bound<Address>(_ address: inout Address) -> Bool {
    unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(listener, $0, socklen_t(MemoryLayout<Address>.size)) == 0
      }
    }
  }
  guard isFour ? bound(&four) : bound(&six), Glibc.listen(listener, 64) == 0 else {
    let code = errno
    close(listener)
    throw failed("bind", code)
  }
  return listener
}

private func shown(_ host: String, _ port: UInt16) -> String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
