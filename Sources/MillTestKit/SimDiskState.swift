internal import MillBase

/// All that a ``SimDisk`` knows; a value, so that a copy of it is another disk.
struct SimDiskState {
  var random: SeededRandom
  var rates: SimDiskRates
  /// Files and directories ever made; the root is 0. Numbers are not used again before a power cut.
  var inodes: [SimInode] = [SimInode(isDirectory: true)]
  /// Raised by each end of the process, so that what it had open is known as stale.
  var incarnation = 0
  var operationCount = 0
  var operationsLeft: Int?
  var capacity: Int?
  var usedByteCount = 0
  var failsNextSync = false
  var faults: [SimDiskFault: Int] = [:]
  /// Holders by path components.
  var locks: [[String]: String] = [:]
  /// Directories that are file systems of their own, none within another.
  var mounts: [[String]] = []
  /// Renames whose new name isn't durable: a power cut never loses both names.
  private var renames: [Rename] = []
  /// Directories by path, as they were asked for; emptied when a directory's name goes. Nearly every call begins with one.
  private var directories: [String: Int] = [:]

  private struct Place {
    var directory: Int
    var name: String
  }

  private struct Rename {
    var from: Place
    var fromIndex: Int
    var to: Place
    var toIndex: Int
  }

  init(random: SeededRandom, rates: SimDiskRates) {
    self.random = random
    self.rates = rates
  }

  // MARK: Paths

  /// A path without empty and `.` components: absolute and relative ones begin at the same root.
  static func components(_ path: String) -> [String] {
    path.utf8.split(separator: UInt8(ascii: "/")).compactMap { $0.elementsEqual(".".utf8) ? nil : String(Substring($0)) }
  }

  /// Number of the file system that a path lies on; 0 is the root's.
  func device(_ path: String) -> Int {
    if mounts.isEmpty { return 0 }
    let components = Self.components(path)
    return (mounts.firstIndex { components.starts(with: $0) } ?? -1) + 1
  }

  private func checkOneDevice(_ from: String, _ to: String, _ operation: String) throws(DiskError) {
    if device(from) != device(to) { throw .io(path: from, operation: operation, errno: 18) }
  }

  mutating func find(_ path: String) -> Int? {
    if let place = placeInDirectory(path) { return current(place) }
    return find(Self.components(path)[...])
  }

  /// The directory before the last `/`, by way of ``directories``; nil where it isn't there, or the path is an unusual one.
  private mutating func placeInDirectory(_ path: String) -> Place? {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash > path.startIndex else { return nil }
    let name = path[path.utf8.index(after: slash)...]
    if name.isEmpty || name == "." { return nil }
    let parent = String(path[..<slash])
    if let known = directories[parent] { return Place(directory: known, name: String(name)) }
    guard let found = find(Self.components(parent)[...]), inodes[found].isDirectory else { return nil }
    directories[parent] = found
    return Place(directory: found, name: String(name))
  }

  private func find(_ components: ArraySlice<String>) -> Int? {
    var inode = 0
    for name in components {
      guard let next = inodes[inode].entries[name]?.current else { return nil }
      inode = next
    }
    return inode
  }

  mutating func file(_ path: String) throws(DiskError) -> Int {
    guard let inode = find(path) else { throw .notFound(path: path) }
    if inodes[inode].isDirectory { throw .io(path: path, operation: "open", errno: 21) }
    return inode
  }

  mutating func directory(_ path: String) throws(DiskError) -> Int {
    guard let inode = find(path) else { throw .notFound(path: path) }
    guard inodes[inode].isDirectory else { throw .io(path: path, operation: "open", errno: 20) }
    return inode
  }

  /// The directory that holds `path`, which must be there, and the name in it.
  private mutating func place(_ path: String) throws(DiskError) -> Place {
    if let place = placeInDirectory(path) { return place }
    let components = Self.components(path)
    guard let name = components.last else { throw .io(path: path, operation: "change of the root", errno: 16) }
    guard let parent = find(components.dropLast()), inodes[parent].isDirectory else { throw .notFound(path: path) }
    return Place(directory: parent, name: name)
  }

  func names(in directory: Int) -> [String] {
    inodes[directory].entries.compactMap { $1.current == nil ? nil : $0 }.sorted()
  }

  private func current(_ place: Place) -> Int? { inodes[place.directory].entries[place.name]?.current }

  // MARK: The process's end

  mutating func count(_ fault: SimDiskFault) { faults[fault, default: 0] += 1 }

  /// Throws once the script's end was reached.
  func checkRunning(_ path: String) throws(DiskError) {
    if operationsLeft == 0 { throw .io(path: path, operation: "call after the simulated end", errno: 5) }
  }

