internal import MillFlow

extension Pipeline {
  /// What is legal and worth a word beyond what ``KafkaSettings/warnings`` has, a sentence each.
  package var warnings: [String] {
    guard let deduplicate, deduplicate.time == .event else { return [] }
    let duration = ScalarText.durationText
    return sources(of: deduplicate.input).compactMap { index in
      let plan = sources[index].plan
      guard let time = plan.eventTime else { return nil }
      let forgiven = time.outOfOrderness + deduplicate.allowedLatenessMilliseconds
      guard time.maxAhead > forgiven else { return nil }
      return
        "sources.\(plan.name).event_time.max_ahead is \(duration(time.maxAhead)), more than out_of_orderness and allowed_lateness of \(deduplicate.name) forgive together (\(duration(forgiven))): one record so far ahead makes the others of its partition late. Lower max_ahead, or raise allowed_lateness"
    }
  }
}
