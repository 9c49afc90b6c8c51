internal import Glibc
internal import MillClickHouse
internal import Synchronization
internal import Testing

/// A listener on 127.0.0.1 that treats each connection as told, one after the other, on a thread of its own.
private final class Listener: Sendable {
  enum Treatment: Sendable {
    /// Answers a request and keeps the connection.
    case answer(String)
    /// Answers with so many headers of 1,000 bytes.
    case headers(Int)
    /// Reads a whole request and goes away.
    case hangUp
  }

  let port: UInt16
  /// Requests whose head and body came whole.
  let requests = Atomic<Int>(0)
  private let socketNumber: Int32

  init() throws {
    let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(number, $0, size) == 0 && listen(number, 8) == 0 && getsockname(number, $0, &size) == 0
      }
    }
    try #require(bound)
    socketNumber = number
    port = UInt16(bigEndian: address.sin_port)
  }

  var url: String { "http://127.0.0.1:\(port)" }

  func close() { _ = Glibc.close(socketNumber) }

  /// Each inner list is one connection.
  func serve(_ connections: [[Treatment]]) {
    let thread = ThreadBox { [self] in
      for treatments in connections {
        let peer = accept(socketNumber, nil, nil)
        guard peer >= 0 else { return }
        for treatment in treatments {
          guard readRequest(peer) else { break }
          requests.add(1, ordering: .sequentiallyConsistent)
          var (body, headers) = ("", "X-Name: Value\r\n")
          switch treatment {
          case .answer(let text): body = text
          case .headers(let count): headers = String(repeating: "X-Name: \(String(repeating: "v", count: 990))\r\n", count: count)
          case .hangUp: headers = ""
          }
          if !headers.isEmpty {
            let text = "HTTP/1.1 200 OK\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            _ = unsafe Array(text.utf8).withUnsafeBytes { unsafe Glibc.send(peer, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
          }
        }
        _ = Glibc.close(peer)
      }
    }
    thread.start()
  }

  private func readRequest(_ peer: Int32) -> Bool {
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe recv(peer, &buffer, buffer.count, 0)
      guard count > 0 else { return false }
      text += buffer[0..<count]
      let string = String(decoding: text, as: UTF8.self)
      guard let end = string.range(of: "\r\n\r\n"), let length = string.range(of: "Content-Length: ") else { continue }
      let digits = string[length.upperBound...].prefix { $0.isNumber }
      if text.count >= string[..<end.upperBound].utf8.count + (Int(digits) ?? 0) { return true }
    }
  }
}

extension String {
  fileprivate func range(of text: String) -> Range<Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}

private final class ThreadBox: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  func start() {
    var thread = pthread_t()
    let me = unsafe Unmanaged.passRetained(self).toOpaque()
    _ = unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<ThreadBox>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, me)
    pthread_detach(thread)
  }
}

@Suite struct CurlTransportTests {
  private func send(_ transport: CurlTransport, _ request: HTTPRequest) async -> Result<HTTPResponse, TransportError> {
    await withCheckedContinuation { continuation in transport.send(request) { continuation.resume(returning: $0) } }
  }

  private func request(_ body: String = "abc", fresh: Bool = false, timeout: Int = 20_000) -> HTTPRequest {
    HTTPRequest(target: "/?x=1", headers: [("X-A", "b")], body: Array(body.utf8), freshConnection: fresh, timeoutMilliseconds: timeout)
  }

  @Test func `an answer has status, headers in lower case and body`() async throws {
    let listener = try Listener()
    defer { listener.close() }
    listener.serve([[.answer("hello"), .answer("")]])
    let transport = CurlTransport(TransportOptions(url: listener.url, connections: 1, idleSecondsMax: 600))
    defer { transport.close() }
    let first = try await send(transport, request()).get()
    #expect(first.status == 200 && first.headers["x-name"] == "Value" && first.body == Array("hello".utf8))
    #expect(try await send(transport, request("")).get().body == [])
  }

  @Test func `nothing was sent where nobody listens`() async throws {
    let listener = try Listener()
    listener.close()
    let transport = CurlTransport(TransportOptions(url: listener.url, connections: 1, idleSecondsMax: 600))
    defer { transport.close() }
    guard case .failure(let error) = await send(transport, request()) else { return #expect(Bool(false)) }
    #expect(error.nothingSent)
  }

  @Test func `a server that goes away after the request leaves it unknown`() async throws {
    let listener = try Listener()
    defer { listener.close() }
    listener.serve([[.hangUp]])
    let transport = CurlTransport(TransportOptions(url: listener.url, connections: 1, idleSecondsMax: 600))
    defer { transport.close() }
    guard case .failure(let error) = await send(transport, request()) else { return #expect(Bool(false)) }
    #expect(!error.nothingSent)
  }

  @Test func `a request is never sent twice, also when a kept connection dies under it`() async throws {
    let listener = try Listener()
    defer { listener.close() }
    listener.serve([[.answer("one"), .hangUp], [.answer("a second try")]])
    let transport = CurlTransport(TransportOptions(url: listener.url, connections: 1, idleSecondsMax: 600))
    defer { transport.close() }
    _ = try await send(transport, request()).get()
    guard case .failure(let error) = await send(transport, request()) else { return #expect(Bool(false), "it was sent again") }
    #expect(!error.nothingSent)
    #expect(listener.requests.load(ordering: .sequentiallyConsistent) == 2)
  }

  @Test func `an answer that is too long fails, and the next one is read`() async throws {
    let listener = try Listener()
    defer { listener.close() }
    listener.serve([[.answer(String(repeating: "x", count: 100_000))], [.answer("ok")]])
    let transport = CurlTransport(TransportOptions(url: listener.url, connections: 1, idleSecondsMax: 600, answerBytesMax: 1000))
    defer { transport.close() }
    guard case .failure(let error) = await send(transport, request()) else { return #expect(Bool(false)) }
    #expect(error.reason.contains("more than 1000 bytes"))
    #expect(try await send(transport, request()).get().body == Array("ok".utf8))
  }

  @Test func `an answer whose headers are too long fails, and the next one is read`() async throws {
    let listener = try Listener()
    defer { listener.close() }
    listener.serve([[.headers(280)], [.headers(200)]])
    let transport = CurlTransport(TransportOptions(url: listener.url, connections: 1, idleSecondsMax: 600))
    defer { transport.close() }
    guard case .failure(let error) = await send(transport, request()) else { return #expect(Bool(false)) }
    #expect(error.reason.contains("headers have more than 262144 bytes"), "\(error.reason)")
    #expect(try await send(transport, request()).get().headers["x-name"]?.utf8.count == 990)
  }

  @Test func `closing ends what runs and what waits, and takes nothing more`() async throws {
    let listener = try Listener()
    defer { listener.close() }
    let transport = CurlTransport(TransportOptions(url: listener.url, connections: 1, idleSecondsMax: 600))
    async let running = send(transport, request())
    async let waiting = send(transport, request())
    transport.close()
    for result in await [running, waiting] {
      if case .success = result { #expect(Bool(false)) }
    }
    guard case .failure(let late) = await send(transport, request()) else { return #expect(Bool(false)) }
    #expect(late.nothingSent)
  }
}
