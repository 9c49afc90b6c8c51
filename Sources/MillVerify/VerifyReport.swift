package import MillBase
package import MillLog

/// What `verify` found.
package struct VerifyReport: Sendable {
  /// Log positions that nothing tells of any more, or why history can't be read at all: then nothing is proven.
  package internal(set) var lostHistory: [String] = []
  /// What was not looked at, and doesn't keep the rest from being proven.
  package internal(set) var notes: [String] = []
  /// What could not be compared, and why; the rest holds.
  package internal(set) var unproven: [String] = []
  package internal(set) var findings: [Finding] = []
  /// Rows; of batches that are sealed and finished.
  package internal(set) var missing: UInt64 = 0
  package internal(set) var extra: UInt64 = 0
  package internal(set) var double: UInt64 = 0
  /// Batches with as many rows as were sealed, but not those.
  package internal(set) var altered: UInt64 = 0
  /// Breaks of ranges, counters that don't add up, dead-letter files missing or changed.
  package internal(set) var otherProblems: UInt64 = 0

  // Figures
  package internal(set) var lineages: [Lineage] = []
  package internal(set) var lastEpoch: EpochNumber = 0
  package internal(set) var offsets: [OffsetRange] = []
  /// Names of the sources that slots are of.
  package internal(set) var sources = SourceNames()
  package internal(set) var counters: Counters?
  /// Given up before they were read (`--accept-loss`).
  package internal(set) var givenUp: [OffsetRange] = []
  package internal(set) var tableBatches = 0
  package internal(set) var tableRows: UInt64 = 0
  /// Under the tokens of this pipeline.
  package internal(set) var rowsFound: UInt64 = 0
  package internal(set) var inFlightBatches = 0
  /// Of batches in flight: any number up to what was sealed is right.
  package internal(set) var inFlightRows: UInt64 = 0
  package internal(set) var batchesWithContent = 0
  package internal(set) var deadLetterBatches = 0
  package internal(set) var deadLetterRows: UInt64 = 0
  /// Under other names than this pipeline's.
  package internal(set) var otherRows: UInt64?

  /// One thing that is wrong.
  package struct Finding: Sendable {
    package var kind: Kind
    /// Rows; 0 where it isn't about rows.
    package var rows: UInt64 = 0
    package var text: String
    package var token: String?
    package var epochs: ClosedRange<EpochNumber>?
    package var ranges: [OffsetRange] = []
    /// Rows that are meant, as far as they can be told.
    package var samples: [String] = []

    package enum Kind: String, Sendable {
      case missing, extra, double, altered, ranges, counters, deadLetters = "dead_letters", kafka
    }
  }

  /// At most so many of a kind are told one by one.
  static let findingsMax = 20

  /// Notes what is wrong; false where there are enough of its kind.
  @discardableResult
  mutating func add(_ finding: Finding) -> Bool {
    switch finding.kind {
    case .missing: missing += finding.rows
    case .extra: extra += finding.rows
    case .double: double += finding.rows
    case .altered: altered += 1
    case .ranges, .counters, .deadLetters, .kafka: otherProblems += 1
    }
    guard findings.lazy.filter({ $0.kind == finding.kind }).count < Self.findingsMax else { return false }
    findings.append(finding)
    return true
  }

  /// Nothing is wrong, and all of it was looked at.
  package var isProven: Bool {
    lostHistory.isEmpty && unproven.isEmpty && missing == 0 && extra == 0 && double == 0 && altered == 0 && otherProblems == 0
  }
}
