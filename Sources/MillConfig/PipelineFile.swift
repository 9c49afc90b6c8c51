/// From a file's bytes to a ``Pipeline``, or to everything that is wrong with it.
package enum PipelineFile {
  /// Reads, substitutes and checks `bytes`. Relative paths in it begin at `directory`, which is absolute.
  package static func parse(
    _ bytes: [UInt8], directory: String, environment: ConfigEnvironment
  ) throws(ConfigProblems) -> Pipeline {
    let problems = ProblemList()
    if let root = YAMLParser.parse(bytes, into: problems) {
      let substitution = Substitution(environment: environment, baseDirectory: directory, problems: problems)
      let pipeline = PipelineReader(baseDirectory: directory, problems: problems).read(substitution.apply(root))
      if problems.isEmpty, let pipeline { return pipeline }
    }
    precondition(!problems.isEmpty, "a pipeline file was refused without a problem")
    throw ConfigProblems(problems: problems.sorted)
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
