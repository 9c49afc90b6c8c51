internal import MillFlow
internal import MillOperators

extension UnionPlan {
  /// What stands before it in the file.
  static let word = "union"
  static let comment = "union: the rows of several inputs. Their fields have the same names, in any order."
  static let keys = [
    ConfigKey(
      "inputs", "[transactions, old_transactions]",
      "Required. The names of the sources and operators that it reads, two at least. Where types of a field differ, one of them must hold",
      "the values of all (Int32 and Int64, String and Nullable(String), Decimals of fewer digits, DateTime and DateTime64): the field has it."
    )
  ]

  /// What decides its rows, below its name.
  var planLines: [String] {
    inputs.map { "input \(quoted($0))" } + schema.fields.flatMap { ["field \(quoted($0.name))", "  type \($0.type)"] }
  }

  /// What explain shows: the inputs, and where values get a wider type.
  var facts: [PipelineGraph.Fact] {
    let widened = zip(inputs.indices, inputs).flatMap { index, name in
      schema.fields.indices.filter { isWidened($0, input: index) }.map { field in
        let origin = adapters[index]?.inputSchema.types[origin(of: field, input: index)]
        return "\(name).\(schema.fields[field].name) from \(origin.map { "\($0)" } ?? "")"
      }
    }
    return [PipelineGraph.Fact(name: "inputs", value: inputs.joined(separator: ", "))]
      + (widened.isEmpty ? [] : [PipelineGraph.Fact(name: "widens", value: widened.joined(separator: ", "))])
  }
}

extension PipelineReader {
  /// The names below `inputs`; those that stand there twice are reported, and come once.
  func readInputs(_ section: Section, example: String) -> [Input] {
    guard section.requires("inputs", "the names of what it reads, such as [\(example), ...]"),
      let items = section.list("inputs", wanted: "a list of names")
    else { return [] }
    if items.count < 2 {
      problems.add(
        section.node("inputs")?.mark ?? section.mark, section.child("inputs"), "a union has two inputs at least, here stand \(items.count)",
        remedy: "name a second source or operator, or remove the union and let others read its input")
    }
    var inputs: [Input] = []
    var names: Set<String> = []
    for (position, item) in items.enumerated() {
      let path = "\(section.child("inputs"))[\(position)]"
      guard let (node, text) = section.scalar(item, path, wanted: "a name") else { continue }
      if names.insert(text).inserted {
        inputs.append(Input(name: text, node: node, path: path))
      } else {
        problems.add(node, path, "this input stands in the union twice", remedy: "name it once; rows of an input come once")
      }
    }
    return inputs
  }

  /// `inputs`: what is read by the names that are written, nil where that is nothing of the file.
  func readUnion(_ written: Written, _ inputs: [Edges.Edge?], _ edges: inout Edges) {
    let name = written.entry.key
    let known = inputs.compactMap(\.self)
    let schemas = known.compactMap { edge in edge.schema.map { (name: edge.name, schema: $0) } }
    var plan: UnionPlan?
    if schemas.count == written.inputs.count, schemas.count > 1 {
      do throws(UnionMismatch) { plan = try UnionPlan(name: name, inputs: schemas) } catch {
        report(error, written, UnionRemedy(inputs: schemas))
      }
    }
    edges.add(name, written.entry.keyMark, inputs: known, fieldNames: known.first?.fieldNames, schema: plan?.schema)
    if let plan { edges.nodes.append(.union(plan)) }
  }

  private func report(_ mismatch: UnionMismatch, _ written: Written, _ remedy: UnionRemedy) {
    for (index, fields) in mismatch.missing.enumerated() where !fields.isEmpty {
      let input = written.inputs[index]
      problems.add(
        input.node, input.path, "\(input.name) has no \(listed(fields)), which another input has: all have the same fields",
        remedy: remedy.ofMissing(fields, in: index))
    }
    for clash in mismatch.clashes {
      let (first, second) = (written.inputs[clash.first], written.inputs[clash.second])
      problems.add(
        second.node, second.path,
        "field \(clash.field) is \(clash.types.first) in \(first.name) and \(clash.types.second) in \(second.name): neither type holds the values of the other",
        remedy: remedy.of(clash))
    }
  }
}
