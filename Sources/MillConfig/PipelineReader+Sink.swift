internal import MillBase

extension PipelineReader {
  /// As many tables as there can be with room for others to come: a number is given to a table for the life of a state directory.
  private static let sinkCountMax = 100

  func readSinks(_ top: Section, _ edges: inout Edges, _ names: NameBook) -> [ClickHouseSettings]? {
    guard top.requires("sinks", "name the table to insert into: sinks: {NAME: {clickhouse: {...}}}") else { return nil }
    let sinks = top.map("sinks")
    if sinks.keys.count > Self.sinkCountMax {
      problems.add(sinks.mark, sinks.path, "the file has \(sinks.keys.count) sinks", remedy: "at most \(Self.sinkCountMax)")
      return nil
    }
    guard !sinks.keys.isEmpty else {
      if case .map = top.node("sinks")?.content {
        problems.add(sinks.mark, "sinks", "no sink is named", remedy: "sinks: {NAME: {clickhouse: {...}}}")
      }
      return nil
    }
    var read: [ClickHouseSettings] = []
    for entry in sinks.keys {
      guard let sink = readSink(entry, sinks, &edges, names) else { continue }
      if let other = read.first(where: { writesIntoOne($0, sink) }) {
        problems.add(
          entry.keyMark, sinks.child(entry.key),
          "two sinks into one table: \(other.name) writes into \(sink.database).\(sink.table) at \(sink.url) too",
          remedy: "give each sink a table of its own, or feed one sink with what both read")
      }
      read.append(sink)
    }
    return read.count == sinks.keys.count ? read : nil
  }

  private func writesIntoOne(_ a: ClickHouseSettings, _ b: ClickHouseSettings) -> Bool {
    a.database == b.database && a.table == b.table && !Set(a.urls).isDisjoint(with: b.urls)
  }

  private func readSink(_ entry: ConfigNode.Entry, _ sinks: Section, _ edges: inout Edges, _ names: NameBook) -> ClickHouseSettings? {
    checkName(entry, sinks)
    let path = sinks.child(entry.key)
    names.enter(entry.key, entry.keyMark, sinks.path, "a sink")
    let kinds = Section(
      entry.value, path: path, mark: entry.keyMark, known: ["clickhouse"], later: ["files": "use clickhouse", "kafka": "use clickhouse"],
      problems)
    guard kinds.node("clickhouse") != nil else {
      if kinds.keys.allSatisfy(\.value.isNull), !entry.value.isInvalid {
        problems.add(entry.keyMark, path, "the sink has no kind", remedy: "write clickhouse: below it, with input, url and table")
      }
      return nil
    }
    let section = kinds.section(
      "clickhouse", known: PipelineKeys.clickhouse.map(\.name),
      later: [
        "replicas": "name them in url, as a list", "shards": "name one server in url",
        "settings": "the engine chooses the INSERT's settings",
      ])
    return readClickHouse(section, name: entry.key, &edges)
  }

  private func readClickHouse(_ section: Section, name: String, _ edges: inout Edges) -> ClickHouseSettings? {
    let input = readInput(section, &edges)
    let fieldNames = input?.fieldNames ?? []
    let urls = readURLs(section)
    let tls = readTLS(section, urls: urls)
    let user = section.text("user", default: "default", wanted: "a user's name")
    // Both stand in a header: a line break in them would begin another one.
    let password = section.text("password", default: "", wanted: "a password", counts: 0...4096)
    let database = section.text("database", default: "default", wanted: "a database's name")
    let table = section.requires("table", "the table to insert into") ? section.text("table", wanted: "a table's name") : nil
    var provenance: String? = "_millrace_batch"
    if section.has("provenance_column") { provenance = section.text("provenance_column", wanted: "a column's name") }
    let omitted = readOmitted(section, fieldNames)
    let columns = readColumns(section, fieldNames: fieldNames, omitted: omitted, provenance: provenance)
    let batch = section.section("batch", known: PipelineKeys.batch.map(\.name))
    let (rows, bytes, delay) = (batch.count(Settings.batchRows), batch.size(Settings.batchBytes), batch.duration(Settings.batchDelay))
    let partitions = batch.count(Settings.batchPartitions)
    let strict = section.flag("strict_columns")
    let delivery = section.choice("delivery", default: Delivery.exactlyOnce)
    let settle = section.duration(Settings.settle)
    let reserve = readReserve(section)
    guard let input, let urls, let user, let password, let database, let table, let rows, let bytes, let delay, let delivery, let settle,
      let reserve, let partitions, let strict
    else { return nil }
    return ClickHouseSettings(
      name: name, input: input.name, urls: urls, tls: tls, user: user, password: Secret(password), database: database, table: table,
      columns: columns, batchRowCountMax: rows, batchByteCountMax: bytes, batchDelayMaxMilliseconds: delay, delivery: delivery,
      settleMilliseconds: settle,
      windowReserve: reserve, provenanceColumn: provenance, batchPartitionCountMax: partitions, isStrict: strict)
  }

