internal import Glibc

/// What a pipeline file may ask of its surroundings: environment variables and files.
package struct ConfigEnvironment: Sendable {
  /// The value of an environment variable, nil when it isn't set.
  package var variable: @Sendable (String) -> String?
  /// The bytes of a file, at most `limit + 1` of them, or why it can't be read.
  package var file: @Sendable (_ path: String, _ limit: Int) -> Result<[UInt8], FileProblem>

  /// Why a file can't be read, in the system's words.
  package struct FileProblem: Error, Hashable, Sendable {
    package var reason: String
    package var isDirectory: Bool

    package init(reason: String, isDirectory: Bool = false) {
      self.reason = reason
      self.isDirectory = isDirectory
    }
  }

  package init(
    variable: @escaping @Sendable (String) -> String?,
    file: @escaping @Sendable (_ path: String, _ limit: Int) -> Result<[UInt8], FileProblem>
  ) {
    self.variable = variable
    self.file = file
  }

  /// This process's own.
  package static let process = ConfigEnvironment(
    variable: { name in
      guard let value = unsafe getenv(name) else { return nil }
      return unsafe String(cString: value)
    },
    file: { path, limit in
      // A pipe without a writer would be waited for.
      let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
      guard descriptor >= 0 else { return .failure(FileProblem(reason: unsafe String(cString: strerror(errno)))) }
      defer { close(descriptor) }
      var facts = stat()
      guard unsafe fstat(descriptor, &facts) == 0 else { return .failure(FileProblem(reason: unsafe String(cString: strerror(errno)))) }
      guard facts.st_mode & S_IFMT == S_IFREG || facts.st_mode & S_IFMT == S_IFDIR else {
        return .failure(FileProblem(reason: "a pipe or a device, not a file"))
      }
      var bytes = [UInt8](repeating: 0, count: limit + 1)
      var count = 0
      while count < bytes.count {
        let got = unsafe bytes.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress! + count, $0.count - count) }
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else {
          return .failure(FileProblem(reason: unsafe String(cString: strerror(errno)), isDirectory: errno == EISDIR))
        }
        if got == 0 { break }
        count += got
      }
      return .success(Array(bytes[..<count]))
    })
}

/// Replaces `${NAME}`, `${NAME:-default}` and `${file:PATH}` in every scalar of a tree; keys are left as they are.
///
/// A scalar is a secret when part of it came from a file or when its key, one of the format's, names a password, secret or token.
struct Substitution {
  /// Bytes of a file that a scalar may name.
  static let fileByteCountMax = 64 << 10

  let environment: ConfigEnvironment
  /// Relative paths begin here.
  let baseDirectory: String
  let problems: ProblemList

  func apply(_ node: ConfigNode, path: String = "", keys: [String] = [], isSecret: Bool = false) -> ConfigNode {
    var result = node
    switch node.content {
    case .scalar(let scalar): result.content = substituted(scalar, node.mark, path, isSecret)
    case .list(let items):
      result.content = .list(items.enumerated().map { apply($1, path: "\(path)[\($0)]", keys: keys, isSecret: isSecret) })
    case .map(let entries):
      let areNames = Self.holdsNames(keys)
      result.content = .map(
        entries.map { entry in
          var entry = entry
          let entryPath = path.isEmpty ? entry.key : path + "." + entry.key
          entry.value = apply(
            entry.value, path: entryPath, keys: keys + [entry.key], isSecret: isSecret || !areNames && Secret.isSecretKey(entry.key))
          return entry
        })
    case .invalid: break
    }
    return result
  }

  /// Whether the keys below this place are the user's own names, which say nothing of secrets: a source may be called token_events.
  private static func holdsNames(_ keys: [String]) -> Bool {
    switch (keys.first, keys.count) {
    case ("sources", 1), ("operators", 1), ("sinks", 1): true
    case ("sources", 3): keys[2] == "fields"
    case ("sinks", 4): keys[3] == "columns"
    default: false
    }
  }

