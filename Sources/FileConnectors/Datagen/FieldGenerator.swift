import Foundation
import StreamCore

/// Makes the values of one datagen column. Value number `n` depends on the seed, the column and `n` alone, so that the rows
/// are the same however they are split up.
struct FieldGenerator: Sendable {
    enum Kind: Sendable {
        case bool
        /// Uniform in `low ... low + span`, both in the storage unit.
        case integer(low: Int64, span: UInt64)
        case double(low: Double, high: Double)
        case decimal(low: Int128, span: UInt128)
        /// Hexadecimal digits for text, any bytes for binary; at least `shortest` and at most `longest` long.
        case text(shortest: Int, longest: Int)
        case binary(shortest: Int, longest: Int)
        /// Now, less up to so many milliseconds.
        case timestamp(unit: TimeUnit, maxPast: UInt64)
        case today, timeOfDay
        case sequence(start: Int128)
        case array(length: Int, [FieldGenerator])
        case map(length: Int, [FieldGenerator])
        case row([FieldGenerator])
    }

    let type: DataType
    let kind: Kind
    let nullRate: Double
    /// Differs from column to column.
    let salt: UInt64
    let timeZone: String

    /// Rows `first, first + step, ...` of the column.
    func column(first: Int64, step: Int64, count: Int, now: Int64) -> Column {
        var validity: Buffer?
        if nullRate > 0 {
            let bits = Bitmap.make(count, valid: true)
            let limit = UInt64(min(nullRate, 1) * 9_007_199_254_740_992)
            for i in 0..<count where random(first &+ Int64(i) &* step, 1) >> 11 < limit { Bitmap.clear(bits.base, i) }
            validity = bits
        }
        return values(first: first, step: step, count: count, now: now, validity: validity)
    }

    /// 64 random bits for value `n`; `lane` tells several draws for one value apart.
    @inline(__always)
    private func random(_ n: Int64, _ lane: UInt64) -> UInt64 {
        RowHash.mix(RowHash.mix(UInt64(bitPattern: n) &+ salt) &+ lane &* 0x9E37_79B9_7F4A_7C15)
    }

    private func fill<T: BitwiseCopyable>(_ count: Int, _ first: Int64, _ step: Int64, _ value: (Int64) -> T) -> Buffer {
        let buffer = Buffer(capacity: max(count, 1) * MemoryLayout<T>.stride)
        let out = buffer.pointer(as: T.self)
        for i in 0..<count { out[i] = value(first &+ Int64(i) &* step) }
        return buffer
    }

    private func values(first: Int64, step: Int64, count: Int, now: Int64, validity: Buffer?) -> Column {
        func fixed(_ values: Buffer) -> Column { Column(type: type, count: count, validity: validity, values: values) }
        switch kind {
        case .bool: return fixed(fill(count, first, step) { UInt8(random($0, 0) >> 63) })
        case .integer(let low, let span): return fixed(integers(count, first, step) { low &+ Int64(bitPattern: Self.scale(random($0, 0), span)) })
        case .double(let low, let high):
            // Not low + share * (high - low): the full range of a type is wider than its largest value.
            func value(_ n: Int64) -> Double {
                let share = Double(random(n, 0) >> 11) / 9_007_199_254_740_992
                return low * (1 - share) + high * share
            }
            if type == .float { return fixed(fill(count, first, step) { Float(value($0)) }) }
            return fixed(fill(count, first, step, value))
        case .decimal(let low, let span):
            return fixed(fill(count, first, step) { n -> Int128 in
                let wide = UInt128(random(n, 0)) << 64 | UInt128(random(n, 2))
                return low &+ Int128(truncatingIfNeeded: span == .max ? wide : wide % (span + 1))
            })
        case .timestamp(let unit, let maxPast):
            return fixed(fill(count, first, step) { n -> Int64 in
                (now &- Int64(bitPattern: maxPast == 0 ? 0 : Self.scale(random(n, 0), maxPast))) &* unit.perMillisecond
            })
        case .today, .timeOfDay:
            let offset = Int64(TimeZone(identifier: timeZone)?.secondsFromGMT(for: Date(timeIntervalSince1970: Double(now) / 1_000)) ?? 0) * 1_000
            let local = now + offset
            let day = local >= 0 ? local / 86_400_000 : (local - 86_399_999) / 86_400_000
            let value: Int64 = if case .today = kind { day } else { local - day * 86_400_000 }
            return fixed(fill(count, first, step) { _ in Int32(truncatingIfNeeded: value) })
        case .text(let shortest, let longest), .binary(let shortest, let longest):
            return strings(first: first, step: step, count: count, shortest: shortest, longest: longest, validity: validity)
        case .sequence(let start):
            if type.isText {
                let builder = ColumnBuilder(type: type, capacity: count)
                for i in 0..<count { builder.append(string: String(start + Int128(first) + Int128(i) * Int128(step))) }
                let plain = builder.finish()
                return Column(type: type, count: count, validity: validity, values: plain.values, heaps: plain.heaps)
            }
            switch type.physical {
            case .double: return fixed(fill(count, first, step) { Double(start + Int128($0)) })
            case .float: return fixed(fill(count, first, step) { Float(start + Int128($0)) })
            case .int128:
                var scale: Int128 = 1
                for _ in 0..<(type.decimalShape?.scale ?? 0) { scale *= 10 }
                return fixed(fill(count, first, step) { (start + Int128($0)) * scale })
            default: return fixed(integers(count, first, step) { Int64(truncatingIfNeeded: start + Int128($0)) })
            }
        case .array(let length, let parts), .map(let length, let parts):
            let children = parts.map { nested($0, first: first, step: step, count: count, each: length, now: now) }
            let offsets = Buffer(capacity: (count + 1) * 4)
            for i in 0...count { offsets.pointer(as: Int32.self)[i] = Int32(i * length) }
            return Column(type: type, count: count, validity: validity, values: offsets, children: children)
        case .row(let parts):
            return Column(type: type, count: count, validity: validity, values: .empty,
                          children: parts.map { $0.column(first: first, step: step, count: count, now: now) })
        }
    }

