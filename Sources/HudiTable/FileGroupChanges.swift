import LakeTable
import StreamCore

/// Rows of a stream of changes, one part of a commit after the other.
protocol ChangeRows: AnyObject {
    /// The next rows with their kinds; nil at the end.
    func next() throws -> Batch?
    /// Leaves out up to `count` rows at the start, if that is cheaper than reading them. Called before `next`, once.
    /// - Returns: how many were left out.
    func skip(_ count: Int64) throws -> Int64
}

extension ChangeRows {
    func skip(_ count: Int64) throws -> Int64 { 0 }
}

extension Batch {
    /// All rows of one kind.
    fileprivate static func of(_ columns: [Column], count: Int, _ kind: RowKind) -> Batch {
        guard kind != .insert else { return Batch(columns: columns, physicalCount: count) }
        let kinds = Buffer(capacity: count)
        kinds.base.initializeMemory(as: UInt8.self, repeating: kind.rawValue, count: count)
        return Batch(columns: columns, physicalCount: count, rowKinds: kinds)
    }
}

/// The rows of one base file, all of one kind.
final class FileRows: ChangeRows {
    private let path: String, wanted: Schema, kind: RowKind
    /// Only rows that this commit wrote.
    private let commit: [UInt8]?
    private var reader: DataFileReader?

    init(path: String, wanted: Schema, kind: RowKind, writtenBy commit: String? = nil) {
        (self.path, self.wanted, self.kind) = (path, wanted, kind)
        self.commit = commit.map { Array($0.utf8) }
    }

    func skip(_ count: Int64) throws -> Int64 {
        guard commit == nil, case let rows = try ParquetReader(path: path).rows, rows <= count else { return 0 }
        reader = nil
        isOver = true
        return rows
    }

    private var isOver = false

    func next() throws -> Batch? {
        if isOver { return nil }
        if reader == nil {
            var columns = wanted, conditions: [ColumnCondition] = []
            if let commit {
                columns.append(Field("_hoodie_commit_time", .string))
                conditions = [ColumnCondition(name: "_hoodie_commit_time", type: .string, .compares(.equal, .string(String(decoding: commit, as: UTF8.self))))]
            }
            reader = try DataFileReader(try ParquetReader(path: path), wanted: columns, batchRows: Batch.targetRows, where: conditions)
        }
        while let read = try reader!.next() {
            guard let commit else { return .of(read.columns, count: read.physicalCount, kind) }
            let times = read.columns.last!.flat()
            let rows = commit.withUnsafeBytes { commit in
                (0..<read.physicalCount).compactMap { ByteOrder.equal(times.bytes(at: $0), commit) ? Int32(truncatingIfNeeded: $0) : nil }
            }
            if rows.isEmpty { continue }
            var batch = Batch.of(Array(read.columns.dropLast()), count: read.physicalCount, kind)
            if rows.count < read.physicalCount { batch.selection = Selection(rows) }
            return batch
        }
        reader = nil
        isOver = true
        return nil
    }
}

/// What a commit did to one file group: its new version compared with the one before, by record key.
///
/// Both versions are walked side by side over their keys. Writers keep the order of rows that they copy, so what does not pair
/// up that way is little more than the rows that changed; these are paired by key. Memory holds the changed rows of the group.
final class FileGroupChanges: ChangeRows {
    /// Which changes are wanted.
    struct Parts: OptionSet {
        let rawValue: Int
        static let deletes = Parts(rawValue: 1), writes = Parts(rawValue: 2)
    }

    private let before: String, after: String, commit: [UInt8], wanted: Schema, parts: Parts
    private var held: [Column] = []
    private var order: [(row: Int32, kind: RowKind)] = []
    private var done = 0
    private var isCompared = false

    /// - Parameters:
    ///   - before: path of the version before.
    ///   - after: path of the version that `commit` wrote.
    init(before: String, after: String, commit: String, wanted: Schema, parts: Parts) {
        (self.before, self.after, self.wanted, self.parts) = (before, after, wanted, parts)
        self.commit = Array(commit.utf8)
    }

    func next() throws -> Batch? {
        if !isCompared { try compare() }
        guard done < order.count else {
            held = []
            return nil
        }
        let n = min(Batch.targetRows, order.count - done)
        let rows = order[done..<done + n].map(\.row), kinds = order[done..<done + n].map(\.kind.rawValue)
        done += n
        let columns = rows.withUnsafeBufferPointer { rows in held.map { $0.gather(rows.baseAddress!, count: n) } }
        return Batch(columns: columns, physicalCount: n, rowKinds: kinds.withUnsafeBytes { Buffer(copying: $0) })
    }

    /// Keys of a version, batch by batch.
    private struct Keys {
        let reader: DataFileReader
        var times: Column?, keys: Column?
        var row = 0, first: Int64 = 0

        init(_ path: String) throws {
            reader = try DataFileReader(path: path, wanted: [Field("_hoodie_commit_time", .string), Field("_hoodie_record_key", .string)])
        }

        /// Whether there is a row at hand.
        mutating func load() throws -> Bool {
            while true {
                if let keys {
                    if row < keys.count { return true }
                    first += Int64(keys.count)
                }
                guard let batch = try reader.next() else {
                    keys = nil
                    return false
                }
                (times, keys, row) = (batch.columns[0].flat(), batch.columns[1].flat(), 0)
            }
        }

