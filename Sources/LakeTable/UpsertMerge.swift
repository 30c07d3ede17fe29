import StreamCore
import Synchronization

/// Brings the buffered rows of a commit into the table's files: new versions of the file groups that have their keys, and
/// inserts for the rest.
///
/// The index tells at which row of which file a key is. A changed row takes the place of the old one, so that nothing else of
/// the file has to be looked at: its columns are copied with the changes put in, file groups side by side on several threads.
package struct UpsertMerge {
    package let buffer: UpsertBuffer
    package let index: KeyIndex
    package let groups: FileGroupTable
    package let router: FileRouter
    package let context: DataFileContext
    /// Makes the keys of stored rows when the files do not hold them.
    package let keyGenerator: KeyGenerator
    package let orderingColumns: [Int]
    package let globalKeys: Bool
    /// Threads that write file groups side by side.
    package let threads: Int

    package init(buffer: UpsertBuffer, index: KeyIndex, groups: FileGroupTable, router: FileRouter, context: DataFileContext,
                 keyGenerator: KeyGenerator, orderingColumns: [Int], globalKeys: Bool, threads: Int = 1) {
        (self.buffer, self.index, self.groups, self.router, self.context) = (buffer, index, groups, router, context)
        (self.keyGenerator, self.orderingColumns, self.globalKeys, self.threads) = (keyGenerator, orderingColumns, globalKeys, threads)
    }

    private enum Fate: UInt8 { case undecided, done, insert }

    /// What becomes of the rows of one file group.
    private final class Plan {
        let group: Int
        let partition: Int
        /// Entries whose keys are in the group, with their rows, ascending by row.
        var hits: [(row: Int64, entry: Int)] = []
        /// Of `hits`: the stored row is the newer one.
        var losers: Set<Int> = []
        /// Rows that change or go; `changes` counts those of `updates`, -1 = the row goes.
        var rows: [Int64] = [], changes: [Int32] = []
        var updates: [Int] = []
        var changed: Int64 = 0, deleted: Int64 = 0
        var writer: DataFileWriter?

        init(group: Int, partition: Int) { (self.group, self.partition) = (group, partition) }
    }

    package func run() throws {
        try router.closeAll()
        var fates = [Fate](repeating: .undecided, count: buffer.entries.count)
        let plans = makePlans()
        // Threads pay for files of some size; smaller ones are written in an order that does not change from run to run.
        let threads = plans.reduce(0) { $0 + groups.bytes(of: $1.group) } >= Parallel.fewBytes ? threads : 1
        if !orderingColumns.isEmpty { try Parallel.forEach(plans.count, threads) { try findLosers(plans[$0]) } }
        for plan in plans { decide(plan, &fates) }
        let changing = plans.filter { !$0.rows.isEmpty }
        for plan in changing { plan.writer = try router.writer(replacing: plan.group) }
        try Parallel.forEach(changing.count, threads) { try write(changing[$0]) }
        for plan in changing {
            if plan.deleted > 0 { try moveUp(plan) }
            plan.writer!.count(updates: plan.changed, deletes: plan.deleted)
        }
        try finish(changing, threads)
        try insertRest(fates)
    }

    private func makePlans() -> [Plan] {
        var hits = [[(row: Int64, entry: Int)]](repeating: [], count: groups.slices.count)
        index.forEachPlace(of: buffer.entries.count, hash: { buffer.entries[$0].hash }) { i, place in
            if place.group >= 0 { hits[Int(place.group)].append((Int64(place.row), i)) }
        }
        return hits.indices.filter { !hits[$0].isEmpty }.map { group in
            let plan = Plan(group: group, partition: groups.partition(of: group))
            plan.hits = hits[group]
            hits[group] = []
            plan.hits.sort { $0.row < $1.row }
            return plan
        }
    }

    /// Looks for stored rows that are newer than what has come for their keys.
    private func findLosers(_ plan: Plan) throws {
        let slice = groups.slices[plan.group], wanted = orderingColumns.map { context.schema[$0] }
        let reader = try DataFileReader(path: context.files.absolute(slice.path), wanted: wanted, ids: context.commit.fieldIDs(wanted), constants: slice.constants)
        var first: Int64 = 0, next = 0
        while next < plan.hits.count, let batch = try reader.next() {
            let end = first + Int64(batch.physicalCount), stored = batch.columns.map { $0.flat() }
            while next < plan.hits.count, plan.hits[next].row < end {
                let hit = plan.hits[next], entry = buffer.entries[hit.entry]
                if !buffer.isOfNow(entry), isOlder(entry, than: stored, Int(hit.row - first)) { plan.losers.insert(next) }
                next += 1
            }
            first = end
        }
    }

    private func isOlder(_ entry: UpsertBuffer.Entry, than stored: [Column], _ row: Int) -> Bool {
        for (i, c) in orderingColumns.enumerated() {
            let order = OrderingValue.compare(buffer.column(c, of: entry), Int(entry.row), stored[i], row)
            if order != 0 { return order < 0 }
        }
        return false
    }

    private func decide(_ plan: Plan, _ fates: inout [Fate]) {
        // Changed rows are numbered in the order of their batches, from which they are gathered many at a time.
        var inPlace: [(order: UInt64, entry: Int, at: Int)] = []
        for (i, hit) in plan.hits.enumerated() {
            if plan.losers.contains(i) {
                fates[hit.entry] = .done
                continue
            }
            let entry = buffer.entries[hit.entry]
            plan.rows.append(hit.row)
            plan.changes.append(-1)
            if entry.isDelete {
                fates[hit.entry] = .done
                plan.deleted += 1
                index.remove(entry.hash)
            } else if Int(entry.partition) != plan.partition {
                fates[hit.entry] = .insert
                plan.deleted += 1
                index.remove(entry.hash)
            } else {
                fates[hit.entry] = .done
                inPlace.append((UInt64(UInt32(bitPattern: entry.batch)) << 32 | UInt64(UInt32(bitPattern: entry.row)), hit.entry, plan.changes.count - 1))
            }
        }
        inPlace.sort { $0.order < $1.order }
        for (number, change) in inPlace.enumerated() { plan.changes[change.at] = Int32(truncatingIfNeeded: number) }
        plan.updates = inPlace.map(\.entry)
    }

    private func write(_ plan: Plan) throws {
        let writer = plan.writer!, path = context.files.absolute(groups.slices[plan.group].path)
        let input = try ParquetReader(path: path)
        if let last = plan.rows.last, last >= input.rows {
            throw StreamError(.corrupt, "\(path) has \(input.rows) rows, but row \(last) of it was to be changed", fix: "start the job again")
        }
        plan.changed = try countChanged(plan, path)
        guard writer.canRewrite(input, of: groups.slices[plan.group]) else { return try writeSlowly(plan) }
        try forEachPart(plan.updates) { part, rows in
            try writer.appendChanges(part.columns, keys: part.keys, rows: rows.baseAddress!, count: rows.count)
        }
        try writer.rewrite(input, rows: plan.rows, changes: plan.changes, unchanged: keyGenerator.columnsToldByKeys(context.schema), threads: threads) {
            try router.noteKeys(path, writer, without: zip(plan.rows, plan.changes).filter { $1 < 0 }.map(\.0))
        }
    }

    /// Changed rows of the commits before: those that this very commit wrote are counted already.
    private func countChanged(_ plan: Plan, _ path: String) throws -> Int64 {
        guard let column = context.marks.commit, groups.slices[plan.group].instant == context.commit.commit else { return Int64(plan.updates.count) }
        let reader = try DataFileReader(path: path, wanted: [Field(context.marks.kept[column], .string)])
        let instant = Array(context.commit.commit.utf8)
        var first: Int64 = 0, next = 0, changed: Int64 = 0
        while next < plan.rows.count, let batch = try reader.next() {
            let end = first + Int64(batch.physicalCount)
            while next < plan.rows.count, plan.rows[next] < end {
                if plan.changes[next] >= 0, !batch.columns[0].bytes(at: Int(plan.rows[next] - first)).elementsEqual(instant) { changed += 1 }
                next += 1
            }
            first = end
        }
        return changed
    }

    /// For files that are older than a column's type: every row is read and written in the new types.
    private func writeSlowly(_ plan: Plan) throws {
        let writer = plan.writer!, reader = try context.reader(of: groups.slices[plan.group])
        var first: Int64 = 0, next = 0
        while let batch = try reader.next() {
            // Runs of rows that stay, and between them those that change, at their places.
            let n = batch.physicalCount, all = Selection.all(n)
            try withExtendedLifetime(all) {
                var at = 0
                while at < n {
                    let stop = next < plan.rows.count ? min(n, Int(plan.rows[next] - first)) : n
                    if stop > at { try writer.appendCopied(batch, rows: all.rows + at, count: stop - at) }
                    at = stop
                    guard at < n else { break }
                    if plan.changes[next] >= 0 {
                        let entry = buffer.entries[plan.updates[Int(plan.changes[next])]], part = buffer.parts[Int(entry.batch)]
                        try withUnsafePointer(to: entry.row) { try writer.append(part.columns, keys: part.keys, rows: $0, count: 1) }
                    }
                    next += 1
                    at += 1
                }
            }
            first += Int64(n)
        }
    }

    /// Rows behind one that went have moved up.
    private func moveUp(_ plan: Plan) throws {
        let salt = globalKeys ? 0 : plan.partition + 1, seeds = buffer.seeds
        var wanted = keyGenerator.keySchema(context.schema), generator: KeyGenerator?
        if let key = context.marks.key {
            wanted = [Field(context.marks.kept[key], .string)]
        } else {
            generator = keyGenerator.ofKeysOnly(context.schema)
        }
        let slice = groups.slices[plan.group]
        let reader = try DataFileReader(path: context.files.absolute(slice.path), wanted: wanted, ids: generator == nil ? nil : context.commit.fieldIDs(wanted),
                                        constants: slice.constants)
        var first: Int64 = 0, next = 0, gone: Int64 = 0
        plan.writer!.forgetRange()
        while let batch = try reader.next() {
            let keys: StoredKeys = try generator.map { .made(try $0.recordKeys(batch.columns)) } ?? .column(batch.columns[0])
            var smallest: UnsafeRawBufferPointer?, largest: UnsafeRawBufferPointer?
            for row in 0..<batch.physicalCount {
                let old = first + Int64(row)
                if next < plan.rows.count, plan.rows[next] == old {
                    next += 1
                    if plan.changes[next - 1] < 0 {
                        gone += 1
                        continue
                    }
                }
                let key = keys.bytes(at: row)
                if gone > 0 {
                    let hash = KeyHash(key, salt: salt, seeds: seeds), place = index.place(hash)
                    if Int(place.group) == plan.group, Int64(place.row) == old { index.set(hash, group: plan.group, row: Int(old - gone)) }
                }
                if smallest.map({ ByteOrder.compare(key, $0) < 0 }) ?? true { smallest = key }
                if largest.map({ ByteOrder.compare($0, key) < 0 }) ?? true { largest = key }
            }
            if let smallest, let largest { withExtendedLifetime(keys) { plan.writer!.noteRange(smallest, largest) } }
            first += Int64(batch.physicalCount)
        }
    }

    /// Closes the new versions, but for one of each partition that is small enough to take up inserts.
    private func finish(_ plans: [Plan], _ threads: Int) throws {
        let closing = try plans.filter { try !router.keepOpen($0.writer!, group: $0.group, partition: $0.partition) }
        let stats = Mutex([Int: WriteStat]())
        try Parallel.forEach(closing.count, threads) { i in
            let stat = try closing[i].writer!.close()
            stats.withLock { $0[i] = stat }
        }
        for (i, plan) in closing.enumerated() { try router.record(plan.writer!, stats.withLock { $0[i]! }, group: plan.group) }
    }

    private func insertRest(_ fates: [Fate]) throws {
        // A key that its group turned out not to have is a new one.
        let inserts = buffer.entries.indices.filter { fates[$0] != .done && !buffer.entries[$0].isDelete }
        let byPartition = Dictionary(grouping: inserts) { Int(buffer.entries[$0].partition) }
        for (partition, unordered) in byPartition.sorted(by: { groups.partitions[$0.key] < groups.partitions[$1.key] }) {
            let entries = inOrderOfParts(unordered)
            var position = 0
            try forEachPart(entries) { part, rows in
                try router.insert(part.columns, keys: part.keys, rows: rows.baseAddress!, count: rows.count, partition: partition) { group, firstRow, range in
                    for i in range {
                        index.set(buffer.entries[entries[position + i]].hash, group: group, row: Int(firstRow) + i - range.lowerBound)
                    }
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
