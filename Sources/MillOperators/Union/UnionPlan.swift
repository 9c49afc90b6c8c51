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
    // Inputs by the dozen have one schema, such as filters of one source.
    var schemas: [Indexed] = []
    var kinds: [Int] = []
    for (input, (_, schema)) in inputs.enumerated() {
      let kind = schemas.firstIndex { $0.schema == schema } ?? schemas.count
      if kind == schemas.count { schemas.append(Indexed(schema, firstInput: input)) }
      kinds.append(kind)
    }
    var clashes: [UnionMismatch.Clash] = []
    var fields: [Schema.Field] = []
    for field in schemas[0].schema.fields {
      let types = schemas.compactMap { $0.type(of: field.name) }
      guard types.count == schemas.count else { continue }
      if let type = DataType.union(types) {
        fields.append(Schema.Field(name: field.name, type: type))
      } else {
        clashes.append(Self.clash(field.name, types, schemas))
      }
    }
    let names = Self.names(schemas)
    let missing = schemas.map { schema in names.filter { schema.indexes[$0] == nil } }
    guard clashes.isEmpty, missing.allSatisfy(\.isEmpty) else { throw UnionMismatch(missing: kinds.map { missing[$0] }, clashes: clashes) }
    let schema = Schema(fields)
    self.name = name
    self.inputs = inputs.map(\.name)
    self.schema = schema
    adapters = zip(inputs, kinds).map { Self.adapter(of: schemas[$1], $0.name, to: schema, name) }
  }

  /// The field of an input that has the values of an output field, perhaps of a narrower type.
  package func origin(of field: Int, input: Int) -> Int {
    guard let adapter = adapters[input] else { return field }
    return adapter.fields[field].fields[0]
  }

  /// Whether values of an output field have another type in an input.
  package func isWidened(_ field: Int, input: Int) -> Bool { adapters[input].map { $0.fields[field].field == nil } ?? false }

  private static func adapter(of input: Indexed, _ inputName: String, to schema: Schema, _ name: String) -> SelectPlan? {
    if input.schema == schema { return nil }
    let fields = schema.fields.map { field in
      guard let index = input.indexes[field.name] else { preconditionFailure("\(inputName) has no field \(field.name)") }
      let isSame = input.schema.fields[index].type == field.type
      let expression =
        isSame ? Expression(field: index, of: input.schema) : Expression(field: index, of: input.schema, as: field.type)
      return (name: field.name, expression: expression)
    }
    return SelectPlan(name: name, input: inputName, inputSchema: input.schema, fields: fields)
  }

  /// Of all inputs, each once, as they come first.
  private static func names(_ schemas: [Indexed]) -> [String] {
    var seen: Set<String> = []
    return schemas.flatMap { $0.schema.fields.map(\.name) }.filter { seen.insert($0).inserted }
  }

  /// Two inputs neither of whose types holds the other's: there are such where no type holds all.
  private static func clash(_ field: String, _ types: [DataType], _ schemas: [Indexed]) -> UnionMismatch.Clash {
    for first in types.indices {
      for second in types.indices.dropFirst(first + 1) where DataType.union([types[first], types[second]]) == nil {
        return UnionMismatch.Clash(
          field: field, first: schemas[first].firstInput, second: schemas[second].firstInput, types: (types[first], types[second]))
      }
    }
    preconditionFailure("types of \(field) that meet by twos and not together: \(types)")
  }
}

/// A schema of one or more inputs, its fields by name.
private struct Indexed {
  let schema: Schema
  let indexes: [String: Int]
  let firstInput: Int

  init(_ schema: Schema, firstInput: Int) {
    self.schema = schema
    self.firstInput = firstInput
    indexes = Dictionary(schema.fields.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func type(of field: String) -> DataType? { indexes[field].map { schema.fields[$0].type } }
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
