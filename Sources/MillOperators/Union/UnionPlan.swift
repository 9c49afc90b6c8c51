package import MillFlow

/// `union`: the rows of several inputs, each as it is. All have fields of the same names; where a type differs, one of the inputs' types
/// holds the values of all.
package struct UnionPlan: Sendable {
  package let name: String
  /// Names of sources and nodes, in the file's order; two at least, none twice.
  package let inputs: [String]
  /// Names in the order of the first input.
  package let schema: Schema
  /// Of each input what brings its rows to the union's schema; nil: they are of it already. No row fails in one, and a field that only
  /// stands elsewhere isn't copied.
  package let adapters: [SelectPlan?]

  /// Throws all that doesn't fit.
  package init(name: String, inputs: [(name: String, schema: Schema)]) throws(UnionMismatch) {
    let indexes = inputs.map { input in
      Dictionary(input.schema.fields.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
    }
    var clashes: [UnionMismatch.Clash] = []
    var fields: [Schema.Field] = []
    for field in inputs[0].schema.fields {
      let types = zip(inputs, indexes).compactMap { input, indexes in indexes[field.name].map { input.schema.fields[$0].type } }
      guard types.count == inputs.count else { continue }
      if let type = DataType.union(types) {
        fields.append(Schema.Field(name: field.name, type: type))
      } else {
        clashes.append(Self.clash(field.name, types))
      }
    }
    let names = Self.names(inputs)
    let missing = indexes.map { indexes in names.filter { indexes[$0] == nil } }
    guard clashes.isEmpty, missing.allSatisfy(\.isEmpty) else { throw UnionMismatch(missing: missing, clashes: clashes) }
    let schema = Schema(fields)
    self.name = name
    self.inputs = inputs.map(\.name)
    self.schema = schema
    adapters = zip(inputs, indexes).map { Self.adapter(of: $0, $1, to: schema, name) }
  }

  /// The field of an input that has the values of an output field, perhaps of a narrower type.
  package func origin(of field: Int, input: Int) -> Int {
    guard let adapter = adapters[input] else { return field }
    return adapter.fields[field].fields[0]
  }

  /// Whether values of an output field have another type in an input.
  package func isWidened(_ field: Int, input: Int) -> Bool { adapters[input].map { $0.fields[field].field == nil } ?? false }

  private static func adapter(of input: (name: String, schema: Schema), _ indexes: [String: Int], to schema: Schema, _ name: String)
    -> SelectPlan?
  {
    if input.schema == schema { return nil }
    let fields = schema.fields.map { field in
      guard let index = indexes[field.name] else { preconditionFailure("\(input.name) has no field \(field.name)") }
      let isSame = input.schema.fields[index].type == field.type
      let expression =
        isSame ? Expression(field: index, of: input.schema) : Expression(field: index, of: input.schema, as: field.type)
      return (name: field.name, expression: expression)
    }
    return SelectPlan(name: name, input: input.name, inputSchema: input.schema, fields: fields)
  }

  /// Of all inputs, each once, as they come first.
  private static func names(_ inputs: [(name: String, schema: Schema)]) -> [String] {
    var seen: Set<String> = []
    return inputs.flatMap { $0.schema.fields.map(\.name) }.filter { seen.insert($0).inserted }
  }

  /// Two inputs neither of whose types holds the other's: there are such where no type holds all.
  private static func clash(_ field: String, _ types: [DataType]) -> UnionMismatch.Clash {
    for first in types.indices {
      for second in types.indices.dropFirst(first + 1) where DataType.union([types[first], types[second]]) == nil {
        return UnionMismatch.Clash(field: field, first: first, second: second, types: (types[first], types[second]))
      }
    }
    preconditionFailure("types of \(field) that meet by twos and not together: \(types)")
  }
}

/// Why inputs can't be united.
package struct UnionMismatch: Error, Sendable {
  /// A field whose types don't meet.
  package struct Clash: Sendable {
    package var field: String
    /// Indexes of the inputs, rising.
    package var first: Int
    package var second: Int
    package var types: (first: DataType, second: DataType)
  }

  /// Of each input the fields that others have and it hasn't.
  package var missing: [[String]]
  package var clashes: [Clash]
}
