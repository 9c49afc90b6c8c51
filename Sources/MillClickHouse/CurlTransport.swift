internal import CCurl
internal import Glibc
internal import MillBase

/// What ``CurlTransport`` is made with.
package struct TransportOptions: Sendable {
  /// Scheme, host and port: `http://127.0.0.1:8123`. A path, where one is given, stands before each target's.
  package var url: String
  /// Worker threads, each with one connection of its own.
  package var connections: Int
  package var connectTimeoutMilliseconds: Int
  /// Seconds without a request after which a connection isn't used again; ClickHouse 18.16 closes it after 3, in the midst of a request.
  package var idleSecondsMax: Int
  /// A longer answer fails; the questions' answers have some hundred KiB.
  package var answerBytesMax: Int
  /// Certificates and keys, as files.
  package var tls: TLSFiles

  package init(
    url: String, connections: Int = 4, connectTimeoutMilliseconds: Int = 5_000, idleSecondsMax: Int = 2, answerBytesMax: Int = 16 << 20,
    tls: TLSFiles = TLSFiles()
  ) {
    self.url = url
    self.connections = connections
    self.connectTimeoutMilliseconds = connectTimeoutMilliseconds
    self.idleSecondsMax = idleSecondsMax
    self.answerBytesMax = answerBytesMax
    self.tls = tls
  }
}

/// Paths of PEM files for https.
package struct TLSFiles: Hashable, Sendable {
  /// Authorities that a server's certificate must come from; nil: the system's.
  package var authorities: String?
  /// What we show to a server that asks; with its key.
  package var certificate: String?
  package var key: String?

  package init(authorities: String? = nil, certificate: String? = nil, key: String? = nil) {
    self.authorities = authorities
    self.certificate = certificate
    self.key = key
  }
}

/// HTTP by libcurl: a fixed number of threads, each with one handle whose connection is kept alive.
///
/// A request is sent once: libcurl's own second try on a connection that died needs the body again, and there is no way back in it, so that
/// such a request fails instead (a silent second try would be an attempt the protocol knows nothing about). No redirects, no proxy, no
/// signals; certificates are checked. Callable from any thread; ``close()`` joins the threads.
@safe package final class CurlTransport: Transport, @unchecked Sendable {
  private let queue = RequestQueue()
  // Written in init and close() only; close() is guarded by the queue's own flag.
  private var threads: [pthread_t] = []

  package init(_ options: TransportOptions) {
    precondition(options.connections > 0, "connections = \(options.connections): must be at least 1")
    curl_global_init(Int(CURL_GLOBAL_DEFAULT))
    for _ in 0..<options.connections {
      let worker = unsafe Unmanaged.passRetained(CurlWorker(options, queue)).toOpaque()
      var thread = pthread_t()
      let failed = unsafe pthread_create(
        &thread, nil,
        { argument in
          // The one reference that pthread_create was given.
          let worker = unsafe Unmanaged<CurlWorker>.fromOpaque(argument.unsafelyUnwrapped).takeRetainedValue()
          worker.run()
          return nil
        }, worker)
      precondition(failed == 0, "pthread_create: errno \(failed)")
      threads.append(thread)
    }
  }

  deinit { close() }

  package func send(_ request: HTTPRequest, done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) {
    if !queue.put(request, done) { done(.failure(TransportError(nothingSent: true, reason: "the transport is closed"))) }
  }

  /// Ends running requests (their outcome is unknown), answers waiting ones, joins the threads. Not from within a `done`.
  package func close() {
    guard let waiting = queue.close() else { return }
    for entry in waiting { entry.done(.failure(TransportError(nothingSent: true, reason: "the transport was closed before"))) }
    for thread in threads { pthread_join(thread, nil) }
    threads = []
  }
}

/// Requests on their way to the workers.
@safe private final class RequestQueue: @unchecked Sendable {
  struct Entry {
    let request: HTTPRequest
    let done: @Sendable (Result<HTTPResponse, TransportError>) -> Void
  }

  // Everything below is guarded by `lock`; both live at a fixed address until deinit.
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let filled = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var entries: [Entry] = []
  private var closed = false

  init() {
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_cond_init(filled, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(filled)
    unsafe pthread_mutex_destroy(lock)
    unsafe filled.deallocate()
    unsafe lock.deallocate()
  }

  private func locked<R>(_ body: () -> R) -> R {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return body()
  }

  var isClosed: Bool { locked { closed } }

  /// False once closed.
  func put(_ request: HTTPRequest, _ done: @escaping @Sendable (Result<HTTPResponse, TransportError>) -> Void) -> Bool {
    locked {
      if closed { return false }
      entries.append(Entry(request: request, done: done))
      unsafe pthread_cond_signal(filled)
      return true
    }
  }

  /// Waits for the next; nil once closed.
  func take() -> Entry? {
    locked {
      while entries.isEmpty && !closed { unsafe pthread_cond_wait(filled, lock) }
      return closed ? nil : entries.removeFirst()
    }
  }

  /// What was still waiting; nil where it was closed before.
  func close() -> [Entry]? {
    locked {
      if closed { return nil }
      closed = true
      let waiting = entries
      entries = []
      unsafe pthread_cond_broadcast(filled)
      return waiting
    }
  }
}

/// One thread's handle. Only that thread touches it; the callbacks run inside of its curl_easy_perform.
@safe private final class CurlWorker {
  private let options: TransportOptions
  fileprivate let queue: RequestQueue
  private let handle: UnsafeMutableRawPointer
  private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

