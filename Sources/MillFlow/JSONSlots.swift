/// Bytes of one record (or text), read by index. Behind the last one at least ``RecordBuffer/slack`` more are readable.
@safe struct ByteView {
  let base: UnsafePointer<UInt8>

  init(_ base: UnsafePointer<UInt8>) { unsafe self.base = base }

  @inline(__always)
  subscript(index: Int) -> UInt8 { unsafe base[index] }

  @inline(__always)
  func load<T: BitwiseCopyable>(_ type: T.Type, at index: Int) -> T {
    unsafe UnsafeRawPointer(base + index).loadUnaligned(as: T.self)
  }
}

/// What kind of value stands for a path.
enum ValueKind: UInt8 {
  case missing, null, `true`, `false`, number
  /// Between the quotes; nothing escaped.
  case string
  /// Between the quotes; with escapes, all of them checked.
  case escapedString
  case object, array
  /// On the way to the path stands something other than an object.
  case blocked
}

/// Where the value of one path stands in a record.
struct ValueSlot {
  var start: Int32
  var end: Int32
  var kind: ValueKind

  static let missing = ValueSlot(start: 0, end: 0, kind: .missing)
}

/// The paths that fields ask for, as a tree of objects' keys that a scanner walks along.
///
/// Node 0 has no keys: it stands for objects nobody asks for. Node 1 is the record's object.
@safe struct KeyTree: ~Copyable {
  struct Node {
    var firstKey: Int32 = 0
    var keyCount: Int32 = 0
  }

  struct Key {
    /// In ``names``.
    var nameStart: Int32
    var nameCount: Int32
    /// Where the value goes, or -1: only paths below are asked for.
    var slot: Int32
    /// The node of the object below, or 0.
    var child: Int32
    /// Slots of all paths below.
    var firstSlotBelow: Int32
    var slotCountBelow: Int32
    /// A name with a quote, a backslash or a control character never stands in a record as it is.
    var isPlain: Bool
  }

  let nodes: UnsafeMutablePointer<Node>
  let keys: UnsafeMutablePointer<Key>
  let names: UnsafeMutablePointer<UInt8>
  let slots: UnsafeMutablePointer<ValueSlot>
  let slotCount: Int

  /// Slot of each of `paths`, in their order, into `slotIndexes`; equal paths share one.
  init(paths: [[String]], slotIndexes: inout [Int]) {
    var builder = TreeBuilder()
    // By bytes, as records are compared: to String two ways of writing é are one.
    let paths = paths.map { path in path.map { Array($0.utf8) } }
    builder.add(paths)
    unsafe nodes = copied(builder.nodes)
    unsafe keys = copied(builder.keys)
    // Names are compared eight bytes at a time.
    unsafe names = copied(builder.names + [UInt8](repeating: 0, count: 16))
    slotCount = builder.slotCount
    unsafe slots = copied([ValueSlot](repeating: .missing, count: builder.slotCount))
    slotIndexes = paths.map { builder.slotOfPath[$0] ?? -1 }
  }

  deinit {
    unsafe nodes.deallocate()
    unsafe keys.deallocate()
    unsafe names.deallocate()
    unsafe slots.deallocate()
  }
}

/// A copy of an array on the heap, for its taker to free.
func copied<T: BitwiseCopyable>(_ values: [T]) -> UnsafeMutablePointer<T> {
  let copy = UnsafeMutablePointer<T>.allocate(capacity: max(values.count, 1))
  for (index, value) in values.enumerated() { unsafe (copy + index).initialize(to: value) }
  return unsafe copy
}

private struct TreeBuilder {
  var nodes: [KeyTree.Node] = [KeyTree.Node(), KeyTree.Node()]
  var keys: [KeyTree.Key] = []
  var names: [UInt8] = []
  var slotCount = 0
  var slotOfPath: [[[UInt8]]: Int] = [:]

  mutating func add(_ paths: [[[UInt8]]]) { build(node: 1, paths, prefix: []) }

  /// Keys of a node in the order in which the plan names them first, for that is how records are likely to have them.
  private mutating func build(node: Int, _ paths: [[[UInt8]]], prefix: [[UInt8]]) {
    var order: [[UInt8]] = []
    var seen: Set<[UInt8]> = []
    for path in paths where path.count > prefix.count && seen.insert(path[prefix.count]).inserted { order.append(path[prefix.count]) }
    let firstKey = keys.count
    nodes[node] = KeyTree.Node(firstKey: Int32(firstKey), keyCount: Int32(order.count))
    for bytes in order {
      let isPlain = bytes.allSatisfy { $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
      keys.append(
        KeyTree.Key(
          nameStart: Int32(names.count), nameCount: Int32(bytes.count), slot: -1, child: 0, firstSlotBelow: 0, slotCountBelow: 0,
          isPlain: isPlain))
      names += bytes
    }
    for (index, name) in order.enumerated() {
      let path = prefix + [name]
      let below = paths.filter { $0.starts(with: path) }
      if below.contains(path) {
        keys[firstKey + index].slot = Int32(slotCount)
        slotOfPath[path] = slotCount
        slotCount += 1
      }
      let deeper = below.filter { $0.count > path.count }
      if deeper.isEmpty { continue }
      let child = nodes.count
      nodes.append(KeyTree.Node())
      let firstSlot = slotCount
      build(node: child, deeper, prefix: path)
      keys[firstKey + index].child = Int32(child)
      keys[firstKey + index].firstSlotBelow = Int32(firstSlot)
      keys[firstKey + index].slotCountBelow = Int32(slotCount - firstSlot)
    }
  }
}
