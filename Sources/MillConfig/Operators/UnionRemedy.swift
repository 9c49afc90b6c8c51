internal import MillFlow
internal import MillOperators

/// The selects with which inputs of a union come to the same fields, as they can be written into the file.
struct UnionRemedy {
  private let inputs: [(name: String, schema: Schema)]
  /// Of each field in the first input that has it.
  private let types: [String: DataType]

  init(inputs: [(name: String, schema: Schema)]) {
    self.inputs = inputs
    types = Dictionary(inputs.flatMap { $0.schema.fields.map { ($0.name, $0.type) } }, uniquingKeysWith: { first, _ in first })
  }

  /// Fields more than this aren't written out.
  private static let fieldCountMax = 12

  /// `index`: of the input that hasn't the fields.
  func ofMissing(_ fields: [String], in index: Int) -> String {
    let missing = Set(fields)
    let others = inputs.filter { $0.schema.fields.contains { missing.contains($0.name) } }
    let kept = inputs[index].schema.fields.map(\.name)
    var ways: [String] = []
    if fields.count <= Self.fieldCountMax {
      // An Array or Map can't be NULL.
      let added = fields.compactMap { field in
        types[field].flatMap { $0.isComposed ? nil : (field, "cast(null as Nullable(\($0.base)))") }
      }
      if added.count == fields.count {
        ways.append("add them by an operator in front of it: " + select(inputs[index], added, keepsRest: true))
      }
    }
    if let other = others.first, others.count == 1, kept.count <= Self.fieldCountMax,
      kept.allSatisfy({ other.schema.index(of: $0) != nil })
    {
      let fields = kept.map { ($0, name($0, other.schema)) }
      ways.append("leave them out by one in front of \(other.name): " + select(other, fields, keepsRest: false))
    } else {
      ways.append("leave them out by a select in front of \(listed(others.map(\.name)))")
    }
    return ways.joined(separator: "; or ")
  }

  func of(_ clash: UnionMismatch.Clash) -> String {
    let (first, second) = (inputs[clash.first], inputs[clash.second])
    let (one, two) = (clash.types.first, clash.types.second)
    var tries: [(input: (name: String, schema: Schema), other: DataType, to: DataType)] = []
    if let common = one.base.joined(two.base) { tries += [(second, one, common), (first, two, common)] }
    let (forth, back) = ((second, one, one), (first, two, two))
    tries += fineness(two) > fineness(one) ? [back, forth] : [forth, back]
    for form in ["\u{0}", "toString(\u{0})"] {
      for (input, other, type) in tries {
        let value = form.replacing("\u{0}", with: name(clash.field, input.schema))
        guard let index = input.schema.index(of: clash.field) else { continue }
        // NULL stays NULL.
        let target = input.schema.types[index].isNullable ? "Nullable(\(type.base))" : "\(type.base)"
        let text = "cast(\(value) as \(target))"
        // A cast that the expressions don't have is no remedy: the next one is tried.
        guard let cast = try? Expression.parse(text, input.schema), DataType.union([cast.type, other]) != nil else { continue }
        return "cast it by an operator in front of \(input.name), and name that one here: "
          + select(input, [(clash.field, text)], keepsRest: true)
      }
    }
    return "no cast leads from one to the other: give the field one type in both, where it is read or computed"
  }

  /// Of two times, that with more of it is what the other is cast to.
  private func fineness(_ type: DataType) -> Int {
    switch type.base {
    case .dateTime64(let precision, _): 3 + precision
    case .dateTime: 2
    case .date32: 1
    default: 0
    }
  }

  private func select(_ input: (name: String, schema: Schema), _ fields: [(String, String)], keepsRest: Bool) -> String {
    let parts = (keepsRest ? ["\"*\": \"*\""] : []) + fields.map { "\(key($0.0)): \(quoted($0.1))" }
    return "select: {input: \(input.name), fields: {\(parts.joined(separator: ", "))}}"
  }

  private func key(_ name: String) -> String {
    name.utf8.allSatisfy { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 | 0x20 || $0 == UInt8(ascii: "_") } ? name : quoted(name)
  }

  /// A field as an expression names it.
  private func name(_ field: String, _ schema: Schema) -> String {
    // A name that isn't an expression by itself, such as a word of the grammar, is quoted.
    if let plain = try? Expression.parse(field, schema), plain.field == schema.index(of: field) { return field }
    return "`\(field)`"
  }
}
