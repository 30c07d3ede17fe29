import StreamCore

/// Makes an aggregate's result column out of accumulators, named by their numbers in the set.
enum AggregateResult {
    case count(Int)
    case sum(Int, count: Int, DataType)
    case average(Int, count: Int, DataType)
    case extreme(Int, count: Int)
    case multisetExtreme(Int, isMin: Bool)
    case moment(sum: Int, squares: Int, count: Int, isSample: Bool, isRoot: Bool, DataType)
    case end(Int)
    case listEnd(Int, isFirst: Bool, DataType)
    case listagg(Int)
    case collect(Int, DataType)
    /// Of JSON that is put in as it is when there is no type.
    case jsonArray(Int, DataType?)
    case jsonObject(Int, DataType?, keepsNulls: Bool)
    case distinct(Int)
    case distinctMember(Int, member: Int, call: Int)
    case array(Int, DataType)
    case percentile(Int, DataType)
    case sketch(Int)
    case user(Int)

    func column(of set: AccumulatorSet, _ groups: UnsafePointer<Int32>, count n: Int) -> Column {
        func at<A: Accumulator>(_ i: Int, _: A.Type) -> A { unsafeDowncast(set.accumulators[i], to: A.self) }
        func counts(_ i: Int) -> UnsafePointer<Int64> { at(i, CountAccumulator.self).counts }
        switch self {
        case .count(let i):
            return set.accumulators[i].state(groups, count: n)[0]
        case .sum(let i, let c, let type):
            return sum(set.accumulators[i], counts(c), type, groups, n)
        case .average(let i, let c, let type):
            return average(set.accumulators[i], counts(c), type, groups, n)
        case .extreme(let i, let c):
            return extreme(set.accumulators[i], counts(c), groups, n)
        case .multisetExtreme(let i, let isMin):
            return at(i, ValueMultiset.self).extreme(isMin: isMin, groups, count: n)
        case .moment(let s, let q, let c, let isSample, let isRoot, let type):
            return moment(set.accumulators[s], set.accumulators[q], counts(c), isSample, isRoot, type, groups, n)
        case .end(let i):
            return at(i, EndValue.self).result(groups, count: n)
        case .listEnd(let i, let isFirst, let type):
            return at(i, ValueList.self).result(type, groups, count: n) { ($0.isEmpty ? nil : isFirst ? $0[0] : $0[$0.count - 1])?.values[0] ?? .null }
        case .listagg(let i):
            return at(i, ValueList.self).result(.string, groups, count: n, Self.joined)
        case .collect(let i, let type):
            return at(i, ValueMultiset.self).collected(type, groups, count: n)
        case .jsonArray(let i, let type):
            return at(i, ValueList.self).result(.string, groups, count: n) { entries in
                .string("[" + entries.map { JSONText.of($0.values[0], type) }.joined(separator: ",") + "]")
            }
        case .jsonObject(let i, let type, let keepsNulls):
            return at(i, ValueList.self).result(.string, groups, count: n) { entries in
                let kept = entries.filter { keepsNulls || $0.values[1] != .null }.sorted { JSONText.precedes($0.values[0], $1.values[0]) }
                return .string("{" + kept.map { JSONText.of($0.values[0], .string) + ":" + JSONText.of($0.values[1], type) }.joined(separator: ",") + "}")
            }
        case .array(let i, let type):
            return at(i, ValueList.self).result(type, groups, count: n) { $0.isEmpty ? .null : .array($0.map { $0.values[0] }) }
        case .percentile(let i, let type): return at(i, ValueList.self).result(type, groups, count: n, Percentile.of)
        case .sketch(let i): return at(i, DistinctSketch.self).result(groups, count: n)
        case .distinctMember(let i, let member, let call):
            return at(i, DistinctTable.self).members[member].set.result(call, groups, count: n)
        case .user(let i):
            return at(i, UserAccumulator.self).result(groups, count: n)
        case .distinct(let i):
            return at(i, DistinctAccumulator.self).inner.results(groups, count: n)[0]
        }
    }

    private static func joined(_ entries: [ValueList.Entry]) -> Value {
        var text: String?
        for entry in entries {
            guard case .string(let part) = entry.values[0] else { continue }
            var separator = ","
            if entry.values.count > 1, case .string(let given) = entry.values[1] { separator = given }
            text = text.map { $0 + separator + part } ?? part
        }
        return text.map(Value.string) ?? .null
    }

    private func integers(_ type: DataType, _ n: Int, _ value: (Int) -> Int64?) -> Column {
        switch type.physical {
        case .int8: .make(type, count: n, zero: Int8(0)) { value($0).map(Int8.init(truncatingIfNeeded:)) }
        case .int16: .make(type, count: n, zero: Int16(0)) { value($0).map(Int16.init(truncatingIfNeeded:)) }
        case .int32: .make(type, count: n, zero: Int32(0)) { value($0).map(Int32.init(truncatingIfNeeded:)) }
        default: .make(type, count: n, zero: Int64(0), value)
        }
    }

    private func sum(_ accumulator: Accumulator, _ counts: UnsafePointer<Int64>, _ type: DataType, _ groups: UnsafePointer<Int32>,
                     _ n: Int) -> Column {
        switch type.physical {
        case .float:
            let sums = unsafeDowncast(accumulator, to: FloatingSum.self).floats
            return .make(type, count: n, zero: Float(0)) { counts[Int(groups[$0])] > 0 ? sums[Int(groups[$0])] : nil }
        case .double:
            let sums = unsafeDowncast(accumulator, to: FloatingSum.self).doubles
            return .make(type, count: n, zero: Double(0)) { counts[Int(groups[$0])] > 0 ? sums[Int(groups[$0])] : nil }
        case .int128:
            let sums = unsafeDowncast(accumulator, to: DecimalSum.self).values.pointer(as: Int128.self)
            return .make(type, count: n, zero: Int128(0)) {
                let g = Int(groups[$0])
                return counts[g] > 0 ? Decimals.fitted(sums[g]) : nil
            }
        default:
            let sums = unsafeDowncast(accumulator, to: IntegerSum.self).values.pointer(as: Int64.self)
            return integers(type, n) { counts[Int(groups[$0])] > 0 ? sums[Int(groups[$0])] : nil }
        }
    }

