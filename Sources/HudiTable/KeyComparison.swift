import LakeTable
import StreamCore

/// Which rows of file groups were written and which vanished between two moments, by record key.
///
/// The versions of a group are walked side by side. Writers keep the order of rows that they copy, so what does not pair up that
/// way is little more than the rows that changed; these are paired by key when all groups are in. Memory holds the keys of the
/// changed rows.
struct KeyComparison {
    /// A row of one of the files compared.
    struct Place { var file: Int, row: Int64 }

    struct Result {
        var deleted: [Place] = []
        /// Rows of new versions, in the order of files and rows, with the row before of those that were changed.
        var written: [(after: Place, before: Place?)] = []
    }

    private var result = Result()
    private var gone: [(hash: KeyHash, place: Place)] = []
    private var come: [(hash: KeyHash, place: Place, isChanged: Bool)] = []
    /// 128 bits of hash stand for a key, as in the writer's index.
    private let seeds = KeyHash.Seeds(Host.system)

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

    /// - Parameters:
    ///   - before: path of the older version; nil = the group is new.
    ///   - after: path of the newer version; nil = the group is gone.
    ///   - file: stands for both in the result.
    ///   - isChanged: whether a row of this commit time was written in between.
    mutating func add(before: String?, after: String?, file: Int, _ isChanged: (UnsafeRawBufferPointer) -> Bool) throws {
        var old = try before.map { try Keys($0) }, new = try after.map { try Keys($0) }
        var hasOld = try old?.load() ?? false, hasNew = try new?.load() ?? false
        while hasOld || hasNew {
            let isChanged = hasNew && isChanged(new!.times!.bytes(at: new!.row))
            if hasOld, hasNew, ByteOrder.equal(old!.key, new!.key) {
                if isChanged { result.written.append((Place(file: file, row: new!.number), Place(file: file, row: old!.number))) }
                old!.row += 1
                new!.row += 1
                hasOld = try old!.load()
                hasNew = try new!.load()
            } else if hasNew, isChanged || !hasOld {
                come.append((KeyHash(new!.key, salt: 0, seeds: seeds), Place(file: file, row: new!.number), isChanged))
                new!.row += 1
                hasNew = try new!.load()
            } else {
                gone.append((KeyHash(old!.key, salt: 0, seeds: seeds), Place(file: file, row: old!.number)))
                old!.row += 1
                hasOld = try old!.load()
            }
        }
    }

    /// Pairs up what is left; equal keys in their order.
    mutating func finish() -> Result {
        var places: [KeyHash: [Int]] = [:]
        for (i, row) in gone.enumerated().reversed() { places[row.hash, default: []].append(i) }
        var isPaired = [Bool](repeating: false, count: gone.count)
        for row in come {
            guard let i = places[row.hash]?.popLast() else {
                result.written.append((row.place, nil))
                continue
            }
            isPaired[i] = true
            if row.isChanged { result.written.append((row.place, gone[i].place)) }
        }
        for (i, row) in gone.enumerated() where !isPaired[i] { result.deleted.append(row.place) }
        result.written.sort { ($0.after.file, $0.after.row) < ($1.after.file, $1.after.row) }
        return result
    }
}

enum FileRowPicker {
    /// Those rows of a file (ascending numbers), as columns batch by batch. Row groups without any are not read.
    static func rows(_ rows: [Int64], of path: String, _ wanted: Schema) throws -> [[Column]] {
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
