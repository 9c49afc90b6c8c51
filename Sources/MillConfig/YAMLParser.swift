internal import CYAML

/// Reads one YAML document into ``ConfigNode``s with libyaml; the only file that sees it.
///
/// Taken: block and flow maps, lists and scalars. Refused, each by name and place: anchors, aliases, tags, merge keys, keys that aren't
/// plain scalars, duplicate keys, further documents, nesting deeper than ``depthMax``. The rest of the file isn't read after such a problem
/// in the structure, because what follows could mean anything.
enum YAMLParser {
  /// Levels of maps and lists in each other.
  static let depthMax = 32
  /// Bytes of a pipeline file.
  static let byteCountMax = 1 << 20

  /// The root node; nil after a problem, which then stands in `problems`.
  static func parse(_ bytes: [UInt8], into problems: ProblemList) -> ConfigNode? {
    let start = Mark(line: 0, column: 0)
    guard bytes.count <= byteCountMax else {
      problems.add(start, "", "the file has \(bytes.count) bytes", remedy: "a pipeline file has at most 1 MiB (\(byteCountMax) bytes)")
      return nil
    }
    if let bad = firstInvalidUTF8(bytes) {
      let line = 1 + bytes[..<bad].count { $0 == UInt8(ascii: "\n") }
      problems.add(
        Mark(line: line, column: 1), "", "byte \(bad) is not valid UTF-8", remedy: "save the file as UTF-8 text")
      return nil
    }
    // Editors on Windows begin a file with a byte order mark, which libyaml takes for text where it is told the encoding.
    let text = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes[...]
    return unsafe text.withUnsafeBufferPointer { buffer in
      var reader = unsafe EventReader(buffer, problems)
      defer { reader.close() }
      return reader.readDocument()
    }
  }

  /// Index of the first byte that belongs to no valid UTF-8 sequence.
  private static func firstInvalidUTF8(_ bytes: [UInt8]) -> Int? {
    if String(validating: bytes, as: UTF8.self) != nil { return nil }
    var parser = UTF8.ForwardParser()
    var iterator = bytes.makeIterator()
    var index = 0
    while true {
      switch parser.parseScalar(from: &iterator) {
      case .valid(let sequence): index += sequence.count
      case .error: return index
      case .emptyInput: return nil
      }
    }
  }
}

/// Pulls events out of libyaml. Used within one call of `parse`, closed at its end.
@safe private struct EventReader {
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let problems: ProblemList
  /// Outlives the reader.
  private let input: UnsafeBufferPointer<UInt8>

  init(_ buffer: UnsafeBufferPointer<UInt8>, _ problems: ProblemList) {
    unsafe self.parser = .allocate(capacity: 1)
    self.problems = problems
    unsafe input = buffer
    precondition(unsafe yaml_parser_initialize(parser) == 1, "libyaml: out of memory")
    unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    unsafe yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
  }

  func close() {
    unsafe yaml_parser_delete(parser)
    unsafe parser.deallocate()
  }

  /// An event, its C memory already given back.
  private struct Event {
    var type: yaml_event_type_t
    var mark: Mark
    var text = ""
    var isPlain = false
    var anchor: String?
    var tag: String?
  }

  /// The next event, nil after a syntax error, which is then reported.
  private func next() -> Event? {
    var raw = unsafe yaml_event_t()
    guard unsafe yaml_parser_parse(parser, &raw) == 1 else {
      reportSyntax()
      return nil
    }
    defer { unsafe yaml_event_delete(&raw) }
    var event = unsafe Event(type: raw.type, mark: place(raw.start_mark))
    switch event.type {
    case YAML_SCALAR_EVENT:
      let scalar = unsafe raw.data.scalar
      unsafe event.text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      unsafe event.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
      unsafe event.anchor = text(scalar.anchor)
      unsafe event.tag = text(scalar.tag)
    case YAML_SEQUENCE_START_EVENT:
      unsafe event.anchor = text(raw.data.sequence_start.anchor)
      unsafe event.tag = text(raw.data.sequence_start.tag)
    case YAML_MAPPING_START_EVENT:
      unsafe event.anchor = text(raw.data.mapping_start.anchor)
      unsafe event.tag = text(raw.data.mapping_start.tag)
    case YAML_ALIAS_EVENT:
      unsafe event.anchor = text(raw.data.alias.anchor)
    default: break
    }
    return event
  }

  private func place(_ mark: yaml_mark_t) -> Mark { Mark(line: mark.line + 1, column: mark.column + 1) }

  private func place(offset: Int) -> Mark {
    let before = unsafe String(decoding: input[..<min(offset, input.count)], as: UTF8.self)
    let lines = before.split(separator: "\n", omittingEmptySubsequences: false)
    return Mark(line: lines.count, column: lines[lines.count - 1].unicodeScalars.count + 1)
  }

  private func text(_ pointer: UnsafeMutablePointer<UInt8>?) -> String? {
    guard let pointer = unsafe pointer else { return nil }
    return unsafe String(cString: pointer)
  }

