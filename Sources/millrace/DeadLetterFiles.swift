internal import MillBase
internal import MillFlow

/// A dead letter as its line says it.
struct DeadLetter {
  var source: String
  var topic: String
  var partition: Int64
  var offset: Int64
  /// The record's, ISO 8601 in UTC; nil where it had none.
  var timestamp: String?
  var reason: String
  var field: String?
  var detail: String?
  /// The line as it stands in its file.
  var line: String
}

/// Reads the files of a pipeline's dead letters, `<pipeline>-<token>.jsonl`, line by line, whatever their size.
///
/// Lines are read by the decoder that reads records: one reader of JSON, and just as strict.
struct DeadLetterFiles {
  /// Why something can't be read, with the file and line it stands in.
  struct Unreadable: Error, CustomStringConvertible {
    var description: String
  }

  private static let blockByteCount = 1 << 20

  let disk: RealDisk
  let directory: String
  let pipeline: String
  private let plan: SourcePlan

  init(disk: RealDisk, directory: String, pipeline: String) {
    self.disk = disk
    self.directory = directory
    self.pipeline = pipeline
    do throws(PlanProblem) {
      let fields: [(String, DataType)] = [
        ("partition", .int64), ("offset", .int64), ("timestamp", .nullable(.string)), ("reason", .string), ("field", .nullable(.string)),
        ("detail", .nullable(.string)), ("source", .string), ("topic", .string),
      ]
      var plans: [FieldPlan] = []
      for (name, type) in fields { plans.append(try FieldPlan(name: name, type: type)) }
      plan = try SourcePlan(name: "dead letters", topic: directory, fields: plans)
    } catch {
      preconditionFailure("the fields of dead letters: \(error.message)")
    }
  }

  /// The files, in the order in which their batches were numbered; of lineages first the one whose last file is the oldest.
  func paths() throws(DiskError) -> [String] {
    guard disk.exists(directory) else { return [] }
    let opening = "\(pipeline)-mr-"
    let names = try disk.list(directory).filter { $0.hasPrefix(opening) && $0.hasSuffix(".jsonl") }
    var lineages: [(paths: [String], last: Int64)] = []
    for (_, names) in Dictionary(grouping: names, by: { $0.dropFirst(opening.count).prefix { $0 != "-" } }) {
      let paths = names.sorted().map { "\(directory)/\($0)" }
      // What can't be read tells so when it is read.
      lineages.append((paths, paths.reduce(0) { max($0, (try? disk.modifiedAt($1)) ?? 0) }))
    }
    return lineages.sorted { ($0.last, $0.paths[0]) < ($1.last, $1.paths[0]) }.flatMap(\.paths)
  }

  /// Hands every letter of a file to `body`.
  func read(_ path: String, _ body: (DeadLetter) -> Void) throws(Unreadable) {
    var offset = 0
    var rest: [UInt8] = []
    var number = 0
    while true {
      let block: [UInt8]
      do throws(DiskError) {
        block = try disk.read(path, offset: offset, count: Self.blockByteCount)
      } catch {
        throw Unreadable(description: "\(error)")
      }
      if block.isEmpty { break }
      offset += block.count
      rest += block
      guard let last = rest.lastIndex(of: UInt8(ascii: "\n")) else { continue }
      try decode(rest[...last], path, &number, body)
      rest.removeSubrange(...last)
    }
    if !rest.isEmpty { throw Unreadable(description: "\(path): line \(number + 1) has no end: the file was cut") }
  }

  /// Lines that all have their end.
  private func decode(_ lines: ArraySlice<UInt8>, _ path: String, _ number: inout Int, _ body: (DeadLetter) -> Void) throws(Unreadable) {
    let decoder = RecordDecoder(plan: plan)
    let rows = DecodedRows(plan)
    let buffer = RecordBuffer(nextOffset: 0)
    var texts: [String] = []
    for line in lines.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast() {
      unsafe line.withUnsafeBytes { bytes in
        unsafe buffer.append(offset: Int64(texts.count), timestamp: -1, key: nil, payload: bytes, headers: nil)
      }
      texts.append(String(decoding: line, as: UTF8.self))
    }
    var failures: [DecodeFailure] = []
    decoder.decode(buffer, first: texts.count, partition: 0, into: rows, failures: &failures)
    let columns = rows.block.columns
    for row in 0..<rows.rowCount {
      let entry = unsafe Int(rows.entryIndexes.base.load(fromByteOffset: row * 4, as: UInt32.self))
      body(
        DeadLetter(
          source: columns[6].text(row) ?? "", topic: columns[7].text(row) ?? "", partition: columns[0].integer(row),
          offset: columns[1].integer(row), timestamp: columns[2].text(row),
          reason: columns[3].text(row) ?? "", field: columns[4].text(row), detail: columns[5].text(row), line: texts[entry]))
    }
    if let failure = failures.first {
      throw Unreadable(
        description: "\(path): line \(number + failure.entryIndex + 1) is no dead letter: \(failure.reason.sentence) (\(failure.detail))")
    }
    number += texts.count
  }
}

extension Column {
  /// An Int64 column's value.
  fileprivate func integer(_ row: Int) -> Int64 {
    precondition(row >= 0 && row * 8 + 8 <= bytes.count, "row \(row) of \(rowCount)")
    return unsafe bytes.base.load(fromByteOffset: row * 8, as: Int64.self)
  }

  /// A text column's value; nil for NULL.
  fileprivate func text(_ row: Int) -> String? {
    precondition(row >= 0 && row * 4 + 4 <= ends.count, "row \(row) of \(rowCount)")
    if isNullable, unsafe nulls.base.load(fromByteOffset: row, as: UInt8.self) != 0 { return nil }
    let start = row == 0 ? 0 : unsafe Int(ends.base.load(fromByteOffset: row * 4 - 4, as: UInt32.self))
    let end = unsafe Int(ends.base.load(fromByteOffset: row * 4, as: UInt32.self))
    precondition(start <= end && end <= bytes.count, "text ends at \(end) of \(bytes.count)")
    return unsafe String(decoding: UnsafeRawBufferPointer(rebasing: bytes.raw[start..<end]), as: UTF8.self)
  }
}
