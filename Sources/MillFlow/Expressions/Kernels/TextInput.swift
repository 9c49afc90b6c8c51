internal import MillBase

/// Texts as values, read by the code that reads the strings of records.
enum TextInput {
  static func kernel(_ plan: FieldPlan, orNull: Bool) -> Kernel {
    let width = plan.type.width
    return { call in
      let texts = call.slices(0)
      let reader = FieldReader(plan)
      let aids = FieldAids(plan)
      // A row of its own, and a copy of each text with the bytes behind it that readers look at.
      let column = Column(plan.type)
      var writer = ColumnWriter(column, rowsToCome: 1)
      var copy = GrowableBytes()
      let out = call.output
      call.rows.each { row in
        let text = texts[row]
        copy.count = 0
        copy.reserve(text.count + RecordBuffer.slack)
        unsafe copy.append(text.raw)
        unsafe copy.end.initializeMemory(as: UInt8.self, repeating: 0, count: RecordBuffer.slack)
        let bytes = unsafe ByteView(UnsafePointer(copy.base.assumingMemoryBound(to: UInt8.self)))
        do throws(DecodeFault) {
          let slot = ValueSlot(start: 0, end: Int32(truncatingIfNeeded: text.count), kind: .string)
          try reader.read(bytes, slot, aids, into: &writer, row: 0)
        } catch {
          return call.refuse(row, code(error.reason, plan.type), orNull)
        }
        unsafe writer.takeFirst { value, _ in
          unsafe (out.bytes + row * width).copyMemory(from: value.baseAddress!, byteCount: width)
        }
      }
    }
  }

  static func code(_ reason: DecodeReason, _ type: DataType) -> FailureCode {
    switch reason {
    case .outOfRange: type.isTime ? .outOfRange : .overflow
    case .losesDigits: .losesDigits
    case .noSuchLocalTime: .noSuchLocalTime
    case .unknownName: .unknownName
    default: .invalidText
    }
  }
}
