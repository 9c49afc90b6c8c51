internal import CRdKafka

extension KafkaSignals {
  /// A failure with the library's text, and the last reason heard where the code alone says little.
  func failure(_ code: rd_kafka_resp_err_t, _ text: String? = nil) -> KafkaFailure {
    let saysLittle = [RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN].contains(code)
    let heard = saysLittle ? lastReason : nil
    var failure = unsafe KafkaFailure(code, told(heard ?? text ?? String(cString: rd_kafka_err2str(code))))
    failure.isBare = saysLittle && lastReason == nil
    return failure
  }

  func report(_ code: rd_kafka_resp_err_t, _ reason: String) {
    let news: News = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ? .allDown : code == RD_KAFKA_RESP_ERR__FATAL ? .fatal : .trouble
    report(news, KafkaFailure(code, told(reason)))
  }

  func delivered(failure code: rd_kafka_resp_err_t) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { addFailure(KafkaFailure(code, unsafe String(cString: rd_kafka_err2str(code)))) }
  }
}

extension KafkaFailure {
  /// What a code of librdkafka means to a reader or writer of one topic.
  init(_ code: rd_kafka_resp_err_t, _ text: String) {
    let kind: Kind
    switch code {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      kind = .unknownTopic
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__NO_OFFSET: kind = .positionLost
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION: kind = .unreadable
    case RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
      RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
      kind = .damaged
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: kind = .exists
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION: kind = .unsupported
    case RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, RD_KAFKA_RESP_ERR_INVALID_PARTITIONS,
      RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RD_KAFKA_RESP_ERR_INVALID_GROUP_ID,
      RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_CONFIG:
      kind = .rejected
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: kind = .queueFull
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      kind = .denied
    default: kind = .unreachable
    }
    self.init(kind, text)
  }
}

/// What librdkafka wrote into a buffer of characters.
func words(_ text: [CChar]) -> String { String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
