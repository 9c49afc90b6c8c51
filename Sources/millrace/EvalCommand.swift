internal import Glibc
internal import MillFlow

/// `millrace eval EXPR`: what an expression gives, without a pipeline.
func evaluateExpression(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  let fields = try EvalFields(arguments)
  guard arguments.positional[0] == "-" else {
    let answer = EvalAnswer(arguments.positional[0], fields)
    if arguments.flag("--json") { Output.json(answer.json + "\n") } else { answer.show() }
    return answer.exitCode
  }
  while let line = readLine() { Output.json(EvalAnswer(line, fields).json + "\n") }
  return .done
}

/// The fields that `--field` gives, in a block of one row.
struct EvalFields {
  let schema: Schema
  let block: RowBlock

  init(_ arguments: Arguments) throws(UsageError) {
    var plans: [FieldPlan] = []
    var values: [String?] = []
    for text in arguments.all("--field") {
      guard let equals = text.firstIndex(of: "="), let colon = Self.colon(text[text.index(after: equals)...]) else {
        throw arguments.usage("--field \(text): must be name=type:value, as in amount=Int64:5")
      }
      let plan = try Self.plan(String(text[..<equals]), String(text[text.index(after: equals)..<colon]), arguments)
      guard !plans.contains(where: { $0.name == plan.name }) else { throw arguments.usage("--field \(plan.name) is given twice") }
      let value = String(text[text.index(after: colon)...])
      plans.append(plan)
      values.append(value == "NULL" && plan.type.isNullable ? nil : value)
    }
    schema = Schema(plans.map { Schema.Field(name: $0.name, type: $0.type) })
    if plans.isEmpty {
      block = RowBlock([])
      block.rowCount = 1
      return
    }
    do throws(KeyText.Problem) { block = try KeyText.row(values, fields: plans) } catch {
      throw arguments.usage("--field \(error.message)")
    }
  }

  private static func plan(_ name: String, _ type: String, _ arguments: Arguments) throws(UsageError) -> FieldPlan {
    let parsed: DataType
    do throws(TypeProblem) { parsed = try DataType.parse(type) } catch { throw arguments.usage("--field \(name): \(error.message)") }
    do throws(PlanProblem) { return try FieldPlan(name: name, type: parsed) } catch {
      throw arguments.usage("--field \(name): \(error.message); \(error.remedy)")
    }
  }

  /// The colon behind a type: the first outside of its parentheses.
  private static func colon(_ text: Substring) -> String.Index? {
    var depth = 0
    for index in text.indices {
      switch text[index] {
      case "(": depth += 1
      case ")": depth -= 1
      case ":" where depth == 0: return index
      default: break
      }
    }
    return nil
  }
}

/// What became of one expression.
struct EvalAnswer {
  private enum Kind {
    /// Nil: NULL.
    case value(String?, DataType)
    case failed(RowFailure)
    case wrong(ExpressionProblem)
  }

  private let text: String
  private let kind: Kind

  init(_ text: String, _ fields: EvalFields) {
    self.text = text
    let expression: Expression
    do throws(ExpressionProblem) { expression = try Expression.parse(text, fields.schema) } catch {
      kind = .wrong(error)
      return
    }
    let column = Column(expression.type)
    var failures: [RowFailure] = []
    var now = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    Evaluator([expression]).evaluate(
      fields.block, clock: Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000, into: [column], failures: &failures)
    kind = if let failure = failures.first { .failed(failure) } else { .value(column.text(0), expression.type) }
  }

  var exitCode: ExitCode {
    switch kind {
    case .value: .done
    case .failed: .failed
    case .wrong: .wrongUsage
    }
  }

  /// Value and type on stdout, an error on stderr with the place.
  func show() {
    switch kind {
    case .value(let value, let type):
      Output.line(value ?? "NULL")
      Output.line("type: \(type)")
    case .failed(let failure):
      Output.errorLine("millrace: the row fails: \(failure.code.sentence)")
      show(ExpressionProblem(message: "", text: text, offset: failure.offset))
    case .wrong(let problem):
      Output.errorLine("millrace: \(problem.description)")
      show(problem)
    }
  }

  private func show(_ problem: ExpressionProblem) {
    for line in problem.picture.split(separator: "\n") { Output.errorLine("    " + line) }
  }

  var json: String {
    switch kind {
    case .value(let value, let type):
      "{\"type\":\(jsonText("\(type)")),\"value\":\(value.map { jsonText($0) } ?? "null")}"
    case .failed(let failure):
      "{\"failed\":\(jsonText("\(failure.code)")),\"message\":\(jsonText(failure.code.sentence)),\"offset\":\(failure.offset)}"
    case .wrong(let problem):
      "{\"wrong\":\(jsonText(problem.message)),\"line\":\(problem.line),\"column\":\(problem.column)}"
    }
  }
}
