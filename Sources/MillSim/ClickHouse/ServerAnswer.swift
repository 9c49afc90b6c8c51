internal import MillClickHouse

/// Which release's manners a simulated server has.
package enum ServerFlavour: Sendable {
  /// 26.9: tokens, exception header and tag.
  case modern
  /// 18.16: neither.
  case old
}

/// Puts answers into HTTP, as the recorded servers do.
struct ServerAnswers {
  let flavour: ServerFlavour
  /// What this server's `X-ClickHouse-Exception-Tag` is.
  let tag = "PU1FNUFH98"

  func headers(_ more: [String: String] = [:]) -> [String: String] {
    var headers = ["content-type": "text/tab-separated; charset=UTF-8", "connection": "Keep-Alive", "keep-alive": "timeout=10"]
    if flavour == .modern {
      headers["x-clickhouse-server-display-name"] = "sim"
      headers["x-clickhouse-exception-tag"] = tag
      headers["x-clickhouse-summary"] = "{\"read_rows\":\"0\",\"written_rows\":\"0\"}"
    }
    for (name, value) in more { headers[name] = value }
    return headers
  }

  func success(_ lines: [String] = []) -> HTTPResponse {
    var body: [UInt8] = []
    for line in lines {
      body += line.utf8
      body.append(UInt8(ascii: "\n"))
    }
    return HTTPResponse(status: 200, headers: headers(), body: body)
  }

  func error(_ code: Int, _ message: String) -> HTTPResponse {
    var more: [String: String] = [:]
    if flavour == .modern { more["x-clickhouse-exception-code"] = String(code) }
    return HTTPResponse(status: status(code), headers: headers(more), body: Array((text(code, message) + "\n").utf8))
  }

  /// 200, and an exception in the headers all the same (18.16 has no such header: in the body).
  func successWithHeader(_ code: Int, _ message: String) -> HTTPResponse {
    guard flavour == .modern else { return successWithTail(code, message) }
    return HTTPResponse(
      status: 200, headers: headers(["x-clickhouse-exception-code": String(code)]), body: Array((text(code, message) + "\n").utf8))
  }

  /// 200, then an exception when the status had long been sent.
  func successWithTail(_ code: Int, _ message: String) -> HTTPResponse {
    let body =
      flavour == .modern
      ? "\r\n__exception__\r\n\(tag)\r\n\(text(code, message))\r\n\(text(code, message).utf8.count) \(tag)\r\n__exception__\r\n"
      : text(code, message) + "\n"
    return HTTPResponse(status: 200, headers: headers(), body: Array(body.utf8))
  }

  private func text(_ code: Int, _ message: String) -> String {
    flavour == .modern
      ? "Code: \(code). DB::Exception: \(message). (SIMULATED) (version 26.9.2.1)"
      : "Code: \(code), e.displayText() = DB::Exception: \(message), e.what() = DB::Exception"
  }

  private func status(_ code: Int) -> Int {
    switch code {
    case 46, 50, 60, 73, 81, 115: 404
    case 6, 62: 400
    case 516: 403
    case 159: flavour == .modern ? 408 : 500
    case 209: flavour == .modern ? 503 : 500
    default: 500
    }
  }
}
