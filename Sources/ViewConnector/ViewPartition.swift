import StreamCore
import StreamFormats
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Rows of a batch as a partition takes them. Valid while what they were encoded into is.
struct EncodedRows {
    var count: Int
    var hashes: UnsafePointer<UInt64>
    /// `RowKind` of each; nil = all are inserts.
    var kinds: UnsafePointer<UInt8>?
    var keys: UnsafeRawPointer, keyEnds: UnsafePointer<Int>
    var rows: UnsafeRawPointer, rowEnds: UnsafePointer<Int>

    @inline(__always) func key(_ i: Int) -> UnsafeRawBufferPointer { Self.part(keys, keyEnds, i) }
    @inline(__always) func row(_ i: Int) -> UnsafeRawBufferPointer { Self.part(rows, rowEnds, i) }

    @inline(__always)
    private static func part(_ base: UnsafeRawPointer, _ ends: UnsafePointer<Int>, _ i: Int) -> UnsafeRawBufferPointer {
        let start = i == 0 ? 0 : ends[i &- 1]
        return UnsafeRawBufferPointer(start: base + start, count: ends[i] &- start)
    }
}

/// The rows of one subtask of a view's sink. Written by that subtask; read by any thread.
///
///     in memory    a table for each key group
///     on disk      the tables hold what has been read or written lately; the store behind them has the rest. When they are full, changed
///                  rows are written to the store, group by group, and the tables of these groups begin anew
///     not visible  with `view.visibility` = `checkpoint`, what rows were before they changed, by checkpoint: readers get that
final class ViewPartition: @unchecked Sendable {  // SAFETY: everything that changes is touched while `lock` is held
    private let lock = Mutex<Void>(())
    private let codec: KeyCodec
    private let options: ViewOptions
    private let maxParallelism: Int
    private let memoryLimit: Int
    private let makeStore: () throws -> any KeyedStore
    private let tables: UnsafeMutablePointer<RowTable>
    /// Differ whenever a group's rows do.
    private let groupVersions: UnsafeMutablePointer<UInt64>
    private var groupRows: [Int]
    private var generation: UInt64 = 0
    private var store: (any KeyedStore)?
    /// Groups whose rows a checkpoint may still want as they are.
    private let isFrozen: UnsafeMutablePointer<Bool>
    private var frozen: [WeakGroup]
    private var highestVersion: Int64 = 0
    private var evictAt = 0
    private var sweepAt = 0

    /// What rows were before the first change of a checkpoint.
    private struct Before {
        /// nil = the checkpoint is not prepared yet.
        var checkpoint: UInt64?
        var rows = RowTable()
    }
    private var before: [Before] = []

    private struct WeakGroup { weak var group: FrozenGroup? }
    /// A group as a checkpoint wants it: made when it is asked for, or before the group changes.
    private final class FrozenGroup: @unchecked Sendable {  // SAFETY: touched while the partition's lock is held
        var piece: KeyGroupState?
    }

    /// - Parameter memoryLimit: bytes of rows in memory.
    init(codec: KeyCodec, options: ViewOptions, maxParallelism: Int, memoryLimit: Int, makeStore: @escaping () throws -> any KeyedStore) {
        (self.codec, self.options, self.maxParallelism, self.memoryLimit, self.makeStore) = (codec, options, maxParallelism, memoryLimit, makeStore)
        tables = .allocate(capacity: maxParallelism)
        tables.initialize(repeating: RowTable(), count: maxParallelism)
        groupVersions = .allocate(capacity: maxParallelism)
        groupVersions.initialize(repeating: 0, count: maxParallelism)
        isFrozen = .allocate(capacity: maxParallelism)
        isFrozen.initialize(repeating: false, count: maxParallelism)
        frozen = Array(repeating: WeakGroup(), count: maxParallelism)
        groupRows = Array(repeating: 0, count: maxParallelism)
    }

    deinit {
        store?.close()
        for i in 0..<maxParallelism { tables[i].free() }
        for i in before.indices { before[i].rows.free() }
        tables.deallocate()
        groupVersions.deallocate()
        isFrozen.deallocate()
    }

