import StreamCore

/// FIRST_VALUE or LAST_VALUE, in order of arrival, of values that are only ever added.
final class EndValue: Accumulator {
    private let argument: Int
    private let isFirst: Bool
    private var held: [(arrival: Int64, value: Value)?] = []

    init(argument: Int, isFirst: Bool, type: DataType) {
        (self.argument, self.isFirst) = (argument, isFirst)
        super.init(stateTypes: [.bigint, type])
    }

    override func reserve(_ n: Int) {
        if n > held.count { held += Array(repeating: nil, count: max(n, held.count + held.count / 2) - held.count) }
    }

    @inline(__always)
    private func offer(_ arrival: Int64, to group: Int, _ value: () -> Value) {
        if let old = held[group], isFirst ? arrival >= old.arrival : arrival < old.arrival { return }
        held[group] = (arrival, value())
    }

    override func update(_ input: UpdateInput) {
        let column = input.columns[argument]
        forEachRow(input.rows, input.count) { i, row in
            offer(input.firstArrival + Int64(row) * input.arrivalStep, to: Int(input.groups[i])) { column.value(at: row) }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: EndValue.self)
        for i in 0..<count where from + i < other.held.count {
            if let (arrival, value) = other.held[from + i] { offer(arrival, to: i) { value } }
        }
    }

    override func clear(_ n: Int) { for i in 0..<min(n, held.count) { held[i] = nil } }
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) {
        for i in 0..<count where Int(groups[i]) < held.count { held[Int(groups[i])] = nil }
    }
    override func assign(_ other: Accumulator) { held = unsafeDowncast(other, to: EndValue.self).held }
    override func remap(_ kept: [Int32]) { held = kept.map { Int($0) < held.count ? held[Int($0)] : nil } }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let arrivals = ColumnBuilder(type: .bigint, capacity: count)
        for i in 0..<count { arrivals.append(held[Int(groups[i])].map { .int($0.arrival) } ?? .null) }
        return [arrivals.finish(), result(groups, count: count)]
    }

    func result(_ groups: UnsafePointer<Int32>, count: Int) -> Column {
        let values = ColumnBuilder(type: stateTypes[1], capacity: count)
        for i in 0..<count { values.append(held[Int(groups[i])]?.value ?? .null) }
        return values.finish()
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        forEachRow(rows, count) { i, row in
            if state[0].isValid(row) { offer(state[0].pointer(as: Int64.self)[row], to: Int(groups[i])) { state[1].value(at: row) } }
        }
    }
}

/// Every value of a group with its order of arrival: for LISTAGG, the JSON aggregates, and FIRST_VALUE and LAST_VALUE over
/// input that takes rows back.
final class ValueList: Accumulator {
    struct Entry {
        var arrival: Int64
        var values: [Value]
    }

    private let arguments: [Int]
    private let types: [DataType]
    private var lists: [[Entry]] = []

    init(arguments: [Int], types: [DataType]) {
        (self.arguments, self.types) = (arguments, types)
        let entry = [Field("arrival", .bigint)] + types.enumerated().map { Field("v\($0.offset)", $0.element) }
        super.init(stateTypes: [.array(.row(entry))])
    }

    func length(_ group: Int) -> Int { group < lists.count ? lists[group].count : 0 }

    override func reserve(_ n: Int) {
        if n > lists.count { lists += Array(repeating: [], count: max(n, lists.count + lists.count / 2) - lists.count) }
    }

    override func update(_ input: UpdateInput) {
        let columns = arguments.map { input.columns[$0] }
        forEachRow(input.rows, input.count) { i, row in
            let values = columns.map { $0.value(at: row) }
            let group = Int(input.groups[i])
            if input.retract {
                if let at = lists[group].firstIndex(where: { $0.values == values }) { lists[group].remove(at: at) }
            } else {
                lists[group].append(Entry(arrival: input.firstArrival + Int64(row) * input.arrivalStep, values: values))
            }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: ValueList.self)
        for i in 0..<count where from + i < other.lists.count { lists[i] += other.lists[from + i] }
    }

    override func clear(_ n: Int) { for i in 0..<min(n, lists.count) { lists[i] = [] } }
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) {
        for i in 0..<count where Int(groups[i]) < lists.count { lists[Int(groups[i])] = [] }
    }
    override func assign(_ other: Accumulator) { lists = unsafeDowncast(other, to: ValueList.self).lists }
    override func remap(_ kept: [Int32]) { lists = kept.map { Int($0) < lists.count ? lists[Int($0)] : [] } }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let builder = ColumnBuilder(type: stateTypes[0], capacity: count)
        for i in 0..<count {
            builder.append(.array(lists[Int(groups[i])].map { .row([.int($0.arrival)] + $0.values) }))
        }
        return [builder.finish()]
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        forEachRow(rows, count) { i, row in
            guard case .array(let items) = state[0].value(at: row) else { return }
            for case .row(let parts) in items {
                if case .int(let arrival) = parts[0] {
                    lists[Int(groups[i])].append(Entry(arrival: arrival, values: Array(parts.dropFirst())))
                }
            }
        }
    }

    /// `body` of each group's entries in order of arrival.
    func result(_ type: DataType, _ groups: UnsafePointer<Int32>, count: Int, _ body: ([Entry]) -> Value) -> Column {
        let builder = ColumnBuilder(type: type, capacity: count)
        for i in 0..<count {
            // Stable, so that entries whose arrival numbers start anew after a restore keep their places.
            let entries = lists[Int(groups[i])].enumerated()
                .sorted { ($0.element.arrival, $0.offset) < ($1.element.arrival, $1.offset) }.map(\.element)
            builder.append(body(entries))
        }
        return builder.finish()
    }
}
