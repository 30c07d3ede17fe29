import StreamCore

/// MIN or MAX of fixed-width values that are only ever added. Which groups have a value at all, the count beside it tells.
final class Extreme<T: BitwiseCopyable & Comparable>: ArrayAccumulator<T> {
    private let argument: Int
    private let isMin: Bool

    /// - Parameter neutral: what any value replaces. NaN for floating point: a NaN is kept only while nothing else came.
    init(argument: Int, isMin: Bool, type: DataType, neutral: T) {
        (self.argument, self.isMin) = (argument, isMin)
        super.init(fill: neutral, stateTypes: [type])
    }

    override func update(_ input: UpdateInput) {
        take(input.columns[argument].pointer(as: T.self), groups: input.groups, rows: input.rows, count: input.count)
    }

    private func take(_ from: UnsafePointer<T>, groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let best = values.base
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

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let (source, best) = (unsafeDowncast(other, to: Extreme<T>.self).values.base + from, values.base)
        if isMin {
            for i in 0..<count where source[i] < best[i] || best[i] != best[i] { best[i] = source[i] }
        } else {
            for i in 0..<count where source[i] > best[i] || best[i] != best[i] { best[i] = source[i] }
        }
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        take(state[0].pointer(as: T.self), groups: groups, rows: rows, count: count)
    }

    func result(_ type: DataType, _ groups: UnsafePointer<Int32>, count: Int, counts: UnsafePointer<Int64>) -> Column {
        let best = values.base
        return .make(type, count: count, zero: values.fill) { counts[Int(groups[$0])] > 0 ? best[Int(groups[$0])] : nil }
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
