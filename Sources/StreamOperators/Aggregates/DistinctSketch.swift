import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// APPROX_COUNT_DISTINCT: HyperLogLog with 2^14 registers (about 0.8 % standard error) over 64-bit hashes, which needs no
/// correction of the bias of small counts. A group begins with a list of the registers that are set and gets all of them once it is long.
final class DistinctSketch: Accumulator {
    private static let bits = 14
    private static let registers = 1 << bits
    /// Beyond this many entries a list takes more memory than the registers.
    private static let listMax = 2_048

    private enum Sketch {
        case empty
        /// Register number << 8 | rank. May name a register several times until it is sorted.
        case list([UInt32])
        case dense([UInt8])
    }

    private let argument: Int
    private var sketches: [Sketch] = []
    private let hashes = Scratch<UInt64>()

    init(argument: Int) {
        self.argument = argument
        super.init(stateTypes: [.bytes])
    }

    override func reserve(_ n: Int) {
        if n > sketches.count { sketches += Array(repeating: .empty, count: max(n, sketches.count + sketches.count / 2) - sketches.count) }
    }

    override func update(_ input: UpdateInput) {
        let n = input.count
        guard n > 0 else { return }
        let hashes = hashes.reserve(n)
        let column = input.columns[argument].taking(input.rows, count: n).flat()
        KeyGroups.hash([column], count: n, into: hashes)
        for i in 0..<n { add(Self.mixed(hashes[i]), to: Int(input.groups[i])) }
    }

    /// Spreads a hash whose bits may hang together.
    @inline(__always)
    private static func mixed(_ hash: UInt64) -> UInt64 {
        var h = hash &+ 0x9e37_79b9_7f4a_7c15
        h = (h ^ h >> 30) &* 0xbf58_476d_1ce4_e5b9
        h = (h ^ h >> 27) &* 0x94d0_49bb_1331_11eb
        return h ^ h >> 31
    }

    private func add(_ hash: UInt64, to group: Int) {
        let register = UInt32(truncatingIfNeeded: hash >> UInt64(64 - Self.bits))
        // The lowest bit of what is left ends the count of zeros.
        let rank = UInt32(truncatingIfNeeded: (hash << UInt64(Self.bits) | 1 << UInt64(Self.bits - 1)).leadingZeroBitCount + 1)
        offer(register << 8 | rank, to: group)
    }

    private func offer(_ entry: UInt32, to group: Int) {
        // Taken out while it changes, so that it is changed in place.
        var sketch = Sketch.empty
        swap(&sketch, &sketches[group])
        switch consume sketch {
        case .empty: sketches[group] = .list([entry])
        case .list(var entries):
            entries.append(entry)
            if entries.count > Self.listMax {
                Self.compact(&entries)
                if entries.count > Self.listMax / 2 {
                    sketches[group] = .dense(Self.dense(entries))
                    return
                }
            }
            sketches[group] = .list(entries)
        case .dense(var ranks):
            let register = Int(entry >> 8), rank = UInt8(truncatingIfNeeded: entry)
            if ranks[register] < rank { ranks[register] = rank }
            sketches[group] = .dense(ranks)
        }
    }

    /// Sorts, and leaves the greatest rank of each register.
    private static func compact(_ entries: inout [UInt32]) {
        entries.sort()
        var kept = 0
        for i in entries.indices {
            if i + 1 < entries.count, entries[i + 1] >> 8 == entries[i] >> 8 { continue }
            entries[kept] = entries[i]
            kept += 1
        }
        entries.removeLast(entries.count - kept)
    }

    private static func dense(_ entries: [UInt32]) -> [UInt8] {
        var ranks = [UInt8](repeating: 0, count: registers)
        for entry in entries { ranks[Int(entry >> 8)] = max(ranks[Int(entry >> 8)], UInt8(truncatingIfNeeded: entry)) }
        return ranks
    }

    private func take(_ sketch: Sketch, into group: Int) {
        switch sketch {
        case .empty: break
        case .list(let entries): for entry in entries { offer(entry, to: group) }
        case .dense(let ranks):
            switch sketches[group] {
            case .empty: sketches[group] = sketch
            case .list(let entries): sketches[group] = .dense(zip(Self.dense(entries), ranks).map { max($0, $1) })
            case .dense(let own): sketches[group] = .dense(zip(own, ranks).map { max($0, $1) })
            }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: DistinctSketch.self)
        for i in 0..<count where from + i < other.sketches.count { take(other.sketches[from + i], into: i) }
    }

    override func clear(_ n: Int) { for i in 0..<min(n, sketches.count) { sketches[i] = .empty } }
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) {
        for i in 0..<count where Int(groups[i]) < sketches.count { sketches[Int(groups[i])] = .empty }
    }
    override func assign(_ other: Accumulator) { sketches = unsafeDowncast(other, to: DistinctSketch.self).sketches }
    override func remap(_ kept: [Int32]) { sketches = kept.map { Int($0) < sketches.count ? sketches[Int($0)] : .empty } }

    /// Four bytes for each register that is set, or one for every register.
    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let builder = ColumnBuilder(type: .bytes, capacity: count)
        for i in 0..<count {
            switch sketches[Int(groups[i])] {
            case .empty: builder.append(bytes: UnsafeRawBufferPointer(start: nil, count: 0))
            case .list(var entries):
                Self.compact(&entries)
                entries.withUnsafeBytes { builder.append(bytes: $0) }
            case .dense(let ranks): ranks.withUnsafeBytes { builder.append(bytes: $0) }
            }
        }
        return [builder.finish()]
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let column = state[0].flat()
        forEachRow(rows, count) { i, row in
            guard column.isValid(row) else { return }
            let bytes = column.bytes(at: row)
            if bytes.count == Self.registers {
                take(.dense(Array(bytes)), into: Int(groups[i]))
            } else {
                for at in stride(from: 0, to: bytes.count - 3, by: 4) {
                    offer(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self), to: Int(groups[i]))
                }
            }
        }
    }

    func result(_ groups: UnsafePointer<Int32>, count: Int) -> Column {
        .make(.bigint, count: count, zero: Int64(0)) { i in
            switch sketches[Int(groups[i])] {
            case .empty: 0
            case .list(let entries): Self.estimate(Self.dense(entries))
            case .dense(let ranks): Self.estimate(ranks)
            }
        }
    }

    /// O. Ertl's estimator, from how many registers have each rank.
    private static func estimate(_ ranks: [UInt8]) -> Int64 {
        let q = 64 - bits, m = Double(registers)
        var counts = [Double](repeating: 0, count: q + 2)
        for rank in ranks { counts[Int(rank)] += 1 }
        var z = m * tau(1 - counts[q + 1] / m)
        for k in stride(from: q, through: 1, by: -1) { z = 0.5 * (z + counts[k]) }
        z += m * sigma(counts[0] / m)
        return Int64((m * m / (2 * log(2.0) * z)).rounded())
    }

    private static func sigma(_ start: Double) -> Double {
        if start == 1 { return .infinity }
        var x = start, y = 1.0, z = start
        while true {
            x *= x
            let before = z
            z += x * y
            y += y
            if z == before { return z }
        }
    }

    private static func tau(_ start: Double) -> Double {
        if start == 0 || start == 1 { return 0 }
        var x = start, y = 1.0, z = 1 - start
        while true {
            x = x.squareRoot()
            let before = z
            y *= 0.5
            z -= (1 - x) * (1 - x) * y
            if z == before { return z / 3 }
        }
    }
}
