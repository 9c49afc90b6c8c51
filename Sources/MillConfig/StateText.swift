/// What has changed between two plans' texts (``planText(_:)``) so that the keys remembered under the one mean nothing under the other:
/// the deduplication's key, its fields' types and places, window, lateness, clock and exactness. nil: nothing of that.
///
/// Sources that are in one of the plans only have no keys to compare: inputs of a union may come and go.
///
/// Shape: `key "a" is now key "b"; within 1d is now within 2d`.
package func stateChange(from recorded: String, to current: String) -> String? {
  let (before, after) = (KeyShape(recorded), KeyShape(current))
  let (old, new) = KeyShape.lines(before, after)
  guard old != new else { return nil }
  let gone = old.filter { !new.contains($0) }
  let come = new.filter { !old.contains($0) }
  guard !gone.isEmpty || !come.isEmpty else { return nil }
  return (0..<max(gone.count, come.count)).map { index in
    let (was, now) = (index < gone.count ? gone[index] : "nothing", index < come.count ? come[index] : "nothing")
    return "\(was) is now \(now)"
  }.joined(separator: "; ")
}

/// What a plan's text says of the state's keys, as lines without their indentation; nothing where the pipeline remembers nothing.
private struct KeyShape {
  struct Source {
    var name: String
    var topic: String
    /// Of the selects between it and the nearest union or the deduplicate, and of its own fields.
    var lines: [String]
  }

  /// Of the deduplicate itself.
  var own: [String] = []
  /// Of the key's fields where they enter the deduplicate.
  var types: [String] = []
  /// Of the selects between the deduplicate and the nearest union in front of it, or the source.
  var common: [String] = []
  var hasUnion = false
  /// Those whose rows come to the deduplicate.
  var sources: [Source] = []

  /// Back from the deduplicate through the selects in front of it, each expression that isn't only another name, to the fields of the
  /// sources. What filters let pass is no part of a key's meaning.
  init(_ plan: String) {
    let walk = KeyWalk(planParts(plan))
    guard let deduplicate = walk.parts.first(where: { $0.kind == "deduplicate" }), let key = deduplicate.line("key ") else { return }
    // A remembered NULL key that nothing asks for any more does no harm.
    own = deduplicate.lines.filter { !$0.hasPrefix("input ") && !$0.hasPrefix("null_keys ") }
    var names = quotedNames(key)
    var place = deduplicate.inputs.first.flatMap { walk.places[$0] }
    while let index = place, !["union", "source"].contains(walk.parts[index].kind) {
      if types.isEmpty { types = walk.types(of: names, at: index) }
      let (lines, read) = walk.step(through: index, names)
      common += lines
      names = read
      place = walk.inputs(of: index).first
    }
    guard let place else { return }
    if types.isEmpty { types = walk.types(of: names, at: place) }
    hasUnion = walk.parts[place].kind == "union"
    sources = walk.sources(place, names)
  }

  /// What of two plans is compared.
  static func lines(_ old: KeyShape, _ new: KeyShape) -> (old: [String], new: [String]) {
    let isUnited = old.hasUnion || new.hasUnion
    func all(_ shape: KeyShape, _ sources: [(name: String, lines: [String])]) -> [String] {
      var lines = shape.own + (isUnited ? shape.types : [])
      // Without a source in both there is still what is made of the rows of all.
      if sources.isEmpty, old.hasUnion == new.hasUnion { lines += shape.common }
      for (name, more) in sources { lines += (shape.common + more).map { sources.count == 1 ? $0 : "\($0) (source \(name))" } }
      return lines
    }
    if old.sources.isEmpty || new.sources.isEmpty {
      return (all(old, old.sources.map { ($0.name, $0.lines) }), all(new, new.sources.map { ($0.name, $0.lines) }))
    }
    let pairs = pairs(old.sources, new.sources)
    return (all(old, pairs.map { ($0.0.name, $0.0.lines) }), all(new, pairs.map { ($0.0.name, $0.1.lines) }))
  }

  /// The same source in both: the only one, or of the same name, or else of the same topic: it was renamed.
  private static func pairs(_ old: [Source], _ new: [Source]) -> [(Source, Source)] {
    if old.count == 1, new.count == 1 { return [(old[0], new[0])] }
    var pairs = old.compactMap { one in new.first { $0.name == one.name }.map { (one, $0) } }
    for one in old where !pairs.contains(where: { $0.0.name == one.name }) {
      let other = new.first { other in other.topic == one.topic && !pairs.contains { $0.1.name == other.name } }
      if let other { pairs.append((one, other)) }
    }
    return pairs
  }
}

/// Goes back over the parts of a plan, with the names that the fields of a key have there.
private final class KeyWalk {
  let parts: [PlanPart]
  /// By name, in quotes; not of sinks.
  let places: [String: Int]
  /// What was found behind a part for some names, so that no way is gone twice.
  private var known: [Int: [[String]: [KeyShape.Source]]] = [:]

  init(_ parts: [PlanPart]) {
    self.parts = parts
    let named = parts.enumerated().filter { $1.kind != "clickhouse" }.map { ($1.name, $0) }
    places = Dictionary(named, uniquingKeysWith: { first, _ in first })
  }

  /// Parts stand behind what they read, so that a walk ends.
  func inputs(of place: Int) -> [Int] { parts[place].inputs.compactMap { places[$0] }.filter { $0 < place } }

  /// What a part makes of the fields, and of which it makes them.
  func step(through place: Int, _ names: [String]) -> (lines: [String], read: [String]) {
    let part = parts[place]
    guard part.kind == "select" else { return ([], names) }
    var (lines, read) = ([] as [String], [] as [String])
    for field in part.fields where names.contains(field.name) {
      let reads = quotedNames(field.line("renames ") ?? field.line("reads ") ?? "")
      read += reads.filter { !read.contains($0) }
      if !field.isOtherName { lines += field.lines.map { "\(field.name) \($0)" } }
    }
    return (lines, read)
  }

  func types(of names: [String], at place: Int) -> [String] {
    var place = place
    while !["select", "union", "source"].contains(parts[place].kind), let input = inputs(of: place).first { place = input }
    return parts[place].fields.filter { names.contains($0.name) }.compactMap { field in
      field.line("type ").map { "\(field.name) type \($0)" }
    }
  }

  /// The sources that come to a part, each with what is made of its fields on the way.
  func sources(_ place: Int, _ names: [String]) -> [KeyShape.Source] {
    if let known = known[place]?[names] { return known }
    let part = parts[place]
    var found: [KeyShape.Source] = []
    if part.kind == "source" {
      let fields = part.fields.filter { names.contains($0.name) }
      let lines = fields.flatMap { field in field.lines.map { "\(field.name) \($0)" } }
      found = [KeyShape.Source(name: part.name, topic: part.line("topic ") ?? "", lines: lines)]
    } else {
      let (lines, read) = step(through: place, names)
      for source in inputs(of: place).flatMap({ sources($0, read) }) {
        let new = lines + source.lines
        if let index = found.firstIndex(where: { $0.name == source.name }) {
          found[index].lines += new.filter { !found[index].lines.contains($0) }
        } else {
          found.append(KeyShape.Source(name: source.name, topic: source.topic, lines: new))
        }
      }
    }
    known[place, default: [:]][names] = found
    return found
  }
}