    private func average(_ accumulator: Accumulator, _ counts: UnsafePointer<Int64>, _ type: DataType,
                         _ groups: UnsafePointer<Int32>, _ n: Int) -> Column {
        switch type.physical {
        case .float:
            let sums = unsafeDowncast(accumulator, to: FloatingSum.self).doubles
            return .make(type, count: n, zero: Float(0)) {
                let g = Int(groups[$0])
                return counts[g] > 0 ? Float(sums[g] / Double(counts[g])) : nil
            }
        case .double:
            let sums = unsafeDowncast(accumulator, to: FloatingSum.self).doubles
            return .make(type, count: n, zero: Double(0)) {
                let g = Int(groups[$0])
                return counts[g] > 0 ? sums[g] / Double(counts[g]) : nil
            }
        case .int128:
            let sums = unsafeDowncast(accumulator, to: DecimalSum.self)
            var (from, to) = (0, 0)
            if case .decimal(_, let s) = sums.stateTypes[0] { from = s }
            if case .decimal(_, let s) = type { to = s }
            let power = Decimals.power(to - from), base = sums.values.pointer(as: Int128.self)
            return .make(type, count: n, zero: Int128(0)) {
                let g = Int(groups[$0])
                guard counts[g] > 0, let sum = Decimals.fitted(base[g]) else { return nil }
                return Decimals.quotient(sum, Int128(counts[g]), power)
            }
        default:
            let sums = unsafeDowncast(accumulator, to: IntegerSum.self).values.pointer(as: Int64.self)
            return integers(type, n) {
                let g = Int(groups[$0])
                return counts[g] > 0 ? sums[g] / counts[g] : nil
            }
        }
    }

    private func extreme(_ accumulator: Accumulator, _ counts: UnsafePointer<Int64>, _ groups: UnsafePointer<Int32>, _ n: Int) -> Column {
        if let extreme = accumulator as? Extreme { return extreme.result(groups, count: n, counts: counts) }
        return accumulator.state(groups, count: n)[0]
    }

    /// The sum of squared differences from the mean, by n or n - 1, or the root of that. As in Flink it is computed in floating point whatever
    /// the argument's type, then cast to that: cut, kept within INT or BIGINT, and wrapped for what is narrower.
    private func moment(_ sums: Accumulator, _ squares: Accumulator, _ counts: UnsafePointer<Int64>, _ isSample: Bool, _ isRoot: Bool,
                        _ type: DataType, _ groups: UnsafePointer<Int32>, _ n: Int) -> Column {
        let s = unsafeDowncast(sums, to: PreciseSum.self), q = unsafeDowncast(squares, to: PreciseSum.self)
        func value(_ i: Int) -> Double? {
            let g = Int(groups[i])
            let divisor = isSample ? counts[g] - 1 : counts[g]
            guard counts[g] > 0, divisor > 0 else { return nil }
            let variance = PreciseSum.squaredDifferences(sum: s.total(g), squares: q.total(g), count: counts[g]) / Double(divisor)
            return isRoot ? variance.squareRoot() : variance
        }
        if type.isInteger {
            let bits = Int64(type.width * 8)
            return integers(type, n) {
                guard let v = value($0) else { return nil }
                guard v == v else { return 0 }
                if bits == 64 { return Int64(exactly: v.rounded(.towardZero)) ?? .max }
                let whole = Int64(Int32(exactly: v.rounded(.towardZero)) ?? .max)
                return (whole << (64 - bits)) >> (64 - bits)
            }
        }
        switch type {
        case .float: return .make(type, count: n, zero: Float(0)) { value($0).map { Float($0) } }
        case .decimal(_, let scale):
            let factor = Double(Decimals.power(scale))
            return .make(type, count: n, zero: Int128(0)) {
                guard let v = value($0).map({ ($0 * factor).rounded() }), abs(v) < 1e38 else { return nil }
                return Int128(v)
            }
        default: return .make(type, count: n, zero: Double(0), value)
        }
    }
}

/// Arithmetic on unscaled decimals of up to 38 digits.
enum Decimals {
    static let limit = power(38)

    static func power(_ n: Int) -> Int128 { (0..<max(n, 0)).reduce(Int128(1)) { p, _ in p * 10 } }

    /// nil when the value has more than 38 digits.
    static func fitted(_ x: Int128) -> Int128? { x > -limit && x < limit ? x : nil }

    /// a * power / b, half up; nil when it has more than 38 digits.
    static func quotient(_ a: Int128, _ b: Int128, _ power: Int128) -> Int128? {
        let (whole, rest) = a.quotientAndRemainder(dividingBy: b)
        let (high, overflow) = whole.multipliedReportingOverflow(by: power)
        let (low, overflow2) = rest.multipliedReportingOverflow(by: power)
        guard !overflow, !overflow2 else { return nil }
        let (part, left) = low.quotientAndRemainder(dividingBy: b)
        let up: Int128 = 2 * left.magnitude >= b.magnitude ? (a < 0) == (b < 0) ? 1 : -1 : 0
        let (sum, overflow3) = high.addingReportingOverflow(part + up)
        return overflow3 ? nil : fitted(sum)
    }
}
