/// Which mutant is switched on in this process.
package enum MutantSwitch {
  /// Set while nothing else runs, by who hunts for it.
  nonisolated(unsafe) package static var active: Mutant?
}

/// Whether `mutant` is switched on; nil: none is, and the product runs as it is.
@inline(__always)
package func mutated(_ mutant: Mutant) -> Bool { unsafe MutantSwitch.active == mutant }
