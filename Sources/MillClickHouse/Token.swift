package import MillBase
internal import MillLog

/// What names a batch at ClickHouse: `mr-<lineage>-<destination>-<batch, 20 digits>-<digest>`. Sortable by batch within a destination.
/// - Parameters:
///   - destination: of `[A-Za-z0-9_]`, so that the token needs no quoting anywhere.
///   - digest: of the rows, so that one token never names two contents.
package func makeToken(lineage: Lineage, destination: String, batch: BatchNumber, digest: Digest128) -> String {
  TokenParts(prefix: tokenPrefix(lineage: lineage, destination: destination), number: batch, digest: digest).text
}

/// How the tokens of a lineage and destination begin.
package func tokenPrefix(lineage: Lineage, destination: String) -> String { "mr-\(lineage)-\(destination)-" }
