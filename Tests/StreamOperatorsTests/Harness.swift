import StreamCore
import Testing
@testable import StreamOperators

/// SplitMix64, so that a printed seed gives the same run again.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return RowHash.mix(state)
    }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

/// Collects what an operator emits; ready for `room` batches at a time.
final class Collector: Output {
    var batches: [Batch] = []
    var room: Int
    private var left: Int
    init(room: Int = .max) { (self.room, left) = (room, room) }

    var isReady: Bool { left > 0 }
    func emit(_ batch: Batch) { batches.append(batch); left -= 1 }
    func makeRoom() { left = room }

    /// Rows in order with their kinds.
    var changes: [(kind: RowKind, row: [Value])] {
        batches.flatMap { b in (0..<b.count).map { i in (b.kind(atPhysical: b.row(i)), b.columns.map { $0.value(at: b.row(i)) }) } }
    }
    var rows: [[Value]] { batches.flatMap { $0.rows() } }
}

/// Drives one operator as a subtask does.
struct Driver {
    let op: any StreamOperator
    let output: Collector
    let metrics = OperatorMetrics()

    init(_ op: any StreamOperator, output: Collector = Collector(), subtask: Int = 0, parallelism: Int = 1,
         now: @escaping @Sendable () -> Int64 = { Clock.milliseconds() }) throws {
        (self.op, self.output) = (op, output)
        try op.open(OperatorContext(name: "test", subtask: subtask, parallelism: parallelism, metrics: metrics, now: now))
    }

    private func through(_ progress: Progress) throws {
        var progress = progress
        while progress == .more {
            output.makeRoom()
            progress = try op.resume(output)
        }
        output.makeRoom()
    }

    func process(_ batch: Batch, input: Int = 0) throws { try through(op.process(batch, input: input, output: output)) }
    func advance(_ ms: Int64) throws { try through(op.advance(to: EventTime(milliseconds: ms), output: output)) }
    func finish(input: Int = 0, last: Bool = true) throws {
        if last { try through(op.advance(to: .max, output: output)) }
        try through(op.finish(input: input, output: output))
    }
}

/// Row multiset as sorted texts, for comparing.
func sortedTexts(_ rows: [[Value]]) -> [String] { rows.map { "\($0)" }.sorted() }

/// What is left of a changelog.
func netted(_ changes: [(kind: RowKind, row: [Value])]) -> [[Value]: Int] {
    var counts: [[Value]: Int] = [:]
    for (kind, row) in changes { counts[row, default: 0] += kind.isAdd ? 1 : -1 }
    return counts.filter { $0.value != 0 }
}

/// A batch of random form: some columns dictionary-coded, some rows left out by a selection.
func randomForm(_ schema: Schema, _ rows: [[Value]], kinds: [RowKind]? = nil, using random: inout SeededGenerator) -> Batch {
    guard random.chance(50) else {
        var batch = Batch(schema: schema, rows: rows, kinds: kinds)
        if random.chance(50), !rows.isEmpty {
            batch.columns = batch.columns.map { random.chance(50) ? dictionaryCoded($0) : $0 }
        }
        return batch
    }
    // Every row with a decoy before or behind it that the selection skips.
    var padded: [[Value]] = [], paddedKinds: [RowKind] = [], selected: [Int32] = []
    for (i, row) in rows.enumerated() {
        if random.chance(40) {
            padded.append(rows[Int.random(in: 0..<rows.count, using: &random)])
            paddedKinds.append(.insert)
        }
        selected.append(Int32(padded.count))
        padded.append(row)
        paddedKinds.append(kinds?[i] ?? .insert)
    }
    var batch = Batch(schema: schema, rows: padded, kinds: kinds == nil ? nil : paddedKinds)
    if random.chance(30), !rows.isEmpty { batch.columns = batch.columns.map { random.chance(50) ? dictionaryCoded($0) : $0 } }
    batch.selection = Selection(selected)
    return batch
}

func dictionaryCoded(_ column: Column) -> Column {
    var codes: [Int32] = [], known: [Value: Int32] = [:], entries: [Value] = []
    for i in 0..<column.count {
        let value = column.value(at: i)
        if value == .null {
            codes.append(0)
        } else if let code = known[value] {
            codes.append(code)
        } else {
            known[value] = Int32(entries.count)
            codes.append(Int32(entries.count))
            entries.append(value)
        }
    }
    if entries.isEmpty { return column }
    let builder = ColumnBuilder(type: column.type)
    for entry in entries { builder.append(entry) }
    return Column(type: column.type, count: column.count, validity: column.validity,
                  values: codes.withUnsafeBytes { Buffer(copying: $0) }, dictionary: builder.finish())
}