  private func substituted(_ scalar: ConfigNode.Scalar, _ mark: Mark, _ path: String, _ isSecret: Bool) -> ConfigNode.Content {
    var result = ConfigNode.Scalar(text: "", isPlain: scalar.isPlain, secrecy: isSecret ? .ofKey : .open)
    var rest = Substring(scalar.text)
    while let start = rest.firstRange(of: "${") {
      result.text += rest[..<start.lowerBound]
      guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
        problems.add(
          mark, path, value: isSecret ? Secret.mask : String(rest[start.lowerBound...]), "${ without }",
          remedy: "write ${NAME}, ${NAME:-default} or ${file:PATH}")
        return .invalid
      }
      guard let value = value(of: rest[start.upperBound..<end], mark, path, &result.secrecy) else { return .invalid }
      result.text += value
      result.isSubstituted = true
      rest = rest[rest.index(after: end)...]
    }
    result.text += rest
    return .scalar(result)
  }

  /// What stands for the inside of one `${}`; nil after a problem.
  private func value(of inside: Substring, _ mark: Mark, _ path: String, _ secrecy: inout ConfigNode.Secrecy) -> String? {
    if inside.hasPrefix("file:") {
      if secrecy == .open { secrecy = .ofFile }
      return fileValue(String(inside.dropFirst(5)), mark, path, "${\(inside)}")
    }
    let separator = inside.firstRange(of: ":-")
    let name = inside[..<(separator?.lowerBound ?? inside.endIndex)]
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first),
      name.utf8.allSatisfy({ isNameByte($0) })
    else {
      problems.add(
        mark, path, value: secrecy == .open ? "${\(inside)}" : Secret.mask, "this names no environment variable",
        remedy: "write ${NAME}, ${NAME:-default} or ${file:PATH}; a name has letters, digits and _")
      return nil
    }
    let value = environment.variable(String(name))
    if let separator { return value.flatMap { $0.isEmpty ? nil : $0 } ?? String(inside[separator.upperBound...]) }
    if value == nil {
      problems.add(
        mark, path, value: "${\(name)}", "the environment variable \(name) is not set",
        remedy: "set \(name), or give a default: ${\(name):-default}")
    }
    return value
  }

  private func isNameByte(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  private func fileValue(_ written: String, _ mark: Mark, _ path: String, _ shown: String) -> String? {
    guard !written.isEmpty else {
      problems.add(mark, path, value: shown, "no path after file:", remedy: "write ${file:PATH}")
      return nil
    }
    let file = absolutePath(written, base: baseDirectory)
    let bytes: [UInt8]
    switch environment.file(file, Self.fileByteCountMax) {
    case .success(let read): bytes = read
    case .failure(let problem):
      problems.add(mark, path, value: shown, "can't read \(file): \(problem.reason)", remedy: "create the file or make it readable")
      return nil
    }
    guard bytes.count <= Self.fileByteCountMax, let text = String(validating: bytes, as: UTF8.self) else {
      problems.add(
        mark, path, value: shown, "\(file) holds no short UTF-8 text", remedy: "a file named here has at most 64 KiB of UTF-8 text")
      return nil
    }
    // Editors and secret stores end a file with a line break that is not part of the value.
    var value = Substring(text)
    while let last = value.last, last.isNewline { value.removeLast() }
    return String(value)
  }
}

/// `path` made absolute from `base` (itself absolute), without `.`, `..` and double slashes. Symbolic links are not followed.
package func absolutePath(_ path: String, base: String) -> String {
  let full = path.hasPrefix("/") ? path : base + "/" + path
  var parts: [Substring] = []
  for part in full.split(separator: "/") where part != "." {
    if part == ".." { _ = parts.popLast() } else { parts.append(part) }
  }
  return "/" + parts.joined(separator: "/")
}
