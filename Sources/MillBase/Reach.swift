import Synchronization

/// A branch of the protocol that the simulator must have taken before its silence means anything. Named after the rule.
package enum Branch: Int, CaseIterable, Sendable {
  // K3: records deleted before they were read
  case k3LossAccepted, k3ReplayedWithLoss, k3LostWhileRunning
  // K4: a partition that ends before what was read
  case k4EndsBeforeAtStart, k4EndsBeforeInReplay, k4EndsBeforeWhileRunning
  // K6: a topic made anew
  case k6CheckpointRefused, k6AnchorsKept
  // R2: where the bytes of a batch that is sent come from
  case r2SentFromMemory, r2ReadFromLog
  // R4: replay
  case r4ReplayedIntent, r4VoidIntents, r4SealCompared, r4PendingAfterReplay, r4InputChanged, r4OutputDiffers, r4OtherPlan, r4PlanTakesOver,
    r4EarlierPlan, r4FetchesMissingOnly
  // R5: the log's tail
  case r5TornTail, r5TailCopied, r5TwoSegmentsSamePositions, r5CorruptBeforeVouched, r5SyncFailed, r5OutOfSpace
  // R8: guarded insert
  case r8GuardedAfterDoubt, r8TooLate, r8Filled, r8AttemptDead, r8DeadlineWaited, r8CountedAll, r8CountedFewer, r8CountProven
  // R9: token + provenance
  case r9CleanCommit, r9SuccessInDoubt, r9CountProved, r9BurntToken, r9WindowHeld, r9Settled, r9QueriesStillRun, r9ServerRestarted,
    r9AckSynced, r9DoubtCountedAll, r9DoubtCountedSome, r9DoubtCountedNone, r9RepeatUntrusted
  // R7
  case r7ProbeSlow
  // Waits that were told
  case longWaitTold
  // R10: the other modes
  case r10FirstInTime, r10FirstCounted, r10TokenOnly, r10AtLeastOnce, r10WindowOutlived
  // R11: bisection
  case r11RefusedClean, r11CountedNone, r11CountedAll, r11UnknownOutcome, r11Halved, r11CutByPartition, r11DeadLetter, r11Recovered, r11Done
  // R14: checkpoints
  case r14Frozen, r14Published, r14NothingPending, r14UnackedInManifest, r14UntilEnd, r14Terminated, r14FlushBetween
  // R15: witness
  case r15Committed, r15CommitFailed, r15Absent, r15RolledBack, r15OtherLineage, r15OtherCommitted, r15NewLineage, r15TableKnowsMore
  // R16: truncation
  case r16SegmentRemoved, r16HeldByUnacked
  // R17: birth and fallback
  case r17Born, r17BornAgain, r17NothingDecoded, r17StoppedUnproven, r17FellBack, r17NothingLeft, r17ManifestBeyondLog, r17Recovered
  // Several sources: one begins where others are read already, its start is found in the log, its number by its topic, it sleeps, its
  // fields stand in another order
  case sourceJoined, sourceStartRecovered, sourceKnownByTopic, sourceIdleRaised, sourceAdapted
  // Operators
  case opFiltered, opFailed, opSkipped, opSelectedSome
  // R18: state's files
  case r18CoarserBucket, r18NextPart, r18FlushedTable, r18HalvedFilter

  package var name: String { "\(self)" }
}

/// Counts how often each ``Branch`` was taken. Callable from any thread; one relaxed addition a decision, none a record.
package enum Reach {
  /// Index: a branch's number.
  private static let counts = Branch.allCases.map { _ in Count() }

  package static func mark(_ branch: Branch) { counts[branch.rawValue].value.wrappingAdd(1, ordering: .relaxed) }
  package static func count(_ branch: Branch) -> Int { counts[branch.rawValue].value.load(ordering: .relaxed) }

  private final class Count: Sendable {
    let value = Atomic<Int>(0)
  }
}
