internal import MillBase
internal import MillCore
internal import MillFlow
internal import MillLog
internal import MillOperators

/// Nodes with expressions, and what becomes of rows for which one fails.
extension Flow {
  /// The record that a decoded row is of.
  struct RowRecord {
    let partition: Int32
    let buffer: RecordBuffer
    /// Into the buffer's entries.
    let entryIndex: Int

    var place: String { "partition \(partition), offset \(buffer.entries[entryIndex].offset)" }
  }

  func record(_ decodedRow: Int, _ epoch: Epoch) -> RowRecord {
    let decoded = epoch.source.decoded
    let origin = unsafe decoded.block.originPartitions.base.load(fromByteOffset: decodedRow * 4, as: Int32.self)
    let partition = Slot(rawValue: origin).partition
    let entry = unsafe decoded.entryIndexes.base.load(fromByteOffset: decodedRow * 4, as: UInt32.self)
    return RowRecord(partition: partition, buffer: epoch.buffers[Int(partition)], entryIndex: Int(entry))
  }

  func run(_ plan: any OperatorPlan, _ node: any Operator, _ epoch: Epoch, _ outcome: inout Outcome) {
    let (block, decodedRows) = (piece.block, piece.decodedRows)
    rowFailures.removeAll(keepingCapacity: true)
    do throws(OperatorError) {
      let filtered = try node.process(&piece, clock: epoch.intent.clockMilliseconds, failures: &rowFailures)
      if filtered > 0 { Reach.mark(.opFiltered) }
      if piece.block !== block, piece.decodedRows != decodedRows { Reach.mark(.opSelectedSome) }
      outcome.counters.filtered += UInt64(filtered)
    } catch {
      switch error {
      case .tooLarge(let byteCountMax):
        outcome.stop = Self.tooLarge("a field of operator '\(plan.name)' takes more than \(byteCountMax >> 30) GiB in one piece of rows")
      }
      return
    }
    if !rowFailures.isEmpty { Reach.mark(plan.onError == .skip ? .opSkipped : .opFailed) }
    for failure in rowFailures {
      let row = decodedRows.map { Int($0[failure.row]) } ?? failure.row
      refuse(failure, plan, block, record(row, epoch), epoch, &outcome)
      if outcome.stop != nil { return }
    }
  }

  private func refuse(
    _ failure: RowFailure, _ plan: any OperatorPlan, _ block: RowBlock, _ record: RowRecord, _ epoch: Epoch, _ outcome: inout Outcome
  ) {
    let failed = FailedExpression(failure, plan, block)
    let example = { "\(record.place): operator '\(plan.name)', \(failed.expression.place): \(failed.detail); remedy: \(failed.remedy)" }
    switch plan.onError {
    case .skip:
      outcome.counters.skipped += 1
      outcome.skipped.add(FailedExpression.reason, example: example())
    case .deadLetter:
      outcome.counters.deadLettered += 1
      outcome.deadLetters.add(FailedExpression.reason, example: example())
      epoch.source.letters.append(
        record.buffer, entryIndex: record.entryIndex, partition: record.partition, epoch: epoch.intent.epoch,
        reason: FailedExpression.reason, field: nil, operator: (plan.name, failed.expression.expression.text), detail: failed.detail,
        limits: epoch.rules.plan.limits, into: deadLetters)
    case .fail:
      outcome.stop = Stop(
        .failed,
        "\(record.place) of \(epoch.source.plan.topic): operator '\(plan.name)', \(failed.expression.place) \(failed.expression.expression.text): \(failed.detail) (operators.\(plan.name) has on_error: fail)"
      )
      return
    }
    outcome.sources[epoch.source.index].refused.add(FailedExpression.reason, example: example())
  }
}

/// Why a row has no value of a node's expression, for people. Everything in it is a function of the row (R3).
struct FailedExpression {
  /// Of dead letters and counters.
  static let reason = "expression"

  let expression: NodeExpression
  /// What failed, where in the text, and the values that it read.
  let detail: String
  private let code: FailureCode

  init(_ failure: RowFailure, _ plan: any OperatorPlan, _ block: RowBlock) {
    expression = plan.expressions[failure.expression]
    code = failure.code
    let read = expression.expression.fields.map { field in
      "\(plan.inputSchema.fields[field].name) = \(Self.shown(block.columns[field], failure.row))"
    }
    let character = expression.expression.text.utf8.prefix(failure.offset)
    let place = String(Substring(character)).count + 1
    detail = "\(failure.code.sentence), at character \(place)" + (read.isEmpty ? "" : "; " + read.joined(separator: ", "))
  }

  /// The beginning of a value: at most 80 characters, texts in quotes.
  private static func shown(_ column: Column, _ row: Int) -> String {
    guard let text = column.text(row) else { return "NULL" }
    let cut = text.count > 80 ? text.prefix(80) + "…" : text[...]
    return column.type.base == .string ? "'\(cut)'" : String(cut)
  }

  var remedy: String {
    switch code {
    case .divisionByZero: "if(divisor = 0, …) asks before it divides; on_error says what becomes of such rows"
    case .isNull: "coalesce gives another value for NULL; on_error says what becomes of such rows"
    case .overflow: "cast to a wider type first; on_error says what becomes of such rows"
    case .invalidText, .losesDigits, .unknownName: "try_cast gives NULL instead; on_error says what becomes of such rows"
    default: "millrace eval tries an expression; on_error says what becomes of such rows"
    }
  }
}