  private func reportSyntax() {
    let state = unsafe parser.pointee
    let problem = unsafe state.problem.map { unsafe String(cString: $0) } ?? "not YAML"
    let context = unsafe state.context.map { unsafe String(cString: $0) }
    var mark = unsafe place(state.problem_mark)
    // What was begun and never ended is looked for where it begins.
    if let context, context.hasPrefix("while scanning a ") { mark = unsafe place(state.context_mark) }
    // It reads ahead, so that its own mark is where it has parsed to.
    if unsafe state.error == YAML_READER_ERROR { mark = unsafe place(offset: state.problem_offset) }
    problems.add(
      mark, "", "this is not YAML: \(problem)" + (context.map { " (\($0))" } ?? ""),
      remedy:
        "check indentation (spaces, no tabs), quotes and brackets on this line and the one before; inside { } and [ ] a value with ${...} stands in quotes"
    )
  }

  /// Reads the whole stream: one document and its end.
  mutating func readDocument() -> ConfigNode? {
    guard next() != nil else { return nil }  // stream start
    guard let start = next() else { return nil }
    guard start.type == YAML_DOCUMENT_START_EVENT else {
      problems.add(Mark(line: 1, column: 1), "", "the file is empty", remedy: "a pipeline file begins with pipeline: NAME")
      return nil
    }
    guard let first = next(), let root = readNode(first, path: "", depth: 0), next() != nil, let end = next() else { return nil }
    guard end.type == YAML_STREAM_END_EVENT else {
      problems.add(end.mark, "", "a second YAML document begins here", remedy: "one file holds one pipeline: remove --- and what follows")
      return nil
    }
    return root
  }

  /// Reads the node that `event` begins; nil after a problem.
  private func readNode(_ event: Event, path: String, depth: Int) -> ConfigNode? {
    // A password that begins with one of these signs and lacks its quotes.
    let isSecret = Secret.isSecretKey(path)
    func shown(_ text: String) -> String { isSecret ? Secret.mask : text }
    if event.type == YAML_ALIAS_EVENT {
      problems.add(
        event.mark, path, value: shown("*\(event.anchor ?? "")"), "aliases are not taken",
        remedy: "write the value out in this place, in quotes where it begins with *")
      return nil
    }
    if let anchor = event.anchor {
      problems.add(
        event.mark, path, value: shown("&\(anchor)"), "anchors are not taken",
        remedy: "remove \(shown("&\(anchor)")) and write values out, in quotes where they begin with &")
      return nil
    }
    if let tag = event.tag {
      problems.add(
        event.mark, path, value: shown(tag), "tags are not taken",
        remedy: "remove the tag: the key decides what a value means; quotes where it begins with !")
      return nil
    }
    switch event.type {
    case YAML_SCALAR_EVENT:
      return ConfigNode(mark: event.mark, content: .scalar(.init(text: event.text, isPlain: event.isPlain)))
    case YAML_SEQUENCE_START_EVENT, YAML_MAPPING_START_EVENT:
      guard depth < YAMLParser.depthMax else {
        problems.add(event.mark, path, "nested deeper than \(YAMLParser.depthMax) levels", remedy: "no key of a pipeline file needs that")
        return nil
      }
      let isList = event.type == YAML_SEQUENCE_START_EVENT
      return isList ? readList(event.mark, path: path, depth: depth) : readMap(event.mark, path: path, depth: depth)
    default:
      problems.add(event.mark, path, "a value is missing", remedy: "write one, or remove the key")
      return nil
    }
  }

  private func readList(_ mark: Mark, path: String, depth: Int) -> ConfigNode? {
    var items: [ConfigNode] = []
    while let event = next() {
      if event.type == YAML_SEQUENCE_END_EVENT { return ConfigNode(mark: mark, content: .list(items)) }
      guard let item = readNode(event, path: "\(path)[\(items.count)]", depth: depth + 1) else { return nil }
      items.append(item)
    }
    return nil
  }

  private func readMap(_ mark: Mark, path: String, depth: Int) -> ConfigNode? {
    var entries: [ConfigNode.Entry] = []
    var lines: [String: Int] = [:]
    while let event = next() {
      if event.type == YAML_MAPPING_END_EVENT { return ConfigNode(mark: mark, content: .map(entries)) }
      guard event.type == YAML_SCALAR_EVENT else {
        problems.add(event.mark, path, "a key must be a name, not a list, map or alias", remedy: "write key: value")
        return nil
      }
      let key = event.text
      let keyPath = path.isEmpty ? key : path + "." + key
      if key == "<<", event.isPlain {
        problems.add(event.mark, keyPath, "merge keys are not taken", remedy: "write the keys out in this place")
        return nil
      }
      guard let keyNode = readNode(event, path: keyPath, depth: depth), let valueEvent = next(),
        let value = readNode(valueEvent, path: keyPath, depth: depth + 1)
      else { return nil }
      if let line = lines[key] {
        problems.add(
          keyNode.mark, keyPath, "this key stands here a second time; the first is in line \(line)", remedy: "keep one of the two")
        continue
      }
      lines[key] = keyNode.mark.line
      entries.append(.init(key: key, keyMark: keyNode.mark, value: value))
    }
    return nil
  }
}