    // MARK: Writing

    /// Does what a batch says. Row `i` gets the version `firstVersion + i`.
    /// - Parameter collects: whether changes are wanted; asked while the lock is held, so that one who begins to read meanwhile either gets
    ///   them or finds their rows.
    /// - Returns: the changes that readers see at once.
    func apply(_ rows: EncodedRows, firstVersion: Int64, now: Int64, collects wanted: () -> Bool) throws -> [ViewChange] {
        try lock.withLock { _ in
            let collects = wanted() && options.visibility == .immediate
            if store != nil { try hold(rows) }
            var changes: [ViewChange] = []
            generation &+= 1
            let keepsBefore = options.visibility == .checkpoint
            if keepsBefore, before.last?.checkpoint != nil || before.isEmpty { before.append(Before()) }
            let isOnDisk = store != nil, hasTTL = options.timeToLive != nil
            for i in 0..<rows.count {
                let kind = rows.kinds.map { $0[i] } ?? RowKind.insert.rawValue
                let key = rows.key(i), hash = rows.hashes[i]
                // A row that is taken back to be put again at once never goes.
                if kind == RowKind.updateBefore.rawValue, i + 1 < rows.count, rows.kinds![i + 1] == RowKind.updateAfter.rawValue, Self.isSame(key, rows.key(i + 1)) { continue }
                let group = KeyGroups.group(ofHash: hash, maxParallelism: maxParallelism)
                if isFrozen[group] { keep(group) }
                let table = tables + group
                let found = table.pointee.find(hash, key)
                let was = found?.row
                if kind & 1 == 0 {
                    let row = rows.row(i)
                    if let was, Self.isSame(was, row) {
                        // No change; but the row lives on.
                        if hasTTL {
                            found!.setTime(now)
                            found!.setDirty(true)
                            groupVersions[group] = generation
                        }
                        continue
                    }
                    if keepsBefore { remember(hash, key, found) }
                    if was == nil { groupRows[group] += 1 }
                    table.pointee.put(hash, key, row, version: firstVersion &+ Int64(i), time: now, isDirty: true)
                    if collects { changes.append(ViewChange(key: Array(key), hash: hash, version: firstVersion &+ Int64(i), row: Array(row))) }
                } else {
                    guard was != nil else { continue }
                    if keepsBefore { remember(hash, key, found) }
                    groupRows[group] -= 1
                    if isOnDisk {
                        table.pointee.put(hash, key, nil, version: firstVersion &+ Int64(i), time: now, isDirty: true)
                    } else {
                        table.pointee.remove(hash, key)
                    }
                    if collects { changes.append(ViewChange(key: Array(key), hash: hash, version: firstVersion &+ Int64(i), row: nil)) }
                }
                groupVersions[group] = generation
            }
            highestVersion = max(highestVersion, firstVersion &+ Int64(rows.count) &- 1)
            try makeRoom()
            return changes
        }
    }

    @inline(__always)
    private static func isSame(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        a.count == b.count && (a.count == 0 || memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0)
    }

    private func remember(_ hash: UInt64, _ key: UnsafeRawBufferPointer, _ entry: RowTable.Entry?) {
        let at = before.count - 1
        guard before[at].rows.find(hash, key) == nil else { return }
        before[at].rows.put(hash, key, entry?.row, version: entry?.version ?? 0, time: entry?.time ?? 0, isDirty: false)
    }

    /// The writer has prepared a checkpoint: what comes now belongs to the next one.
    func prepared(_ checkpoint: UInt64) {
        lock.withLock { _ in
            if let last = before.last, last.checkpoint == nil { before[before.count - 1].checkpoint = checkpoint }
        }
    }

