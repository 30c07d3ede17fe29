import StreamCore

/// MIN or MAX of fixed-width values that are only ever added. Which groups have a value at all, the count beside it tells.
///
/// A group starts with what any value replaces: for floating point NaN, which is kept only while nothing else comes.
final class Extreme: ArrayAccumulator {
    private let argument: Int
    private let isMin: Bool
    private let physical: PhysicalType

    init(argument: Int, isMin: Bool, type: DataType) {
        (self.argument, self.isMin) = (argument, isMin)
        physical = type.physical
        super.init(Self.neutral(type.physical, isMin: isMin), stateTypes: [type])
    }

    private static func neutral(_ physical: PhysicalType, isMin: Bool) -> GroupValues {
        switch physical {
        case .bool: GroupValues(fill: isMin ? UInt8.max : UInt8.min)
        case .int8: GroupValues(fill: isMin ? Int8.max : Int8.min)
        case .int16: GroupValues(fill: isMin ? Int16.max : Int16.min)
        case .int32: GroupValues(fill: isMin ? Int32.max : Int32.min)
        case .int128: GroupValues(fill: isMin ? Int128.max : Int128.min)
        case .float: GroupValues(fill: Float.nan)
        case .double: GroupValues(fill: Double.nan)
        default: GroupValues(fill: isMin ? Int64.max : Int64.min)
        }
    }

    override func update(_ input: UpdateInput) {
        take(input.columns[argument].values.base, groups: input.groups, rows: input.rows, count: input.count)
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        take(state[0].values.base, groups: groups, rows: rows, count: count)
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: Extreme.self).values
        let groups = Selection.all(count)
        withExtendedLifetime(groups) {
            take(other.pointer(as: UInt8.self) + from * other.width, groups: groups.rows, rows: nil, count: count)
        }
    }

    private func take(_ from: UnsafeRawPointer, groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        func typed<T: BitwiseCopyable & Comparable>(_: T.Type) {
            let (from, best) = (from.assumingMemoryBound(to: T.self), values.pointer(as: T.self))
            if isMin {
                forEachRow(rows, count) { i, row in
                    let g = Int(groups[i]), v = from[row], b = best[g]
                    if v < b || b != b { best[g] = v }
                }
            } else {
                forEachRow(rows, count) { i, row in
                    let g = Int(groups[i]), v = from[row], b = best[g]
                    if v > b || b != b { best[g] = v }
                }
            }
        }
        switch physical {
        case .bool: typed(UInt8.self)
        case .int8: typed(Int8.self)
        case .int16: typed(Int16.self)
        case .int32: typed(Int32.self)
        case .int128: typed(Int128.self)
        case .float: typed(Float.self)
        case .double: typed(Double.self)
        default: typed(Int64.self)
        }
    }

    func result(_ groups: UnsafePointer<Int32>, count: Int, counts: UnsafePointer<Int64>) -> Column {
        let values = state(groups, count: count)[0]
        var validity: Buffer?
        for i in 0..<count where counts[Int(groups[i])] <= 0 {
            if validity == nil { validity = Bitmap.make(count, valid: true) }
            Bitmap.clear(validity!.base, i)
        }
        return Column(type: values.type, count: count, validity: validity, values: values.values)
    }
}

/// MIN or MAX of text or binary values that are only ever added, by bytes.
final class BytesExtreme: Accumulator {
    private let argument: Int
    private let isMin: Bool
    private var best: [[UInt8]?] = []

    init(argument: Int, isMin: Bool, type: DataType) {
        (self.argument, self.isMin) = (argument, isMin)
        super.init(stateTypes: [type])
    }

    override func reserve(_ n: Int) {
        if n > best.count { best += Array(repeating: nil, count: max(n, best.count + best.count / 2) - best.count) }
    }

    private func offer(_ bytes: UnsafeRawBufferPointer, to group: Int) {
        if let held = best[group] {
            let better = isMin ? bytes.lexicographicallyPrecedes(held) : held.lexicographicallyPrecedes(bytes)
            guard better else { return }
        }
        best[group] = Array(bytes)
    }

    override func update(_ input: UpdateInput) {
        let column = input.columns[argument]
        forEachRow(input.rows, input.count) { i, row in offer(column.bytes(at: row), to: Int(input.groups[i])) }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: BytesExtreme.self)
        for i in 0..<count where from + i < other.best.count {
            other.best[from + i]?.withUnsafeBytes { offer($0, to: i) }
        }
    }

    override func clear(_ n: Int) { for i in 0..<min(n, best.count) { best[i] = nil } }
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) {
        for i in 0..<count where Int(groups[i]) < best.count { best[Int(groups[i])] = nil }
    }
    override func assign(_ other: Accumulator) { best = unsafeDowncast(other, to: BytesExtreme.self).best }
    override func remap(_ kept: [Int32]) { best = kept.map { Int($0) < best.count ? best[Int($0)] : nil } }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let builder = ColumnBuilder(type: stateTypes[0], capacity: count)
        for i in 0..<count {
            if let bytes = best[Int(groups[i])] { bytes.withUnsafeBytes { builder.append(bytes: $0) } } else { builder.appendNull() }
        }
        return [builder.finish()]
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        forEachRow(rows, count) { i, row in if state[0].isValid(row) { offer(state[0].bytes(at: row), to: Int(groups[i])) } }
    }
}
