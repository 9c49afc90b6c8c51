/// Reads records into rows.
package final class RecordDecoder {
  /// How deep values may be nested; the record's object is 1.
  package static let depthMax = 64
}

extension FieldPlan {
  func encodeDefault(_ text: String) throws(DecodeFault) -> [UInt8] { Array(text.utf8) }
}
