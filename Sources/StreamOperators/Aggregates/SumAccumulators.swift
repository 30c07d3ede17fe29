import StreamCore

/// Sum of integers modulo 2^64; cut to the result's width it wraps as that type does.
final class IntegerSum: ArrayAccumulator {
    private let argument: Int

    init(argument: Int) {
        self.argument = argument
        super.init(GroupValues(fill: Int64(0)), stateTypes: [.bigint])
    }

    override func update(_ input: UpdateInput) {
        let column = input.columns[argument]
        switch column.type.physical {
        case .int8: add(column.pointer(as: Int8.self), input)
        case .int16: add(column.pointer(as: Int16.self), input)
        case .int32: add(column.pointer(as: Int32.self), input)
        default: add(column.pointer(as: Int64.self), input)
        }
    }

    private func add<T: FixedWidthInteger & BitwiseCopyable>(_ from: UnsafePointer<T>, _ input: UpdateInput) {
        let (sums, groups) = (values.pointer(as: Int64.self), input.groups)
        if input.retract {
            forEachRow(input.rows, input.count) { i, row in sums[Int(groups[i])] &-= Int64(truncatingIfNeeded: from[row]) }
        } else if input.isSingleGroup {
            var sum: Int64 = 0
            forEachRow(input.rows, input.count) { _, row in sum &+= Int64(truncatingIfNeeded: from[row]) }
            sums[0] &+= sum
        } else {
            forEachRow(input.rows, input.count) { i, row in sums[Int(groups[i])] &+= Int64(truncatingIfNeeded: from[row]) }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let (source, to) = (unsafeDowncast(other, to: IntegerSum.self).values.pointer(as: Int64.self) + from, values.pointer(as: Int64.self))
        for i in 0..<count { to[i] &+= source[i] }
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let (from, to) = (state[0].pointer(as: Int64.self), values.pointer(as: Int64.self))
        forEachRow(rows, count) { i, row in to[Int(groups[i])] &+= from[row] }
    }
}

/// Sum of numbers in floating point: Float for SUM(FLOAT), else Double.
final class FloatingSum: ArrayAccumulator {
    private let argument: Int
    private let isFloat: Bool
    /// What a DECIMAL's unscaled value is divided by.
    private let divisor: Double

    init(argument: Int, type: DataType, decimalScale: Int = 0) {
        self.argument = argument
        isFloat = type == .float
        divisor = (0..<decimalScale).reduce(1) { power, _ in power * 10 }
        super.init(type == .float ? GroupValues(fill: Float(0)) : GroupValues(fill: Double(0)), stateTypes: [type])
    }

    var floats: UnsafeMutablePointer<Float> { values.pointer(as: Float.self) }
    var doubles: UnsafeMutablePointer<Double> { values.pointer(as: Double.self) }

    override func update(_ input: UpdateInput) {
        let column = input.columns[argument]
        switch column.type.physical {
        case .float where isFloat:
            let from = column.pointer(as: Float.self)
            add(input, floats) { from[$0] }
        case .float:
            let from = column.pointer(as: Float.self)
            add(input, doubles) { Double(from[$0]) }
        case .int128:
            let from = column.pointer(as: Int128.self), divisor = divisor
            add(input, doubles) { Double(from[$0]) / divisor }
        default:
            let from = column.pointer(as: Double.self)
            add(input, doubles) { from[$0] }
        }
    }

    @inline(__always)
    private func add<Sum: BinaryFloatingPoint>(_ input: UpdateInput, _ sums: UnsafeMutablePointer<Sum>, _ value: (Int) -> Sum) {
        let groups = input.groups
        if input.retract {
            forEachRow(input.rows, input.count) { i, row in sums[Int(groups[i])] -= value(row) }
        } else if input.isSingleGroup {
            var sum = sums[0]
            forEachRow(input.rows, input.count) { _, row in sum += value(row) }
            sums[0] = sum
        } else {
            forEachRow(input.rows, input.count) { i, row in sums[Int(groups[i])] += value(row) }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: FloatingSum.self)
        if isFloat {
            let (source, to) = (other.floats + from, floats)
            for i in 0..<count { to[i] += source[i] }
        } else {
            let (source, to) = (other.doubles + from, doubles)
            for i in 0..<count { to[i] += source[i] }
        }
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        if isFloat {
            let (from, to) = (state[0].pointer(as: Float.self), floats)
            forEachRow(rows, count) { i, row in to[Int(groups[i])] += from[row] }
        } else {
            let (from, to) = (state[0].pointer(as: Double.self), doubles)
            forEachRow(rows, count) { i, row in to[Int(groups[i])] += from[row] }
        }
    }
}

/// Sum of unscaled decimals. A group whose sum ever left 128 bits stays marked as overflowed.
final class DecimalSum: ArrayAccumulator {
    static let overflowed = Int128.min
    private let argument: Int

    init(argument: Int, scale: Int) {
        self.argument = argument
        super.init(GroupValues(fill: Int128(0)), stateTypes: [.decimal(precision: 38, scale: scale)])
    }

    @inline(__always)
    private static func add(_ a: Int128, _ b: Int128) -> Int128 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow || a == overflowed || b == overflowed ? overflowed : sum
    }

    override func update(_ input: UpdateInput) {
        let from = input.columns[argument].pointer(as: Int128.self)
        let (sums, groups, retract) = (values.pointer(as: Int128.self), input.groups, input.retract)
        forEachRow(input.rows, input.count) { i, row in
            let g = Int(groups[i])
            sums[g] = Self.add(sums[g], retract ? 0 &- from[row] : from[row])
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let (source, to) = (unsafeDowncast(other, to: DecimalSum.self).values.pointer(as: Int128.self) + from, values.pointer(as: Int128.self))
        for i in 0..<count { to[i] = Self.add(to[i], source[i]) }
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let (from, to) = (state[0].pointer(as: Int128.self), values.pointer(as: Int128.self))
        forEachRow(rows, count) { i, row in
            let g = Int(groups[i])
            to[g] = Self.add(to[g], from[row])
        }
    }
}
