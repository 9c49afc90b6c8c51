/// From a file's bytes to a ``Pipeline``, or to everything that is wrong with it.
package enum PipelineFile {
  /// The message of a refusal that no part of the reader has explained.
  package static let unnamedProblem = "the file was refused, and nothing says why"

  /// Reads, substitutes and checks `bytes`. Relative paths in it begin at `directory`, which is absolute.
  package static func parse(
    _ bytes: [UInt8], directory: String, environment: ConfigEnvironment
  ) throws(ConfigProblems) -> Pipeline {
    let problems = ProblemList()
    var secrets = Secrets()
    if let root = YAMLParser.parse(bytes, into: problems) {
      let substitution = Substitution(environment: environment, baseDirectory: directory, problems: problems)
      let tree = substitution.apply(root)
      secrets = tree.secrets
      let reader = PipelineReader(baseDirectory: directory, environment: environment, problems: problems)
      if var pipeline = reader.read(tree), problems.isEmpty {
        pipeline.secrets = secrets
        return pipeline
      }
    }
    if problems.isEmpty {
      // A gap in the reader (the fuzz test looks for it); to refuse is still right.
      problems.add(Mark(line: 0, column: 0), "", unnamedProblem, remedy: "please report the file as a defect of millrace")
    }
    throw ConfigProblems(problems: problems.sorted(concealing: secrets))
  }

  /// The kafka section of a command line: the same rules and substitutions as in a file. Relative paths begin at `directory`, which is
  /// absolute.
  package static func kafka(
    brokers: String, properties: [(name: String, value: String)], directory: String, environment: ConfigEnvironment
  ) throws(ConfigProblems) -> (settings: KafkaSettings, secrets: Secrets) {
    let problems = ProblemList()
    let mark = Mark(line: 0, column: 0)
    func entry(_ name: String, _ content: ConfigNode.Content) -> ConfigNode.Entry {
      ConfigNode.Entry(key: name, keyMark: mark, value: ConfigNode(mark: mark, content: content))
    }
    let written = properties.map { entry($0.name, .scalar(.init(text: $0.value, isPlain: false))) }
    let address = ConfigNode.Scalar(text: brokers, isPlain: false)
    let kafka = entry("kafka", .map([entry("brokers", .scalar(address)), entry("properties", .map(written))]))
    let substitution = Substitution(environment: environment, baseDirectory: directory, problems: problems)
    let tree = substitution.apply(ConfigNode(mark: mark, content: .map([kafka])))
    let top = Section(tree, path: "", mark: mark, known: ["kafka"], problems)
    let reader = PipelineReader(baseDirectory: directory, environment: environment, problems: problems)
    let settings = reader.settings(reader.readKafka(top.section("kafka", known: PipelineKeys.kafka.map(\.name))), top)
    guard problems.isEmpty, let settings else { throw ConfigProblems(problems: problems.sorted(concealing: tree.secrets)) }
    return (settings, tree.secrets)
  }

  /// Reads the file at `path`; where that is relative, it begins at `workingDirectory`, which is absolute.
  package static func load(
    _ path: String, workingDirectory: String, environment: ConfigEnvironment
  ) throws(ConfigProblems) -> Pipeline {
    let file = absolutePath(path, base: workingDirectory)
    switch environment.file(file, YAMLParser.byteCountMax) {
    case .success(let bytes):
      let slash = file.lastIndex(of: "/") ?? file.startIndex
      return try parse(bytes, directory: slash == file.startIndex ? "/" : String(file[..<slash]), environment: environment)
    case .failure(let problem):
      let message = "can't read the pipeline file: \(problem.reason)"
      throw ConfigProblems(problems: [
        ConfigProblem(line: 0, column: 0, path: "", message: message, remedy: "name a file that is there and readable")
      ])
    }
  }
}