    /// What was prepared under a number is durable: its rows become visible.
    func committed(_ checkpoint: UInt64, now: Int64, collects wanted: () -> Bool) throws -> [ViewChange] {
        try lock.withLock { _ in
            let collects = wanted()
            let n = before.prefix { $0.checkpoint.map { $0 <= checkpoint } ?? false }.count
            guard n > 0 else { return [] }
            var gone = Array(before[..<n])
            before.removeFirst(n)
            defer { for i in gone.indices { gone[i].rows.free() } }
            guard collects else { return [] }
            var changes: [ViewChange] = []
            for (i, part) in gone.enumerated() {
                try part.rows.forEach { hash, was in
                    // What a later one of these has says it too.
                    if gone[(i + 1)...].contains(where: { $0.rows.find(hash, was.key) != nil }) { return true }
                    let key = Array(was.key)
                    if let row = try visible(key, hash, now) {
                        if row.version != was.version || !was.isPresent { changes.append(ViewChange(key: key, hash: hash, version: row.version, row: row.row)) }
                    } else if was.isPresent {
                        changes.append(ViewChange(key: key, hash: hash, version: highestVersion, row: nil))
                    }
                    return true
                }
            }
            return changes.sorted { $0.version < $1.version }
        }
    }

    // MARK: Reading

    func get(_ key: [UInt8], _ hash: UInt64, now: Int64) throws -> (version: Int64, row: [UInt8])? {
        try lock.withLock { _ in try visible(key, hash, now) }
    }

    private func visible(_ key: [UInt8], _ hash: UInt64, _ now: Int64) throws -> (version: Int64, row: [UInt8])? {
        try key.withUnsafeBytes { bytes in
            for part in before { if let was = part.rows.find(hash, bytes) { return result(was, now) } }
            let group = KeyGroups.group(ofHash: hash, maxParallelism: maxParallelism)
            if let entry = tables[group].find(hash, bytes) { return result(entry, now) }
            guard let store, let value = try store.get(StoredRow.key(group, bytes)) else { return nil }
            return value.withUnsafeBytes { stored in
                let row = StoredRow(stored)
                return isExpired(row.time, now) ? nil : (row.version, Array(row.row))
            }
        }
    }

    private func result(_ entry: RowTable.Entry, _ now: Int64) -> (version: Int64, row: [UInt8])? {
        guard let row = entry.row, !isExpired(entry.time, now) else { return nil }
        return (entry.version, Array(row))
    }

    private func isExpired(_ time: Int64, _ now: Int64) -> Bool { options.timeToLive.map { time + $0 <= now } ?? false }

    /// The first keys behind `after`, in order, that there may be rows for: at most `limit`.
    func keys(after: [UInt8], limit: Int) throws -> [(key: [UInt8], hash: UInt64)] {
        var found = SmallestKeys(after: after, limit: limit)
        for group in 0..<maxParallelism {
            // Writers get their turn in between.
            try lock.withLock { _ in
                tables[group].forEach { hash, entry in
                    found.add(entry.key, hash)
                    return true
                }
                try store?.scan(from: after.withUnsafeBytes { StoredRow.key(group, $0) }, to: StoredRow.prefix(group + 1)) { key, value in
                    found.add(UnsafeRawBufferPointer(rebasing: key[2...]), StoredRow(value).hash)
                }
            }
        }
        lock.withLock { _ in
            for part in before {
                part.rows.forEach { hash, entry in
                    found.add(entry.key, hash)
                    return true
                }
            }
        }
        return found.sorted()
    }

    var statistics: (rows: Int, bytes: Int, isOnDisk: Bool) {
        lock.withLock { _ in (groupRows.reduce(0, +), heldBytes, store != nil) }
    }

    // MARK: The store

    private var heldBytes: Int {
        var bytes = before.reduce(0) { $0 + $1.rows.bytes }
        for i in 0..<maxParallelism { bytes &+= tables[i].bytes }
        return bytes
    }

