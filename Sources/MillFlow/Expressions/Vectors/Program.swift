/// Steps that compute expressions over vectors: each an operation, the registers it reads, the one it writes, and the selection of rows it
/// is done for. Selection 0 is all rows of a piece; every other one is a part of another.
struct Program: Sendable {
  struct Instruction: Sendable {
    enum Action: Sendable {
      case kernel(Kernel, Operation.Nulls)
      /// Makes the selection `into` of the rows where the Bool argument is so.
      case narrow(Condition, into: Int)
      /// Copies values and NULLs of the argument.
      case copy
      case fillNull
      /// Forgets the texts of the output.
      case clear
    }

    var action: Action
    var arguments: [Int] = []
    var output = 0
    var selection: Int
    /// Of the node in its expression's text.
    var offset: Int
    var expression: Int
  }

  enum Condition: Sendable {
    case isTrue, isNotTrue, isNotFalse
  }

  enum Source: Sendable {
    case field(Int)
    case constant(Constant)
    case computed
  }

  struct RegisterPlan: Sendable {
    var source: Source
    /// Bytes of a value; 0: a text.
    var width: Int
  }

  private(set) var instructions: [Instruction] = []
  private(set) var registers: [RegisterPlan] = []
  /// Of each selection the one it is a part of; the first is its own.
  private(set) var parents = [0]
  /// Where each expression's values are in the end.
  private(set) var results: [Int] = []
  private var fieldRegisters: [Int: Int] = [:]
  /// Of nodes that were computed: where, and for which rows.
  private var known: [ObjectIdentifier: (register: Int, selection: Int)] = [:]
  private var expression = 0

  init(_ roots: [Node]) {
    for (index, root) in roots.enumerated() {
      expression = index
      results.append(emit(root, 0))
    }
    known = [:]
  }

  private mutating func register(_ source: Source, _ type: DataType) -> Int {
    registers.append(RegisterPlan(source: source, width: type.width))
    return registers.count - 1
  }

  private mutating func add(_ action: Instruction.Action, _ arguments: [Int], _ output: Int, _ selection: Int, _ node: Node) {
    instructions.append(
      Instruction(
        action: action, arguments: arguments, output: output, selection: selection, offset: node.offset, expression: expression))
  }

  private mutating func narrow(_ condition: Condition, _ register: Int, _ selection: Int, _ node: Node) -> Int {
    parents.append(selection)
    add(.narrow(condition, into: parents.count - 1), [register], 0, selection, node)
    return parents.count - 1
  }

  /// Whether all rows of `selection` are among those of `other`.
  private func isPart(_ selection: Int, of other: Int) -> Bool {
    var selection = selection
    while selection != other {
      if selection == 0 { return false }
      selection = parents[selection]
    }
    return true
  }

  /// Computes a node for the rows of a selection; the register it is in then.
  private mutating func emit(_ node: Node, _ selection: Int) -> Int {
    if let known = known[ObjectIdentifier(node)], isPart(selection, of: known.selection) { return known.register }
    let register = compute(node, selection)
    known[ObjectIdentifier(node)] = (register, selection)
    return register
  }

  private mutating func compute(_ node: Node, _ selection: Int) -> Int {
    switch node.kind {
    case .literal: preconditionFailure("a literal without a type at \(node.offset)")
    case .constant(let value): return register(.constant(value), node.type)
    case .field(let index):
      if let known = fieldRegisters[index] { return known }
      let new = register(.field(index), node.type)
      fieldRegisters[index] = new
      return new
    case .call(let operation, let arguments):
      let inputs = arguments.map { emit($0, selection) }
      let output = register(.computed, node.type)
      let isFree = operation.nulls == .give && !node.type.isNullable && !arguments.contains { $0.type.isNullable }
      add(.kernel(operation.kernel, isFree ? .absent : operation.nulls), inputs, output, selection, node)
      return output
    case .all(let parts): return logic(parts, .isNotFalse, Logic.all, selection, node)
    case .any(let parts): return logic(parts, .isNotTrue, Logic.any, selection, node)
    case .choice(let branches, let otherwise): return choice(branches, otherwise, selection, node)
    }
  }

  private mutating func logic(_ parts: [Node], _ open: Condition, _ kernel: @escaping Kernel, _ selection: Int, _ node: Node) -> Int {
    let output = register(.computed, node.type)
    add(.copy, [emit(parts[0], selection)], output, selection, node)
    var rest = selection
    for part in parts.dropFirst() {
      rest = narrow(open, output, rest, node)
      add(.kernel(kernel, .seen), [output, emit(part, rest)], output, rest, node)
    }
    return output
  }

  private mutating func choice(_ branches: [Node.Branch], _ otherwise: Node?, _ selection: Int, _ node: Node) -> Int {
    let output = register(.computed, node.type)
    add(.clear, [], output, selection, node)
    var rest = selection
    for branch in branches {
      let condition = emit(branch.condition, rest)
      let taken = narrow(.isTrue, condition, rest, node)
      rest = narrow(.isNotTrue, condition, rest, node)
      add(.copy, [emit(branch.value, taken)], output, taken, node)
    }
    if let otherwise {
      add(.copy, [emit(otherwise, rest)], output, rest, node)
    } else {
      add(.fillNull, [], output, rest, node)
    }
    return output
  }
}
