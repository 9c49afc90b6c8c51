/// Shells that completion is written for.
enum Shell: String, CaseIterable {
  case bash, zsh, fish
}

/// The completion script of a shell, made from the commands' models: nothing in it can be forgotten.
enum Completion {
  static func script(_ shell: Shell) -> String {
    switch shell {
    case .bash: bash
    // zsh runs bash's script through its own compatibility layer.
    case .zsh: "#compdef millrace\nautoload -U +X bashcompinit && bashcompinit\n" + bash
    case .fish: fish
    }
  }

  /// First words of commands, each once, in the help's order.
  private static var firstWords: [String] {
    var words: [String] = []
    for name in commandModels.map(\.name) {
      let first = String(name.split(separator: " ")[0])
      if !words.contains(first) { words.append(first) }
    }
    return words
  }

  private static func secondWords(_ first: String) -> [String] {
    commandModels.compactMap { $0.name.hasPrefix(first + " ") ? String($0.name.dropFirst(first.count + 1)) : nil }
  }

  private static var bash: String {
    var text = """
      # Completion of millrace: source <(millrace completion bash)
      _millrace() {
        local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} options words files
        if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "\(firstWords.joined(separator: " ")) --help --version" -- "$word")); return; fi
        case "$command" in

      """
    for first in firstWords {
      let second = secondWords(first)
      guard !second.isEmpty else { continue }
      text += "    \(first))\n"
      text +=
        "      if [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=($(compgen -W \"\(second.joined(separator: " "))\" -- \"$word\")); return; fi\n"
      text += "      command=\"$command ${COMP_WORDS[2]}\" ;;\n"
    }
    text += "  esac\n  case \"$command\" in\n"
    for command in commandModels {
      let argument = command.arguments.first.map { $0.name == "FILE" ? " files=1" : " words='\($0.choices.joined(separator: " "))'" } ?? ""
      text += "    '\(command.name)') options='\(optionNames(command))'\(argument) ;;\n"
    }
    text += "  esac\n  case \"${COMP_WORDS[COMP_CWORD-1]}\" in\n"
    var known: Set<String> = []
    for option in commandModels.flatMap(\.options) + commonOptions where option.value != nil && known.insert(option.name).inserted {
      text +=
        "    \(option.name)) options= words='\(option.choices.joined(separator: " "))' files=\(option.value == "FILE" ? "1" : "") ;;\n"
    }
    text += """
        esac
        case "$word" in
          -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
          *)
            COMPREPLY=($(compgen -W "$words" -- "$word"))
            # A name with a blank is one.
            local IFS=$'\\n'
            if [ -n "$files" ]; then COMPREPLY=($(compgen -f -- "$word")); fi ;;
        esac
      }
      complete -o filenames -F _millrace millrace

      """
    return text
  }

  private static var fish: String {
    var text = "# Completion of millrace: millrace completion fish | source\n"
    for first in firstWords {
      let summary = commandModels.first { $0.name == first }?.summary ?? secondWords(first).joined(separator: ", ")
      text += "complete -c millrace -n __fish_use_subcommand -f -a \(first) -d '\(quoted(summary))'\n"
      for second in secondWords(first) {
        let summary = commandModels.first { $0.name == "\(first) \(second)" }?.summary ?? ""
        text += "complete -c millrace -n '__fish_seen_subcommand_from \(first)' -f -a \(second) -d '\(quoted(summary))'\n"
      }
    }
    for command in commandModels {
      if let choices = command.arguments.first?.choices, !choices.isEmpty {
        text += "complete -c millrace -n '__fish_seen_subcommand_from \(command.name)' -f -a '\(choices.joined(separator: " "))'\n"
      }
      let condition = command.name.split(separator: " ").map { "__fish_seen_subcommand_from \($0)" }.joined(separator: "; and ")
      for option in command.options + commonOptions {
        text += "complete -c millrace -n '\(condition)' -l \(option.name.dropFirst(2))"
        if option.value != nil { text += option.value == "FILE" ? " -r" : " -x -a '\(option.choices.joined(separator: " "))'" }
        text += " -d '\(quoted(option.help))'\n"
      }
    }
    return text
  }

  private static func optionNames(_ command: CommandModel) -> String {
    (command.options + commonOptions).map(\.name).joined(separator: " ")
  }

  private static func quoted(_ text: String) -> String {
    text.map { $0 == "'" ? "\\'" : $0 == "\\" ? "\\\\" : String($0) }.joined()
  }
}

/// `millrace completion SHELL`.
func printCompletion(_ arguments: Arguments) throws(UsageError) -> ExitCode {
  let name = arguments.positional[0]
  guard let shell = Shell(rawValue: name) else {
    let names = Shell.allCases.map(\.rawValue)
    throw arguments.usage("\(name): must be one of \(names.joined(separator: ", "))" + hint(name, names))
  }
  Output.out(Completion.script(shell))
  return .done
}
