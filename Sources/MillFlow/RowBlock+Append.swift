internal import MillBase

extension RowBlock {
  /// Appends all rows of another block with the same types.
  package func append(_ other: RowBlock) {
    appendRuns(other) { body in body(0, other.rowCount) }
  }

  /// Appends those rows of another block with the same types whose flag isn't 0; one flag a row. The order stays.
  package func append(_ other: RowBlock, keep: UnsafeBufferPointer<UInt8>) {
    precondition(keep.count == other.rowCount, "\(keep.count) flags for \(other.rowCount) rows")
    appendRuns(other) { body in unsafe eachRun(keep, body) }
  }

  /// Appends those rows of another block with the same types whose flag isn't 0; one flag a row.
  package func append(_ other: RowBlock, keep: [UInt8]) {
    unsafe keep.withUnsafeBufferPointer { flags in unsafe append(other, keep: flags) }
  }

  /// `runs` calls its argument with each half-open range of rows, in rising order; once for every column.
  private func appendRuns(_ other: RowBlock, _ runs: ((Int, Int) -> Void) -> Void) {
    precondition(other !== self && other.columns.count == columns.count, "blocks of \(other.columns.count) and \(columns.count) columns")
    for (column, from) in zip(columns, other.columns) { column.appendRuns(from, runs) }
    let rowsBefore = rowCount
    copyRuns(runs, other.originPartitions, &originPartitions, width: 4)
    copyRuns(runs, other.originOffsets, &originOffsets, width: 8)
    rowCount = originOffsets.count / 8
    // Of the rows that were left out nobody has counted them.
    composedCount += other.composedCount * (rowCount - rowsBefore) / max(other.rowCount, 1)
    for column in columns { column.rowCount = rowCount }
  }

  /// A block of columns that stand already, and the origins of those rows of another block whose flag isn't 0; nil: of all.
  package convenience init(columns: [Column], originsOf other: RowBlock, keep: [UInt8]?) {
    self.init(columns: columns)
    guard let keep else {
      copyRuns({ $0(0, other.rowCount) }, other.originPartitions, &originPartitions, width: 4)
      copyRuns({ $0(0, other.rowCount) }, other.originOffsets, &originOffsets, width: 8)
      finish()
      return
    }
    unsafe keep.withUnsafeBufferPointer { flags in
      copyRuns({ body in unsafe eachRun(flags, body) }, other.originPartitions, &originPartitions, width: 4)
      copyRuns({ body in unsafe eachRun(flags, body) }, other.originOffsets, &originOffsets, width: 8)
    }
    finish()
  }

  private func finish() {
    rowCount = originOffsets.count / 8
    for column in columns {
      precondition(column.rowCount == rowCount, "a column of \(column.rowCount) rows in a block of \(rowCount)")
      composedCount += column.composedCountMax
    }
  }
}

extension Column {
  /// Appends those values of another column of the same type whose flag isn't 0; one flag a row.
  package func append(_ other: Column, keep: [UInt8]) {
    precondition(keep.count == other.rowCount, "\(keep.count) flags for \(other.rowCount) rows")
    unsafe keep.withUnsafeBufferPointer { flags in appendRuns(other) { body in unsafe eachRun(flags, body) } }
    switch layout {
    case .fixed: rowCount += keep.count { $0 != 0 }
    case .text: rowCount = ends.count / 4
    }
  }

  fileprivate func appendRuns(_ from: Column, _ runs: ((Int, Int) -> Void) -> Void) {
    precondition(type == from.type, "a column of \(from.type) onto one of \(type)")
    switch layout {
    case .fixed(let byteCount): copyRuns(runs, from.bytes, &bytes, width: byteCount)
    case .text: copyTexts(runs, from, self)
    }
    if isNullable { copyRuns(runs, from.nulls, &nulls, width: 1) }
  }

  /// Arrays and Maps in it, inner ones too, at most: each takes a byte at least.
  fileprivate var composedCountMax: Int {
    guard type.isComposed else { return 0 }
    return type.hasComposedItems ? bytes.count : rowCount
  }
}

extension DataType {
  /// Whether an Array or Map has others in it.
  fileprivate var hasComposedItems: Bool {
    switch self {
    case .array(let item): item.isComposed
    case .map(_, let value): value.isComposed
    case .nullable(let inner), .lowCardinality(let inner): inner.hasComposedItems
    default: false
    }
  }
}

/// Calls `body` with each half-open range of rows whose flags aren't 0, rising.
private func eachRun(_ keep: UnsafeBufferPointer<UInt8>, _ body: (Int, Int) -> Void) {
  var start = 0
  let count = keep.count
  while start < count {
    if unsafe keep[start] == 0 {
      start &+= 1
      continue
    }
    var end = start &+ 1
    while end < count, unsafe keep[end] != 0 { end &+= 1 }
    body(start, end)
    start = end
  }
}

private func copyRuns(
  _ runs: ((Int, Int) -> Void) -> Void, _ from: borrowing GrowableBytes, _ to: inout GrowableBytes, width: Int
) {
  to.reserve(from.count)
  let source = unsafe UnsafeRawPointer(from.base)
  let target = unsafe to.base
  var count = to.count
  runs { start, end in
    let byteCount = (end &- start) &* width
    unsafe (target + count).copyMemory(from: source + start &* width, byteCount: byteCount)
    count &+= byteCount
  }
  to.count = count
}

private func copyTexts(_ runs: ((Int, Int) -> Void) -> Void, _ from: Column, _ to: Column) {
  to.bytes.reserve(from.bytes.count)
  to.ends.reserve(from.ends.count)
  let source = unsafe UnsafeRawPointer(from.bytes.base)
  let sourceEnds = unsafe from.ends.base.assumingMemoryBound(to: UInt32.self)
  let target = unsafe to.bytes.base
  let targetEnds = unsafe to.ends.base.assumingMemoryBound(to: UInt32.self)
  var count = to.bytes.count
  var row = to.ends.count / 4
  precondition(count + from.bytes.count <= Int(UInt32.max), "texts of a block pass 4 GiB")
  runs { start, end in
    let first = start == 0 ? 0 : unsafe Int(sourceEnds[start &- 1])
    let byteCount = unsafe Int(sourceEnds[end &- 1]) &- first
    unsafe (target + count).copyMemory(from: source + first, byteCount: byteCount)
    // Ends only move by where the texts now begin.
    let shift = UInt32(truncatingIfNeeded: count &- first)
    for index in start..<end { unsafe targetEnds[row &+ index &- start] = sourceEnds[index] &+ shift }
    count &+= byteCount
    row &+= end &- start
  }
  to.bytes.count = count
  to.ends.count = row * 4
}