        var key: UnsafeRawBufferPointer { keys!.bytes(at: row) }
        var number: Int64 { first + Int64(row) }
    }

    private struct Comparison {
        var deleted: [Int64] = []
        /// Rows of the new version, ascending, with the row before of those that were changed.
        var written: [(after: Int64, before: Int64?)] = []
    }

    private func compare() throws {
        isCompared = true
        let found = try compareKeys()
        var old: [Int64] = parts.contains(.deletes) ? found.deleted : []
        let deletes = old.count
        if parts.contains(.writes) { old += found.written.compactMap(\.before) }
        let new = parts.contains(.writes) ? found.written.map(\.after) : []
        let oldRows = old.sorted()
        let (oldHeld, newHeld) = (try gather(before, oldRows), try gather(after, new))
        let columns = wanted.indices.map { c in [oldHeld, newHeld].flatMap { $0 }.map { $0[c] } }
        held = columns.map { $0.isEmpty ? .nulls(type: .null, count: 0) : Column.concatenated($0) }
        func place(_ row: Int64) -> Int32 {
            var low = 0, high = oldRows.count
            while low < high {
                let middle = (low + high) / 2
                if oldRows[middle] < row { low = middle + 1 } else { high = middle }
            }
            return Int32(truncatingIfNeeded: low)
        }
        for row in old[0..<deletes] { order.append((place(row), .delete)) }
        guard parts.contains(.writes) else { return }
        for (i, pair) in found.written.enumerated() {
            let at = Int32(truncatingIfNeeded: oldRows.count + i)
            if let row = pair.before {
                order.append((place(row), .updateBefore))
                order.append((at, .updateAfter))
            } else {
                order.append((at, .insert))
            }
        }
    }

    private func compareKeys() throws -> Comparison {
        var old = try Keys(before), new = try Keys(after)
        var result = Comparison()
        // 128 bits of hash stand for a key, as in the writer's index.
        let seeds = KeyHash.Seeds(Host.system)
        var gone: [(hash: KeyHash, row: Int64)] = [], come: [(hash: KeyHash, row: Int64, isChanged: Bool)] = []
        func hash(_ key: UnsafeRawBufferPointer) -> KeyHash { KeyHash(key, salt: 0, seeds: seeds) }
        try commit.withUnsafeBytes { commit in
            var hasOld = try old.load(), hasNew = try new.load()
            while hasOld || hasNew {
                let isChanged = hasNew && ByteOrder.equal(new.times!.bytes(at: new.row), commit)
                if hasOld, hasNew, ByteOrder.equal(old.key, new.key) {
                    if isChanged { result.written.append((new.number, old.number)) }
                    old.row += 1
                    new.row += 1
                    hasOld = try old.load()
                    hasNew = try new.load()
                } else if hasNew, isChanged || !hasOld {
                    come.append((hash(new.key), new.number, isChanged))
                    new.row += 1
                    hasNew = try new.load()
                } else {
                    gone.append((hash(old.key), old.number))
                    old.row += 1
                    hasOld = try old.load()
                }
            }
        }
        // Equal keys pair up in their order.
        var places: [KeyHash: [Int]] = [:]
        for (i, row) in gone.enumerated().reversed() { places[row.hash, default: []].append(i) }
        var isPaired = [Bool](repeating: false, count: gone.count)
        for row in come {
            guard let i = places[row.hash]?.popLast() else {
                result.written.append((row.row, nil))
                continue
            }
            isPaired[i] = true
            if row.isChanged { result.written.append((row.row, gone[i].row)) }
        }
        for (i, row) in gone.enumerated() where !isPaired[i] { result.deleted.append(row.row) }
        result.written.sort { $0.after < $1.after }
        return result
    }

    /// Those rows of a file, as columns batch by batch. Row groups without any are not read.
    private func gather(_ path: String, _ rows: [Int64]) throws -> [[Column]] {
        guard !rows.isEmpty else { return [] }
        func firstRow(from row: Int64) -> Int {
            var low = 0, high = rows.count
            while low < high {
                let middle = (low + high) / 2
                if rows[middle] < row { low = middle + 1 } else { high = middle }
            }
            return low
        }
        let reader = try DataFileReader(try ParquetReader(path: path), wanted: wanted) { range in
            let i = firstRow(from: range.lowerBound)
            return i < rows.count && rows[i] < range.upperBound
        }
        var out: [[Column]] = [], read: Int64 = 0
        while let batch = try reader.next() {
            // A batch may span row groups: each row's number is looked up from the last one known.
            var indices: [Int32] = [], i = 0
            while i < batch.physicalCount {
                let first = reader.fileRow(after: read + Int64(i))
                let end = reader.ranges.first { $0.contains(first) }!.upperBound
                let n = Int(min(end - first, Int64(batch.physicalCount - i)))
                var at = firstRow(from: first)
                while at < rows.count, rows[at] < first + Int64(n) {
                    indices.append(Int32(truncatingIfNeeded: i + Int(rows[at] - first)))
                    at += 1
                }
                i += n
            }
            read += Int64(batch.physicalCount)
            guard !indices.isEmpty else { continue }
            out.append(indices.withUnsafeBufferPointer { list in batch.columns.map { $0.gather(list.baseAddress!, count: list.count) } })
        }
        return out
    }
}
