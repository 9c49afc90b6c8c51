internal import MillFlow

/// What the parts of a file can read, and who reads it.
struct Edges {
  /// The output of a source or of an operator, also of one that is wrong otherwise.
  struct Edge {
    var name: String
    var mark: Mark
    /// The sources without event time among those that its rows come from in the end, each once.
    var timeless: [String]
    /// Of all fields that are known, also of wrong ones.
    var fieldNames: [String]
    /// Nil where something in it, or before it, is wrong.
    var schema: Schema?
    /// Whether its rows have an event time, right or wrong.
    var hasEventTime: Bool { timeless.isEmpty }
  }

  private var edges: [String: Edge] = [:]
  private var read: Set<String> = []
  /// In the file's order.
  let sourceNames: [String]
  /// In the file's order.
  var operatorNames: [String] = []
  /// Something reads what isn't there: then nothing is said of what nobody reads.
  var hasUnknownInput = false
  /// Those that were read whole, each behind what it reads.
  var nodes: [PipelineNode] = []
  var deduplicate: DeduplicateSettings?
  /// Also of a wrong one.
  var hasDeduplicate = false
  /// What a remedy names; the sink's place, where one was found.
  var sinkPath: String?

  init(_ sources: [PipelineReader.SourceReading]) {
    sourceNames = sources.map(\.name)
    for source in sources {
      edges[source.name] = Edge(
        name: source.name, mark: source.mark, timeless: source.hasEventTime ? [] : [source.name], fieldNames: source.fieldNames,
        schema: source.plan?.schema)
    }
  }

  /// Everything that can be read.
  var names: [String] { operatorNames + sourceNames }

  subscript(name: String) -> Edge? { edges[name] }

  /// What is read by this name, noted as read; nil: nothing has it.
  mutating func read(_ name: String) -> Edge? {
    read.insert(name)
    return edges[name]
  }

  /// `inputs`: those that are known; `schema`: nil where it isn't.
  mutating func add(_ name: String, _ mark: Mark, inputs: [Edge], fieldNames: [String]? = nil, schema: Schema?) {
    var seen: Set<String> = []
    edges[name] = Edge(
      name: name, mark: mark, timeless: inputs.flatMap(\.timeless).filter { seen.insert($0).inserted },
      fieldNames: fieldNames ?? schema?.fields.map(\.name) ?? [], schema: schema)
  }

  /// A source or an operator that nobody reads does nothing.
  func reportUnread(_ problems: ProblemList) {
    guard !hasUnknownInput, let sinkPath else { return }
    for (names, section, what) in [(sourceNames, "sources", "source"), (operatorNames, "operators", "operator")] {
      for name in names where !read.contains(name) {
        problems.add(
          edges[name]?.mark ?? Mark(line: 0, column: 0), section + "." + name, "nothing reads this \(what)",
          remedy: "write input: \(name) in \(sinkPath) or in another operator, or remove it")
      }
    }
  }
}

/// The names of sources, operators and sinks: no two are the same, whatever their case.
final class NameBook {
  private let problems: ProblemList
  private var names: [String: (name: String, what: String)] = [:]

  init(_ problems: ProblemList) { self.problems = problems }

  /// - Parameters:
  ///   - section: where it stands: `operators`.
  ///   - what: what it names: `an operator`.
  func enter(_ name: String, _ mark: Mark, _ section: String, _ what: String) {
    guard let other = names.updateValue((name, what), forKey: name.lowercased()) else { return }
    problems.add(
      mark, section + "." + name,
      other.name == name
        ? "\(other.what) has this name already" : "\(other.what) has the name \(other.name), which differs by its case only",
      remedy: "give each source, operator and sink a name of its own")
  }
}
