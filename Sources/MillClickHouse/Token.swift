package import MillBase
internal import MillLog

/// What names a batch at ClickHouse: `mr-<lineage>-<destination>-<batch, 20 digits>-<digest>`. Sortable by batch within a destination.
/// - Parameters:
///   - destination: of `[A-Za-z0-9_.]`, so that the token needs no quoting anywhere; or ``deadLettersTokenName``.
///   - digest: of the rows, so that one token never names two contents.
package func makeToken(lineage: Lineage, destination: String, batch: BatchNumber, digest: Digest128) -> String {
  TokenParts(prefix: tokenPrefix(lineage: lineage, destination: destination), number: batch, digest: digest).text
}

/// How the tokens of a lineage and destination begin.
package func tokenPrefix(lineage: Lineage, destination: String) -> String { "\(tokenPrefix(lineage: lineage))\(destination)-" }

/// How all tokens of a lineage begin.
package func tokenPrefix(lineage: Lineage) -> String { "mr-\(lineage)-" }

/// What a sink is called in the tokens of its batches. A dash in its name, which parts a token, becomes a point, which no name has. So the
/// tokens of `orders` never begin as those of `orders-eu` do, and no sink is called as the dead letters are.
package func tokenName(sink: String) -> String { String(sink.map { $0 == "-" ? "." : $0 }) }

/// What the dead letters are called in theirs.
package let deadLettersTokenName = "dead-letters"
