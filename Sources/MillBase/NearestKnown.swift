/// The known name that `name` most likely means: the one with the fewest edits, if these are few for its length.
///
/// Ties go to the first of `known`. Case and the difference of `-` and `_` count for little.
package func nearestKnown(to name: String, among known: [String]) -> String? {
  let wanted = Array(folded(name).prefix(100))
  var best: (name: String, distance: Int)?
  for candidate in known {
    let letters = Array(folded(candidate))
    let limit = max(1, min(letters.count, wanted.count) / 3)
    let distance = editDistance(wanted, letters)
    if distance <= limit, distance < (best?.distance ?? .max) { best = (candidate, distance) }
  }
  return best?.name
}

private func folded(_ name: String) -> String {
  String(name.lowercased().map { $0 == "-" ? "_" : $0 })
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
private func editDistance(_ left: [Character], _ right: [Character]) -> Int {
  if left.isEmpty || right.isEmpty { return max(left.count, right.count) }
  var beforeLast = [Int](repeating: 0, count: right.count + 1)
  var last = Array(0...right.count)
  for i in 1...left.count {
    var row = [Int](repeating: i, count: right.count + 1)
    for j in 1...right.count {
      let isSame = left[i - 1] == right[j - 1]
      row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (isSame ? 0 : 1))
      if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] { row[j] = min(row[j], beforeLast[j - 2] + 1) }
    }
    beforeLast = last
    last = row
  }
  return last[right.count]
}
