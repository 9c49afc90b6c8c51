/// Names and types of the rows on an edge of the graph: what an expression can name.
package struct Schema: Hashable, Sendable {
  package struct Field: Hashable, Sendable {
    package var name: String
    package var type: DataType
    /// `left` or `right` behind a join; there `left.name` names the field too, and the only way where both sides have it.
    package var side: String?

    package init(name: String, type: DataType, side: String? = nil) {
      self.name = name
      self.type = type
      self.side = side
    }
  }

  /// In the order of the block's columns.
  package var fields: [Field]

  package init(_ fields: [Field]) { self.fields = fields }

  package var types: [DataType] { fields.map(\.type) }

  /// Of the first field of this name.
  package func index(of name: String) -> Int? { fields.firstIndex { $0.name == name } }

  enum Match: Equatable {
    case found(Int)
    /// Both sides of a join have it.
    case ambiguous
    case unknown
  }

  func match(_ name: String) -> Match {
    if let index = fields.firstIndex(where: { field in field.side.map { "\($0).\(field.name)" == name } ?? false }) { return .found(index) }
    let indexes = fields.indices.filter { fields[$0].name == name }
    return indexes.count == 1 ? .found(indexes[0]) : indexes.isEmpty ? .unknown : .ambiguous
  }

  /// Every name that an expression may use.
  var names: [String] {
    fields.map(\.name) + fields.compactMap { field in field.side.map { "\($0).\(field.name)" } }
  }
}
