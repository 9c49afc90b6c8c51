import Foundation
import MillConfig
import Testing

private let example = root.appendingPathComponent("config/examples/deduplicate.yaml").path

@Test(arguments: [
  ([], "Usage: millrace COMMAND"),
  (["chek", "x"], "unknown command chek; did you mean check?"),
  (["--until-end"], "a command comes first"),
  (["run"], "FILE is missing"),
  (["run", "a", "b"], "unexpected argument b"),
  (["run", "a", "--until-ned"], "unknown option --until-ned; did you mean --until-end?"),
  (["run", "a", "--until-end=1"], "--until-end takes no value"),
  (["check", "a", "--log-level"], "--log-level needs a value"),
  (["check", "a", "--log-level", "infro"], "must be one of trace, debug, info, warning, error; did you mean info?"),
  (["generate", "--rate", "x"], "--rate x: must be a whole number from 0"),
  (["generate", "--duplicates", "101"], "--duplicates 101: must be from 0 to 100"),
  (["generate", "--duplicates", "60", "--garbage", "60"], "100 % together"),
  (["generate", "--brokers", "kafka-1"], "--property security.protocol: kafka-1:9092 is another machine"),
  (["generate", "--property", "client.id=${NO_SUCH_VARIABLE}"], "the environment variable NO_SUCH_VARIABLE is not set"),
  (["generate", "--property", "sasl.pasword=x"], "--property sasl.pasword: this property is not on the list"),
  (["broker", "--topic", "t"], "must be TOPIC:PARTITIONS"),
  (["checkpoint"], "one of: checkpoint list, checkpoint show, checkpoint verify"),
  (["checkpoint", "lst", "a"], "did you mean checkpoint list?"),
  (["checkpoint", "show", "a", "--epoch", "-1"], "--epoch -1: must be a whole number"),
  (["verify"], "FILE is missing"),
  (["explain", "a", "--format", "dot"], "--format dot: must be one of text, mermaid, json"),
  (["completion", "ksh"], "ksh: must be one of bash, zsh, fish; did you mean zsh?"),
  (["drill", "a"], "drill is not in this version"),
  (["state", "get", "a"], "FIELD=VALUE is missing"),
  (["state", "stats", "a", "b"], "unexpected argument b"),
  (["state", "scan", "a"], "state scan is not in this version"),
  (["dead-letters", "list", "a", "--limit", "-1"], "--limit -1: must be a whole number from 0"),
  (["dead-letters", "replay", "a"], "dead-letters replay is not in this version"),
  (["checkpoint", "export", "a"], "checkpoint export is not in this version"),
])
func `wrong usage ends with 2 and says what would be right`(arguments: [String], message: String) throws {
  let outcome = try Running(arguments).finish()
  #expect(outcome.code == 2)
  #expect(outcome.error.contains(message), "\(outcome.error)")
  #expect(outcome.error.contains("millrace ") && outcome.error.contains("--help"))
  #expect(outcome.out.isEmpty)
}

@Test func `every command has help with its options and an example`() throws {
  let overview = try millrace("--help")
  #expect(overview.code == 0)
  let names = [
    "run", "check", "explain", "dead-letters list", "reference", "completion", "generate", "broker", "checkpoint list",
    "checkpoint show", "checkpoint verify", "verify", "state stats", "state get",
  ]
  for name in names {
    #expect(overview.out.contains("  \(name) "), "\(name)")
    let help = try Running(name.split(separator: " ").map(String.init) + ["--help"]).finish()
    #expect(help.code == 0 && help.error.isEmpty)
    #expect(help.out.contains("Usage: millrace \(name)") && help.out.contains("--log-level LEVEL") && help.out.contains("Examples:"))
    #expect(try Running(["help"] + name.split(separator: " ").map(String.init)).finish().out == help.out)
  }
  #expect(try millrace("--version").out.hasPrefix("millrace "))
  #expect(try millrace("reference").out == Reference.render())
}

@Test func `check ends with 0 for a right file and shows what it does`() throws {
  let outcome = try millrace("check", example, environment: ["KAFKA_BROKERS": "localhost:9077"])
  #expect(outcome.code == 0 && outcome.error.isEmpty, "\(outcome.error)")
  #expect(outcome.out.contains("pipeline deduplicate is valid") && outcome.out.contains("localhost:9077"))
}