  private func readReserve(_ section: Section) -> WindowReserve? {
    let setting = Settings.windowReserve
    let wanted = "auto, unlimited or a whole number from \(setting.range.lowerBound) to \(setting.range.upperBound)"
    guard section.node(setting.key) != nil else { return .auto }
    guard let (node, text) = section.scalar(setting.key, wanted: wanted) else { return nil }
    switch text {
    case "auto": return .auto
    case "unlimited": return .unlimited
    default:
      if let number = plainInteger(text), setting.range.contains(number) { return .entries(number) }
      problems.add(
        node, section.child(setting.key), isInteger(text) ? "this is out of range" : "this is neither auto, unlimited nor a whole number",
        remedy: wanted, nearest: nearestKnown(to: text, among: ["auto", "unlimited"]))
      return nil
    }
  }

  private func readInput(_ section: Section, _ edges: inout Edges) -> Edges.Edge? {
    edges.sinkPath = section.path
    let names = edges.names
    guard section.requires("input", "one of \(listed(names))"), let (node, text) = section.scalar("input", wanted: "a name") else {
      edges.hasUnknownInput = true
      return nil
    }
    if let edge = edges.read(text) { return edge }
    edges.hasUnknownInput = true
    if !names.isEmpty {
      problems.add(
        node, section.child("input"), "there is no source or operator of this name", remedy: "one of \(listed(names))",
        nearest: nearestKnown(to: text, among: names))
    }
    return nil
  }

  /// One address, or a list of the replicas of one shard.
  private func readURLs(_ section: Section) -> [String]? {
    guard section.requires("url", "ClickHouse's HTTP address, such as http://localhost:8123"),
      let nodes = section.list("url", wanted: "a URL, or a list of them")
    else { return nil }
    let path = section.child("url")
    if nodes.isEmpty {
      problems.add(section.node("url")?.mark ?? section.mark, path, "the list is empty", remedy: "the address of one server at least")
    }
    let paths = nodes.indices.map { nodes.count == 1 ? path : "\(path)[\($0)]" }
    let urls = zip(nodes, paths).compactMap { node, path in
      section.scalar(node, path, wanted: "a URL").flatMap { readURL($0.node, $0.text, path) }
    }
    guard !urls.isEmpty, urls.count == nodes.count else { return nil }
    for (index, url) in urls.enumerated() where urls[..<index].contains(url) {
      problems.add(nodes[index], paths[index], "this server is named twice", remedy: "each replica once")
    }
    return urls
  }

  private func readURL(_ node: ConfigNode, _ text: String, _ path: String) -> String? {
    let remedy = "http://HOST:PORT or https://HOST:PORT, such as http://localhost:8123"
    guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }) else {
      problems.add(node, path, "this is no HTTP address", remedy: remedy)
      return nil
    }
    let rest = text.dropFirst(scheme.count)
    let authority = rest.prefix { $0 != "/" }
    if rest.contains("@") {
      problems.add(
        node, path, "a URL with credentials would show them in messages", remedy: "use user and password")
      return nil
    }
    let port = authority.last == "]" ? nil : authority.lastIndex(of: ":")
    let host = authority[..<(port ?? authority.endIndex)]
    let isPrintable = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7f }
    let hasPort = port.map { isPort(authority[authority.index(after: $0)...]) } ?? true
    guard isPrintable, !host.isEmpty, hasPort, host.hasPrefix("[") || !host.contains(":"), !rest.contains("?"), !rest.contains("#") else {
      problems.add(node, path, "this is no HTTP address", remedy: remedy + "; no query: use database and user")
      return nil
    }
    var url = text
    while url.hasSuffix("/") { url.removeLast() }
    return url
  }

  /// The certificates' files, which must be readable: a connection that can never be made would be tried for ever.
  private func readTLS(_ section: Section, urls: [String]?) -> TLSSettings {
    let tls = section.section("tls", known: PipelineKeys.tls.map(\.name))
    let files = TLSSettings(authorities: readFile(tls, "ca"), certificate: readFile(tls, "certificate"), key: readFile(tls, "key"))
    if files != TLSSettings(), let urls, !urls.contains(where: { $0.hasPrefix("https://") }) {
      problems.add(tls.mark, tls.path, "certificates are for https, and url is http", remedy: "write https:// in url, or remove tls")
    }
    for (have, lacks) in [("certificate", "key"), ("key", "certificate")] where tls.node(have) != nil && tls.node(lacks) == nil {
      problems.add(tls.mark, tls.path, "\(have) is given without \(lacks)", remedy: "both, or neither: they belong together")
    }
    return files
  }

  private func readFile(_ section: Section, _ key: String) -> String? {
    guard let node = section.node(key), let text = section.text(key, wanted: "a path", counts: 1...1000) else { return nil }
    return readablePath(text, node, section.child(key))
  }
}
