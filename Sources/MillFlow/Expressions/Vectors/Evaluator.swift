internal import MillBase

/// Runs expressions over blocks of rows, piece by piece. One owner; its memory is kept from block to block.
package final class Evaluator {
  private let program: Program
  private let types: [DataType]
  /// Rows of a piece at most.
  private let rowCountMax: Int
  private var registers: [Register]
  private var views: [View]
  private var selections: [Selection]
  /// Of each row of the piece a FailureCode, and the instruction that set it.
  private var codes: GrowableBytes
  private var failedAt: [Int32]
  private var failureCount = 0
  private var scratch: GrowableBytes
  private var arguments: [View] = []
  private let zeros: GrowableBytes
  /// Where the values of a condition are put.
  private(set) lazy var condition = {
    precondition(types.count == 1 && types[0].plain.bare == .bool, "a condition of \(types)")
    return Column(types[0])
  }()

  /// Programs of so many steps work on shorter pieces: each step has memory for a piece.
  private static let manySteps = 512

  /// Expressions over one schema.
  package convenience init(_ expressions: [Expression]) { self.init(roots: expressions.map(\.root), types: expressions.map(\.type)) }

  init(roots: [Node], types: [DataType], rowCountMax most: Int = Register.rowCountMax) {
    program = Program(roots)
    self.types = types
    rowCountMax = program.registers.count > Self.manySteps ? min(most, 256) : most
    let rowCount = rowCountMax
    registers = program.registers.map { plan in
      switch plan.source {
      case .computed: Register(width: plan.width, rowCount: rowCount)
      case .constant(let value): Self.register(value, plan.width)
      // Its fixed values and nulls are the column's own; where its texts begin is kept here.
      case .field: Register(width: plan.width, rowCount: plan.width == 0 ? rowCount : 1)
      }
    }
    views = zip(registers, program.registers).map { register, plan in
      if case .constant = plan.source { register.view(isConstant: true) } else { register.view(isConstant: false) }
    }
    selections = program.parents.map { _ in Selection(rowCountMax: rowCount) }
    codes = GrowableBytes(capacity: rowCount)
    failedAt = [Int32](repeating: 0, count: rowCount)
    scratch = GrowableBytes(capacity: rowCount * 2)
    zeros = GrowableBytes(capacity: rowCount)
    unsafe zeros.base.initializeMemory(as: UInt8.self, repeating: 0, count: rowCount)
  }

  private static func register(_ value: Constant, _ width: Int) -> Register {
    let register = Register(width: width, rowCount: 1)
    register.bytes.count = 0
    unsafe value.bytes.withRawBytes { unsafe register.bytes.append($0) }
    unsafe register.ends.base.storeBytes(of: UInt32(truncatingIfNeeded: value.bytes.count), as: UInt32.self)
    unsafe register.nulls.base.storeBytes(of: value.isNull ? 1 : 0, as: UInt8.self)
    return register
  }

  /// Computes the expressions for rows of a block whose columns are the schema's.
  ///
  /// Every column gets the values of its expression, a row each for those that didn't fail in any of them, in the block's order.
  /// - Parameters:
  ///   - rows: ascending indexes into the block; nil: all.
  ///   - clock: the epoch's time, milliseconds since 1970.
  ///   - byteCountMax: of the texts of one column; it ends some pieces behind it. At most 3 GiB.
  ///   - columns: one an expression, of its type.
  ///   - failures: gets those of rows that failed, by rising row.
  /// - Returns: false where a column has more than `byteCountMax`; not all rows are done then.
  @discardableResult
  package func evaluate(
    _ block: RowBlock, rows: [Int32]? = nil, clock: Int64, byteCountMax: Int = 3 << 30, into columns: [Column],
    failures: inout [RowFailure]
  ) -> Bool {
    precondition(columns.map(\.type) == types, "columns of \(columns.map(\.type)) for expressions of \(types)")
    var next = 0
    var first = 0
    var most = rowCountMax
    let count = rows?.count ?? block.rowCount
    while next < count {
      // A piece covers rows of the block that stand close together.
      if let rows { first = Int(rows[next]) } else { first = next }
      var end = next
      selections[0].start()
      if let rows {
        while end < count, Int(rows[end]) - first < most {
          selections[0].append(Int(rows[end]) - first)
          end += 1
        }
      } else {
        end = min(count, next + most)
        selections[0].setAll(end - next)
      }
      let rowCount = min(block.rowCount - first, most)
      if run(block, first: first, rowCount: rowCount, clock: clock) {
        collect(first, rowCount, into: columns, &failures)
        guard columns.allSatisfy({ $0.bytes.count <= byteCountMax }) else { return false }
        next = end
        most = rowCountMax
      } else {
        precondition(most > 1, "one row's texts pass a register")
        most = max(1, most / 2)
      }
    }
    return true
  }

  /// The value of a program without fields; nil where it fails.
  func constant() -> Constant? {
    selections[0].setAll(1)
    let block = RowBlock([])
    guard run(block, first: 0, rowCount: 1, clock: 0), failureCount == 0 else { return nil }
    let view = views[program.results[0]]
    if view.isNull(0) { return Constant(nullOf: types[0]) }
    let slice = Slices(view, width: types[0].width)[0]
    return unsafe Constant(Array(slice.raw))
  }

  /// False where texts passed a register: nothing is done then.
  private func run(_ block: RowBlock, first: Int, rowCount: Int, clock: Int64) -> Bool {
    failureCount = 0
    unsafe codes.base.initializeMemory(as: UInt8.self, repeating: 0, count: rowCount)
    for (index, plan) in program.registers.enumerated() {
      if case .field(let field) = plan.source { views[index] = load(block.columns[field], registers[index], first, rowCount) }
    }
    for index in selections.indices.dropFirst() { selections[index].start() }
    for (number, instruction) in program.instructions.enumerated() {
      selections[instruction.selection].drop(codes, failureCount)
      guard step(instruction, number, clock) else { return false }
    }
    selections[0].drop(codes, failureCount)
    return true
  }

  /// A view on a column's rows from `first` on.
  private func load(_ column: Column, _ register: Register, _ first: Int, _ rowCount: Int) -> View {
    let nulls =
      column.isNullable
      ? unsafe (column.nulls.base + first).assumingMemoryBound(to: UInt8.self) : unsafe zeros.base.assumingMemoryBound(to: UInt8.self)
    let own = register.view(isConstant: false)
    guard register.width == 0 else {
      return unsafe View(
        bytes: column.bytes.base + first * register.width, starts: own.starts, ends: own.ends, nulls: nulls, mask: -1)
    }
    let ends = unsafe column.ends.base.assumingMemoryBound(to: UInt32.self)
    unsafe own.starts[0] = first == 0 ? 0 : unsafe ends[first - 1]
    if rowCount > 1 { unsafe (own.starts + 1).update(from: ends + first, count: rowCount - 1) }
    return unsafe View(bytes: column.bytes.base, starts: own.starts, ends: ends + first, nulls: nulls, mask: -1)
  }

  /// Does one instruction. False where texts passed a register.
  private func step(_ instruction: Program.Instruction, _ number: Int, _ clock: Int64) -> Bool {
    switch instruction.action {
    case .kernel(let kernel, let nulls): return call(kernel, nulls, instruction, number, clock)
    case .narrow(let condition, let into):
      let argument = views[instruction.arguments[0]]
      let values = Values<UInt8>(argument)
      let from = selections[instruction.selection]
      selections[into].fill(from) { row in
        let isTrue = values[row] & (argument.null(row) ^ 1) & 1
        let isFalse = (values[row] ^ 1) & (argument.null(row) ^ 1) & 1
        return switch condition {
        case .isTrue: isTrue
        case .isNotTrue: isTrue ^ 1
        case .isNotFalse: isFalse ^ 1
        }
      }
      return true
    case .copy: return call(Copying.kernel(width: registers[instruction.output].width), .seen, instruction, number, clock, appends: true)
    case .fillNull:
      let output = views[instruction.output]
      selections[instruction.selection].rows.each { row in output.setNull(row, 1) }
      return true
    case .clear:
      registers[instruction.output].bytes.count = 0
      return true
    }
  }

  private func call(
    _ kernel: Kernel, _ nulls: Operation.Nulls, _ instruction: Program.Instruction, _ number: Int, _ clock: Int64, appends: Bool = false
  ) -> Bool {
    let register = registers[instruction.output]
    if register.width == 0, !appends { register.bytes.count = 0 }
    arguments.removeAll(keepingCapacity: true)
    for index in instruction.arguments { arguments.append(views[index]) }
    // Never empty, so that it has an address.
    if arguments.isEmpty { arguments.append(views[instruction.output]) }
    var rows = selections[instruction.selection].rows
    if nulls == .give { rows = notNull(rows, views[instruction.output]) }
    var failed = 0
    var isOverfull = false
    unsafe arguments.withUnsafeBufferPointer { buffer in
      var call = unsafe KernelCall(
        rows: rows, arguments: buffer.baseAddress!, register: register, codes: self.codes.base.assumingMemoryBound(to: UInt8.self),
        clock: clock)
      kernel(&call)
      failed = call.failureCount
      isOverfull = call.isOverfull
    }
    if isOverfull { return false }
    if register.width == 0 { views[instruction.output] = register.view(isConstant: false) }
    guard failed > 0 else { return true }
    failureCount += failed
    let codes = unsafe self.codes.base.assumingMemoryBound(to: UInt8.self)
    rows.each { row in if unsafe codes[row] != 0 { failedAt[row] = Int32(truncatingIfNeeded: number) } }
    return true
  }

  /// Sets the output's null bytes to whether an argument is NULL; the rows where none is.
  private func notNull(_ rows: RowList, _ output: View) -> RowList {
    let list = unsafe scratch.base.assumingMemoryBound(to: UInt16.self)
    var count = 0
    switch arguments.count {
    case 1:
      let a = arguments[0]
      rows.each { row in
        let isNull = a.null(row)
        output.setNull(row, isNull)
        unsafe list[count] = UInt16(truncatingIfNeeded: row)
        count &+= Int(isNull ^ 1)
      }
    case 2:
      let (a, b) = (arguments[0], arguments[1])
      rows.each { row in
        let isNull = a.null(row) | b.null(row)
        output.setNull(row, isNull)
        unsafe list[count] = UInt16(truncatingIfNeeded: row)
        count &+= Int(isNull ^ 1)
      }
    default:
      rows.each { row in
        var isNull: UInt8 = 0
        for index in arguments.indices { isNull |= arguments[index].null(row) }
        output.setNull(row, isNull)
        unsafe list[count] = UInt16(truncatingIfNeeded: row)
        count &+= Int(isNull ^ 1)
      }
    }
    return count == rows.count ? rows : unsafe RowList(indexes: UnsafePointer(list), count: count, isDense: false)
  }

  /// Appends the results of the rows that are left, and names those that failed.
  private func collect(_ first: Int, _ rowCount: Int, into columns: [Column], _ failures: inout [RowFailure]) {
    for (index, column) in columns.enumerated() {
      let result = program.results[index]
      append(views[result], width: registers[result].width, selections[0].rows, to: column)
    }
    guard failureCount > 0 else { return }
    let codes = unsafe self.codes.base.assumingMemoryBound(to: UInt8.self)
    for row in 0..<rowCount {
      guard let code = FailureCode(rawValue: unsafe codes[row]), code != .none else { continue }
      let instruction = program.instructions[Int(failedAt[row])]
      failures.append(RowFailure(row: first + row, expression: instruction.expression, offset: instruction.offset, code: code))
    }
  }

  private func append(_ view: View, width: Int, _ rows: RowList, to column: Column) {
    let slices = Slices(view, width: width)
    column.bytes.reserve(rows.count * width)
    if width == 0 { column.ends.reserve(rows.count * 4) }
    if column.isNullable { column.nulls.reserve(rows.count) }
    rows.each { row in
      if column.isNullable { column.nulls.append(view.null(row)) }
      if width > 0, view.isNull(row) {
        for _ in 0..<width { column.bytes.append(UInt8(0)) }
      } else if !view.isNull(row) {
        unsafe column.bytes.append(slices[row].raw)
      }
      if width == 0 {
        precondition(column.bytes.count <= Int(UInt32.max), "texts of a block pass 4 GiB")
        column.ends.append(UInt32(truncatingIfNeeded: column.bytes.count))
      }
    }
    column.rowCount += rows.count
  }
}
