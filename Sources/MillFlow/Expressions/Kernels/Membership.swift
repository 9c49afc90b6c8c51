/// Whether a value is one of some that stand in the text: sorted once, searched by halves.
enum Membership {
  /// Nil for types that have no kernel here. `values` are of the type's width, or texts.
  static func kernel(_ type: DataType, _ values: [Constant]) -> Kernel? {
    if type == .string { return texts(values.map(\.bytes)) }
    return type.storage?.dispatch(Native(values: values.map(\.bytes)))
  }

  private struct Native: IntegerMaker {
    var values: [[UInt8]]

    func make<T: NativeInteger>(_: T.Type) -> Kernel {
      let sorted = values.map { bytes in unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: T.self) } }.sorted()
      return { call in
        let (a, out) = (call.values(0, T.self), call.results(UInt8.self))
        call.rows.each { row in
          let value = a[row]
          // The first that isn't less.
          var (low, high) = (0, sorted.count)
          while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < value { low = middle + 1 } else { high = middle }
          }
          out[row] = low < sorted.count && sorted[low] == value ? 1 : 0
        }
      }
    }
  }

  private static func texts(_ values: [[UInt8]]) -> Kernel {
    let sorted = values.sorted { $0.lexicographicallyPrecedes($1) }
    // One after the other, and where each ends.
    let bytes = sorted.flatMap(\.self) + [0]
    let ends = sorted.reduce(into: [0]) { ends, text in ends.append((ends.last ?? 0) + text.count) }
    return { call in
      let (a, out) = (call.slices(0), call.results(UInt8.self))
      unsafe bytes.withUnsafeBufferPointer { buffer in
        let all = unsafe Slice(base: buffer.baseAddress!, count: buffer.count)
        call.rows.each { row in
          let value = a[row]
          var (low, high) = (0, ends.count - 1)
          while low < high {
            let middle = (low + high) / 2
            if all.part(ends[middle], ends[middle + 1]).order(value) < 0 { low = middle + 1 } else { high = middle }
          }
          out[row] = low < ends.count - 1 && all.part(ends[low], ends[low + 1]).isEqual(value) ? 1 : 0
        }
      }
    }
  }
}
