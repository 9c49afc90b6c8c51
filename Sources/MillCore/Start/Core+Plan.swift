internal import MillBase
internal import MillLog

/// Under which plan epochs are replayed (R4).
extension Core {
  /// R4: another plan takes over only where nothing is to be replayed under the old one. Where only the program is newer, each epoch is
  /// replayed under the plan that its intent names.
  mutating func checkPlan() -> Bool {
    guard let manifest = start.manifest else { return true }
    let known = [options.plan] + options.earlierPlans
    func isKnown(_ plan: PlanRecord) -> Bool { known.contains { $0.hash == plan.hash && $0.replayVersion == plan.replayVersion } }
    let isReadAsRecorded = isKnown(manifest.plan)
    let hashes = Set(known.map(\.hash))
    // A start that took over from the checkpoint's plan may have ended before its own first checkpoint: then the log alone knows its plan.
    let plans = start.recordedPlans
    let canReplay = replay.lazy.map(\.intent).allSatisfy { intent in
      let recorded = plans.filter { $0.hash == intent.planHash }
      return hashes.contains(intent.planHash) && (isReadAsRecorded || !recorded.isEmpty && recorded.allSatisfy(isKnown))
    }
    guard canReplay else {
      stopForOtherPlan(manifest.plan)
      return false
    }
    if !replay.isEmpty { noteZones() }
    if !isReadAsRecorded {
      // With epochs to replay an earlier start has taken over, and said so.
      if replay.isEmpty {
        Reach.mark(.r4PlanTakesOver)
        say(.info, "the pipeline file has changed since the last run; it takes over from epoch \(manifest.epoch + 1)")
      }
    } else if let last = replay.last(where: { $0.intent.planHash != options.plan.hash })?.intent {
      Reach.mark(.r4EarlierPlan)
      say(
        .info,
        "epochs up to \(last.epoch) were recorded by an older release (replay version \(manifest.plan.replayVersion)) and are replayed by its rules; those of this one (version \(options.plan.replayVersion)) hold from then on"
      )
    } else if manifest.plan.replayVersion != options.plan.replayVersion {
      Reach.mark(.r4PlanTakesOver)
      say(
        .info,
        "the state was written by an older release (replay version \(manifest.plan.replayVersion)); the rules of this one (version \(options.plan.replayVersion)) hold from epoch \(manifest.epoch + 1)"
      )
    }
    return true
  }

  /// Local times are read by the machine's tz database: not another plan, but what a replay that differs may come from.
  private mutating func noteZones() {
    start.changedZones = Set(start.recordedPlans.flatMap { options.plan.changedZones(since: $0) }).sorted()
    guard !start.changedZones.isEmpty else { return }
    say(
      .warning,
      "the rules of time zone \(start.changedZones.joined(separator: ", ")) (package tzdata) have changed since epochs were recorded that are to be replayed now; where their local times differ by that, the start stops with R4"
    )
  }

  /// What may be the cause of a replay that differs.
  var replayCause: String {
    let zones = start.changedZones.joined(separator: ", ")
    return zones.isEmpty
      ? "the program or its input has changed. Start once with the program that wrote the log"
      : "the rules of time zone \(zones) have changed since (package tzdata). Start once with the version of the package that was installed then"
  }

  private mutating func stopForOtherPlan(_ recorded: PlanRecord) {
    Reach.mark(.r4OtherPlan)
    let isNewer = recorded.replayVersion > options.plan.replayVersion
    let text =
      isNewer
      ? "\(replay.count) epochs must be replayed that a newer release has recorded (replay version \(recorded.replayVersion), this program has \(options.plan.replayVersion)): use that release"
      : "the pipeline file has changed, but \(replay.count) epochs of the old one must be replayed first: start once with the old file and stop it with SIGTERM (where on_error: fail stopped it, it ends by itself), then with the new one"
    end(Stop(.promise, rule: "R4", text))
  }
}