    /// Reads rows that are about to change, and are not held, from the store.
    private func hold(_ rows: EncodedRows) throws {
        var keys = ByteList(), numbers: [Int] = []
        for i in 0..<rows.count {
            let group = KeyGroups.group(ofHash: rows.hashes[i], maxParallelism: maxParallelism)
            guard tables[group].find(rows.hashes[i], rows.key(i)) == nil else { continue }
            // Known to be absent, until the store says otherwise; so that a key is asked for once.
            tables[group].put(rows.hashes[i], rows.key(i), nil, version: 0, time: 0, isDirty: false)
            keys.append(StoredRow.key(group, rows.key(i)))
            numbers.append(i)
        }
        guard keys.count > 0 else { return }
        try store!.get(keys) { at, value in
            let i = numbers[at], row = StoredRow(value)
            let group = KeyGroups.group(ofHash: rows.hashes[i], maxParallelism: maxParallelism)
            tables[group].put(rows.hashes[i], rows.key(i), row.row, version: row.version, time: row.time, isDirty: false)
        }
    }

    private func makeRoom() throws {
        let limit = store == nil ? memoryLimit : memoryLimit / 2
        var bytes = heldBytes
        guard bytes > limit else { return }
        let pending = before.reduce(0) { $0 + $1.rows.bytes }
        guard pending <= limit else {
            throw StreamError(.runtime, "view \(options.name): the rows that changed since the last checkpoint take \(pending) bytes, more than its memory of \(limit)",
                              fix: "take checkpoints more often, raise 'view.memory', or set 'view.visibility' to 'immediate'")
        }
        if store == nil {
            store = try makeStore()
            try write(0..<maxParallelism, dropping: true)
            return
        }
        // A quarter more than needed, so that it is not for every batch.
        var groups: [Int] = []
        while bytes - pending > limit / 4 * 3 - pending, groups.count < maxParallelism {
            groups.append(evictAt)
            bytes -= tables[evictAt].bytes
            evictAt = (evictAt + 1) % maxParallelism
        }
        let wrap = groups.firstIndex { $0 < groups[0] } ?? groups.count
        for part in [groups[..<wrap], groups[wrap...]] where !part.isEmpty { try write(part.first!..<part.last! + 1, dropping: true) }
    }

    /// Writes changed rows of some groups to the store.
    private func write(_ groups: Range<Int>, dropping: Bool) throws {
        var changes = StoreChanges()
        for group in groups {
            var entries: [RowTable.Entry] = [], hashes: [UnsafeMutableRawPointer: UInt64] = [:]
            tables[group].forEach { hash, entry in
                if entry.isDirty {
                    entries.append(entry)
                    hashes[entry.block] = hash
                }
                return true
            }
            entries.sort { Self.isBefore($0.key, $1.key) }
            for entry in entries {
                let key = StoredRow.key(group, entry.key)
                if let row = entry.row {
                    changes.put(key, StoredRow.value(row, version: entry.version, time: entry.time, hash: hashes[entry.block]!))
                } else {
                    changes.delete(key)
                }
                entry.setDirty(false)
            }
            if dropping {
                if isFrozen[group] { keep(group) }
                tables[group].free()
            }
        }
        try store!.apply(changes)
    }

    static func isBefore(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        let n = min(a.count, b.count), order = n == 0 ? 0 : memcmp(a.baseAddress!, b.baseAddress!, n)
        return order < 0 || order == 0 && a.count < b.count
    }

    // MARK: Rows that go by themselves

