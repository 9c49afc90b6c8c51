/// A planted mistake that the simulator must find (`make mutants`). Each changes one step of production code.
package enum Mutant: String, CaseIterable, Sendable {
  case sendBeforeSealDurable, ackBeforeCommit, successIsProofInDoubt, truncateEarly, tokenWithoutDigest, trustLiveState
  case skipDirectorySync, skipTailCopy, positionBeyondFreeze, replayVoidIntents, witnessUnchecked, windowUnbounded
  case guardWithoutDeadline, flushLaterEpochIntoCheckpoint, dropBucketEarly, filterForgets, lateAfterDuplicate, statusAloneIsSuccess
  case releaseBeforeFilter, olderPartWins
  case checkpointWithoutSeal, endIsLastRecordPlusOne, truncateWithoutLedger
  // R11
  case sendHalfBeforeRetireDurable, bisectInDoubt, bisectUncounted, bisectAfterViewError, retiredComesBack, newerBesideBisection
  case halvesShareToken, halvesKeepParentsToken, refusedRowForgotten, retireNumbersReused, truncateRetireEarly
  // R9
  case resendUncounted, reserveIgnored, countBeforeDead
  // K6
  case topicUnchecked
  /// K4: what is replayed may lie beyond the topic's end.
  case replayEndUnchecked
  /// R17: a file counts as read when one of the same name and size was.
  case linkTrustedByName
  /// The bound on the log counts batches alone.
  case intentsUncounted
  /// R4: what an older release recorded.
  case replayByTodaysRules
  // Watermarks
  case idleUnasked, idleBehindTransaction
  /// R3: a record's fate hangs on what stands behind it.
  case slackBytesRead
  // R16, R18: what of an earlier moment has to be done first
  case letterAckUndurable, truncateOpen, dropOvertakes
  // R7 to R9: attempts that may still write
  case settleListIgnored, oldestInLogIgnored, deadlineUndurable, viewFailureIsCommit, memoryLimitBefore
  // Replicas
  case noCatchUp, fastestForDeath
  /// The key ab, c for a, bc.
  case keyTextsRunTogether
  // K3, K6
  case gapComparedAfter, oneAnchorOfTwo

  /// Seeds that it may take until it is found; most take a few hundred.
  package var seedLimit: UInt64 {
    switch self {
    case .settleListIgnored, .oneAnchorOfTwo, .gapComparedAfter, .noCatchUp: 20_000
    default: 2000
    }
  }
}

/// Whether `mutant` is switched on: a constant false in every build but the one made with `MILLRACE_MUTANTS=1`.
@inline(__always)
package func mutated(_ mutant: Mutant) -> Bool {
  #if MUTANTS
    unsafe MutantSwitch.active == mutant
  #else
    false
  #endif
}

#if MUTANTS
  package enum MutantSwitch {
    /// Set once before anything runs, by the simulator's command line.
    nonisolated(unsafe) package static var active: Mutant?
  }
#endif
