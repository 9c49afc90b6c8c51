/// `host` of `host`, `host:port` or `[address]:port`.
package func hostPart(_ authority: String) -> String {
  if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
  return String(authority.prefix { $0 != ":" })
}

/// Whether `host` is this machine whatever the network does: `localhost`, 127.0.0.0/8, ::1. For `a.localhost` glibc asks the network.
package func isLoopback(host: String) -> Bool {
  if host == "localhost" || host == "::1" { return true }
  let parts = host.split(separator: ".", omittingEmptySubsequences: false)
  return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
}
