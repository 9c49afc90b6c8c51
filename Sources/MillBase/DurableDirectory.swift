extension Disk {
  /// A directory whose own name survives a power cut: made with its missing parents, each parent synced.
  ///
  /// The parent of `path` is synced also where `path` is there already: who made it may have died before its sync.
  package func createDirectoryDurably(_ path: String) throws(DiskError) {
    let parent = parentDirectory(of: path)
    if parent != path && !exists(parent) { try createDirectoryDurably(parent) }
    try createDirectory(path)
    try syncDirectory(parent)
  }
}
