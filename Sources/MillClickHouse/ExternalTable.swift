internal import Glibc
internal import MillBase
package import MillLog

/// The external table `batch` that a guarded INSERT selects from, as multipart/form-data.
package enum ExternalTable {
  /// `name type, …` for the parameter `batch_structure`.
  ///
  /// Servers before 21.1 cut this text at every space and comma; there names stand bare and a Decimal goes by its width.
  package static func structure(_ columns: [BatchColumn], _ dialect: Dialect) -> String {
    columns.map { column in
      dialect.readsQuotedStructures ? "\(SQL.name(column.name)) \(column.type)" : "\(column.name) \(withoutCommas(column.type))"
    }.joined(separator: ", ")
  }

  /// Whether ``structure(_:_:)`` can name the column to this server.
  package static func canName(_ column: BatchColumn, _ dialect: Dialect) -> Bool {
    dialect.readsQuotedStructures || (SQL.isPlainWord(column.name) && !withoutCommas(column.type).contains { $0 == "," || $0 == " " })
  }

  /// `Decimal(P, S)` as `Decimal32(S)` or `Decimal64(S)`, which keeps the same bytes.
  private static func withoutCommas(_ type: String) -> String {
    guard let range = decimal(in: type) else { return type }
    let parts = type[range].dropFirst("Decimal(".count).dropLast().split(separator: ",").compactMap { Int($0.drop { $0 == " " }) }
    guard parts.count == 2 else { return type }
    let width = parts[0] <= 9 ? 32 : parts[0] <= 18 ? 64 : 128
    return type.replacingSlice(range, with: "Decimal\(width)(\(parts[1]))")
  }

  private static func decimal(in type: String) -> Range<String.Index>? {
    for start in type.indices where type[start...].hasPrefix("Decimal(") {
      guard let end = type[start...].firstIndex(of: ")") else { return nil }
      return start..<type.index(after: end)
    }
    return nil
  }

  /// A line that doesn't occur in `block`; the same for the same batch.
  package static func boundary(token: String, block: [UInt8]) -> String {
    var number = 0
    while true {
      let boundary = "batch-\(number)-\(token.suffix(32))"
      let needle = Array(("\r\n--" + boundary).utf8)
      if !contains(block, needle) { return boundary }
      number += 1
    }
  }

  private static func contains(_ block: [UInt8], _ needle: [UInt8]) -> Bool {
    unsafe block.withRawBytes { hay in
      unsafe needle.withRawBytes { needle in
        guard let start = hay.baseAddress, let wanted = needle.baseAddress else { return false }
        var at = 0
        while hay.count - at >= needle.count, let found = unsafe memchr(start + at, Int32(needle[0]), hay.count - at - needle.count + 1) {
          if unsafe memcmp(found, wanted, needle.count) == 0 { return true }
          at = unsafe start.distance(to: UnsafeRawPointer(found)) + 1
        }
        return false
      }
    }
  }

  /// The one part `batch`, between its boundaries.
  package static func body(_ block: [UInt8], boundary: String) -> [UInt8] {
    let head =
      "--\(boundary)\r\nContent-Disposition: form-data; name=\"batch\"; filename=\"batch\"\r\n"
      + "Content-Type: application/octet-stream\r\n\r\n"
    let tail = "\r\n--\(boundary)--\r\n"
    var body: [UInt8] = []
    body.reserveCapacity(head.utf8.count + block.count + tail.utf8.count)
    body += Array(head.utf8)
    body += block
    body += Array(tail.utf8)
    return body
  }
}

extension String {
  fileprivate func replacingSlice(_ range: Range<Index>, with text: String) -> String {
    String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
  }
}
