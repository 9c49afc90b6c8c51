internal import MillBase
internal import MillFlow
internal import MillOperators

extension PipelineReader {
  /// Operators of a file at most.
  private static let operatorCountMax = 256

  /// An operator as it is written, until what it reads is known.
  struct Written {
    var entry: ConfigNode.Entry
    var path: String
    /// `deduplicate: {…}`; nil where no kind, or an unknown one, is written.
    var kind: ConfigNode.Entry?
    var section: Section?
    /// What it reads, with its place; empty where nothing is written.
    var inputs: [Input] = []
    /// Whether as many as its kind wants are written.
    var hasAllInputs: Bool { inputs.count >= (kind?.key == UnionPlan.word ? 2 : 1) }
  }

  /// The name of a source or operator, as it stands below an operator.
  struct Input {
    var name: String
    var node: ConfigNode
    var path: String
  }

  func readOperators(_ top: Section, sources: [SourceReading], _ names: NameBook) -> Edges {
    let operators = top.map("operators")
    var edges = Edges(sources)
    if operators.keys.count > Self.operatorCountMax {
      problems.add(
        operators.mark, operators.path, "the file has \(operators.keys.count) operators", remedy: "at most \(Self.operatorCountMax)")
      edges.operatorNames = operators.keys.map(\.key)
      edges.hasUnknownInput = true
      for entry in operators.keys { edges.add(entry.key, entry.keyMark, inputs: [], schema: nil) }
      return edges
    }
    var waiting: [Written] = []
    for entry in operators.keys {
      checkName(entry, operators)
      names.enter(entry.key, entry.keyMark, operators.path, "an operator")
      let written = readKind(entry, operators.child(entry.key), example: sources.first?.name ?? "NAME")
      if let written { waiting.append(written) }
      // What it would read, were it right, isn't known.
      if written?.hasAllInputs != true { edges.hasUnknownInput = true }
    }
    edges.operatorNames = waiting.map(\.entry.key)
    var unread = Set(edges.operatorNames)
    // What reads sources and operators that are read already comes next, in the file's order.
    while let index = waiting.firstIndex(where: { !$0.inputs.contains { edges[$0.name] == nil && unread.contains($0.name) } }) {
      let next = waiting.remove(at: index)
      unread.remove(next.entry.key)
      read(next, &edges)
    }
    reportCircles(waiting, &edges)
    return edges
  }

  private func readKind(_ entry: ConfigNode.Entry, _ path: String, example: String) -> Written? {
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
    written.kind = kind
    let known = operatorKinds.first { $0.word == kind.key }.map { OperatorReading.commonKeys + $0.keys.map(\.name) }
    let isUnion = kind.key == UnionPlan.word
    let section = Section(
      kind.value, path: kindPath, mark: kind.keyMark,
      known: known ?? (isUnion ? UnionPlan.keys : PipelineKeys.deduplicate).map(\.name),
      later: known == nil && !isUnion ? ["late": "late records are dead letters", "keep": "the first record of a key is kept"] : [:],
      problems)
    written.section = section
    written.inputs = isUnion ? readInputs(section, example: example) : readInput(section, example: example)
    return written
  }

  private func readInput(_ section: Section, example: String) -> [Input] {
    guard section.requires("input", "the name of what it reads: \(example)"),
      let (node, text) = section.scalar("input", wanted: "a name")
    else { return [] }
    return [Input(name: text, node: node, path: section.child("input"))]
  }

  private func read(_ written: Written, _ edges: inout Edges) {
    let name = written.entry.key
    guard let section = written.section, let kind = written.kind else {
      edges.add(name, written.entry.keyMark, inputs: [], schema: nil)
      return
    }
    let inputs = written.inputs.map { readEdge($0, of: name, &edges) }
    if kind.key == UnionPlan.word { return readUnion(written, inputs, &edges) }
    let input = inputs.first ?? nil
    guard let type = operatorKinds.first(where: { $0.word == kind.key }) else {
      if edges.deduplicate != nil || edges.hasDeduplicate {
        problems.add(
          written.entry.keyMark, written.path, "several deduplicate operators are not in this version", remedy: "one deduplicate")
      } else {
        edges.deduplicate = readDeduplicate(section, name: name, input: input, sourceCount: edges.sourceNames.count)
        edges.hasDeduplicate = true
      }
      edges.add(name, written.entry.keyMark, inputs: input.map { [$0] } ?? [], fieldNames: input?.fieldNames, schema: input?.schema)
      if let input { edges.nodes.append(.deduplicate(name: name, input: input.name)) }
      return
    }
    let onError = section.choice("on_error", default: OnError.deadLetter)
    let plan = type.read(
      OperatorReading(
        name: name, input: input?.name ?? "", schema: input?.schema, onError: onError ?? .deadLetter, section: section, reader: self))
    edges.add(name, written.entry.keyMark, inputs: input.map { [$0] } ?? [], schema: plan?.schema)
    if let plan { edges.nodes.append(.operator(plan)) }
  }

  /// What an operator reads by this name, noted as read; nil, after the problem, where nothing has it.
  private func readEdge(_ input: Input, of name: String, _ edges: inout Edges) -> Edges.Edge? {
    if let edge = edges.read(input.name) { return edge }
    let others = edges.names.filter { $0 != name }
    edges.hasUnknownInput = true
    problems.add(
      input.node, input.path, input.name == name ? "an operator can't read itself" : "there is no source or operator of this name",
      remedy: others.isEmpty ? "the name of a source" : "one of \(listed(others))", nearest: nearestKnown(to: input.name, among: others))
    return nil
  }

  /// What is left over reads one another, or what does. Each circle is told at the input that closes it, one an operator.
  private func reportCircles(_ waiting: [Written], _ edges: inout Edges) {
    let byName = Dictionary(waiting.map { ($0.entry.key, $0) }, uniquingKeysWith: { first, _ in first })
    var done: Set<String> = []
    var way: [String] = []
    func follow(_ written: Written) {
      way.append(written.entry.key)
      var isTold = false
      for input in written.inputs where !done.contains(input.name) {
        if let start = way.firstIndex(of: input.name) {
          if !isTold { report(way[start...], at: input) }
          isTold = true
        } else if let next = byName[input.name] {
          follow(next)
        }
      }
      done.insert(way.removeLast())
    }
    for written in waiting where !done.contains(written.entry.key) { follow(written) }
    if !waiting.isEmpty { edges.hasUnknownInput = true }
    for written in waiting { edges.add(written.entry.key, written.entry.keyMark, inputs: [], schema: nil) }
  }

  private func report(_ circle: ArraySlice<String>, at input: Input) {
    guard let last = circle.last else { return }
    problems.add(
      input.node, input.path,
      circle.count == 1
        ? "an operator can't read itself"
        : "these operators read one another, in a circle: \(([last] + circle.dropLast().reversed() + [last]).joined(separator: " -> "))",
      remedy: "let one of them read a source, or an operator that comes from one")
  }
}