  // Of the request that is under way.
  fileprivate var body = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
  fileprivate var bodySent = 0
  fileprivate var bodyAsked = false
  fileprivate var answer: [UInt8] = []
  fileprivate var headers: [String: String] = [:]
  fileprivate var answerTooLong = false
  private var headerByteCount = 0
  private var headersTooLong = false
  private static let headerBytesMax = 256 << 10
  /// A drill is under way, and this is an INSERT.
  fileprivate var isDrilled = false

  /// The last answer was an error, perhaps because of what the connection has done to the body: the next request gets another one.
  private var mistrustsConnection = false

  init(_ options: TransportOptions, _ queue: RequestQueue) {
    self.options = options
    self.queue = queue
    guard let handle = unsafe curl_easy_init() else { preconditionFailure("curl_easy_init gave no handle") }
    unsafe self.handle = handle
  }

  deinit {
    unsafe curl_easy_cleanup(handle)
    unsafe errorText.deallocate()
  }

  func run() {
    while let entry = queue.take() { entry.done(perform(entry.request)) }
  }

  private func perform(_ request: HTTPRequest) -> Result<HTTPResponse, TransportError> {
    // Options only; connections stay open.
    unsafe curl_easy_reset(handle)
    unsafe errorText[0] = 0
    bodySent = 0
    bodyAsked = false
    answer = []
    headers = [:]
    answerTooLong = false
    headerByteCount = 0
    headersTooLong = false
    isDrilled = FaultPoint.isArmed && request.target.contains("query=INSERT")
    setConnection(request)
    var list: UnsafeMutablePointer<curl_slist>?
    // Nothing waits for "100 Continue", and the answer comes in no other encoding.
    for line in ["Expect:", "Accept:"] + request.headers.map({ "\($0.name): \($0.value)" }) { unsafe list = curl_slist_append(list, line) }
    defer { unsafe curl_slist_free_all(list) }
    check(unsafe mr_curl_set_list(handle, list))
    let code = unsafe request.body.withUnsafeBytes { raw in
      unsafe body = raw
      defer { unsafe body = UnsafeRawBufferPointer(start: nil, count: 0) }
      setBody(byteCount: raw.count)
      return unsafe curl_easy_perform(handle)
    }
    guard code == CURLE_OK else { return .failure(failure(code)) }
    let status = unsafe mr_curl_get_long(handle, CURLINFO_RESPONSE_CODE)
    mistrustsConnection = status != 200
    return .success(HTTPResponse(status: status, headers: headers, body: answer))
  }

  private func setConnection(_ request: HTTPRequest) {
    let url = options.url.hasSuffix("/") ? String(options.url.dropLast()) : options.url
    check(unsafe mr_curl_set_string(handle, CURLOPT_URL, url + request.target))
    check(unsafe mr_curl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http,https"))
    check(unsafe mr_curl_set_string(handle, CURLOPT_PROXY, ""))
    setTLS(options.tls)
    set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    set(CURLOPT_NOSIGNAL, 1)
    set(CURLOPT_FOLLOWLOCATION, 0)
    set(CURLOPT_TCP_KEEPALIVE, 1)
    set(CURLOPT_TIMEOUT_MS, request.timeoutMilliseconds)
    set(CURLOPT_CONNECTTIMEOUT_MS, options.connectTimeoutMilliseconds)
    set(CURLOPT_MAXAGE_CONN, options.idleSecondsMax)
    set(CURLOPT_FRESH_CONNECT, request.freshConnection || mistrustsConnection ? 1 : 0)
    set(CURLOPT_FORBID_REUSE, request.freshConnection ? 1 : 0)
  }

  /// Certificate and host's name are checked, always: there is no switch for it.
  private func setTLS(_ files: TLSFiles) {
    set(CURLOPT_SSL_VERIFYPEER, 1)
    set(CURLOPT_SSL_VERIFYHOST, 2)
    set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    if let file = files.authorities {
      check(unsafe mr_curl_set_string(handle, CURLOPT_CAINFO, file))
      // Only these: libcurl was built with the system's directory as well.
      check(unsafe mr_curl_set_string(handle, CURLOPT_CAPATH, nil))
    }
    if let file = files.certificate { check(unsafe mr_curl_set_string(handle, CURLOPT_SSLCERT, file)) }
    if let file = files.key { check(unsafe mr_curl_set_string(handle, CURLOPT_SSLKEY, file)) }
  }

  private func setBody(byteCount: Int) {
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    check(unsafe mr_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText))
    set(CURLOPT_POST, 1)
    check(unsafe mr_curl_set_off(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(byteCount)))
    check(unsafe mr_curl_set_data(handle, CURLOPT_READFUNCTION, readBody))
    check(unsafe mr_curl_set_pointer(handle, CURLOPT_READDATA, me))
    check(unsafe mr_curl_set_data(handle, CURLOPT_WRITEFUNCTION, writeAnswer))
    check(unsafe mr_curl_set_pointer(handle, CURLOPT_WRITEDATA, me))
    check(unsafe mr_curl_set_data(handle, CURLOPT_HEADERFUNCTION, writeHeader))
    check(unsafe mr_curl_set_pointer(handle, CURLOPT_HEADERDATA, me))
    check(unsafe mr_curl_set_progress(handle, stopWhenClosed))
    check(unsafe mr_curl_set_pointer(handle, CURLOPT_XFERINFODATA, me))
    set(CURLOPT_NOPROGRESS, 0)
    // Bigger steps than the 64 KiB that libcurl starts with.
    set(CURLOPT_UPLOAD_BUFFERSIZE, 512 << 10)
  }

