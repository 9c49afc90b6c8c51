package import MillBase

/// What the group's offsets carry: who runs the pipeline, and how far its log was durable.
package struct Witness: Hashable, Sendable, CustomStringConvertible {
  package var lineage: Lineage
  package var position: LogPosition

  package init(lineage: Lineage, position: LogPosition) {
    self.lineage = lineage
    self.position = position
  }

  package init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "millrace", let lineage = Lineage(hex: parts[1]), let position = LogPosition(parts[2]) else {
      return nil
    }
    self.init(lineage: lineage, position: position)
  }

  package var description: String { "millrace:\(lineage):\(position)" }

  /// What is said of metadata that no pipeline has committed, and what is safe then.
  package static func foreign(_ text: String, pipeline: String, topic: String) -> String {
    let group = "millrace-\(pipeline)"
    return
      "the consumer group \(group) holds metadata that is not ours (\"\(ForeignText.cut(text))\"): another program commits for it. The group is this pipeline's alone: whoever has the right Read on it may (kafka-acls.sh --list --group \(group); without ACLs everybody). End that program's use and take the right away. Nothing is lost or doubled by it: where no other copy of this pipeline runs and its directory wasn't put back from an older copy, remove the group's offsets (kafka-consumer-groups.sh --bootstrap-server BROKERS --delete-offsets --group \(group) --topic \(topic)) and start again"
  }
}
