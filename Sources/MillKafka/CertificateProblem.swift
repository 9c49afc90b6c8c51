/// OpenSSL's verdicts on a broker's certificate in words: librdkafka's own message says only that it could not be verified.
enum CertificateProblem {
  /// `code`: X509_V_ERR_… of OpenSSL; `depth` 0: the broker's own certificate, above it those that signed it.
  static func text(_ code: Int32, depth: Int32, broker: String) -> String {
    let whose = depth == 0 ? "the certificate of \(broker)" : "a certificate that signed the one of \(broker)"
    switch code {
    case 9: return "\(whose) is not valid yet"
    case 10: return "\(whose) has expired"
    case 18: return "\(whose) is signed by itself, and ssl.ca.location doesn't have it"
    case 19, 20, 21: return "\(whose) is signed by an authority that ssl.ca.location doesn't have"
    case 23: return "\(whose) was revoked"
    case 62, 64: return "\(whose) is for another host"
    default: return "\(whose) is refused by OpenSSL (verify error \(code))"
    }
  }

  /// What a broker's TLS alert says of the client's own certificate; nil: `text` has no such alert.
  static func ofClient(_ text: String) -> String? {
    let alerts = [
      "certificate required", "certificate unknown", "certificate expired", "certificate revoked", "bad certificate", "unknown ca",
    ]
    guard alerts.contains(where: { text.contains("alert \($0)") }) else { return nil }
    return
      "the broker refuses the client's certificate (ssl.certificate.location): there is none, it has expired, or it is signed by an authority that the broker doesn't know"
  }
}
