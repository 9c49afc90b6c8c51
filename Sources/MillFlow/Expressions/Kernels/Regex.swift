internal import CRE2Shim

/// A compiled regular expression of RE2, as ClickHouse compiles its own. Immutable, any thread.
@safe final class Regex: @unchecked Sendable {
  struct Problem: Error {
    var message: String
  }

  /// Groups that a search can tell: the whole match, and nine more.
  static let groupCountMax = 10

  private let handle: OpaquePointer
  /// Without the whole match.
  let groupCount: Int

  init(_ pattern: [UInt8], ignoresCase: Bool = false) throws(Problem) {
    var message: UnsafeMutablePointer<CChar>?
    let handle = unsafe pattern.withUnsafeBytes { bytes in
      unsafe mr_regex_compile(bytes.bindMemory(to: CChar.self).baseAddress, bytes.count, ignoresCase ? 1 : 0, &message)
    }
    guard let handle = unsafe handle else {
      defer { unsafe mr_regex_free_message(message) }
      throw Problem(message: unsafe message.map { unsafe String(cString: $0) } ?? "RE2 says nothing")
    }
    unsafe self.handle = handle
    groupCount = unsafe Int(mr_regex_group_count(handle))
  }

  deinit { unsafe mr_regex_free(handle) }

  /// Where a match and its groups are.
  struct Places {
    /// Offset and length of each group, offset -1 where it took no part.
    private(set) var values = InlineArray<20, Int64>(repeating: -1)

    /// The part of the text that a group matched; nil where it took no part.
    @inline(__always)
    func range(_ group: Int) -> Range<Int>? {
      let start = Int(values[2 * group])
      return start < 0 ? nil : start..<(start + Int(values[2 * group + 1]))
    }

    fileprivate mutating func fill(_ body: (UnsafeMutablePointer<Int64>) -> Bool) -> Bool {
      var span = values.mutableSpan
      return unsafe span.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress!) }
    }
  }

  /// Searches from byte `start` on, and tells the first `groups` groups, the whole match being the first.
  @inline(__always)
  func search(_ text: Slice, from start: Int, groups: Int, _ places: inout Places) -> Bool {
    unsafe places.fill { values in
      // Every offset is told from `base`, which is never NULL.
      unsafe text.base.withMemoryRebound(to: CChar.self, capacity: max(text.count, 1)) { base in
        unsafe mr_regex_search(handle, base, text.count, start, Int32(groups), values) == 1
      }
    }
  }

  func matches(_ text: Slice) -> Bool {
    var places = Places()
    return search(text, from: 0, groups: 0, &places)
  }
}
