import Foundation
import MillConfig

/// The repository's root.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// Variables and files that tests say are there.
func surroundings(_ variables: [String: String] = [:], files: [String: String] = ["/etc/hostname": "host"]) -> ConfigEnvironment {
  ConfigEnvironment(
    variable: { variables[$0] },
    file: { path, _ in
      if path == "/etc" { return .failure(.init(reason: "Is a directory", isDirectory: true)) }
      return files[path].map { .success(Array($0.utf8)) } ?? .failure(.init(reason: "No such file or directory"))
    })
}

/// A pipeline file with nothing but what is required, and an event time. Tests change one place of it.
let plain = """
  pipeline: payments
  kafka:
    brokers: localhost:9092
  sources:
    transactions:
      topic: transactions-topic
      fields:
        transaction_id: String
        amount: Decimal(18, 2)
        paid_at: DateTime64(3)
      event_time: {field: paid_at}
  operators:
    unique:
      deduplicate: {input: transactions, key: [transaction_id], within: 24h}
  sinks:
    table:
      clickhouse:
        input: unique
        url: http://localhost:8123
        table: payments
  """

/// ``plain`` with one place changed; traps where the place isn't there, so that no test tests nothing.
func changed(_ old: String, _ new: String) -> String {
  precondition(plain.contains(old), "the plain file has no \(old)")
  return plain.replacingOccurrences(of: old, with: new)
}

func read(_ text: String, _ environment: ConfigEnvironment = surroundings()) throws -> Pipeline {
  try PipelineFile.parse(Array(text.utf8), directory: "/srv/pipelines", environment: environment)
}

/// The problems of a file; empty when it is right.
func problems(_ text: String, _ environment: ConfigEnvironment = surroundings()) -> [ConfigProblem] {
  problems(Array(text.utf8), environment)
}

func problems(_ bytes: [UInt8], _ environment: ConfigEnvironment = surroundings()) -> [ConfigProblem] {
  do throws(ConfigProblems) {
    _ = try PipelineFile.parse(bytes, directory: "/srv/pipelines", environment: environment)
    return []
  } catch {
    return error.problems
  }
}