@Test func `a wrong file ends with 3 and all its problems, a missing one too`() throws {
  let right = try String(contentsOfFile: example, encoding: .utf8)
  let wrong = right.replacingOccurrences(of: "within: 24h", with: "within: soon").replacingOccurrences(of: "    topic:", with: "    topc:")
  try withFile(wrong) { file in
    for command in ["check", "run"] {
      let outcome = try millrace(command, file)
      #expect(outcome.code == 3 && outcome.out.isEmpty)
      #expect(outcome.error.contains("deduplicate.within = \"soon\": this is not a duration"))
      #expect(outcome.error.contains("unknown key \"topc\"\n    did you mean topic?") && outcome.error.contains("3 problems"))
      #expect(outcome.error.contains(file + ":"))
    }
  }
  let missing = try millrace("check", "/none/such.yaml")
  #expect(missing.code == 3 && missing.error.contains("/none/such.yaml: can't read the pipeline file: No such file or directory"))
}

@Test func `a word that commands begin with has help too`() throws {
  for words in [["checkpoint", "--help"], ["help", "checkpoint"], ["state", "-h"], ["help", "dead-letters"]] {
    let outcome = try Running(words).finish()
    #expect(outcome.code == 0 && outcome.error.isEmpty && outcome.out.contains("  \(words.first { $0 != "help" }!) "), "\(outcome)")
  }
}

@Test func `a result that can't be written ends with 1`() throws {
  let shell = Process()
  shell.executableURL = URL(fileURLWithPath: "/bin/sh")
  shell.arguments = ["-c", "'\(binary.path)' reference > /dev/full 2> /dev/null; test $? = 1 && '\(binary.path)' reference | true"]
  try shell.run()
  shell.waitUntilExit()
  #expect(shell.terminationStatus == 0)
}

@Test func `check warns of credentials that go unencrypted to another machine`() throws {
  let right = try String(contentsOfFile: example, encoding: .utf8)
  let properties = "security.protocol: sasl_plaintext, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: p"
  try withFile(right.replacingOccurrences(of: "kafka:\n", with: "kafka:\n  properties: {\(properties)}\n")) { file in
    let outcome = try millrace("check", file, environment: ["KAFKA_BROKERS": "kafka-1:9092"])
    #expect(outcome.code == 0 && outcome.error.contains("warning security.protocol is sasl_plaintext"), "\(outcome)")
  }
}

@Test(arguments: ["fetch.max.bytes: 1000", "reconnect.backoff.ms: 60000", "security.protocol: ssl, ssl.ca.pem: junk"])
func `a property that only librdkafka knows to be wrong makes the file invalid too`(property: String) throws {
  let right = try String(contentsOfFile: example, encoding: .utf8)
  try withFile(right.replacingOccurrences(of: "kafka:\n", with: "kafka:\n  properties: {\(property)}\n")) { file in
    for arguments in [["run", file], ["check", file], ["check", file, "--connect"], ["verify", file]] {
      let outcome = try Running(arguments).finish()
      #expect(outcome.code == 3, "\(outcome.error)")
      #expect(outcome.error.contains("kafka.properties: refused: ") && !outcome.error.contains("refused(\""), "\(outcome.error)")
    }
  }
}

@Test func `checkpoints of a pipeline that has not run end with 1 and the directory`() throws {
  let text = try String(contentsOfFile: example, encoding: .utf8)
  try withFile(text) { file in
    for what in ["list", "show", "verify"] {
      let outcome = try millrace("checkpoint", what, file)
      #expect(outcome.code == 1 && outcome.error.contains("state/checkpoints"), "\(outcome.error)")
    }
  }
}

@Test func `generate writes into the broker what it says, and the broker ends with 0 at SIGTERM`() throws {
  let broker = try Running(["broker", "--topic", "t:2", "--json"])
  defer { if broker.process.isRunning { broker.process.terminate() } }
  while !broker.out.contains("}\n"), broker.process.isRunning { usleep(20_000) }
  let address = try #require(broker.out.split(separator: "\"").dropFirst(3).first.map(String.init))
  let outcome = try millrace(
    "generate", "--brokers", address, "--topic", "t", "--count", "2000", "--duplicates", "20", "--garbage", "5", "--json")
  #expect(outcome.code == 0, "\(outcome.error)")
  let object = try #require(try JSONSerialization.jsonObject(with: Data(outcome.out.utf8)) as? [String: Any])
  let counts = ["originals", "duplicates", "garbage"].compactMap { object[$0] as? Int }
  #expect(object["events"] as? Int == 2000 && object["partitions"] as? Int == 2 && counts.reduce(0, +) == 2000)
  #expect(counts.count == 3 && counts[1] > 300 && counts[1] < 500 && counts[2] > 50 && counts[2] < 150)
  broker.process.terminate()
  #expect(broker.finish().code == 0)
}