    /// Takes expired rows of some of the groups away.
    func sweep(now: Int64, firstVersion: Int64, collects wanted: () -> Bool) throws -> [ViewChange] {
        guard options.timeToLive != nil else { return [] }
        return try lock.withLock { _ in
            let collects = wanted()
            var changes: [ViewChange] = [], deletes = StoreChanges()
            for _ in 0..<max(1, maxParallelism / 16) {
                let group = sweepAt
                sweepAt = (sweepAt + 1) % maxParallelism
                var expired: [(key: [UInt8], hash: UInt64)] = []
                tables[group].forEach { hash, entry in
                    if entry.isPresent, isExpired(entry.time, now) { expired.append((Array(entry.key), hash)) }
                    return true
                }
                try store?.scan(from: StoredRow.prefix(group), to: StoredRow.prefix(group + 1)) { key, value in
                    let row = StoredRow(value), own = UnsafeRawBufferPointer(rebasing: key[2...])
                    if isExpired(row.time, now), tables[group].find(row.hash, own) == nil { expired.append((Array(own), row.hash)) }
                    return true
                }
                guard !expired.isEmpty else { continue }
                if isFrozen[group] { keep(group) }
                generation &+= 1
                groupVersions[group] = generation
                for (key, hash) in expired {
                    key.withUnsafeBytes { tables[group].remove(hash, $0) }
                    if store != nil { deletes.delete(key.withUnsafeBytes { StoredRow.key(group, $0) }) }
                    groupRows[group] -= 1
                    // Readers have not seen them since they expired.
                    if collects { changes.append(ViewChange(key: key, hash: hash, version: firstVersion, row: nil)) }
                }
            }
            if !deletes.isEmpty {
                // The order that the store likes best.
                var sorted = StoreChanges()
                for key in (0..<deletes.deletes.count).map({ Array(deletes.deletes[$0]) }).sorted(by: { $0.lexicographicallyPrecedes($1) }) { sorted.delete(key) }
                try store!.apply(sorted)
            }
            return changes
        }
    }

    // MARK: Snapshots

    func snapshot(_ barrier: Barrier) throws -> OperatorSnapshot {
        try lock.withLock { _ in
            guard let store else { return OperatorSnapshot(units: frozenUnits()) }
            try write(0..<maxParallelism, dropping: false)
            if barrier.isSavepoint { return OperatorSnapshot(units: try storedUnits()) }
            return OperatorSnapshot(units: [about(counts: true)], stores: [try store.snapshot(barrier.checkpoint)])
        }
    }

    /// Nothing is going to change any more.
    func lastSnapshot() throws -> [StateUnit] {
        try lock.withLock { _ in
            guard store != nil else {
                return [about()] + groupRows.indices.filter { tables[$0].count > 0 }.map { group in
                    StateUnit(name: "rows-\(group)", version: groupVersions[group] + 1) { [self] in lock.withLock { _ in [piece(group)] } }
                }
            }
            try write(0..<maxParallelism, dropping: false)
            return try storedUnits()
        }
    }

    private func frozenUnits() -> [StateUnit] {
        var units = [about()]
        for group in 0..<maxParallelism where tables[group].count > 0 {
            if isFrozen[group] { keep(group) }
            let made = FrozenGroup()
            frozen[group] = WeakGroup(group: made)
            isFrozen[group] = true
            units.append(StateUnit(name: "rows-\(group)", version: groupVersions[group] + 1) { [self] in
                lock.withLock { _ in [made.piece ?? piece(group)] }
            })
        }
        return units
    }

    /// The group is going to change: those who wanted it as it is get it now.
    private func keep(_ group: Int) {
        isFrozen[group] = false
        if let waiting = frozen[group].group, waiting.piece == nil { waiting.piece = piece(group) }
        frozen[group] = WeakGroup()
    }

    private static let columns = ["key", "row", "version", "written", "hash"]

    private func piece(_ group: Int) -> KeyGroupState {
        let rows = PieceBuilder(capacity: tables[group].count)
        tables[group].forEach { hash, entry in
            if let row = entry.row { rows.add(entry.key, row, entry.version, entry.time, hash) }
            return true
        }
        return rows.finish(group)
    }

    private func storedUnits() throws -> [StateUnit] {
        let view = try store!.view()
        return [about()] + groupRows.indices.filter { groupRows[$0] > 0 }.map { group in
            StateUnit(name: "rows-\(group)") {
                let rows = PieceBuilder(capacity: 64)
                try view.scan(from: StoredRow.prefix(group), to: StoredRow.prefix(group + 1)) { key, value in
                    let row = StoredRow(value)
                    rows.add(UnsafeRawBufferPointer(rebasing: key[2...]), row.row, row.version, row.time, row.hash)
                    return true
                }
                return [rows.finish(group)]
            }
        }
    }

    private static let aboutSchema: Schema = [Field("key", .string), Field("version", .bigint)]
    private var keyTypes: String { codec.fields.map { "\($0.name) \($0.type)" }.joined(separator: ", ") }

