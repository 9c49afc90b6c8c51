import Foundation
import Glibc
import MillAdmin
import MillBase
import Synchronization
import Testing

private let views = AdminViews(
  health: {
    Health(
      pipeline: "p", state: .running, waits: [], stopped: nil,
      records: .init(
        rows: 12, deadLetters: [.init(reason: "wrong_type", count: 2), .init(reason: "late", count: 1)], skipped: 4, filtered: 5),
      isAlive: true)
  },
  metrics: {
    var page = MetricsText(common: ("pipeline", "p"))
    page.gauge("up", "Up.", .init(true))
    return page
  })

/// A port that nobody listens on; drawn where Linux gives none to outgoing connections.
private func freePort() -> UInt16 { UInt16(20_000 + systemRandomUInt64() % 12_000) }

/// A server on a free port, and that port.
private func serve(_ views: AdminViews = views, host: String = "127.0.0.1", token: String? = nil) throws -> (AdminServer, UInt16) {
  for _ in 0..<20 {
    let port = freePort()
    do throws(AdminError) {
      return (try AdminServer(host: host, port: port, AdminPages(views: views, token: token)), port)
    } catch {
      if !error.isTaken { throw error }
    }
  }
  throw NoFreePort()
}

private struct NoFreePort: Error {}

/// Sends bytes and reads until the server closes or `seconds` are over.
private func exchange(_ port: UInt16, _ bytes: [UInt8], host: String = "127.0.0.1") throws -> String {
  let descriptor = try connection(port, host)
  defer { close(descriptor) }
  // The server may answer and close before all has been sent.
  _ = unsafe bytes.withUnsafeBytes { unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  shutdown(descriptor, Int32(SHUT_WR))
  var answer: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
    if count <= 0 { return String(decoding: answer, as: UTF8.self) }
    answer += buffer[..<count]
  }
}

private func connection(_ port: UInt16, _ host: String = "127.0.0.1") throws -> Int32 {
  let isFour = !host.contains(":")
  let descriptor = socket(isFour ? AF_INET : AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
  var patience = timeval(tv_sec: 60, tv_usec: 0)
  unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  var (four, six) = (sockaddr_in(), sockaddr_in6())
  (four.sin_family, four.sin_port) = (sa_family_t(AF_INET), port.bigEndian)
  (six.sin6_family, six.sin6_port) = (sa_family_t(AF_INET6), port.bigEndian)
  unsafe inet_pton(AF_INET, host, &four.sin_addr)
  unsafe inet_pton(AF_INET6, host, &six.sin6_addr)
  func connected<Address>(_ address: inout Address) -> Bool {
    unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size)) == 0
      }
    }
  }
  try #require(isFour ? connected(&four) : connected(&six), "connect: errno \(errno)")
  return descriptor
}

private func ask(_ port: UInt16, _ line: String, _ headers: String..., host: String = "127.0.0.1") throws -> String {
  let head = ([line + " HTTP/1.1", "Host: localhost", "Connection: close"] + headers).joined(separator: "\r\n") + "\r\n\r\n"
  return try exchange(port, Array(head.utf8), host: host)
}

