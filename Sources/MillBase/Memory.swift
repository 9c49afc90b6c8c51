internal import CPlatform

/// From now on memory of 256 KiB and more goes back to the system as soon as it is freed: a run at 64 MiB of state took 238 MiB instead of
/// 332 (one pair of runs). Once, at the beginning.
package func returnLargeMemory() { mr_return_large_memory() }
