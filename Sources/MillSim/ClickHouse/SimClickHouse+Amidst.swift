/// What goes wrong between the parts of one block: a view that throws, a server out of memory, room or replicas.
extension SimClickHouse {
  /// The table's view, with rows of its own: it may throw before, between and after the parts, and when all is in. Whether it has thrown;
  /// the insert has ended then.
  func viewFails(_ insert: RunningInsert) -> Bool {
    guard view != nil, let moreDraws, moreDraws.chance(rates.viewFails / Double(2 * insert.parts.count + 1)) else { return false }
    trace.hit(insert.written < insert.parts.count ? .viewFailedAmidst : .viewFailed, insert.queryID)
    insert.exchange?.viewHasFailed = true
    end(insert, answers.error(395, "Value passed to 'throwIf' is non-zero: while pushing to view sim.view (uuid)"))
    return true
  }

  /// The view takes a part that the table has, also one that the table had already; it goes by the token where it was told to.
  func pushToView(_ part: ServerTable.Part, of insert: RunningInsert) {
    guard view != nil else { return }
    if let token = insert.token, insert.exchange?.parameters["deduplicate_blocks_in_dependent_materialized_views"] == "1" {
      if view!.knows(part.partition, token: token) { return }
      view!.remember(part.partition, token: token, at: keeperSeconds)
    }
    view!.commit(part)
  }

  /// A transient error while a part is written: those before are in. On a plain MergeTree the token may be, too. Whether it came.
  func failsAmidst(_ insert: RunningInsert, _ part: ServerTable.Part) -> Bool {
    guard let amidstDraws, amidstDraws.chance(rates.amidst / Double(insert.parts.count)) else { return false }
    let burns = amidstDraws.chance(0.5)
    let code = amidstDraws.pick([201, 225, 241, 242, 243, 285, 286, 289, 290, 439, 473, 777, 778])
    trace.hit(.transientAmidst, "\(insert.queryID) \(code)")
    if burns, let token = insert.token, !isReplicated, !table.knows(part.partition, token: token) {
      table.remember(part.partition, token: token, at: keeperSeconds)
      trace.hit(.tokenBurnt, insert.queryID)
    }
    end(insert, answers.error(code, "simulated, after \(insert.written) of \(insert.parts.count) parts"))
    return true
  }
}
