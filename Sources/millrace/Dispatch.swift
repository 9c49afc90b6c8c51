internal import MillConfig

/// The version of this binary.
let versionText = "0.1.0"

/// Finds the command in the process's arguments, reads its options and runs it.
func runCommand(_ words: [String]) -> ExitCode {
  do throws(UsageError) {
    guard let first = words.first else {
      Output.error(Help.overview)
      return .wrongUsage
    }
    if ["--version", "version"].contains(first) {
      Output.line("millrace \(versionText)")
      return .done
    }
    if ["--help", "-h", "help"].contains(first), words.count == 1 {
      Output.out(Help.overview)
      return .done
    }
    let asked = first == "help" ? words.dropFirst() + ["--help"] : words[...]
    let group = commandModels.filter { $0.name.hasPrefix("\(asked.first ?? "") ") }
    if !group.isEmpty, asked.count == 2, ["--help", "-h"].contains(asked.last) {
      Output.out(Help.text(of: group))
      return .done
    }
    let command = try findCommand(first == "help" ? Array(words.dropFirst()) : words)
    let rest = Array(words.dropFirst(command.name.split(separator: " ").count + (first == "help" ? 1 : 0)))
    let arguments = try Arguments.parse(first == "help" ? ["--help"] : rest, for: command)
    if arguments.flag("--help") {
      Output.out(Help.text(command))
      return .done
    }
    let logger = Logger(
      level: try arguments.choice("--log-level", default: .info), format: try arguments.choice("--log-format", default: .text))
    return try run(arguments, logger)
  } catch {
    let more = error.command.map { "millrace \($0) --help" } ?? "millrace --help"
    Output.errorLine("millrace: \(error.message)")
    Output.errorLine("    See: \(more)")
    return .wrongUsage
  }
}

/// The command that `words` begin with.
private func findCommand(_ words: [String]) throws(UsageError) -> CommandModel {
  let first = words[0]
  let full = words.prefix(2).joined(separator: " ")
  if let command = commandModels.first(where: { $0.name == first || $0.name == full }) { return command }
  if let instead = laterCommands[full] ?? laterCommands[first] {
    throw UsageError(message: "\(laterCommands[full] != nil ? full : first) is not in this version; \(instead)")
  }
  let subcommands = commandModels.map(\.name).filter { $0.hasPrefix(first + " ") }
  if !subcommands.isEmpty {
    let list = "one of: " + subcommands.joined(separator: ", ")
    guard words.count > 1, !words[1].hasPrefix("-") else { throw UsageError(message: "\(first) needs to know what to do; \(list)") }
    throw UsageError(message: "unknown command \(full); \(list)" + hint(full, subcommands))
  }
  let names = commandModels.map(\.name) + laterCommands.keys.sorted()
  if first.hasPrefix("-") { throw UsageError(message: "unknown option \(first); a command comes first") }
  throw UsageError(message: "unknown command \(first)" + hint(first, names))
}

private func run(_ arguments: Arguments, _ logger: Logger) throws(UsageError) -> ExitCode {
  switch arguments.command.name {
  case "run": try runFile(arguments, logger)
  case "check": checkFile(arguments, logger)
  case "explain": try explainFile(arguments, logger)
  case "eval": try evaluateExpression(arguments, logger)
  case "dead-letters list": try listDeadLetters(arguments, logger)
  case "reference": printReference()
  case "completion": try printCompletion(arguments)
  case "generate": try generateEvents(arguments, logger)
  case "broker": try runBroker(arguments, logger)
  case "checkpoint list": listCheckpoints(arguments, logger)
  case "checkpoint show": try showCheckpoint(arguments, logger)
  case "checkpoint verify": verifyCheckpoints(arguments, logger)
  case "verify": verifyPipeline(arguments, logger)
  case "state stats": showStateStats(arguments, logger)
  case "state get": try getState(arguments, logger)
  default: throw UsageError(message: "\(arguments.command.name) has no implementation")
  }
}

private func printReference() -> ExitCode {
  Output.out(Reference.render())
  return .done
}