    /// What the rows are keyed by, and how many there are in each group, for those that nobody counts when they come back.
    private func about(counts: Bool = false) -> StateUnit {
        var pieces = [KeyGroupState(keyGroup: KeyGroupState.everywhere, name: "view", batch: Batch(schema: Self.aboutSchema, rows: [[.string(keyTypes), .int(highestVersion)]]),
                                    columns: Self.aboutSchema.map(\.name))]
        if counts {
            for group in groupRows.indices where groupRows[group] > 0 {
                pieces.append(KeyGroupState(keyGroup: UInt16(group), name: "count", batch: Batch(schema: [Field("rows", .bigint)], rows: [[.int(Int64(groupRows[group]))]]), columns: ["rows"]))
            }
        }
        return StateUnit(name: "view") { [pieces] in pieces }
    }

    /// - Returns: the highest version that the rows had.
    func restore(_ state: RestoredState, keyGroups: Range<Int>) throws -> Int64 {
        try lock.withLock { _ in
            if !state.stores.isEmpty {
                let made = try makeStore()
                store = made
                try made.restore(state.stores, keyGroups: keyGroups)
            }
            generation &+= 1
            try state.forEach { piece in
                let columns = piece.batch.columns, n = piece.batch.physicalCount
                switch piece.name {
                case "view":
                    guard n > 0, case .string(let types) = columns[0].value(at: 0), case .int(let version) = columns[1].value(at: 0) else { return }
                    highestVersion = max(highestVersion, version)
                    guard types == keyTypes else {
                        throw StreamError(.validate, "view \(options.name) had the key (\(types)) and has (\(keyTypes)) now: its rows cannot be found by that",
                                          fix: "declare the key as it was, or start without the view's rows with --allow-non-restored-state and another name for the table")
                    }
                case "count":
                    if case .int(let rows) = columns[0].value(at: 0) { groupRows[Int(piece.keyGroup)] += Int(rows) }
                case "rows":
                    let group = Int(piece.keyGroup)
                    let versions = columns[2].flat(), times = columns[3].flat(), hashes = columns[4].flat(), keys = columns[0].flat(), rows = columns[1].flat()
                    for i in 0..<n {
                        let version = versions.pointer(as: Int64.self)[i]
                        tables[group].put(UInt64(bitPattern: hashes.pointer(as: Int64.self)[i]), keys.bytes(at: i), rows.bytes(at: i), version: version,
                                          time: times.pointer(as: Int64.self)[i], isDirty: true)
                        highestVersion = max(highestVersion, version)
                    }
                    groupRows[group] += n
                    groupVersions[group] = generation
                    try makeRoom()
                default: break
                }
            }
            return highestVersion
        }
    }

    /// Rows of a group as columns.
    private final class PieceBuilder {
        private let key: ColumnBuilder, row: ColumnBuilder, version: ColumnBuilder, time: ColumnBuilder, hash: ColumnBuilder

        init(capacity: Int) {
            (key, row) = (ColumnBuilder(type: .bytes, capacity: capacity), ColumnBuilder(type: .bytes, capacity: capacity))
            (version, time, hash) = (ColumnBuilder(type: .bigint, capacity: capacity), ColumnBuilder(type: .bigint, capacity: capacity), ColumnBuilder(type: .bigint, capacity: capacity))
        }

        func add(_ key: UnsafeRawBufferPointer, _ row: UnsafeRawBufferPointer, _ version: Int64, _ time: Int64, _ hash: UInt64) {
            self.key.append(bytes: key)
            self.row.append(bytes: row)
            self.version.append(fixed: version)
            self.time.append(fixed: time)
            self.hash.append(fixed: Int64(bitPattern: hash))
        }

        func finish(_ group: Int) -> KeyGroupState {
            let count = key.count
            return KeyGroupState(keyGroup: UInt16(group), name: "rows", batch: Batch(columns: [key, row, version, time, hash].map { $0.finish() }, physicalCount: count), columns: ViewPartition.columns)
        }
    }
}
