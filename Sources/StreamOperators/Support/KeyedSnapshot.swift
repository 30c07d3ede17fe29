import StreamCore
import Synchronization

/// Rows of state in the order of their key groups, to be cut into one piece a key group.
struct KeyGroupOrder {
    /// Row or group numbers, as they were given, sorted by key group; numbers of one key group keep their order.
    let ids: Selection
    let ranges: [(keyGroup: Int, rows: Range<Int>)]

    /// - Parameter keyGroup: of number `ids[i]`, given i and the number.
    init(_ ids: UnsafePointer<Int32>, count n: Int, maxParallelism: Int, keyGroup: (Int, Int) -> Int) {
        var starts = [Int](repeating: 0, count: maxParallelism + 1)
        let keyGroups = Buffer(capacity: n * 2), sorted = Buffer(capacity: n * 4)
        let (of, to) = (keyGroups.pointer(as: UInt16.self), sorted.pointer(as: Int32.self))
        starts.withUnsafeMutableBufferPointer { starts in
            let starts = starts.baseAddress!
            for i in 0..<n {
                let group = keyGroup(i, Int(ids[i]))
                of[i] = UInt16(truncatingIfNeeded: group)
                starts[group + 1] += 1
            }
            for group in 0..<maxParallelism { starts[group + 1] += starts[group] }
        }
        var ranges: [(keyGroup: Int, rows: Range<Int>)] = []
        for group in 0..<maxParallelism where starts[group] < starts[group + 1] { ranges.append((group, starts[group]..<starts[group + 1])) }
        self.ranges = ranges
        starts.withUnsafeMutableBufferPointer { next in
            let next = next.baseAddress!
            for i in 0..<n {
                let group = Int(of[i])
                to[next[group]] = ids[i]
                next[group] += 1
            }
        }
        self.ids = withExtendedLifetime(keyGroups) { Selection(buffer: sorted, count: n) }
    }

    /// Cuts columns that stand in this order; the pieces share their memory.
    func cut(_ columns: [Column], name: String, columnNames: [String]) -> [KeyGroupState] {
        ranges.map { keyGroup, rows in
            // A column that stands in several places stays one.
            var done: [ObjectIdentifier: Column] = [:]
            let parts = columns.map { column in
                let part = done[ObjectIdentifier(column)] ?? column.part(rows)
                done[ObjectIdentifier(column)] = part
                return part
            }
            return KeyGroupState(keyGroup: UInt16(keyGroup), name: name, batch: Batch(columns: parts, physicalCount: rows.count), columns: columnNames)
        }
    }
}

/// Groups of a table at a barrier, with the key group of each, which is worked out when it is first asked for.
final class FrozenGroups: Sendable {
    let keys: GroupKeys
    let maxParallelism: Int
    private let keyGroups = Mutex<Buffer?>(nil)

    init(_ keys: GroupKeys, maxParallelism: Int) { (self.keys, self.maxParallelism) = (keys, maxParallelism) }

    /// UInt16 by group number.
    private func allKeyGroups() -> Buffer {
        keyGroups.withLock { known in
            if let known { return known }
            let made = Buffer(capacity: keys.count * 2)
            let to = made.pointer(as: UInt16.self)
            let step = 65_536
            let hashes = Scratch<UInt64>()
            for start in stride(from: 0, to: keys.count, by: step) {
                let range = Selection.range(start..<min(start + step, keys.count))
                let n = range.count, hash = hashes.reserve(n)
                withExtendedLifetime(range) {
                    KeyGroups.hash(keys.columns(range.rows, count: n), count: n, into: hash)
                }
                for i in 0..<n { to[start + i] = UInt16(KeyGroups.group(ofHash: hash[i], maxParallelism: maxParallelism)) }
            }
            known = made
            return made
        }
    }

    /// As ``order(_:count:)`` for numbers of something that belongs to groups: `groups[number]` is the group.
    func order(_ numbers: UnsafePointer<Int32>, count n: Int, groups: UnsafePointer<Int32>) -> KeyGroupOrder {
        let keyGroups = allKeyGroups()
        return withExtendedLifetime(keyGroups) {
            let of = keyGroups.pointer(as: UInt16.self)
            return KeyGroupOrder(numbers, count: n, maxParallelism: maxParallelism) { _, number in Int(of[Int(groups[number])]) }
        }
    }

    func order(_ groups: UnsafePointer<Int32>, count n: Int) -> KeyGroupOrder {
        let keyGroups = allKeyGroups()
        return withExtendedLifetime(keyGroups) {
            let of = keyGroups.pointer(as: UInt16.self)
            return KeyGroupOrder(groups, count: n, maxParallelism: maxParallelism) { _, group in Int(of[group]) }
        }
    }

    /// Positions 0..<n in the order of the key groups of `groups[position]`.
    func positions(of groups: UnsafePointer<Int32>, count n: Int) -> KeyGroupOrder {
        let keyGroups = allKeyGroups(), all = Selection.all(n)
        return withExtendedLifetime((keyGroups, all)) {
            let of = keyGroups.pointer(as: UInt16.self)
            return KeyGroupOrder(all.rows, count: n, maxParallelism: maxParallelism) { i, _ in Int(of[Int(groups[i])]) }
        }
    }
}

extension KeyGroups {
    /// Hashes of rows by all of the columns, as an exchange by them takes them.
    static func hash(_ columns: [Column], count n: Int, into out: UnsafeMutablePointer<UInt64>) {
        RowHash.hash(Batch(columns: columns, physicalCount: n), keys: Array(columns.indices), into: out)
    }
}

extension Column {
    /// Rows `range`, sharing memory where the form of the column lets it.
    func part(_ range: Range<Int>) -> Column {
        guard range != 0..<count else { return self }
        switch type.physical {
        case .list, .map, .row, .null:
            let rows = Selection.range(range)
            return withExtendedLifetime(rows) { gather(rows.rows, count: rows.count) }
        default: break
        }
        var bits: Buffer?
        if let validity {
            for (i, row) in range.enumerated() where !Bitmap.get(validity.base, row) {
                if bits == nil { bits = Bitmap.make(range.count, valid: true) }
                Bitmap.clear(bits!.base, i)
            }
        }
        let width = dictionary == nil ? type.width : 4
        let whole = values
        let shared = Buffer(foreign: whole.base + range.lowerBound * width, capacity: range.count * width) { _ = whole }
        return Column(type: type, count: range.count, validity: bits, values: shared, heaps: heaps, dictionary: dictionary)
    }
}
