/// The simulated table: its parts, and the deduplication log that a plain MergeTree writes before it renames a part in.
package struct ServerTable {
  /// Rows of one INSERT that fall into one table partition: visible all at once or not at all.
  package struct Part: Sendable {
    package var partition: String
    package var rows: [ServerRow]
    package var queryID: String

    package init(partition: String, rows: [ServerRow], queryID: String) {
      self.partition = partition
      self.rows = rows
      self.queryID = queryID
    }
  }

  package private(set) var parts: [Part] = []
  /// Rows by the token in their query's id.
  private var sent: [String: Int] = [:]
  /// Rows by provenance.
  private var counts: [String: Int] = [:]
  /// Partitions that have rows of a batch, by provenance.
  private var partitions: [String: [String]] = [:]
  private var greatest: [String] = []
  /// FIFO; what the token stands for is never looked at.
  private var log: [(entry: String, seconds: Int64)] = []
  package let window: Int
  /// Age at which an entry is forgotten, counted from the newest one; nil: never.
  private let seconds: Int64?

  package init(window: Int, seconds: Int64?) {
    self.window = window
    self.seconds = seconds
  }

  /// All rows, in the order of their commits.
  package var rows: [ServerRow] { parts.flatMap(\.rows) }

  package func count(provenance: String) -> Int { counts[provenance] ?? 0 }

  /// Rows that came by queries whose id is this token and an attempt.
  package func count(sentAs token: String) -> Int { sent[token] ?? 0 }

  /// Partitions with rows of the batch.
  package func partitions(provenance: String) -> [String] { partitions[provenance] ?? [] }

  /// The greatest number of a batch by the provenances of `from ..< below`; 0 when there is none.
  package func greatest(from: String, below: String) -> UInt64 {
    greatest.lazy.filter { $0 >= from && $0 < below }.map(Self.number).max() ?? 0
  }

  /// What stands 53 bytes before a provenance's end; 0 where that is no number.
  static func number(_ provenance: String) -> UInt64 { UInt64(String(decoding: provenance.utf8.suffix(53).prefix(20), as: UTF8.self)) ?? 0 }

  /// What the provenances of all rows begin with.
  package func writers(byteCount: Int) -> [String] { Set(greatest.map { String($0.prefix(byteCount)) }).sorted() }

  /// Whether the log holds the token for this partition.
  package func knows(_ partition: String, token: String) -> Bool {
    let wanted = partition + "\u{0}" + token
    return log.contains { $0.entry == wanted }
  }

  /// Whether the log holds the token for any partition.
  package func remembers(token: String) -> Bool { log.contains { $0.entry.hasSuffix("\u{0}" + token) } }

  /// Writes the token down; the oldest entry beyond the window goes.
  package mutating func remember(_ partition: String, token: String, at now: Int64) {
    guard window > 0 else { return }
    log.append((partition + "\u{0}" + token, now))
    if let seconds { log.removeAll { $0.seconds < now - seconds } }
    if log.count > window { log.removeFirst(log.count - window) }
  }

  /// Renames a part in; its number.
  @discardableResult
  package mutating func commit(_ part: Part) -> Int {
    parts.append(part)
    if let dash = part.queryID.utf8.lastIndex(of: UInt8(ascii: "-")) { sent[String(part.queryID[..<dash]), default: 0] += part.rows.count }
    for row in part.rows {
      if counts[row.provenance] == nil { greatest.append(row.provenance) }
      counts[row.provenance, default: 0] += 1
    }
    if let provenance = part.rows.first?.provenance, !(partitions[provenance] ?? []).contains(part.partition) {
      partitions[provenance, default: []].append(part.partition)
    }
    return parts.count - 1
  }

  /// The newest parts are gone, as unsynced files are after a power cut; their tokens stay or go too.
  package mutating func lose(newest count: Int, withTokens: Bool) {
    let lost = parts.suffix(count)
    let left = Array(parts.dropLast(count))
    let tokens = log
    self = ServerTable(window: window, seconds: seconds)
    for part in left { commit(part) }
    let gone = Set(lost.map { "\($0.partition)\u{0}\($0.rows.first?.provenance ?? "")" })
    log = withTokens ? tokens.filter { !gone.contains($0.entry) } : tokens
  }
}
