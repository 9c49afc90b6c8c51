/// The annotated reference of the pipeline file, `config/reference.yaml`: a working file in which every key stands with its documentation.
package enum Reference {
  private static let head = """
    # The pipeline file of Millrace: every key, with its default and what is allowed.
    # Rendered from the code (a test compares them); it can be run as it stands, given a topic and a table.
    # Durations: 250ms 5s 10m 24h 7d. Sizes: 512KiB 64MiB 4GiB. Relative paths begin at this file's directory.
    # Values may hold ${NAME}, ${NAME:-default} and ${file:PATH}; what comes from a file, or stands under a key named password,
    # secret or token, prints as ***. No anchors, aliases or tags; at most 1 MiB.

    """

  /// The whole file.
  package static func render() -> String {
    var text = head
    for key in PipelineKeys.all {
      text += "\n"
      append(key, indent: 0, to: &text)
    }
    return text
  }

  private static func append(_ key: ConfigKey, indent: Int, to text: inout String) {
    let margin = String(repeating: " ", count: indent)
    for line in key.comment { text += "\(margin)# \(line)\n" }
    switch key.content {
    case .value(let value): text += "\(margin)\(key.name): \(value)\n"
    case .section(let keys):
      text += "\(margin)\(key.name):\n"
      for key in keys { append(key, indent: indent + 2, to: &text) }
    }
  }
}
