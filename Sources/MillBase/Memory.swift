internal import CPlatform

/// How the process holds memory that nothing uses: given back where the state's own is small, kept where it is large.
package struct FreeMemory: Sendable {
  /// A page given back and got anew costs half a microsecond, 0.1 to 0.2 µs an event in all; what is kept instead was 170 MiB, so little
  /// beside a large state.
  private let isKept: Bool

  /// Sets it for the process. Once, at the beginning.
  package init(stateByteCount: Int) {
    isKept = stateByteCount >= 512 << 20
    // Pieces of this size and more go back to the system as soon as they are freed.
    mr_return_large_memory(isKept ? 32 << 20 : 256 << 10)
  }

  /// Gives back whole free pages that lie between pieces which live: of 89 MiB in the main arena 25 were in use after 5,000,000 keys, and
  /// the rest grew on. Takes milliseconds; any thread.
  package func giveBack() {
    if !isKept { mr_return_free_memory() }
  }
}
