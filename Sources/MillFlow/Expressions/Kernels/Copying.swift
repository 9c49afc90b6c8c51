/// Copies values from one register to another, NULLs too.
enum Copying {
  static func kernel(width: Int) -> Kernel {
    switch width {
    case 0: texts
    case 1: { fixed(&$0, UInt8.self) }
    case 2: { fixed(&$0, UInt16.self) }
    case 4: { fixed(&$0, UInt32.self) }
    case 8: { fixed(&$0, UInt64.self) }
    case 16: { fixed(&$0, UInt128.self) }
    default: { bytes(&$0, width) }
    }
  }

  private static func fixed<T: BitwiseCopyable>(_ call: inout KernelCall, _: T.Type) {
    let (from, to) = (call.argument(0), call.output)
    let (values, out) = (call.values(0, T.self), call.results(T.self))
    call.rows.each { row in
      out[row] = values[row]
      to.setNull(row, from.null(row))
    }
  }

  private static let texts: Kernel = { call in
    let (from, to, slices) = (call.argument(0), call.output, call.slices(0))
    var writer = call.textWriter()
    call.rows.each { row in
      let isNull = from.null(row)
      to.setNull(row, isNull)
      if isNull == 0 { writer.append(slices[row]) }
      writer.end(row, &call)
    }
    writer.finish(&call)
  }

  private static func bytes(_ call: inout KernelCall, _ width: Int) {
    let (from, to, slices) = (call.argument(0), call.output, call.slices(0, width: width))
    call.rows.each { row in
      to.setNull(row, from.null(row))
      unsafe (to.bytes + row * width).copyMemory(from: slices[row].base, byteCount: width)
    }
  }
}
