/// How many bytes the rows of some records can take at most, known from the plan before any of them is read.
///
/// A row takes its fixed widths whatever the record says, and of each byte of the record what the costliest item of an Array or Map makes
/// of it: `0,` is an Int256 of 32 bytes. So memory is bounded for any records, also for those that somebody made up.
package struct RowBound: Hashable, Sendable {
  /// Of each row: fixed widths, ends of texts, NULL flags, defaults, where it came from.
  package let byteCountPerRow: Int
  /// Of each byte of a record, in eighths.
  package let eighthsPerByte: Int
  /// Of each dead letter what isn't the record's; a byte of the record takes six at most, as `\u0001`.
  private let byteCountPerLetter: Int

  package init(_ plan: SourcePlan) {
    var perRow = 28
    var costs: [[String]: Int] = [:]
    for field in plan.fields {
      switch field.type.layout {
      case .fixed(let byteCount): perRow += byteCount
      case .text:
        perRow += 4 + (field.defaultValue?.utf8.count ?? 0) * (field.type.isComposed ? field.type.eighthsPerByte / 8 + 1 : 1)
        costs[Self.place(of: field.source), default: 0] += field.type.eighthsPerByte
      }
      if field.type.isNullable { perRow += 1 }
      if field.type.isComposed { perRow += 8 }
      if field.source == .metadata(.topic) { perRow += plan.topic.utf8.count }
    }
    byteCountPerRow = perRow
    // A byte belongs to the values of its own path and of all that lead there: with coerce, each of them is a text that holds it.
    eighthsPerByte =
      costs.keys.map { path in (0...path.count).reduce(0) { $0 + (costs[Array(path.prefix($1))] ?? 0) } }.max() ?? 0
    let longestField = plan.fields.map { "\($0.name)\($0.name)\($0.type)\($0.source)".utf8.count }.max() ?? 0
    byteCountPerLetter = 1024 + plan.name.utf8.count + plan.topic.utf8.count + longestField
  }

  /// Metadata stand beside the value; no path has a key of these names before its first.
  private static func place(of source: FieldSource) -> [String] {
    switch source {
    case .path(let path): [""] + path
    case .metadata(.header(let name)): ["$headers", name]
    case .metadata: ["\(source)"]
    }
  }

  /// Of the rows of so many records.
  package func rowByteCount(recordCount: Int, byteCount: Int) -> Int { recordCount * byteCountPerRow + byteCount * eighthsPerByte / 8 }

  /// Of their dead letters, were they none.
  package func letterByteCount(recordCount: Int, byteCount: Int) -> Int { recordCount * byteCountPerLetter + byteCount * 6 }

  /// How many of `limit` records not yet processed, from the one at `skipped` on, fit in so many bytes of rows, and four times as many of
  /// dead letters.
  package func fitting(_ buffer: RecordBuffer, skipping skipped: Int = 0, limit: Int, byteCount: Int) -> Int {
    func fits(_ count: Int) -> Bool {
      let taken = buffer.boundedByteCount(skipping: skipped, first: count)
      return rowByteCount(recordCount: count, byteCount: taken) <= byteCount
        && letterByteCount(recordCount: count, byteCount: taken) / 4 <= byteCount
    }
    if fits(limit) { return limit }
    var low = 0
    var high = limit
    while high - low > 1 {
      let middle = (low + high) / 2
      if fits(middle) { low = middle } else { high = middle }
    }
    return low
  }
}

extension DataType {
  /// Bytes of a column that one byte of a record's value can make at most, in eighths: item by item, with the comma behind it. 0 where the
  /// width is fixed.
  fileprivate var eighthsPerByte: Int {
    switch base {
    case .array(let element): max(8, element.itemEighthsPerByte)
    case .map(_, let value): max(8, value.itemEighthsPerByte)
    case .string: 8
    default: 0
    }
  }

  private var itemEighthsPerByte: Int {
    switch self {
    // An empty one, `[],`, is one byte in a column, and 8 in a block of ClickHouse's.
    case .array(let element): max(24, element.itemEighthsPerByte)
    case .map(_, let value): max(24, value.itemEighthsPerByte)
    case .nullable(let inner): inner.itemEighthsPerByte + 4
    case .lowCardinality(let inner): inner.itemEighthsPerByte
    case .string: 8
    default:
      if case .fixed(let byteCount) = layout { (byteCount * 8 + shortestItem - 1) / shortestItem } else { 8 }
    }
  }

  /// Bytes of the shortest item of this type in JSON, with the comma behind it.
  private var shortestItem: Int {
    switch self {
    case .fixedString: 3
    case .ipv6: 5
    case .ipv4: 10
    case .uuid: 39
    default: 2
    }
  }
}
