/// The texts of `millrace help`.
enum Help {
  /// What `millrace --help` prints.
  static var overview: String {
    var text = """
      Ingests Kafka into ClickHouse exactly once, removing duplicates on the way.

      Usage: millrace COMMAND ...

      Commands:

      """
    text += table(commandModels.map { ($0.name, $0.summary) })
    text += """

      Options:
        --version   Print the version
        --help      Show this, or after a command its own help

      Begin with:
        millrace broker --topic transactions:3     # a broker for trying things out; prints its address
        millrace generate --brokers ADDRESS        # events with duplicates
        millrace check config/examples/deduplicate.yaml
        millrace run config/examples/deduplicate.yaml

      Ends with 0 done, 1 failed, 2 wrong usage, 3 pipeline file invalid, 4 stopped to keep the promise, 5 another instance holds the state.

      """
    return text
  }

  /// What `millrace checkpoint --help` prints: the commands that begin with a word.
  static func text(of group: [CommandModel]) -> String {
    "Commands:\n" + table(group.map { ($0.name, $0.summary) }) + "\nEach has its own help: millrace \(group[0].name) --help\n"
  }

  /// What `millrace COMMAND --help` prints.
  static func text(_ command: CommandModel) -> String {
    var text = command.summary + ".\n\nUsage: millrace \(command.name)"
    for argument in command.arguments { text += " " + argument.name }
    if let more = command.more { text += " \(more.name)..." }
    text += " [OPTIONS]\n"
    for paragraph in command.discussion { text += "\n" + wrapped(paragraph, width: 100) + "\n" }
    let arguments = command.arguments + (command.more.map { [$0] } ?? [])
    if !arguments.isEmpty { text += "\nArguments:\n" + table(arguments.map { ($0.name, $0.help) }) }
    let options = (command.options + commonOptions).map { option in
      let name = option.value.map { "\(option.name) \($0)" } ?? option.name
      return (name, option.help + (option.defaultText.map { " (default: \($0))" } ?? ""))
    }
    text += "\nOptions:\n" + table(options)
    if !command.examples.isEmpty { text += "\nExamples:\n" + command.examples.map { "  \($0)\n" }.joined() }
    return text
  }

  private static func table(_ rows: [(String, String)]) -> String {
    let width = (rows.map { $0.0.count }.max() ?? 0) + 3
    return rows.map { "  " + $0.0 + String(repeating: " ", count: width - $0.0.count) + $0.1 + "\n" }.joined()
  }

  private static func wrapped(_ text: String, width: Int) -> String {
    var lines: [String] = [""]
    for word in text.split(separator: " ") {
      if lines[lines.count - 1].isEmpty {
        lines[lines.count - 1] += word
      } else if lines[lines.count - 1].count + 1 + word.count <= width {
        lines[lines.count - 1] += " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines.joined(separator: "\n")
  }
}
