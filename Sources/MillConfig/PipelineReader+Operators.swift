internal import MillBase
internal import MillFlow
internal import MillOperators

extension PipelineReader {
  /// Operators of a file at most.
  private static let operatorCountMax = 256

  /// An operator as it is written, until what it reads is known.
  private struct Written {
    var entry: ConfigNode.Entry
    var path: String
    /// `deduplicate: {…}`; nil where no kind, or an unknown one, is written.
    var kind: ConfigNode.Entry?
    var section: Section?
    /// What it reads; nil where nothing is written.
    var input: String?
  }

  func readOperators(_ top: Section, source: SourceReading?, _ names: NameBook) -> Edges {
    let operators = top.map("operators")
    var edges = Edges(source)
    if operators.keys.count > Self.operatorCountMax {
      problems.add(
        operators.mark, operators.path, "the file has \(operators.keys.count) operators", remedy: "at most \(Self.operatorCountMax)")
      edges.operatorNames = operators.keys.map(\.key)
      edges.hasUnknownInput = true
      for entry in operators.keys { edges.add(entry.key, entry.keyMark, input: nil, schema: nil) }
      return edges
    }
    var waiting: [Written] = []
    for entry in operators.keys {
      checkName(entry, operators)
      names.enter(entry.key, entry.keyMark, operators.path, "an operator")
      if let written = readKind(entry, operators.child(entry.key), source) { waiting.append(written) }
    }
    edges.operatorNames = waiting.map(\.entry.key)
    // What reads the source or an operator that is read already comes next, in the file's order.
    while let index = waiting.firstIndex(where: { edges[$0.input ?? ""] != nil || !isOperator($0.input, waiting) }) {
      let next = waiting.remove(at: index)
      read(next, &edges)
    }
    reportCircles(waiting, &edges)
    return edges
  }

  private func isOperator(_ name: String?, _ waiting: [Written]) -> Bool { waiting.contains { $0.entry.key == name } }

  private func readKind(_ entry: ConfigNode.Entry, _ path: String, _ source: SourceReading?) -> Written? {
    guard case .map(let kinds) = entry.value.content else {
      if !entry.value.isInvalid {
        problems.add(
          entry.keyMark, path, "\(entry.value.kindName) stands where an operator is wanted", remedy: "write deduplicate: {...} below it")
      }
      return nil
    }
    guard kinds.count == 1, let kind = kinds.first else {
      problems.add(
        entry.keyMark, path, "an operator does one thing; here stand \(kinds.count)",
        remedy: "one key: \(operatorWords.joined(separator: ", "))")
      return nil
    }
    var written = Written(entry: entry, path: path)
    let kindPath = path + "." + kind.key
    guard operatorWords.contains(kind.key) else {
      let isLater = laterOperatorWords.contains(kind.key)
      problems.add(
        kind.keyMark, kindPath, isLater ? "\(kind.key) is not in this version" : "there is no operator \(quoted(kind.key))",
        remedy: operatorWords.joined(separator: ", "),
        nearest: isLater ? nil : nearestKnown(to: kind.key, among: operatorWords + laterOperatorWords))
      return written
    }
    let known = operatorKinds.first { $0.word == kind.key }.map { OperatorReading.commonKeys + $0.keys.map(\.name) }
    written.kind = kind
    let section = Section(
      kind.value, path: kindPath, mark: kind.keyMark, known: known ?? PipelineKeys.deduplicate.map(\.name),
      later: known == nil ? ["late": "late records are dead letters", "keep": "the first record of a key is kept"] : [:], problems)
    written.section = section
    if section.requires("input", "the name of what it reads: \(source?.name ?? "NAME")") {
      written.input = section.scalar("input", wanted: "a name")?.text
    }
    return written
  }

