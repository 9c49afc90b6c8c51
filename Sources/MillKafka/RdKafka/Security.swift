internal import CRdKafka
internal import Glibc

/// Verdicts on certificates in words, and tokens, both asked for by librdkafka's threads.
func setSecurity(_ conf: OpaquePointer) {
  unsafe rd_kafka_conf_set_ssl_cert_verify_cb(conf) { _, broker, _, verdict, depth, _, _, text, size, context in
    guard let verdict = unsafe verdict, let context = unsafe context, unsafe verdict.pointee != 0 else { return 1 }
    let name = unsafe broker.map { unsafe String(cString: $0) }
    let problem = CertificateProblem.text(unsafe verdict.pointee, depth: depth, broker: name ?? "the broker")
    unsafe Unmanaged<KafkaSignals>.fromOpaque(context).takeUnretainedValue().refuseCertificate(problem)
    if let text = unsafe text { unsafe strncpy(text, problem, size - 1) }
    return 0
  }
  unsafe rd_kafka_conf_enable_sasl_queue(conf, 1)
  unsafe rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf) { client, _, context in
    guard let context = unsafe context else { return }
    guard let tokens = unsafe Unmanaged<KafkaSignals>.fromOpaque(context).takeUnretainedValue().tokens else { return }
    var text = [CChar](repeating: 0, count: 512)
    switch tokens.token() {
    case .success(let token):
      let pairs = unsafe token.extensions.sorted { $0.key < $1.key }.flatMap { unsafe [strdup($0.key), strdup($0.value)] }
      defer { for index in unsafe pairs.indices { unsafe free(pairs[index]) } }
      var extensions = unsafe pairs.map { unsafe UnsafePointer<CChar>($0) }
      let code = unsafe rd_kafka_oauthbearer_set_token(
        client, token.value, token.expiresAt, token.principal, &extensions, extensions.count, &text, text.count)
      if code != RD_KAFKA_RESP_ERR_NO_ERROR { unsafe rd_kafka_oauthbearer_set_token_failure(client, words(text)) }
    case .failure(let failure): unsafe rd_kafka_oauthbearer_set_token_failure(client, failure.reason)
    }
  }
}
