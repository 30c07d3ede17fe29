import StreamCore

/// Brings the buffered rows of a commit into the table's files: new versions of the file groups that have their keys, and
/// inserts for the rest.
package struct UpsertMerge {
    package let buffer: UpsertBuffer
    package let index: KeyIndex
    package let groups: FileGroupTable
    package let router: FileRouter
    package let context: DataFileContext
    /// Makes the keys of stored rows when the files do not hold them.
    package let keyGenerator: KeyGenerator
    package let orderingColumn: Int?
    package let globalKeys: Bool

    package init(buffer: UpsertBuffer, index: KeyIndex, groups: FileGroupTable, router: FileRouter, context: DataFileContext,
                 keyGenerator: KeyGenerator, orderingColumn: Int?, globalKeys: Bool) {
        (self.buffer, self.index, self.groups, self.router, self.context) = (buffer, index, groups, router, context)
        (self.keyGenerator, self.orderingColumn, self.globalKeys) = (keyGenerator, orderingColumn, globalKeys)
    }

    private enum Fate: UInt8 { case undecided, done, insert }

    package func run() throws {
        try router.closeAll()
        var fates = [Fate](repeating: .undecided, count: buffer.entries.count)
        var touched: [Int: Int] = [:]
        let target = buffer.entries.map { index.find($0.hash) }
        for group in target where group >= 0 { touched[group, default: 0] += 1 }
        for group in touched.keys.sorted() { try merge(group, target, &fates) }
        try insertRest(fates)
    }

    /// Writes a new version of one group; decides the fate of the entries whose keys it has.
    private func merge(_ group: Int, _ target: [Int], _ fates: inout [Fate]) throws {
        let partition = groups.partition(of: group)
        let salt = globalKeys ? 0 : partition + 1, seeds = buffer.seeds
        let path = context.files.absolute(groups.slices[group].path)
        let reader = try DataFileReader(path: path, wanted: context.mergeColumns)
        let writer = try router.writer(replacing: group)
        var updates: [Int] = [], changed: Int64 = 0, deleted: Int64 = 0
        let instant = Array(context.commit.commit.utf8)
        while let batch = try reader.next() {
            let keys = try StoredKeys(batch, context.marks, keyGenerator), times = context.marks.commit.map { batch.columns[$0] }
            var kept: [Int32] = []
            kept.reserveCapacity(batch.physicalCount)
            for row in 0..<batch.physicalCount {
                let hash = KeyHash(keys.bytes(at: row), salt: salt, seeds: seeds)
                let at = buffer.find(hash)
                guard at >= 0, target[at] == group, wins(at, over: batch, row) else {
                    if at >= 0, target[at] == group { fates[at] = .done }
                    kept.append(Int32(row))
                    continue
                }
                let entry = buffer.entries[at]
                if entry.isDelete {
                    fates[at] = .done
                    deleted += 1
                    index.remove(hash)
                } else if Int(entry.partition) != partition {
                    fates[at] = .insert
                    deleted += 1
                } else {
                    fates[at] = .done
                    updates.append(at)
                    // A row that this commit wrote already is counted.
                    if times.map({ !$0.bytes(at: row).elementsEqual(instant) }) ?? true { changed += 1 }
                }
            }
            try writer.appendCopied(batch, rows: kept, count: kept.count)
        }
        try forEachPart(inOrderOfParts(updates)) { part, rows in
            try writer.append(part.columns, keys: part.keys, rows: rows.baseAddress!, count: rows.count)
        }
        writer.count(updates: changed, deletes: deleted)
        try router.finish(writer, group: group, partition: partition)
    }

    private func wins(_ at: Int, over stored: Batch, _ row: Int) -> Bool {
        guard let orderingColumn else { return true }
        let entry = buffer.entries[at]
        // A delete that says nothing of its time is one of now.
        if entry.isDelete, !buffer.column(orderingColumn, of: entry).isValid(Int(entry.row)) { return true }
        return OrderingValue.compare(buffer.column(orderingColumn, of: entry), Int(entry.row), stored.columns[context.marks.kept.count + orderingColumn], row) >= 0
    }

    private func insertRest(_ fates: [Fate]) throws {
        // A key that its group turned out not to have is a new one.
        let inserts = buffer.entries.indices.filter { fates[$0] != .done && !buffer.entries[$0].isDelete }
        let byPartition = Dictionary(grouping: inserts) { Int(buffer.entries[$0].partition) }
        for (partition, unordered) in byPartition.sorted(by: { groups.partitions[$0.key] < groups.partitions[$1.key] }) {
            let entries = inOrderOfParts(unordered)
            var position = 0
            try forEachPart(entries) { part, rows in
                try router.insert(part.columns, keys: part.keys, rows: rows.baseAddress!, count: rows.count, partition: partition) { group, range in
                    for i in range { index.set(buffer.entries[entries[position + i]].hash, group: group) }
                }
                position += rows.count
            }
        }
    }

    private func inOrderOfParts(_ entries: [Int]) -> [Int] {
        entries.sorted { (buffer.entries[$0].batch, buffer.entries[$0].row) < (buffer.entries[$1].batch, buffer.entries[$1].row) }
    }

    /// Calls `body` with the rows of each part; `entries` are in the order of their parts.
    private func forEachPart(_ entries: [Int], _ body: (UpsertBuffer.Part, UnsafeBufferPointer<Int32>) throws -> Void) throws {
        var start = 0
        while start < entries.count {
            let batch = buffer.entries[entries[start]].batch
            var end = start
            var rows: [Int32] = []
            while end < entries.count, buffer.entries[entries[end]].batch == batch {
                rows.append(buffer.entries[entries[end]].row)
                end += 1
            }
            try rows.withUnsafeBufferPointer { try body(buffer.parts[Int(batch)], $0) }
            start = end
        }
    }
}

/// The record keys of rows read from a file: a column of it, or made from its data columns.
package enum StoredKeys {
    case column(Column), made(TextColumn)

    /// - Parameter batch: `DataFileContext.mergeColumns`.
    package init(_ batch: Batch, _ marks: MarkColumns, _ generator: KeyGenerator) throws {
        if let column = marks.key {
            self = .column(batch.columns[column])
        } else {
            self = .made(try generator.recordKeys(Array(batch.columns[marks.kept.count...])))
        }
    }

    @inline(__always)
    package func bytes(at row: Int) -> UnsafeRawBufferPointer {
        switch self {
        case .column(let column): column.bytes(at: row)
        case .made(let texts): texts.value(row)
        }
    }
}
