// `millrace-parts FILE EVENTS`: what each part of the engine costs by itself, over the topic and table of a pipeline file.
// Prints a JSON object, part: CPU nanoseconds an event. Built with MILLRACE_BENCH=1 only; Benchmarks/pipeline runs it.
import Glibc
import MillConfig

let arguments = CommandLine.arguments
guard arguments.count == 3, let events = Int(arguments[2]), events > 0 else { fail("usage: millrace-parts FILE EVENTS") }
do throws(ConfigProblems) {
  let pipeline = try PipelineFile.load(arguments[1], workingDirectory: "/", environment: .process)
  let parts = Parts(pipeline, events: events)
  let results = [
    ("librdkafka", parts.librdkafka()), ("scanner", parts.scanner()), ("deduplication", parts.deduplication()),
    ("encoder", parts.encoder()), ("POST", parts.post()),
  ]
  print("{" + results.map { "\"\($0.0)\": \(($0.1 * 10).rounded() / 10)" }.joined(separator: ", ") + "}")
} catch {
  fail(error.text(file: arguments[1]))
}

/// Ends with a reason.
func fail(_ reason: String) -> Never {
  let text = Array("millrace-parts: \(reason)\n".utf8)
  _ = unsafe text.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  exit(1)
}
