import Foundation
import Testing

private let example = root.appendingPathComponent("config/examples/deduplicate.yaml").path

@Test func `explain draws a file in three ways and shows no secret`() throws {
  let text = try String(contentsOfFile: example, encoding: .utf8)
    .replacingOccurrences(
      of: "      table: transactions", with: "      password: canary-7281\n      user: canary-7281\n      table: transactions")
  try withFile(text) { file in
    let outcomes = try ["text", "mermaid", "json"].map { try millrace("explain", file, "--format", $0) }
    #expect(outcomes.allSatisfy { $0.code == 0 && $0.error.isEmpty && !$0.out.contains("canary-7281") })
    #expect(outcomes[0].out.contains("└─ unique_transactions (deduplicate)") && outcomes[1].out.hasPrefix("flowchart LR\n"))
    let object = try #require(try JSONSerialization.jsonObject(with: Data(outcomes[2].out.utf8)) as? [String: Any])
    #expect((object["nodes"] as? [[String: Any]])?.count == 4 && (object["fields"] as? [[String: Any]])?.count == 6)
    #expect(try outcomes[2].out.contains(#require(try millrace("check", file).out.split(separator: " ").last).dropLast()))
  }
}

@Test func `each of several sources is listed, and what unites them, each with what it reads`() throws {
  let file = root.appendingPathComponent("config/examples/union.yaml").path
  let checked = try millrace("check", file).out
  #expect(checked.contains("  reads   transactions: topic transactions at localhost:9092, group millrace-union\n"), "\(checked)")
  #expect(checked.contains("  reads   old_transactions: topic old-transactions at localhost:9093, group millrace-union\n"))
  #expect(checked.contains("  unites  all: transactions, old_transactions\n"))
  let drawn = try millrace("explain", file, "--format", "json").out
  let object = try #require(try JSONSerialization.jsonObject(with: Data(drawn.utf8)) as? [String: Any])
  let nodes = try #require(object["nodes"] as? [[String: Any]])
  let inputs = nodes.map { $0["inputs"] as? [String] }
  #expect(inputs == [[], [], ["transactions", "old_transactions"], ["all"], ["unique"], []])
  #expect(nodes.map { $0["input"] as? String } == [nil, nil, nil, "all", "unique", nil])
}

/// Writes files of dead letters where the example's pipeline has them.
private func withLetters(_ files: [String: String], _ body: (String) throws -> Void) throws {
  try withFile(try String(contentsOfFile: example, encoding: .utf8)) { file in
    let directory = URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("dead-letters")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    for (name, text) in files { try Data(text.utf8).write(to: directory.appendingPathComponent(name)) }
    try body(file)
  }
}

private func letter(_ offset: Int, _ reason: String, _ more: String = "") -> String {
  "{\"pipeline\":\"deduplicate\",\"source\":\"t\",\"topic\":\"t\",\"partition\":2,\"offset\":\(offset),"
    + "\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"epoch\":7,\"reason\":\"\(reason)\"\(more),\"key\":null,\"payload\":\"x\"}\n"
}

@Test func `dead letters are counted by reason, the newest are shown, whatever their file`() throws {
  let files = [
    "deduplicate-mr-00000000000000aa-dead-0001-x.jsonl": (0..<30).map { letter($0, "malformed_json") }.joined(),
    "deduplicate-mr-00000000000000aa-dead-0002-x.jsonl":
      letter(30, "late") + letter(31, "out_of_range", ",\"field\":\"amount\",\"detail\":\"1e400 \\u001b[2J\""),
    "other-mr-00000000000000aa-dead-0001-x.jsonl": letter(99, "late"), "notes.txt": "nothing of ours",
  ]
  try withLetters(files) { file in
    let outcome = try millrace("dead-letters", "list", file, "--limit", "3")
    #expect(outcome.code == 0 && outcome.error.isEmpty)
    #expect(outcome.out.hasPrefix("32 dead letters in 2 files of "))
    #expect(outcome.out.contains("malformed_json  30\n") && outcome.out.contains("late            1\n"))
    let rows = outcome.out.split(separator: "\n").suffix(3).map(String.init)
    #expect(rows[0].contains("29") && rows[1].contains("30") && rows[2].hasSuffix("out_of_range    field amount: 1e400 \\u{1b}[2J"))
    #expect(outcome.out.contains("out_of_range of field amount: a wider type") && outcome.out.contains("malformed_json: the value of each"))
    let json = try millrace("dead-letters", "list", file, "--reason", "late", "--json")
    #expect(json.out == letter(30, "late"))
  }
}