  /// Counts a change that is about to be made. False: this is the last one, and it is cut off in its midst.
  private mutating func begin(_ path: String) throws(DiskError) -> Bool {
    try checkRunning(path)
    operationCount += 1
    guard let left = operationsLeft else { return true }
    operationsLeft = left - 1
    if left == 1 { count(.stopped) }
    return left > 1
  }

  /// Counts a change that happens or doesn't: where the process ends in it, it doesn't.
  private mutating func beginWhole(_ path: String) throws(DiskError) {
    if try !begin(path) { try checkRunning(path) }
  }

  mutating func kill(counting: Bool = true) {
    if counting { count(.kill) }
    incarnation += 1
    operationsLeft = nil
    failsNextSync = false
    locks = [:]
  }

  mutating func cutPower(_ random: SeededRandom) {
    kill(counting: false)
    count(.powerCut)
    var random = random
    cutNames(&random)
    renames = []
    for inode in inodes.indices where !inodes[inode].isDirectory { inodes[inode].cutPower(&random) }
    // What no name leads to any more is gone.
    for inode in inodes.indices { inodes[inode].links = 0 }
    var reached = [0]
    usedByteCount = 0
    while let directory = reached.popLast() {
      for name in names(in: directory) {
        let inode = inodes[directory].entries[name]!.current!
        if inodes[inode].links == 0 {
          usedByteCount += inodes[inode].bytes.count
          if inodes[inode].isDirectory { reached.append(inode) }
        }
        inodes[inode].links += 1
      }
    }
    for inode in inodes.indices.dropFirst() where inodes[inode].links == 0 {
      inodes[inode] = SimInode(isDirectory: inodes[inode].isDirectory)
      inodes[inode].links = 0
    }
  }

  /// Each name goes back to some state between its directory's last sync and now.
  private mutating func cutNames(_ random: inout SeededRandom) {
    let mode = random.next(below: 4)
    var chosen: [Int: [String: Int]] = [:]
    for directory in inodes.indices where inodes[directory].isDirectory {
      for (name, entry) in inodes[directory].entries.sorted(by: { $0.key < $1.key }) where entry.values.count > 1 {
        chosen[directory, default: [:]][name] =
          switch mode {
          case 0: entry.firstIndex
          case 1: entry.lastIndex
          default: random.next(in: entry.firstIndex...entry.lastIndex)
          }
      }
    }
    for rename in renames {
      let from = chosen[rename.from.directory]?[rename.from.name] ?? Int.max
      if from < rename.fromIndex { continue }
      if let to = chosen[rename.to.directory]?[rename.to.name], to < rename.toIndex {
        chosen[rename.to.directory]![rename.to.name] = rename.toIndex
      }
    }
    for (directory, names) in chosen {
      for (name, index) in names {
        let entry = inodes[directory].entries[name]!
        let value = entry.values[index - entry.firstIndex]
        inodes[directory].entries[name] = value == nil ? nil : SimEntry(values: [value])
      }
    }
    for directory in inodes.indices where inodes[directory].isDirectory {
      inodes[directory].entries = inodes[directory].entries.filter { $1.values.count > 1 || $1.current != nil }
      inodes[directory].changedNames = []
    }
    directories = [:]
  }

  // MARK: Files

  mutating func read(_ path: String, offset: Int, count: Int) throws(DiskError) -> [UInt8] {
    try checkRunning(path)
    let inode = try file(path)
    if rates.failedRead > 0, random.chance(rates.failedRead) {
      self.count(.failedRead)
      throw .io(path: path, operation: "read", errno: 5)
    }
    let available = inodes[inode].bytes.count
    if offset >= available { return [] }
    if offset == 0 && count >= available { return inodes[inode].bytes }
    return Array(inodes[inode].bytes[offset..<offset + min(count, available - offset)])
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer, to inode: Int, _ path: String) throws(DiskError) {
    var fitting = bytes.count
    var full = false
    if let capacity, usedByteCount + fitting > capacity {
      fitting = max(0, capacity - usedByteCount)
      full = true
    }
    let stops = try !begin(path)
    if stops { fitting = random.next(in: 0...fitting) }
    unsafe inodes[inode].append(UnsafeRawBufferPointer(rebasing: bytes[..<fitting]))
    if inodes[inode].links > 0 { usedByteCount += fitting }
    if stops { try checkRunning(path) }
    if full {
      count(.outOfSpace)
      if fitting > 0 { count(.shortAppend) }
      throw .outOfSpace(path: path)
    }
  }

  mutating func truncate(_ inode: Int, to byteCount: Int, _ path: String) throws(DiskError) {
    try beginWhole(path)
    if inodes[inode].links > 0 { usedByteCount += byteCount - inodes[inode].bytes.count }
    inodes[inode].truncate(to: byteCount)
  }

