internal import MillBase
internal import MillCore

/// The part of ``DeliveryChoice`` that weighs engine, window and rights.
struct ModeChoice {
  let look: TableLook
  let options: SinkOptions
  let hasProvenance: Bool
  var mode = DeliveryMode.atLeastOnce
  var window = 0
  var reserve: Int? = 0
  var windowSeconds = 0
  var partitionsMax = 1
  var warnings: [String] = []
  var notes: [String] = []
  var problems: [String] = []

  init(look: TableLook, options: SinkOptions, hasProvenance: Bool) {
    self.look = look
    self.options = options
    self.hasProvenance = hasProvenance
  }

  private var table: TableName { options.table }
  private var family: DeliveryChoice.Family { DeliveryChoice.family(of: look.engine) }
  private var windowSetting: String { family == .plain ? "non_replicated_deduplication_window" : "replicated_deduplication_window" }
  /// R9: three batches' worth and what is left to others.
  private var windowNeeded: Int { 3 * partitionsMax + options.windowReserve.least }
  private var windowAlter: String {
    // A hundred batches: as many may be in doubt after a start.
    "ALTER TABLE \(table.quoted) MODIFY SETTING \(windowSetting) = \(max(10_000, 100 * partitionsMax, windowNeeded))"
  }
  private var columnAlter: String {
    "ALTER TABLE \(table.quoted) ADD COLUMN \(SQL.name(options.provenanceColumn ?? "_millrace_batch")) LowCardinality(String)"
  }

  mutating func decide() {
    partitionsMax = Statements.hasPartitions(key: look.partitionKey) ? options.partitionsMax : 1
    warnViews()
    warnPlainPassword()
    notePowerCuts()
    guard options.delivery == .exactlyOnce else { return addMissingRights([.insert]) }
    if let refusal = engineProblem() { return problems.append(refusal) }
    if let ttl = look.deletingTTL {
      problems.append(
        "\(table) has TTL \(ttl), which takes rows away, so that they can't be counted: remove it "
          + "(ALTER TABLE \(table.quoted) REMOVE TTL, or a scheduled DROP PARTITION), or use delivery: at_least_once")
    }
    addMissingRights(Right.allCases)
    chooseMode()
  }

  private mutating func chooseMode() {
    let takesToken = look.dialect.isAtLeast(22, 2) && look.dialect.settings.contains("insert_deduplication_token")
    let found = takesToken ? look.setting(windowSetting) ?? 0 : 0
    let isEnough = found > 0 && found >= windowNeeded
    if isEnough {
      window = found
      reserve = options.windowReserve.entries(window: found, perBatch: partitionsMax)
      windowSeconds = family == .plain ? 0 : look.setting("replicated_deduplication_window_seconds") ?? 0
    }
    switch (hasProvenance, isEnough, family) {
    case (true, true, _): mode = .tokenAndProvenance
    case (true, false, _):
      mode = .readBack
      if takesToken {
        warnings.append(
          "\(table) has a deduplication window of \(found), \(windowNeeded) are needed: every INSERT is read back. "
            + "Faster: \(windowAlter)")
      }
    case (false, true, .replicated), (false, true, .shared):
      guard let reserve else {
        problems.append(
          "\(table) has no provenance column, without which a doubt can't be settled where other writers may use any number of its window's "
            + "entries (window_reserve: unlimited): \(columnAlter)")
        break
      }
      mode = .tokenOnly
      warnings.append(
        "\(table) has no provenance column, so that rows can't be counted. Exactly once then assumes that other writers make at most "
          + "\(reserve) entries in its deduplication window of \(window) (window_reserve) while an INSERT without an answer is sent again; "
          + "an outage longer than the window stops the pipeline. Better: \(columnAlter)")
    case (false, false, .replicated), (false, false, .shared):
      problems.append(
        "\(table) has no provenance column, and a deduplication window of \(found) where \(windowNeeded) are needed: \(columnAlter)"
          + (takesToken ? ", or \(windowAlter)" : ""))
    case (false, _, .plain):
      problems.append(
        "\(table) has no provenance column, without which rows that a crash of the server has lost can't be found: \(columnAlter)"
          + (takesToken && !isEnough ? "; for speed also \(windowAlter)" : ""))
    }
  }