    /// `each` elements for each row, numbered so that they do not depend on how rows are split up.
    private func nested(_ part: FieldGenerator, first: Int64, step: Int64, count: Int, each: Int, now: Int64) -> Column {
        if step == 1 { return part.column(first: first &* Int64(each), step: 1, count: count * each, now: now) }
        let builder = ColumnBuilder(type: part.type, capacity: count * each)
        for i in 0..<count {
            let one = part.column(first: (first &+ Int64(i) &* step) &* Int64(each), step: 1, count: each, now: now)
            for j in 0..<each { builder.append(one.value(at: j)) }
        }
        return builder.finish()
    }

    private func integers(_ count: Int, _ first: Int64, _ step: Int64, _ value: (Int64) -> Int64) -> Buffer {
        switch type.physical {
        case .int8: fill(count, first, step) { Int8(truncatingIfNeeded: value($0)) }
        case .int16: fill(count, first, step) { Int16(truncatingIfNeeded: value($0)) }
        case .int32: fill(count, first, step) { Int32(truncatingIfNeeded: value($0)) }
        default: fill(count, first, step, value)
        }
    }

    /// A number in 0 ... span from 64 random bits.
    @inline(__always)
    private static func scale(_ bits: UInt64, _ span: UInt64) -> UInt64 {
        span == .max ? bits : bits.multipliedFullWidth(by: span + 1).high
    }

    private func strings(first: Int64, step: Int64, count: Int, shortest: Int, longest: Int, validity: Buffer?) -> Column {
        let views = Buffer(capacity: max(count, 1) * 16)
        let heap = Buffer(capacity: longest <= StringView.inlineLength ? 0 : count * longest + 8)
        let out = views.pointer(as: StringView.self)
        let isText = type.isText
        var used = 0
        let one = Buffer(capacity: longest + 8)
        for i in 0..<count {
            let n = first &+ Int64(i) &* step
            let length = shortest == longest ? longest : shortest + Int(Self.scale(random(n, 3), UInt64(longest - shortest)))
            let target = longest <= StringView.inlineLength ? one.base : heap.base + used
            var at = 0, lane: UInt64 = 4
            while at < length {
                let bits = random(n, lane)
                lane += 1
                if isText {
                    // Eight hexadecimal digits at a time.
                    var digits: UInt64 = 0
                    for d in 0..<8 {
                        let nibble = bits >> UInt64(4 * d) & 15
                        digits |= (nibble < 10 ? 0x30 + nibble : 0x57 + nibble) << UInt64(8 * d)
                    }
                    (target + at).storeBytes(of: digits.littleEndian, as: UInt64.self)
                } else {
                    (target + at).storeBytes(of: bits, as: UInt64.self)
                }
                at += 8
            }
            out[i] = .make(target, length, heapIndex: 0, offset: used)
            if length > StringView.inlineLength { used += length }
        }
        return Column(type: type, count: count, validity: validity, values: views, heaps: [heap])
    }
}
