internal import MillBase
internal import MillConfig

/// Wrong usage: what is wrong, and the command whose help tells more.
struct UsageError: Error, Equatable {
  var message: String
  var command: String?
}

/// What the user typed, sorted by a command's model.
struct Arguments: Sendable {
  var command: CommandModel
  /// As many as the model names.
  var positional: [String] = []
  /// By option name; flags have an empty text. In the order of writing.
  var options: [(name: String, value: String)] = []

  /// The last value of an option, nil where it isn't there.
  func text(_ name: String) -> String? { options.last { $0.name == name }?.value }

  func all(_ name: String) -> [String] { options.filter { $0.name == name }.map(\.value) }

  func flag(_ name: String) -> Bool { options.contains { $0.name == name } }

  /// A whole number within `range`; where the option isn't there, the default its help shows.
  func integer(_ name: String, in range: ClosedRange<Int>) throws(UsageError) -> Int {
    let fallback = command.options.first { $0.name == name }?.defaultText
    guard let text = text(name) ?? fallback else { throw usage("\(name) is missing") }
    guard let number = Int(text), range.contains(number) else {
      throw usage("\(name) \(text): must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// A percentage, as a share from 0 to 1.
  func share(_ name: String) throws(UsageError) -> Double {
    let fallback = command.options.first { $0.name == name }?.defaultText
    guard let text = text(name) ?? fallback else { throw usage("\(name) is missing") }
    guard let number = Double(text), number >= 0, number <= 100 else { throw usage("\(name) \(text): must be from 0 to 100") }
    return number / 100
  }

  func choice<Choice: CaseIterable & RawRepresentable>(_ name: String, default value: Choice) throws(UsageError) -> Choice
  where Choice.RawValue == String {
    guard let text = text(name) else { return value }
    if let choice = Choice(rawValue: text) { return choice }
    let names = Choice.allCases.map(\.rawValue)
    throw usage("\(name) \(text): must be one of \(names.joined(separator: ", "))" + hint(text, names))
  }

  func usage(_ message: String) -> UsageError { UsageError(message: message, command: command.name) }

  /// Sorts `words`, those after the command's name, by its model. `--name=value` and `--name value` are the same; `--` ends options.
  static func parse(_ words: [String], for command: CommandModel) throws(UsageError) -> Arguments {
    var result = Arguments(command: command)
    let known = command.options + commonOptions
    var index = 0
    var isOver = false
    while index < words.count {
      let word = words[index]
      index += 1
      if word == "--", !isOver {
        isOver = true
        continue
      }
      guard word.hasPrefix("-"), word != "-", !isOver else {
        result.positional.append(word)
        continue
      }
      let equals = word.firstIndex(of: "=")
      let name = word == "-h" ? "--help" : String(word[..<(equals ?? word.endIndex)])
      guard let option = known.first(where: { $0.name == name }) else {
        throw result.usage("unknown option \(name)" + hint(name, known.map(\.name)))
      }
      if option.value == nil {
        guard equals == nil else { throw result.usage("\(name) takes no value") }
        result.options.append((name, ""))
      } else if let equals {
        result.options.append((name, String(word[word.index(after: equals)...])))
      } else {
        guard index < words.count else { throw result.usage("\(name) needs a value: \(name) \(option.value!)") }
        result.options.append((name, words[index]))
        index += 1
      }
    }
    if result.flag("--help") { return result }
    if result.positional.count < command.arguments.count {
      throw result.usage("\(command.arguments[result.positional.count].name) is missing")
    }
    if let more = command.more {
      if result.positional.count == command.arguments.count { throw result.usage("\(more.name) is missing") }
    } else if result.positional.count > command.arguments.count {
      throw result.usage("unexpected argument \(result.positional[command.arguments.count])")
    }
    return result
  }
}

/// `; did you mean X?` or nothing.
func hint(_ word: String, _ known: [String]) -> String {
  nearestKnown(to: word, among: known).map { "; did you mean \($0)?" } ?? ""
}