  private mutating func addMissingRights(_ needed: [Right]) {
    problems += needed.filter(look.lacking.contains).map { $0.problem(table, user: options.user) }
  }

  private mutating func warnViews() {
    guard !look.dependents.isEmpty else { return }
    let names = look.dependents.map(\.description).sorted().joined(separator: ", ")
    warnings.append("views hang on \(table) (\(names)): a crash of the server itself can lose or double rows of a view")
  }

  /// A plain MergeTree syncs no part unless it is told to: the rows of the last seconds are gone after a power cut of its machine, acked or
  /// not, and no replica has them.
  private mutating func notePowerCuts() {
    guard family == .plain, look.bareEngine.hasSuffix("MergeTree"), !look.lacking.contains(.settings) else { return }
    let settings = ["fsync_after_insert", "fsync_part_directory"]
    let off = settings.filter { (look.setting($0) ?? 0) == 0 }
    guard !off.isEmpty else { return }
    let loss = "a power cut of its machine takes the rows of the last seconds, also those that it has said to have"
    guard settings.allSatisfy({ look.setting($0) != nil }) else {
      return notes.append("\(table) is not replicated, and this server can't sync parts: \(loss)")
    }
    let values = off.map { "\($0) = 1" }.joined(separator: ", ")
    notes.append(
      "\(table) is not replicated and \(off.joined(separator: ", ")) is 0: \(loss). Safer, and slower: "
        + "ALTER TABLE \(table.quoted) MODIFY SETTING \(values)")
  }

  private mutating func warnPlainPassword() {
    guard !options.password.isEmpty else { return }
    for url in options.urls
    where url.hasPrefix("http://") && !isLoopback(host: hostPart(String(url.dropFirst("http://".count).prefix { $0 != "/" }))) {
      warnings.append("the password of user \(options.user) goes to \(url) unencrypted: use https")
    }
  }

  private func engineProblem() -> String? {
    let engine = look.bareEngine
    if engine == "MergeTree" {
      guard family == .plain, options.urls.count > 1 else { return nil }
      return "\(table) is \(look.engine) on \(options.urls.count) servers, each with rows of its own, which is not one table: "
        + "name one server in url, or use ReplicatedMergeTree; delivery: at_least_once takes it as it is"
    }
    let onlyMergeTree = "exactly once needs MergeTree, ReplicatedMergeTree or SharedMergeTree"
    let atLeastOnce = "delivery: at_least_once takes it as it is"
    let found = "\(table) is \(look.engine)"
    switch engine {
    case "ReplacingMergeTree", "CollapsingMergeTree", "VersionedCollapsingMergeTree", "CoalescingMergeTree":
      return
        "\(found), which merges rows away, so that they can't be counted: \(atLeastOnce) (doubled rows are merged too), else \(onlyMergeTree)"
    case "SummingMergeTree", "AggregatingMergeTree", "GraphiteMergeTree":
      return "\(found), which merges rows away: write to a MergeTree and let a materialized view fill this table; \(onlyMergeTree)"
    case "Distributed": return "\(found): name the local table of a shard instead; \(onlyMergeTree)"
    case "Buffer": return "\(found), which loses rows in a crash: name its destination table instead"
    case "View", "MaterializedView", "LiveView", "WindowView": return "\(found): name the table that it reads from or writes to instead"
    case "Null": return "\(found), which keeps nothing: \(onlyMergeTree), and views on it; \(atLeastOnce)"
    default: return "\(found): \(onlyMergeTree); \(atLeastOnce)"
    }
  }
}
