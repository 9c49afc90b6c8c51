internal import MillBase

/// Which field goes into which column.
extension PipelineReader {
  /// `omit: [field, …]`: indexes of fields that aren't inserted.
  func readOmitted(_ section: Section, _ fieldNames: [String]) -> Set<Int> {
    var omitted: Set<Int> = []
    for (position, item) in (section.list("omit", wanted: "a list of fields") ?? []).enumerated() {
      let path = "\(section.child("omit"))[\(position)]"
      guard let (node, text) = section.scalar(item, path, wanted: "a field's name"), let index = fieldIndex(text, node, path, fieldNames)
      else { continue }
      if !omitted.insert(index).inserted { problems.add(node, path, "this field is omitted twice", remedy: "name it once") }
    }
    if !fieldNames.isEmpty, omitted.count == fieldNames.count, let node = section.node("omit") {
      problems.add(
        node.mark, section.child("omit"), "every field is omitted: nothing is left to insert", remedy: "leave one field at least")
    }
    return omitted
  }

  /// Every field's columns, out of `columns: {column: field}` and the fields' own names; none of omitted ones.
  func readColumns(_ section: Section, fieldNames: [String], omitted: Set<Int>, provenance: String?) -> [ColumnMapping] {
    let map = section.map("columns")
    var written: [Int: [String]] = [:]
    var marks: [String: Mark] = [:]
    for entry in map.keys {
      let path = map.child(entry.key)
      let isColumn = !entry.key.isEmpty && entry.key.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
      if !isColumn { problems.add(entry.keyMark, path, "this is no column's name", remedy: "a name without control characters") }
      guard let (node, field) = section.scalar(entry.value, path, wanted: "a field's name"),
        let index = fieldIndex(field, node, path, fieldNames)
      else { continue }
      if omitted.contains(index) {
        problems.add(
          node, path, "field \(quoted(field)) is omitted, and can't go into a column", remedy: "take it out of omit, or out of columns")
      }
      written[index, default: []].append(entry.key)
      marks[entry.key] = entry.keyMark
    }
    let mappings = fieldNames.enumerated().flatMap { index, name in
      omitted.contains(index) ? [] : (written[index] ?? [name]).map { ColumnMapping(column: $0, field: index) }
    }
    var feeders: [String: Int] = [:]
    for mapping in mappings {
      let mark = marks[mapping.column] ?? section.mark
      let path = map.child(mapping.column)
      let name = fieldNames[mapping.field]
      if let other = feeders[mapping.column] {
        problems.add(
          mark, path, value: name, "two fields, \(fieldNames[other]) and \(name), go into column \(mapping.column)",
          remedy: "give one of them a column of its own under columns")
      }
      if mapping.column == provenance {
        problems.add(
          mark, path, value: name, "this column takes each row's batch (provenance_column)",
          remedy: "rename the field's column under columns, or set provenance_column to another one")
      }
      feeders[mapping.column] = mapping.field
    }
    return mappings
  }
}
