internal import CCrypto

/// SHA-256 of bytes that come in pieces. One owner; the digest takes it.
///
/// libcrypto's calls fail only without memory or where a policy forbids SHA-256 altogether; both end the process by name.
@safe package struct SHA256: ~Copyable {
  private let context: OpaquePointer

  package init() {
    guard let context = unsafe EVP_MD_CTX_new(), unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      fatalError("libcrypto gave no SHA-256 context")
    }
    unsafe self.context = context
  }

  deinit { unsafe EVP_MD_CTX_free(context) }

  /// Adds bytes behind those given before.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 0 else { return }
    let code = unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    precondition(code == 1, "libcrypto refused \(bytes.count) bytes for SHA-256")
  }

  /// The 32 bytes of the digest.
  package consuming func digest() -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    let code = unsafe digest.withUnsafeMutableBufferPointer { unsafe EVP_DigestFinal_ex(context, $0.baseAddress, nil) }
    precondition(code == 1, "libcrypto didn't finish a SHA-256")
    return digest
  }

  /// SHA-256 of an array, 32 bytes.
  package static func digest(_ bytes: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    unsafe bytes.withRawBytes { unsafe hash.update($0) }
    return hash.digest()
  }
}

/// MD5 of bytes, 16 of them; for equality with what others have hashed, not for secrets.
package func md5(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
  var digest = [UInt8](repeating: 0, count: 16)
  let code = unsafe digest.withUnsafeMutableBufferPointer {
    unsafe EVP_Digest(bytes.baseAddress, bytes.count, $0.baseAddress, nil, EVP_md5(), nil)
  }
  precondition(code == 1, "libcrypto refused MD5, which a policy may forbid")
  return digest
}

/// What a file holds, by size and SHA-256.
package struct FileDigest: Hashable, Sendable {
  package var byteCount: UInt64
  /// 32 bytes.
  package var sha256: [UInt8]

  package init(byteCount: UInt64, sha256: [UInt8]) {
    self.byteCount = byteCount
    self.sha256 = sha256
  }
}

extension Disk {
  /// Size and SHA-256 of a file, read in pieces of `pieceByteCount`: memory stays bounded whatever the file's size.
  package func digest(_ path: String, pieceByteCount: Int = 1 << 20) throws(DiskError) -> FileDigest {
    var hash = SHA256()
    var offset = 0
    while true {
      let piece = try read(path, offset: offset, count: pieceByteCount)
      if piece.isEmpty { break }
      unsafe piece.withRawBytes { unsafe hash.update($0) }
      offset += piece.count
    }
    return FileDigest(byteCount: UInt64(offset), sha256: hash.digest())
  }
}