@Suite struct AdminTests {
  @Test(arguments: ["127.0.0.1", "::1"])
  func `it serves metrics, health and nothing else`(host: String) throws {
    let (server, port) = try serve(host: host)
    defer { server.close() }
    let metrics = try ask(port, "GET /metrics?a=b", host: host)
    #expect(metrics.hasPrefix("HTTP/1.1 200 ") && metrics.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
    #expect(metrics.hasSuffix("\r\n\r\n# HELP up Up.\n# TYPE up gauge\nup{pipeline=\"p\"} 1\n"))
    let health = try ask(port, "GET /health", host: host)
    #expect(health.hasPrefix("HTTP/1.1 200 ") && health.contains("\r\nContent-Type: application/json\r\n"))
    #expect(
      health.hasSuffix(
        "{\"ready\":true,\"alive\":true,\"pipeline\":\"p\",\"state\":\"running\",\"records\":{\"rows\":12,\"dead_letters\":3,\"dead_letters_by_reason\":{\"wrong_type\":2,\"late\":1},\"skipped\":4,\"filtered\":5},\"waiting\":[],\"stopped\":null}\n"
      ))
    #expect(try ask(port, "GET /health/live", host: host).hasPrefix("HTTP/1.1 200 "))
    for path in ["/", "/metrics/", "/health/", "//metrics", "/health/live/x", "/etc/passwd", "/../metrics", "*"] {
      #expect(try ask(port, "GET \(path)", host: host).hasPrefix("HTTP/1.1 404 "), "\(path)")
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"] {
      let answer = try ask(port, "\(method) /health", host: host)
      #expect(answer.hasPrefix("HTTP/1.1 405 ") && answer.contains("\r\nAllow: GET, HEAD\r\n"), "\(method)")
    }
    let head = try ask(port, "HEAD /metrics", host: host)
    #expect(head.hasPrefix("HTTP/1.1 200 ") && head.hasSuffix("\r\n\r\n"))
  }

  @Test func `without a token only this machine's own names are answered, with one every name`() throws {
    let (server, port) = try serve()
    defer { server.close() }
    func status(_ host: String, _ port: UInt16, _ more: String = "X: y") throws -> String {
      let head = "GET /health HTTP/1.1\r\n\(host.isEmpty ? "" : "Host: \(host)\r\n")\(more)\r\nConnection: close\r\n\r\n"
      return String(try exchange(port, Array(head.utf8)).dropFirst(9).prefix(3))
    }
    for host in ["localhost", "LocalHost:\(port)", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:8080"] {
      #expect(try status(host, port) == "200", "\(host)")
    }
    for host in [
      "x", "example.com:\(port)", "127.0.0.1.example.com", "127.0.0.256", "localhost.example.com", "10.0.0.1", "[::2]", "0.0.0.0",
    ] {
      #expect(try status(host, port) == "421", "\(host)")
    }
    let (guarded, other) = try serve(token: "secret")
    defer { guarded.close() }
    #expect(try status("example.com", other, "Authorization: Bearer secret") == "200")
    #expect(try status("example.com", other) == "401")
  }

  @Test func `not ready is 503 with what is waited for, stopped with why`() throws {
    let waiting = Health(
      pipeline: "p", state: .waiting, waits: [.init(.clickhouse, since: "2026-01-01T00:00:00.000Z", seconds: 7)], stopped: nil,
      isAlive: true)
    let (server, port) = try serve(AdminViews(health: { waiting }, metrics: { MetricsText() }))
    defer { server.close() }
    let answer = try ask(port, "GET /health")
    #expect(answer.hasPrefix("HTTP/1.1 503 "))
    #expect(
      answer.hasSuffix(
        "{\"ready\":false,\"alive\":true,\"pipeline\":\"p\",\"state\":\"waiting\",\"records\":{\"rows\":0,\"dead_letters\":0,\"dead_letters_by_reason\":{},\"skipped\":0,\"filtered\":0},\"waiting\":[{\"for\":\"clickhouse\",\"since\":\"2026-01-01T00:00:00.000Z\",\"seconds\":7}],\"stopped\":null}\n"
      ))
    #expect(try ask(port, "GET /health/live").hasPrefix("HTTP/1.1 200 "), "what waits is alive")

    let stopped = Health(
      pipeline: "p", state: .stopped, waits: [], stopped: .init(exitCode: 4, rule: "R15", meaning: "m"), isAlive: true)
    let (second, other) = try serve(AdminViews(health: { stopped }, metrics: { MetricsText() }))
    defer { second.close() }
    #expect(
      try ask(other, "GET /health").hasSuffix("\"waiting\":[],\"stopped\":{\"exit_code\":4,\"rule\":\"R15\",\"meaning\":\"m\"}}\n"))
  }

  @Test func `a flow thread that stands still is neither alive nor ready`() throws {
    let still = Health(pipeline: "p", state: .running, waits: [], stopped: nil, isAlive: false)
    let (server, port) = try serve(AdminViews(health: { still }, metrics: { MetricsText() }))
    defer { server.close() }
    for path in ["/health", "/health/live"] { #expect(try ask(port, "GET \(path)").hasPrefix("HTTP/1.1 503 "), "\(path)") }
  }

  @Test(arguments: [
    nil, "Authorization: Bearer ", "Authorization: Bearer wrong", "Authorization: Bearer s3cret-tokem",
    "Authorization: Bearer s3cret-token2",
    "Authorization: Bearer s3cret-toke", "Authorization: Basic s3cret-token", "Authorization: s3cret-token",
    "Authorization: Bearers3cret-token",
    "X-Authorization: Bearer s3cret-token", "Authorization: Bearer S3CRET-TOKEN",
  ])
  func `without the token every path is 401 and says nothing`(header: String?) throws {
    let (server, port) = try serve(token: "s3cret-token")
    defer { server.close() }
    for path in ["/metrics", "/health", "/health/live", "/nothing"] {
      let answer = try header.map { try ask(port, "GET \(path)", $0) } ?? ask(port, "GET \(path)")
      #expect(answer.hasPrefix("HTTP/1.1 401 ") && answer.contains("\r\nWWW-Authenticate: Bearer\r\n"), "\(path)")
      #expect(!answer.contains("s3cret") && !answer.contains("pipeline"))
    }
  }

  @Test(arguments: ["Authorization: Bearer s3cret-token", "authorization: bearer  s3cret-token"])
  func `with the token it answers`(header: String) throws {
    let (server, port) = try serve(token: "s3cret-token")
    defer { server.close() }
    #expect(try ask(port, "GET /metrics", header).hasPrefix("HTTP/1.1 200 "))
    #expect(try ask(port, "GET /nothing", header).hasPrefix("HTTP/1.1 404 "))
  }

  @Test func `a port that is taken is named, and is free again once the server has closed`() throws {
    let (server, port) = try serve()
    do throws(AdminError) {
      _ = try AdminServer(host: "127.0.0.1", port: port, AdminPages(views: views, token: nil))
      Issue.record("two listen on one port")
    } catch {
      #expect(error.isTaken && error.message == "can't listen on 127.0.0.1:\(port): bind: Address already in use")
    }
    #expect(try ask(port, "GET /health").hasPrefix("HTTP/1.1 200 "))
    server.close()
    try AdminServer(host: "127.0.0.1", port: port, AdminPages(views: views, token: nil)).close()
  }

  @Test func `a head beyond all bounds and a body of any size are turned away, and the server goes on`() throws {
    let (server, port) = try serve()
    defer { server.close() }
    let long = String(repeating: "a", count: 100_000)
    for request in ["GET /\(long) HTTP/1.1\r\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\nX: \(long)\r\n\r\n", long] {
      let answer = try exchange(port, Array(request.utf8))
      #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(80))")
    }
    let body = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n" + long
    let answer = try exchange(port, Array(body.utf8))
    #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 200 ") || answer.hasPrefix("HTTP/1.1 4"))
    #expect(try ask(port, "GET /health").hasPrefix("HTTP/1.1 200 "))
  }

  @Test func `clients that say nothing keep others out only until they are closed`() throws {
    let (server, port) = try serve()
    defer { server.close() }
    let silent = try (0..<48).map { _ in try connection(port) }
    defer { for descriptor in silent { close(descriptor) } }
    #expect(try ask(port, "GET /health").hasPrefix("HTTP/1.1 200 "))
  }

  @Test func `clients that send a byte now and then keep nobody out`() throws {
    let (server, port) = try serve(token: "s3cret-token")
    defer { server.close() }
    var slow: [Int32] = []
    defer { for descriptor in slow { close(descriptor) } }
    func trickle() {
      for descriptor in slow { _ = unsafe send(descriptor, "G", 1, Int32(MSG_NOSIGNAL)) }
    }
    // More than there may be, none of them silent for as long as the time-out.
    for _ in 0..<100 {
      slow.append(try connection(port))
      trickle()
    }
    for _ in 0..<5 {
      let before = time(nil)
      #expect(try ask(port, "GET /health", "Authorization: Bearer s3cret-token").hasPrefix("HTTP/1.1 200 "))
      #expect(time(nil) - before < 5)
      sleep(1)
      trickle()
    }
  }

  @Test func `garbage on the socket neither ends nor blocks it`() throws {
    let (server, port) = try serve(token: "s3cret-token")
    defer { server.close() }
    let seeds = [
      "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret-token\r\n\r\n",
      "POST /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n", "GET",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ].map { Array($0.utf8) }
    // What is no whole request is waited for, for seconds: several at once.
    let failures = Mutex<[String]>([])
    let clients = (0..<10).map { client in
      NamedThread("garbage-\(client)") {
        var random = SeededRandom(20_260_101 + UInt64(client))
        for number in 0..<30 {
          var bytes = seeds[number % seeds.count]
          for _ in 0..<(1 + random.next(below: 8)) where !bytes.isEmpty {
            let at = Int(random.next(below: bytes.count))
            switch random.next(below: 4) {
            case 0: bytes[at] = UInt8(random.next(below: 256))
            case 1: bytes.remove(at: at)
            case 2: bytes.insert(contentsOf: [0, 255, 13, 10], at: at)
            default: bytes += bytes[at...]
            }
          }
          do { _ = try exchange(port, bytes) } catch { failures.withLock { $0.append("\(error)") } }
        }
      }
    }
    for client in clients { client.join() }
    #expect(failures.withLock(\.self).isEmpty)
    #expect(try ask(port, "GET /health", "Authorization: Bearer s3cret-token").hasPrefix("HTTP/1.1 200 "))
  }
}
