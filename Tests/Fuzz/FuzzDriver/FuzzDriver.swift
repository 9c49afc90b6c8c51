internal import CFuzzer
internal import Glibc
internal import MillBase

// Set once, before libFuzzer calls back on this same thread.
nonisolated(unsafe) private var tryOne: (UnsafeRawBufferPointer) -> Void = { _ in }

/// A fuzzer's main: `--seeds DIRECTORY` writes the inputs to begin with, any other arguments are libFuzzer's own.
///
/// `body` is called with one input after the other, on this thread; what it finds it tells by ``fail(_:)`` or a trap.
package func runFuzzer(seeds: [[UInt8]], _ body: @escaping (UnsafeRawBufferPointer) -> Void) -> Never {
  if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "--seeds" {
    write(seeds, into: CommandLine.arguments[2])
    exit(0)
  }
  unsafe tryOne = body
  var count = CommandLine.argc
  var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
  let code = unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, count in
    unsafe tryOne(UnsafeRawBufferPointer(start: data, count: count))
    return 0
  }
  exit(code)
}

/// Makes what lives as long as the process, unseen by the leak check: it doesn't know the pointers of Swift's indirect enums, which carry
/// a tag, and would find it leaked.
package func lasting<T>(_ make: () -> T) -> T {
  __lsan_disable()
  defer { __lsan_enable() }
  return make()
}

/// Ends the fuzzer with a finding. Optimised code would trap without a word.
package func fail(_ message: String) -> Never {
  let line = Array("fuzzer: \(message)\n".utf8)
  unsafe line.withRawBytes { unsafe _ = write(2, $0.baseAddress, $0.count) }
  abort()
}

/// Ends the fuzzer with a finding unless `holds`.
package func demand(_ holds: Bool, _ message: @autoclosure () -> String) {
  if !holds { fail(message()) }
}

/// Several files in one input, each with its length u16 before it: what ``joined(_:)`` has written, or anything. Of the last one the length
/// may be wrong.
package func pieces(of bytes: ArraySlice<UInt8>) -> [[UInt8]] {
  var pieces: [[UInt8]] = []
  var rest = bytes
  while !rest.isEmpty {
    let length = rest.count > 2 ? Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8 : 0
    rest = rest.dropFirst(2)
    let isLast = length >= rest.count
    pieces.append(Array(isLast ? rest : rest.prefix(length)))
    rest = isLast ? [] : rest.dropFirst(length)
  }
  return pieces
}

package func joined(_ pieces: [[UInt8]]) -> [UInt8] {
  pieces.flatMap { [UInt8(truncatingIfNeeded: $0.count), UInt8($0.count >> 8)] + $0 }
}

private func write(_ seeds: [[UInt8]], into directory: String) {
  let disk = RealDisk()
  do {
    try disk.createDirectory(directory)
    for (index, seed) in seeds.enumerated() {
      let file = try disk.open("\(directory)/seed-\(index)", create: true)
      defer { file.close() }
      try unsafe seed.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
    }
  } catch {
    fail("seeds can't be written: \(error)")
  }
}
