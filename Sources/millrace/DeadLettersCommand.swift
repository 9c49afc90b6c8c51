internal import MillBase
internal import MillConfig
internal import MillFlow

/// `millrace dead-letters list FILE`: how many there are of each reason, and the newest of them.
func listDeadLetters(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  let limit = try arguments.integer("--limit", in: 0...1_000_000)
  let reason = arguments.text("--reason")
  guard let pipeline = loadPipeline(arguments.positional[0]) else { return .invalidFile }
  let files = DeadLetterFiles(disk: RealDisk(), directory: pipeline.deadLetters.directory, pipeline: pipeline.name)
  var counts: [String: Int] = [:]
  var newest = Newest<DeadLetter>(limit)
  var isWhole = true
  let paths: [String]
  do throws(DiskError) {
    paths = try files.paths()
  } catch {
    Output.errorLine("millrace: can't list the dead letters: \(error)")
    return .failed
  }
  for path in paths {
    do throws(DeadLetterFiles.Unreadable) {
      try files.read(path) { letter in
        counts[letter.reason, default: 0] += 1
        if reason == nil || reason == letter.reason { newest.add(letter) }
      }
    } catch {
      Output.errorLine("millrace: \(error)")
      isWhole = false
    }
  }
  if arguments.flag("--json") {
    for letter in newest.inOrder { Output.json(letter.line + "\n") }
  } else {
    Output.out(
      summary(counts, files: paths.count, directory: pipeline.deadLetters.directory)
        + remedies(newest.inOrder, pipeline.sources.map(\.plan))
        + table(newest.inOrder))
  }
  return isWhole ? .done : .failed
}

/// The last so many of what is added.
private struct Newest<Element> {
  private let limit: Int
  private var ring: [Element] = []
  private var next = 0

  init(_ limit: Int) { self.limit = limit }

  mutating func add(_ element: Element) {
    guard limit > 0 else { return }
    if ring.count < limit {
      ring.append(element)
    } else {
      ring[next] = element
      next = (next + 1) % limit
    }
  }

  var inOrder: [Element] { Array(ring[next...] + ring[..<next]) }
}

private func summary(_ counts: [String: Int], files: Int, directory: String) -> String {
  let total = counts.values.reduce(0, +)
  guard total > 0 else { return "no dead letters in \(directory)\n" }
  let rows = counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }.map {
    [shown($0.key), grouped(Int64($0.value))]
  }
  return "\(grouped(Int64(total))) dead letters in \(files) files of \(directory)\n\n" + aligned([["REASON", "COUNT"]] + rows)
}

private func table(_ letters: [DeadLetter]) -> String {
  guard !letters.isEmpty else { return "" }
  let several = Set(letters.map(\.source)).count > 1
  let rows = letters.map { letter in
    let why = [letter.field.map { "field \($0)" }, letter.detail].compactMap(\.self).joined(separator: ": ")
    return (several ? [shown(letter.source)] : []) + [
      "\(letter.partition)", "\(letter.offset)", shown(letter.timestamp ?? "-"), shown(letter.reason), shown(why),
    ]
  }
  return "\n" + aligned([(several ? ["SOURCE"] : []) + ["PARTITION", "OFFSET", "TIMESTAMP", "REASON", "WHY"]] + rows)
}

/// What mends those that are shown, once for each reason and field, by today's file.
private func remedies(_ letters: [DeadLetter], _ plans: [SourcePlan]) -> String {
  var told: Set<String> = []
  var lines = ""
  for letter in letters {
    // Of several sources one that the file has no more says nothing of today's.
    let its = plans.first { $0.name == letter.source } ?? plans.first { $0.topic == letter.topic }
    guard let plan = its ?? (plans.count == 1 ? plans[0] : nil) else { continue }
    let field = letter.field.flatMap { plan.fieldIndex(named: $0) }.map { plan.fields[$0] }
    let name = letter.reason + (letter.field.map { " of field \($0)" } ?? "")
    guard let remedy = DecodeReason(rawValue: letter.reason)?.remedy(field), told.insert(name).inserted else { continue }
    lines += "\(shown(name)): \(remedy)\n"
  }
  return lines.isEmpty ? "" : "\nWhat mends them:\n" + lines
}

/// Columns as wide as their widest cell, the last one as it is.
private func aligned(_ rows: [[String]]) -> String {
  let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  return rows.map { row in
    row.enumerated().map { index, cell in
      index == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[index] - cell.count + 2)
    }.joined() + "\n"
  }.joined()
}
