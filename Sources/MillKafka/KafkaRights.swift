internal import MillBase
package import MillFlow

/// A right that reading a topic needs, in the words of Kafka's ACLs.
package enum KafkaRight: CaseIterable, Hashable, Sendable {
  case describeTopic, describeTopicConfigs, readTopic, readGroup

  package var operation: String {
    switch self {
    case .describeTopicConfigs: "DescribeConfigs"
    // Read has Describe in it: who may not describe may not read either.
    case .describeTopic, .readTopic, .readGroup: "Read"
    }
  }

  package var isOfGroup: Bool { self == .readGroup }
}

extension KafkaSource {
  /// What of ``KafkaRight`` this client lacks; each is tried, nothing is changed by it.
  ///
  /// - Throws: where no answer came, or the topic isn't there.
  package func missingRights() throws(SourceError) -> [KafkaRight] {
    var missing: [KafkaRight] = []
    for right in KafkaRight.allCases {
      let isThere = try ask(needs: right) { client throws(KafkaFailure) in
        do throws(KafkaFailure) {
          try attempt(right, client)
          return true
        } catch {
          if error.kind == .denied { return false }
          throw error
        }
      }
      if !isThere { missing.append(right) }
      // Without it the brokers tell nothing of the topic.
      if right == .describeTopic, !isThere { break }
    }
    return missing
  }

  private func attempt(_ right: KafkaRight, _ client: KafkaClient) throws(KafkaFailure) {
    let patience = Self.timeoutMilliseconds
    switch right {
    case .describeTopic: _ = try client.partitionCount(of: options.topic, timeoutMilliseconds: patience)
    case .describeTopicConfigs:
      do throws(KafkaFailure) {
        _ = try client.setting("cleanup.policy", of: options.topic, timeoutMilliseconds: patience)
      } catch { if error.kind != .unsupported { throw error } }
    case .readTopic:
      let bounds = try client.bounds(options.topic, partition: 0, timeoutMilliseconds: patience)
      _ = try readAnchor(0, bounds.low)
    case .readGroup:
      _ = try client.committedMetadata(options.topic, partition: 0, timeoutMilliseconds: patience)
      do throws(KafkaFailure) {
        // A partition that no topic has: who has the right is told so, and nothing is committed.
        try client.commit(options.topic, offsets: [0], first: Int32.max, metadata: "", timeoutMilliseconds: patience)
      } catch { if error.kind != .unknownTopic { throw error } }
    }
  }

  /// The missing right in a sentence, with the command that gives it.
  package func lack(of right: KafkaRight) -> String {
    let what = right.isOfGroup ? "group \(options.group)" : "topic \(options.topic)"
    return "right \(right.operation) on \(what) is missing: \(grant(of: right))"
  }

  private func grant(of right: KafkaRight) -> String {
    let principal = options.properties["sasl.username"] ?? "PRINCIPAL"
    let resource = right.isOfGroup ? "--group \(options.group)" : "--topic \(options.topic)"
    return "kafka-acls.sh --bootstrap-server \(options.brokers) --add --allow-principal User:\(principal) --operation \(right.operation) "
      + resource
  }

  /// Whether `cleanup.policy` has compact in it; nil where the brokers don't tell.
  func isCompacted(_ client: KafkaClient) throws(KafkaFailure) -> Bool? {
    do throws(KafkaFailure) {
      let policy = try client.setting("cleanup.policy", of: options.topic, timeoutMilliseconds: Self.timeoutMilliseconds)
      return policy.map { $0.contains("compact") }
    } catch {
      switch error.kind {
      case .unsupported: return nil
      case .denied: throw KafkaFailure(.unreachable, "\(error.text): \(lack(of: .describeTopicConfigs))")
      default: throw error
      }
    }
  }

  /// The topic whose name is nearest to the one that isn't there.
  func nearestTopic(_ client: KafkaClient) -> String? {
    // A hint only: without an answer there is none.
    let known = (try? client.topics(timeoutMilliseconds: Self.timeoutMilliseconds)) ?? []
    return nearestKnown(to: options.topic, among: known.filter { $0 != options.topic }.sorted())
  }
}