  mutating func sync(_ inode: Int, _ path: String) throws(DiskError) {
    try beginWhole(path)
    if failsNextSync || rates.failedSync > 0 && random.chance(rates.failedSync) {
      failsNextSync = false
      count(.failedSync)
      inodes[inode].failSync(&random)
      throw .syncFailed(path: path, errno: 5)
    }
    inodes[inode].sync()
  }

  // MARK: Names

  /// Gives a name a new meaning that isn't durable yet, and returns the change's number.
  @discardableResult
  private mutating func set(_ place: Place, _ inode: Int?) -> Int {
    if let replaced = current(place), inodes[replaced].isDirectory { directories = [:] }
    var entry = inodes[place.directory].entries[place.name] ?? SimEntry(values: [nil])
    entry.values.append(inode)
    inodes[place.directory].entries[place.name] = entry
    inodes[place.directory].changedNames.append(place.name)
    return entry.lastIndex
  }

  private mutating func release(_ inode: Int) {
    inodes[inode].links -= 1
    if inodes[inode].links == 0 { usedByteCount -= inodes[inode].bytes.count }
  }

  mutating func create(_ path: String) throws(DiskError) {
    try beginWhole(path)
    let place = try place(path)
    if current(place) != nil { throw .exists(path: path) }
    inodes.append(SimInode(isDirectory: false))
    set(place, inodes.count - 1)
  }

  mutating func createDirectory(_ path: String) throws(DiskError) {
    if let there = find(path), inodes[there].isDirectory { return }
    var parent = 0
    for name in Self.components(path) {
      if let there = inodes[parent].entries[name]?.current {
        guard inodes[there].isDirectory else { throw .exists(path: path) }
        parent = there
        continue
      }
      try beginWhole(path)
      inodes.append(SimInode(isDirectory: true))
      set(Place(directory: parent, name: name), inodes.count - 1)
      parent = inodes.count - 1
    }
  }

  mutating func rename(_ from: String, to: String) throws(DiskError) {
    try beginWhole(from)
    try checkOneDevice(from, to, "rename")
    let source = try place(from)
    guard let inode = current(source) else { throw .notFound(path: from) }
    let target = try place(to)
    let replaced = current(target)
    if replaced == inode { return }
    if let replaced {
      guard inodes[replaced].isDirectory == inodes[inode].isDirectory, names(in: replaced).isEmpty else {
        throw .io(path: to, operation: "rename", errno: 39)
      }
    }
    let toIndex = set(target, inode)
    let fromIndex = set(source, nil)
    if let replaced { release(replaced) }
    renames.append(Rename(from: source, fromIndex: fromIndex, to: target, toIndex: toIndex))
  }

  mutating func link(_ from: String, to: String) throws(DiskError) {
    try beginWhole(from)
    try checkOneDevice(from, to, "link")
    let inode = try file(from)
    let target = try place(to)
    if current(target) != nil { throw .exists(path: to) }
    set(target, inode)
    inodes[inode].links += 1
  }

  mutating func remove(_ path: String) throws(DiskError) {
    try beginWhole(path)
    let inode = try file(path)
    set(try place(path), nil)
    release(inode)
  }

  mutating func removeTree(_ path: String) throws(DiskError) {
    guard let inode = find(path) else { return try checkRunning(path) }
    if !inodes[inode].isDirectory { return try remove(path) }
    for name in names(in: inode) { try removeTree(path + "/" + name) }
    try beginWhole(path)
    set(try place(path), nil)
    release(inode)
  }

  mutating func syncDirectory(_ path: String) throws(DiskError) {
    try beginWhole(path)
    let directory = try directory(path)
    if rates.failedDirectorySync > 0, random.chance(rates.failedDirectorySync) {
      count(.failedDirectorySync)
      throw .syncFailed(path: path, errno: 5)
    }
    for name in inodes[directory].changedNames { inodes[directory].entries[name]?.sync() }
    renames.removeAll { $0.to.directory == directory }
    // A rename that isn't durable yet still counts the changes of its old name.
    guard renames.isEmpty else { return }
    for name in inodes[directory].changedNames where inodes[directory].entries[name]?.isGone == true {
      inodes[directory].entries[name] = nil
    }
    inodes[directory].changedNames.removeAll()
  }

  mutating func lock(_ path: String, holder: String) throws(DiskError) -> Int {
    let key = Self.components(path)
    if let other = locks[key] { throw .locked(path: path, holder: other) }
    if find(path) == nil { try create(path) }
    let inode = try file(path)
    usedByteCount += holder.utf8.count - inodes[inode].bytes.count
    inodes[inode].truncate(to: 0)
    unsafe Array(holder.utf8).withRawBytes { unsafe inodes[inode].append($0) }
    inodes[inode].sync()
    locks[key] = holder
    return incarnation
  }
}