@Test func `the newest dead letters are those of the lineage that wrote last, whatever its name`() throws {
  let files = [
    "deduplicate-mr-00000000000000aa-dead-0001-x.jsonl": letter(1, "late"),
    "deduplicate-mr-00000000000000bb-dead-0001-x.jsonl": letter(2, "late"),
  ]
  for newer in files.keys {
    try withLetters(files) { file in
      let directory = URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("dead-letters").path
      for name in files.keys {
        let date = Date(timeIntervalSince1970: name == newer ? 1_800_000_000 : 1_700_000_000)
        try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: "\(directory)/\(name)")
      }
      #expect(try millrace("dead-letters", "list", file, "--limit", "1", "--json").out == files[newer])
    }
  }
}

@Test func `a dead-letter file that is cut or foreign ends with 1, its place and all that can be read`() throws {
  try withLetters(["deduplicate-mr-00000000000000aa-dead-0001-x.jsonl": letter(1, "late") + "{\"partition\":1}\n" + letter(2, "late")]) {
    let outcome = try millrace("dead-letters", "list", $0)
    #expect(
      outcome.code == 1 && outcome.out.hasPrefix("2 dead letters") && outcome.error.contains("0001-x.jsonl: line 2 is no dead letter"))
  }
  try withLetters(["deduplicate-mr-00000000000000aa-dead-0001-x.jsonl": letter(1, "late") + "{\"parti"]) {
    let outcome = try millrace("dead-letters", "list", $0)
    #expect(outcome.code == 1 && outcome.out.hasPrefix("1 dead letters") && outcome.error.contains("line 2 has no end"))
  }
  try withLetters([:]) { file in
    let outcome = try millrace("dead-letters", "list", file)
    #expect(outcome.code == 0 && outcome.out.hasPrefix("no dead letters in "))
  }
}

@Test func `a secret with quotes is masked in JSON, and a record that holds one goes out as it came`() throws {
  let text = try String(contentsOfFile: example, encoding: .utf8)
    .replacingOccurrences(of: "      table: transactions", with: "      table: ${file:table}\n      password: canary-7281")
  try withFile(text) { file in
    let directory = URL(fileURLWithPath: file).deletingLastPathComponent()
    try Data("ca\"nary-7281".utf8).write(to: directory.appendingPathComponent("table"))
    let explained = try millrace("explain", file, "--format", "json")
    #expect(explained.code == 0 && !explained.out.contains("nary-7281") && explained.out.contains("\"default.***\""))
    let missing = try millrace("state", "stats", file, "--log-format", "json")
    #expect(!(missing.error + missing.out).contains("nary-7281"))
    let letters = directory.appendingPathComponent("dead-letters")
    try FileManager.default.createDirectory(at: letters, withIntermediateDirectories: true)
    let line = letter(1, "late", ",\"detail\":\"canary-7281\"")
    try Data(line.utf8).write(to: letters.appendingPathComponent("deduplicate-mr-00000000000000aa-dead-0001-x.jsonl"))
    #expect(try millrace("dead-letters", "list", file, "--json").out == line)
    #expect(try !millrace("dead-letters", "list", file).out.contains("canary-7281"))
  }
}

/// What a terminal obeys, and what makes an entry look like two.
private let steering = "\u{1B}[2J\u{7}\u{9B}31m\u{202E}\u{2028}\u{7F}\n2026-01-01T00:00:00.000Z info forged"