func call(_ function: String, _ arguments: [Int] = [], of schema: Schema, filter: Int? = nil, distinct: Bool = false) throws -> AggregateCall {
    let types = arguments.map { schema[$0].type }
    return AggregateCall(function: function, arguments: arguments, argumentTypes: types, filter: filter, distinct: distinct,
                         resultType: try AggregateRegistry.bind(function, argumentTypes: types, distinct: distinct).resultType)
}

extension Value {
    var number: Int64? { if case .int(let i) = self { i } else { nil } }
    var floating: Double? { if case .double(let d) = self { d } else { nil } }
    var text: String? { if case .string(let s) = self { s } else { nil } }
}

/// Computes an aggregate of some rows the obvious way. Rows stand in order of arrival.
func reference(_ call: AggregateCall, _ rows: [[Value]]) -> Value {
    var rows = rows
    if let filter = call.filter { rows = rows.filter { $0[filter] == .bool(true) } }
    if call.arguments.isEmpty { return .int(Int64(rows.count)) }
    rows = rows.filter { row in call.arguments.allSatisfy { row[$0] != .null } }
    if call.distinct {
        var seen: Set<[Value]> = []
        rows = rows.filter { row in seen.insert(call.arguments.map { row[$0] }).inserted }
    }
    let values = rows.map { $0[call.arguments[0]] }
    func ordered(_ a: Value, _ b: Value) -> Bool {
        switch (a, b) {
        case (.int(let x), .int(let y)): x < y
        case (.double(let x), .double(let y)): x < y
        case (.decimal(let x), .decimal(let y)): x < y
        case (.string(let x), .string(let y)): Array(x.utf8).lexicographicallyPrecedes(Array(y.utf8))
        default: false
        }
    }
    switch call.function {
    case "COUNT": return .int(Int64(values.count))
    case "MIN": return values.min(by: ordered) ?? .null
    case "MAX": return values.max(by: ordered) ?? .null
    case "FIRST_VALUE": return values.first ?? .null
    case "LAST_VALUE": return values.last ?? .null
    case "LISTAGG": return values.isEmpty ? .null : .string(values.map { $0.text! }.joined(separator: ","))
    case "SUM", "AVG":
        guard !values.isEmpty else { return .null }
        let isAverage = call.function == "AVG"
        if call.argumentTypes[0] == .double {
            let sum = values.reduce(0.0) { $0 + $1.floating! }
            return .double(isAverage ? sum / Double(values.count) : sum)
        }
        let sum = values.reduce(Int64(0)) { $0 + $1.number! }
        return .int(isAverage ? sum / Int64(values.count) : sum)
    default: preconditionFailure("no reference for \(call.function)")
    }
}

/// What a subtask is given of some state.
func share(_ states: [KeyGroupState], subtask: Int, parallelism: Int) -> RestoredState {
    RestoredState(states.filter {
        $0.keyGroup == KeyGroupState.everywhere || owner(ofKeyGroup: Int($0.keyGroup), parallelism) == subtask
    })
}

func owner(ofKeyGroup group: Int, _ parallelism: Int) -> Int {
    KeyGroups.subtask(ofGroup: group, parallelism: parallelism, maxParallelism: KeyGroups.defaultMaxParallelism)
}

/// The rows of a batch by the subtask that an exchange by `keys` sends them to.
func exchanged(_ batch: Batch, keys: [Int], parallelism: Int) -> [Batch] {
    var hashes = [UInt64](repeating: 0, count: batch.count + 1)
    hashes.withUnsafeMutableBufferPointer { RowHash.hash(batch, keys: keys, into: $0.baseAddress!) }
    return (0..<parallelism).map { subtask in
        var part = batch
        part.selection = Selection((0..<batch.count).filter {
            owner(ofKeyGroup: KeyGroups.group(ofHash: hashes[$0], maxParallelism: KeyGroups.defaultMaxParallelism), parallelism) == subtask
        }.map { Int32(batch.row($0)) })
        return part
    }
}
