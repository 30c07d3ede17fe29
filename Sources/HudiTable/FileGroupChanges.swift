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

    private func compare() throws {
        isCompared = true
        var comparison = KeyComparison()
        try commit.withUnsafeBytes { commit in
            try comparison.add(before: before, after: after, file: 0) { ByteOrder.equal($0, commit) }
        }
        let found = comparison.finish()
        var old: [Int64] = parts.contains(.deletes) ? found.deleted.map(\.row) : []
        let deletes = old.count
        if parts.contains(.writes) { old += found.written.compactMap(\.before?.row) }
        let new = parts.contains(.writes) ? found.written.map(\.after.row) : []
        let oldRows = old.sorted()
        let (oldHeld, newHeld) = (try FileRowPicker.rows(oldRows, of: before, wanted), try FileRowPicker.rows(new, of: after, wanted))
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
            if let row = pair.before?.row {
                order.append((place(row), .updateBefore))
                order.append((at, .updateAfter))
            } else {
                order.append((at, .insert))
            }
        }
    }
}