/// Nothing in the text steers; line ends are ours.
private func isHarmless(_ text: String, lineCount: Int) -> Bool {
  let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
  let categories: [Unicode.GeneralCategory] = [.control, .format, .lineSeparator, .paragraphSeparator]
  return lines.count == lineCount + 1
    && lines.allSatisfy { $0.unicodeScalars.allSatisfy { !categories.contains($0.properties.generalCategory) } }
}

@Test func `what someone else wrote steers no terminal: usage, a file's name and problems, dead letters, a key`() throws {
  for arguments in [[steering], ["run"] + [steering, steering], ["run", "a", "--\(steering)"], ["run", "a", "--log-level", steering]] {
    let outcome = try Running(arguments).finish()
    #expect(outcome.code == 2 && isHarmless(outcome.error, lineCount: 2), "\(outcome.error.debugDescription)")
    #expect(outcome.error.contains("\\u{1b}[2J\\u{7}\\u{9b}31m\\u{202e}\\u{2028}\\u{7f}\\u{a}"))
  }
  let missing = try Running(["check", "/no/\(steering)"]).finish()
  #expect(missing.code == 3 && isHarmless(missing.error, lineCount: 3), "\(missing.error.debugDescription)")
  let written = steering.replacingOccurrences(of: "\u{1B}", with: "\\u001b").replacingOccurrences(of: "\u{7}", with: "\\u0007")
    .replacingOccurrences(of: "\n", with: "\\n")
  let line = letter(1, "late", ",\"detail\":\"\(written)\"")
  try withLetters(["deduplicate-mr-00000000000000aa-dead-0001-x.jsonl": line]) { file in
    let listed = try millrace("dead-letters", "list", file)
    #expect(isHarmless(listed.out, lineCount: 7) && listed.out.contains("\\u{202e}"), "\(listed.out.debugDescription)")
    let json = try millrace("dead-letters", "list", file, "--json")
    #expect(isHarmless(json.out, lineCount: 1) && json.out.contains("\\u001b[2J\\u0007\\u009b31m\\u202e\\u2028\\u007f\\n2026"))
    for key in ["\(steering)=1", "event_id=\(steering)"] {
      let got = try millrace("state", "get", file, key)
      #expect(isHarmless(got.error, lineCount: key.hasPrefix("event_id") ? 1 : 2), "\(got.error.debugDescription)")
    }
  }
}

@Test(arguments: ["bash", "zsh", "fish"])
func `completion knows every command and option, and the shell can read it`(shell: String) throws {
  let outcome = try millrace("completion", shell)
  #expect(outcome.code == 0)
  for word in ["until-end", "new-lineage", "dead-letters", "checkpoint", "limit"] { #expect(outcome.out.contains(word), "\(word)") }
  guard shell == "bash" else { return }
  let bash = Process()
  bash.executableURL = URL(fileURLWithPath: "/bin/bash")
  let asked =
    "COMP_WORDS=(millrace dead-letters list x --r); COMP_CWORD=4; _millrace; echo \"${COMPREPLY[@]}\"; "
    + "COMP_WORDS=(millrace checkpoint s); COMP_CWORD=2; _millrace; echo \"${COMPREPLY[@]}\"; "
    + "cd \"$(mktemp -d)\"; touch 'a b.yaml'; show() { _millrace; printf '%s|' \"${COMPREPLY[@]}\"; echo; }; "
    + "COMP_WORDS=(millrace run a); COMP_CWORD=2; show; "
    + "COMP_WORDS=(millrace completion ''); COMP_CWORD=2; show; "
    + "COMP_WORDS=(millrace run x --log-level ''); COMP_CWORD=4; show; "
    + "COMP_WORDS=(millrace generate --pipeline a); COMP_CWORD=3; show; "
    + "COMP_WORDS=(millrace generate --topic a); COMP_CWORD=3; show; rm -r \"$PWD\""
  bash.arguments = ["-c", outcome.out + asked]
  let pipe = Pipe()
  bash.standardOutput = pipe
  try bash.run()
  let answer = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  bash.waitUntilExit()
  #expect(
    answer
      == "--reason\nshow\na b.yaml|\nbash|zsh|fish|\ntrace|debug|info|warning|error|\na b.yaml|\n|\n")
}
