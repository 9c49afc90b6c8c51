/// Ends the process where `holds` is false: that can only be a mistake in this program. Unlike `precondition` it says in release builds too
/// what doesn't hold, which is all that a user can report.
@inline(__always)
package func require(
  _ holds: @autoclosure () -> Bool, _ fact: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
  if !holds() { fails(fact(), file, line) }
}

@inline(never)
private func fails(_ fact: String, _ file: StaticString, _ line: UInt) -> Never {
  fatalError("a mistake in Millrace: \(fact)", file: file, line: line)
}