  private func set(_ option: CURLoption, _ value: Int) { check(unsafe mr_curl_set_long(handle, option, value)) }

  /// An option that this libcurl doesn't take is a mistake of this file.
  private func check(_ code: CURLcode) { precondition(code == CURLE_OK, "curl_easy_setopt: \(code.rawValue)") }

  private func failure(_ code: CURLcode) -> TransportError {
    let detail = unsafe errorText[0] == 0 ? String(cString: curl_easy_strerror(code)) : String(cString: errorText)
    let early: [CURLcode] = [
      CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
      CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CIPHER, CURLE_OPERATION_TIMEDOUT, CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL,
      CURLE_ABORTED_BY_CALLBACK,
    ]
    // A code alone is no proof: a second connection can fail to open after a first one took the request.
    let nothingSent = unsafe !bodyAsked && early.contains(code) && mr_curl_get_long(handle, CURLINFO_REQUEST_SIZE) == 0
    let reason =
      answerTooLong
      ? "the answer has more than \(options.answerBytesMax) bytes"
      : headersTooLong ? "the answer's headers have more than \(Self.headerBytesMax) bytes" : detail
    return TransportError(nothingSent: nothingSent, reason: "curl error \(code.rawValue): \(ForeignText.cut(reason)), at \(options.url)")
  }

  fileprivate func take(_ out: UnsafeMutableRawPointer, _ room: Int) -> Int {
    bodyAsked = true
    let isHalfSent = unsafe bodySent * 2 >= body.count
    if isDrilled, isHalfSent, bodySent > 0 { FaultPoint.hit(.insertHalfSent) }
    // In a drill a small body goes in two pieces too.
    let piece = unsafe isDrilled && !isHalfSent ? (body.count + 1) / 2 : room
    let count = unsafe min(room, piece, body.count - bodySent)
    guard count > 0, let start = unsafe body.baseAddress else { return 0 }
    unsafe out.copyMemory(from: start + bodySent, byteCount: count)
    bodySent += count
    return count
  }

  /// libcurl has given so many bytes of the body to the socket.
  fileprivate func noteSent(_ count: Int) {
    guard isDrilled, unsafe count == body.count, count > 0 else { return }
    // Told more than once.
    isDrilled = false
    FaultPoint.hit(.insertSent)
  }

  fileprivate func add(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard answer.count + bytes.count <= options.answerBytesMax else {
      answerTooLong = true
      return 0
    }
    unsafe answer.append(contentsOf: bytes)
    return bytes.count
  }

  /// False: too many bytes of headers; the library's own bound came with 8.3 only.
  fileprivate func addHeader(_ line: String) -> Bool {
    headerByteCount += line.utf8.count
    guard headerByteCount <= Self.headerBytesMax else {
      headersTooLong = true
      return false
    }
    keepHeader(line)
    return true
  }

  private func keepHeader(_ line: String) {
    // Of several answers (100, then 200) the last counts.
    if line.hasPrefix("HTTP/") { return headers = [:] }
    guard let colon = line.firstIndex(of: ":") else { return }
    let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
    headers[line[..<colon].lowercased()] = String(value.prefix { $0 != "\r\n" && $0 != "\r" && $0 != "\n" })
  }
}

private func worker(_ context: UnsafeMutableRawPointer?) -> CurlWorker {
  unsafe Unmanaged<CurlWorker>.fromOpaque(context.unsafelyUnwrapped).takeUnretainedValue()
}

@c private func readBody(_ out: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  guard let out = unsafe out else { return 0 }
  return unsafe worker(context).take(UnsafeMutableRawPointer(out), size * count)
}

@c private func writeAnswer(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  unsafe worker(context).add(UnsafeRawBufferPointer(start: bytes, count: size * count))
}

@c private func writeHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  let line = unsafe String(decoding: UnsafeRawBufferPointer(start: bytes, count: size * count), as: UTF8.self)
  return unsafe worker(context).addHeader(line) ? size * count : 0
}

@c private func stopWhenClosed(
  _ context: UnsafeMutableRawPointer?, _: curl_off_t, _: curl_off_t, _: curl_off_t, _ sent: curl_off_t
) -> Int32 {
  unsafe worker(context).noteSent(Int(sent))
  return unsafe worker(context).queue.isClosed ? 1 : 0
}
