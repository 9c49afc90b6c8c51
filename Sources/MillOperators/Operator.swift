package import MillFlow

/// One node at work. What it gives is a function of its rows and the epoch, and of nothing else (R3). Flow thread only.
package protocol Operator: AnyObject {
  /// Works on the rows of a piece whose flag isn't 0, in their order.
  ///
  /// - Parameters:
  ///   - piece: in: rows of the input's schema; out: what goes on, of the node's own.
  ///   - clock: the epoch's, milliseconds since 1970.
  ///   - failures: gets the rows for which an expression fails, as indexes into the block that came in, rising. Each leaves the piece.
  /// - Returns: how many rows left because the node's condition isn't true for them.
  func process(_ piece: inout Piece, clock: Int64, failures: inout [RowFailure]) throws(OperatorError) -> Int
}

/// Why a piece can't be worked on at all.
package enum OperatorError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The texts of one output field take more than so many bytes in a single piece.
  case tooLarge(byteCountMax: Int)

  package var description: String {
    switch self {
    case .tooLarge(let byteCountMax): "a field takes more than \(byteCountMax) bytes in one piece of rows"
    }
  }
}

/// What a node does, as the pipeline file says it. A value, made once; any number of operators run it.
package protocol OperatorPlan: Sendable {
  var name: String { get }
  /// The name of the source or node that it reads.
  var input: String { get }
  /// Of the rows that come in.
  var inputSchema: Schema { get }
  /// Of those that go out.
  var schema: Schema { get }
  /// What becomes of a row for which an expression fails.
  var onError: OnError { get }
  /// In the order that ``RowFailure/expression`` counts in.
  var expressions: [NodeExpression] { get }
  /// The field of the input that an output field is without any change; nil: none.
  func origin(of field: Int) -> Int?
  func make() -> any Operator
}

/// An expression of a node and what it is there.
package struct NodeExpression: Sendable {
  /// As in the pipeline file below the node: `where`, `fields.total`.
  package var place: String
  package var expression: Expression

  package init(place: String, expression: Expression) {
    self.place = place
    self.expression = expression
  }
}
