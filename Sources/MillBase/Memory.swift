internal import CPlatform

/// From now on large pieces of memory go back to the system as soon as they are freed: those of 256 KiB and more, or of 32 MiB and more
/// where the state's memory is 512 MiB or more. A page given back and got anew costs half a microsecond, 0.1 to 0.2 µs an event in all;
/// what is kept instead was 170 MiB, so little beside a large state. Once, at the beginning.
package func returnLargeMemory(stateByteCount: Int) { mr_return_large_memory(stateByteCount < 512 << 20 ? 256 << 10 : 32 << 20) }

/// Gives back whole free pages that lie between pieces which live: of 89 MiB in the main arena 25 were in use after 5,000,000 keys, and the
/// rest grew on. Takes milliseconds; any thread.
package func returnFreeMemory() { mr_return_free_memory() }
