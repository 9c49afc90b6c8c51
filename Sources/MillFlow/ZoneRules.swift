internal import Glibc
internal import MillBase

/// Why a zone's rules can't be had.
package struct ZoneProblem: Error, Hashable, Sendable {
  package var message: String
}

/// When a zone of the tz database had which offset from UTC, up to the year 2300.
///
/// A local time that a zone has twice (clocks set back) means the earlier of both moments; one that it never has (clocks set forward)
/// means none, and is an error of the record.
package struct ZoneRules: Hashable, Sendable {
  /// Where the tz database is installed.
  package static let directory = "/usr/share/zoneinfo"

  package let name: String
  /// Seconds since 1970, rising: from here on `offsets[i + 1]` holds.
  private let starts: [Int64]
  /// Seconds to add to UTC; one more than ``starts``, the first holds before all.
  private let offsets: [Int32]

  init(name: String, starts: [Int64], offsets: [Int32]) {
    precondition(offsets.count == starts.count + 1)
    self.name = name
    self.starts = starts
    self.offsets = offsets
  }

  /// Differs where the rules do: FNV-1a, 64 bits, over all of them. 0 for a zone that is UTC.
  package var fingerprint: UInt64 {
    guard !starts.isEmpty || offsets != [0] else { return 0 }
    return fnv1a((starts + offsets.map(Int64.init)).flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } })
  }

  /// The rules of a zone by its name in the tz database; `UTC` needs no file.
  package static func load(_ name: String) throws(ZoneProblem) -> ZoneRules {
    if ["UTC", "Etc/UTC", "GMT", "Etc/GMT"].contains(name) { return ZoneRules(name: name, starts: [], offsets: [0]) }
    guard isZoneName(name) else { throw ZoneProblem(message: "'\(name)' is no name of a time zone") }
    guard let bytes = readFile(directory + "/" + name) else {
      throw ZoneProblem(message: "the time zone '\(name)' is unknown: no file \(directory)/\(name)")
    }
    var reader = ZoneFileReader(name: name, bytes: bytes)
    return try reader.rules()
  }

  /// Seconds since 1970 UTC of the moment when clocks in the zone show `local` (seconds since 1970 read off the wall); nil where they
  /// never do.
  package func utc(local: Int64) -> Int64? {
    // No zone was ever 26 hours off, so only rules in force around that time can matter; the earlier moment comes first.
    var index = ruleIndex(at: local - 26 * 3600)
    let last = ruleIndex(at: local + 26 * 3600)
    while index <= last {
      let moment = local - Int64(offsets[index])
      if index == 0 || moment >= starts[index - 1], index == starts.count || moment < starts[index] { return moment }
      index += 1
    }
    return nil
  }

  /// Seconds to add to UTC at a moment.
  package func offset(at moment: Int64) -> Int64 { Int64(offsets[ruleIndex(at: moment)]) }

  private func ruleIndex(at moment: Int64) -> Int {
    var low = 0
    var high = starts.count
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] <= moment { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// A whole file of at most 1 MiB; nil where it can't be read.
  private static func readFile(_ path: String) -> [UInt8]? {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    var used = 0
    while used < bytes.count {
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in unsafe read(file, buffer.baseAddress! + used, buffer.count - used) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return nil }
      if count == 0 { break }
      used += count
    }
    return Array(bytes[..<used])
  }
}
