package import MillBase
internal import MillLog

/// Looks at the three directories of a pipeline before anything is made, changed or removed in them. What is wrong is a sentence that names
/// the path and what mends it.
///
/// - The state is trusted: who writes the log decides what is inserted. So the directories, and all in state and checkpoints, belong to
///   the user, and nobody else may write there (as sshd demands of its files). What lies within a directory that nobody else may enter is
///   as safe as that, whatever its own mode says.
/// - A first start takes an empty directory only: whoever names `/srv/data` by mistake must find it as it was.
///
/// The directories above aren't looked at: who may exchange ours for another can't give it our owner. A link that leads to one of the three
/// is followed where it is root's or the user's own (systemd makes one); none within is.
package struct StateDirectories {
  let disk: any Disk
  let state: String
  let checkpoints: String
  let deadLetters: String

  private static let lock = "LOCK"
  /// Of an empty file system.
  private static let lostAndFound = "lost+found"

  package init(disk: any Disk, state: String, checkpoints: String, deadLetters: String) {
    (self.disk, self.state, self.checkpoints, self.deadLetters) = (disk, state, checkpoints, deadLetters)
  }

  init(_ parts: EngineParts) {
    self.init(
      disk: parts.disk, state: parts.stateDirectory, checkpoints: parts.checkpointDirectory, deadLetters: parts.deadLetterDirectory)
  }

  /// nil: they can be used.
  package func problem() throws(DiskError) -> String? {
    for (key, path) in [("state.path", state), ("checkpoint.location", checkpoints), ("dead_letters.path", deadLetters)] {
      if let problem = try problem(of: path, key: key) { return problem }
    }
    if try exists(state) {
      for name in Self.own {
        if let problem = try problem(ofOwn: state + "/" + name, isOpen: isOpen(state)) { return problem }
      }
    }
    if let problem = try problem(ofOwn: checkpoints, isOpen: true) { return problem }
    return try foreignContent()
  }

  private static let own = [lock, "log", "live", "ledger"]

  // MARK: - Who may write

  /// Of a directory that the file names; it may not be there yet.
  private func problem(of path: String, key: String) throws(DiskError) -> String? {
    guard try exists(path) else { return nil }
    if try disk.status(path, following: false).kind == .link, let problem = try ownerProblem(path, following: false) {
      return "\(key): \(problem)"
    }
    let status = try disk.status(path, following: true)
    guard status.kind == .directory else { return "\(key): \(path) is no directory" }
    if let problem = try ownerProblem(path, following: true) { return "\(key): \(problem)" }
    return isWritable(status)
      ? "\(key): \(path) can be written by others than its owner (mode \(octal(status.mode))): chmod go-w \(path), or name a directory below it that isn't there yet"
      : nil
  }

  private func ownerProblem(_ path: String, following: Bool) throws(DiskError) -> String? {
    let status = try disk.status(path, following: following)
    if status.owner == disk.userID || status.owner == 0 { return nil }
    let what = status.kind == .link ? "is a link that belongs" : "belongs"
    return
      "\(path) \(what) to user id \(status.owner), and this is user id \(disk.userID): chown\(status.kind == .link ? " -h" : "") \(disk.userID) \(path), or run as that user"
  }

  /// Whether others than the user may enter a directory.
  private func isOpen(_ path: String) throws(DiskError) -> Bool { try disk.status(path, following: true).mode & 0o011 != 0 }

  private func isWritable(_ status: FileStatus) -> Bool { status.mode & 0o022 != 0 }

  /// Of what is the engine's own, if it is there: another instance may be at work. `isOpen`: others may come this far.
  private func problem(ofOwn path: String, isOpen: Bool) throws(DiskError) -> String? {
    do throws(DiskError) {
      return try problem(within: path, isOpen: isOpen)
    } catch .notFound {
      return nil
    }
  }

  private func problem(within path: String, isOpen: Bool) throws(DiskError) -> String? {
    let status = try disk.status(path, following: path == checkpoints)
    switch status.kind {
    case .link: return "\(path) is a symbolic link, which isn't followed: put the directory itself there (a bind mount may lead elsewhere)"
    case .other: return "\(path) is neither file nor directory: remove it"
    case .file, .directory: break
    }
    if let problem = try ownerProblem(path, following: path == checkpoints) { return problem }
    if isOpen, isWritable(status) {
      return
        "\(path) can be written by others than its owner (mode \(octal(status.mode))): look what they have done there, then chmod go-w \(path)"
    }
    guard status.kind == .directory else { return nil }
    for name in try disk.list(path) where name != Self.lostAndFound {
      if let problem = try problem(ofOwn: path + "/" + name, isOpen: isOpen && status.mode & 0o011 != 0) { return problem }
    }
    return nil
  }

  private func octal(_ mode: UInt32) -> String { String(mode, radix: 8) }

  // MARK: - What lies there

  /// Whether this pipeline's state, or another's, has been in the directory: a start goes on from there, or says what is wrong with it.
  private func isOurs() throws(DiskError) -> Bool {
    if try exists(state + "/" + Self.lock), try disk.read(state + "/" + Self.lock, offset: 0, count: 4) == Array("pid ".utf8) {
      return true
    }
    if try names(state + "/log").contains(where: EpochLog.isSegment) { return true }
    return try names(checkpoints).contains {
      CheckpointID($0) != nil && disk.exists("\(checkpoints)/\($0)/\(CheckpointStore.manifestName)")
    }
  }

  private func foreignContent() throws(DiskError) -> String? {
    if try isOurs() { return nil }
    if let found = try foreign(in: state, isState: true) { return Self.foreign("state.path", state, found) }
    if let found = try foreign(in: checkpoints, isState: false) { return Self.foreign("checkpoint.location", checkpoints, found) }
    return nil
  }

  private static func foreign(_ key: String, _ path: String, _ name: String) -> String {
    "\(key): \(path) isn't empty (\(name)) and has no state of millrace's: name an empty directory, or one that isn't there yet. Nothing was changed"
  }

  /// The first entry that a first start that was interrupted can't have left; nil: none.
  private func foreign(in directory: String, isState: Bool) throws(DiskError) -> String? {
    for name in try names(directory) where name != Self.lostAndFound {
      let path = directory + "/" + name
      // Another of the three lies there, or on the way.
      if [state, checkpoints, deadLetters].contains(where: { $0 == path || $0.hasPrefix(path + "/") }) { continue }
      let isDirectory = try disk.status(path, following: false).kind == .directory
      switch name {
      case Self.lock where isState && !isDirectory: continue
      case "log" where isState && isDirectory:
        if let found = try names(path).first(where: { !EpochLog.isOwn($0) }) { return "log/\(found)" }
      case "ledger" where isState && isDirectory:
        if let found = try names(path).first(where: { !HistoryReader.isLedgerFile($0) }) { return "ledger/\(found)" }
      case "live" where isState && isDirectory:
        if let found = try names(path).first(where: { $0 != "shard-0" }) { return "live/\(found)" }
        if let found = try names(path + "/shard-0").first { return "live/shard-0/\(found)" }
      default:
        if CheckpointID(name) == nil || directory != checkpoints { return name }
      }
    }
    return nil
  }

  private func exists(_ path: String) throws(DiskError) -> Bool {
    do throws(DiskError) {
      _ = try disk.status(path, following: false)
      return true
    } catch .notFound {
      return false
    }
  }

  /// Of a directory that may not be there, or be something else.
  private func names(_ directory: String) throws(DiskError) -> [String] {
    guard try exists(directory), try disk.status(directory, following: true).kind == .directory else { return [] }
    return try disk.list(directory)
  }
}
