import Foundation

/// The repository's root.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// The `millrace` that was built beside these tests.
let binary = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("millrace")

/// What a run of the binary gave.
struct Outcome: Sendable {
  var code: Int32
  var out: String
  var error: String
}

/// Starts the binary with its streams in files, so that no pipe can fill.
struct Running {
  let process = Process()
  private let directory = FileManager.default.temporaryDirectory.appendingPathComponent("millrace-test-\(UUID().uuidString)")

  init(_ arguments: [String], environment: [String: String] = [:]) throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    process.executableURL = binary
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    for (name, stream) in [("out", \Process.standardOutput), ("error", \Process.standardError)] {
      let file = directory.appendingPathComponent(name)
      try Data().write(to: file)
      process[keyPath: stream] = try FileHandle(forWritingTo: file)
    }
    try process.run()
  }

  /// What stands on stdout by now.
  var out: String { text("out") }

  /// Waits for the end.
  func finish() -> Outcome {
    process.waitUntilExit()
    let outcome = Outcome(code: process.terminationStatus, out: text("out"), error: text("error"))
    try? FileManager.default.removeItem(at: directory)  // a leftover in the temporary directory harms no test
    return outcome
  }

  private func text(_ name: String) -> String {
    (try? String(contentsOf: directory.appendingPathComponent(name), encoding: .utf8)) ?? ""  // not there: nothing was written
  }
}

/// Runs the binary to its end.
func millrace(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
  try Running(arguments, environment: environment).finish()
}

/// Writes a pipeline file into the temporary directory, and hands its path to `body`.
func withFile(_ text: String, _ body: (String) throws -> Void) throws {
  let directory = FileManager.default.temporaryDirectory.appendingPathComponent("millrace-test-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: directory) }  // a leftover in the temporary directory harms no test
  let file = directory.appendingPathComponent("pipeline.yaml")
  try text.write(to: file, atomically: true, encoding: .utf8)
  try body(file.path)
}
