import StreamCore

/// Sum of numbers, or of their squares, as the sum of two Doubles: with about 106 bits the difference of two such sums is still right where
/// the numbers are large and close to each other, and what is taken away again leaves next to nothing behind.
final class PreciseSum: ArrayAccumulator {
    /// `high` is infinite or not a number where the sum is; `low` then has no meaning.
    struct Total {
        var high: Double
        var low: Double
    }

    private let argument: Int
    private let squared: Bool
    /// What a DECIMAL's unscaled value is divided by.
    private let divisor: Double

    init(argument: Int, squared: Bool, decimalScale: Int) {
        (self.argument, self.squared) = (argument, squared)
        divisor = (0..<decimalScale).reduce(1) { power, _ in power * 10 }
        super.init(GroupValues(fill: SIMD2<Double>(0, 0)), stateTypes: [.double, .double])
    }

    private var totals: UnsafeMutablePointer<SIMD2<Double>> { values.pointer(as: SIMD2<Double>.self) }

    func total(_ group: Int) -> Total { Total(high: totals[group].x, low: totals[group].y) }

    override func update(_ input: UpdateInput) {
        let column = input.columns[argument]
        switch column.type.physical {
        case .int8: add(input) { [from = column.pointer(as: Int8.self)] in Double(from[$0]) }
        case .int16: add(input) { [from = column.pointer(as: Int16.self)] in Double(from[$0]) }
        case .int32: add(input) { [from = column.pointer(as: Int32.self)] in Double(from[$0]) }
        case .int64: add(input) { [from = column.pointer(as: Int64.self)] in Double(from[$0]) }
        case .float: add(input) { [from = column.pointer(as: Float.self)] in Double(from[$0]) }
        case .int128: add(input) { [from = column.pointer(as: Int128.self), divisor] in Double(from[$0]) / divisor }
        default: add(input) { [from = column.pointer(as: Double.self)] in from[$0] }
        }
    }

    @inline(__always)
    private func add(_ input: UpdateInput, _ value: (Int) -> Double) {
        let (totals, groups, squared, retract) = (totals, input.groups, squared, input.retract)
        forEachRow(input.rows, input.count) { i, row in
            let v = value(row)
            var high = v, low = 0.0
            if squared {
                high = v * v
                low = (-high).addingProduct(v, v)
            }
            let total = totals + Int(groups[i])
            total.pointee = Self.sum(total.pointee, retract ? SIMD2(-high, -low) : SIMD2(high, low))
        }
    }

    @inline(__always)
    private static func sum(_ a: SIMD2<Double>, _ b: SIMD2<Double>) -> SIMD2<Double> {
        let high = a.x + b.x
        let part = high - a.x
        return SIMD2(high, a.y + b.y + ((a.x - (high - part)) + (b.x - part)))
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let (source, to) = (unsafeDowncast(other, to: PreciseSum.self).totals + from, totals)
        for i in 0..<count { to[i] = Self.sum(to[i], source[i]) }
    }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let totals = totals
        return [.make(.double, count: count, zero: 0.0) { totals[Int(groups[$0])].x }, .make(.double, count: count, zero: 0.0) { totals[Int(groups[$0])].y }]
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let (highs, lows, to) = (state[0].pointer(as: Double.self), state[1].pointer(as: Double.self), totals)
        forEachRow(rows, count) { i, row in to[Int(groups[i])] = Self.sum(to[Int(groups[i])], SIMD2(highs[row], lows[row])) }
    }

    /// The sum of squared differences from the mean: squares - sum * sum / count, never below 0.
    static func squaredDifferences(sum: Total, squares: Total, count: Int64) -> Double {
        guard sum.high.isFinite else { return .nan }
        guard squares.high.isFinite else { return squares.high.isNaN ? .nan : .infinity }
        let n = Double(count)
        let left = product(squares, Total(high: n, low: 0)), right = product(sum, sum)
        guard left.high.isFinite, right.high.isFinite else { return .infinity }
        let difference = Self.sum(SIMD2(left.high, left.low), SIMD2(-right.high, -right.low))
        return max((difference.x + difference.y) / n, 0)
    }

    private static func product(_ a: Total, _ b: Total) -> Total {
        let high = a.high * b.high
        return Total(high: high, low: (-high).addingProduct(a.high, b.high) + (a.high * b.low + a.low * b.high))
    }
}