  private func read(_ written: Written, _ edges: inout Edges) {
    let name = written.entry.key
    guard let section = written.section, let kind = written.kind else {
      edges.add(name, written.entry.keyMark, input: nil, schema: nil)
      return
    }
    let input = written.input.flatMap { edges.read($0) }
    if input == nil, let node = section.node("input"), let text = written.input {
      let others = edges.names.filter { $0 != name }
      edges.hasUnknownInput = true
      problems.add(
        node, section.child("input"), text == name ? "an operator can't read itself" : "there is no source or operator of this name",
        remedy: others.isEmpty ? "the name of a source" : "one of \(listed(others))", nearest: nearestKnown(to: text, among: others))
    }
    guard let type = operatorKinds.first(where: { $0.word == kind.key }) else {
      if edges.deduplicate != nil || edges.hasDeduplicate {
        problems.add(
          written.entry.keyMark, written.path, "several deduplicate operators are not in this version", remedy: "one deduplicate")
      } else {
        edges.deduplicate = readDeduplicate(section, name: name, input: input)
        edges.hasDeduplicate = true
      }
      edges.add(name, written.entry.keyMark, input: input, fieldNames: input?.fieldNames, schema: input?.schema)
      if let input { edges.nodes.append(.deduplicate(name: name, input: input.name)) }
      return
    }
    let onError = section.choice("on_error", default: OnError.deadLetter)
    let plan = type.read(
      OperatorReading(
        name: name, input: input?.name ?? "", schema: input?.schema, onError: onError ?? .deadLetter, section: section, reader: self))
    edges.add(name, written.entry.keyMark, input: input, schema: plan?.schema)
    if let plan { edges.nodes.append(.operator(plan)) }
  }

  /// What is left over reads one another, or what does.
  private func reportCircles(_ waiting: [Written], _ edges: inout Edges) {
    var told: Set<String> = []
    for written in waiting where !told.contains(written.entry.key) {
      var way = [written.entry.key]
      while let next = waiting.first(where: { $0.entry.key == way[way.count - 1] })?.input, !way.contains(next), !told.contains(next) {
        way.append(next)
      }
      told.formUnion(way)
      let last = waiting.first { $0.entry.key == way[way.count - 1] }
      guard let start = way.firstIndex(where: { $0 == last?.input }), let section = last?.section, let node = section.node("input") else {
        continue
      }
      let circle = way[start...]
      edges.hasUnknownInput = true
      problems.add(
        node, section.child("input"),
        circle.count == 1
          ? "an operator can't read itself"
          : "these operators read one another, in a circle: \(([circle.last!] + circle.dropLast().reversed() + [circle.last!]).joined(separator: " -> "))",
        remedy: "let one of them read the source, or an operator that comes from it")
    }
    for written in waiting { edges.add(written.entry.key, written.entry.keyMark, input: nil, schema: nil) }
  }
}

/// What the parts of a file can read, and who reads it.
struct Edges {
  /// The output of the source or of an operator, also of one that is wrong otherwise.
  struct Edge {
    var name: String
    var mark: Mark
    /// The source that its rows come from in the end.
    var source: String?
    /// Of all fields that are known, also of wrong ones.
    var fieldNames: [String]
    /// Nil where something in it, or before it, is wrong.
    var schema: Schema?
    /// Whether its rows have an event time, right or wrong.
    var hasEventTime: Bool
  }

  private var edges: [String: Edge] = [:]
  private var read: Set<String> = []
  private let source: String?
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

  init(_ source: PipelineReader.SourceReading?) {
    self.source = source?.name
    guard let source else { return }
    edges[source.name] = Edge(
      name: source.name, mark: source.mark, source: source.name, fieldNames: source.fieldNames, schema: source.settings?.plan.schema,
      hasEventTime: source.hasEventTime)
  }

  /// Everything that can be read.
  var names: [String] { operatorNames + (source.map { [$0] } ?? []) }

  subscript(name: String) -> Edge? { edges[name] }

  /// What is read by this name, noted as read; nil: nothing has it.
  mutating func read(_ name: String) -> Edge? {
    read.insert(name)
    return edges[name]
  }

  /// `input` and `schema`: nil where they aren't known.
  mutating func add(_ name: String, _ mark: Mark, input: Edge?, fieldNames: [String]? = nil, schema: Schema?) {
    edges[name] = Edge(
      name: name, mark: mark, source: input?.source, fieldNames: fieldNames ?? schema?.fields.map(\.name) ?? [], schema: schema,
      hasEventTime: input?.hasEventTime ?? true)
  }

  /// An operator that nobody reads does nothing.
  func reportUnread(_ problems: ProblemList) {
    guard !hasUnknownInput, let sinkPath else { return }
    for name in operatorNames where !read.contains(name) {
      problems.add(
        edges[name]?.mark ?? Mark(line: 0, column: 0), "operators." + name, "nothing reads this operator",
        remedy: "write input: \(name) in \(sinkPath) or in another operator, or remove it")
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
