import RocksDBState
import StreamCore
import StreamFormats
import Synchronization

/// A keyed result table that is read where it is written. Its partitions are replaced as a whole when the job starts again.
final class View: Sendable {
    let options: ViewOptions
    let table: TableDescriptor
    let codec: KeyCodec
    let host: Host
    let changes: ViewChanges
    /// Of the next change.
    private let version: Mutex<Int64>

    private struct State {
        var partitions: [ViewPartition] = []
        var maxParallelism = KeyGroups.defaultMaxParallelism
        /// Those of a run that is being started, by subtask.
        var coming: [Int: ViewPartition] = [:]
        var run = 0
        var open: Set<Int> = []
        var backend: RocksDBBackend?
    }
    private let state = Mutex(State())

    init(_ options: ViewOptions, _ table: TableDescriptor, host: Host) throws {
        (self.options, self.table, self.host) = (options, table, host)
        codec = try KeyCodec(table)
        // Changes are numbered by the microsecond in which the process began and then one by one: fewer than a million of them come in a
        // second for long, so that numbers of later processes are larger.
        let start = host.now() * 1_000
        version = Mutex(start)
        changes = ViewChanges(limit: options.changesBuffer, start: start, now: host.now)
    }

    deinit { changes.end() }

    func takeVersions(_ n: Int) -> Int64 {
        version.withLock { next in
            defer { next += Int64(n) }
            return next
        }
    }

    var newestVersion: Int64 { version.withLock { $0 - 1 } }

    // MARK: runs

    /// A run of the job begins: its partitions take the place of those of the run before once all are there.
    func begin(maxParallelism: Int) -> Int {
        state.withLock { state in
            state.run += 1
            state.coming = [:]
            state.open = []
            state.maxParallelism = maxParallelism
            return state.run
        }
    }

    var run: Int { state.withLock { $0.run } }

    func partition(_ context: SinkContext) -> ViewPartition {
        // Of a view that is on the disk RocksDB gets half of it.
        let limit = options.memory / context.parallelism
        let directory = context.workDirectory.isEmpty ? "/tmp/swiftwater-view-\(host.uuid())" : context.workDirectory + "/view"
        // Not the context itself, by which rows that outlive their job would hold all of it.
        let identity = "\(context.operatorID)-\(context.subtask)"
        return ViewPartition(codec: codec, options: options, maxParallelism: context.maxParallelism, memoryLimit: limit) { [unowned self] in
            try backend().makeStore("view", identity: identity, directory: directory + "-\(String(host.randomBits(), radix: 16))")
        }
    }

    private func backend() throws -> RocksDBBackend {
        try state.withLock { state in
            if let known = state.backend { return known }
            var limits = RocksDBOptions()
            limits.managedLimit = max(options.memory / 2, RocksDBOptions.leastManagedLimit)
            let made = try RocksDBBackend(limits, host: host)
            state.backend = made
            return made
        }
    }

    func add(_ partition: ViewPartition, _ context: SinkContext, run: Int, newest: Int64) {
        version.withLock { $0 = max($0, newest + 1) }
        let isWhole = state.withLock { state in
            guard state.run == run else { return false }
            state.coming[context.subtask] = partition
            state.open.insert(context.subtask)
            state.maxParallelism = context.maxParallelism
            guard state.coming.count == context.parallelism else { return false }
            let hadRows = !state.partitions.isEmpty
            state.partitions = (0..<context.parallelism).map { state.coming[$0]! }
            state.coming = [:]
            return hadRows
        }
        if isWhole { changes.reset() }
    }

    func ended(_ subtask: Int, run: Int) { state.withLock { state in if state.run == run { state.open.remove(subtask) } } }

    var isRunning: Bool { state.withLock { !$0.open.isEmpty } }

    func committed(_ subtask: Int, _ checkpoint: UInt64) throws {
        guard let partition = state.withLock({ $0.partitions.indices.contains(subtask) ? $0.partitions[subtask] : nil }) else { return }
        changes.add(try partition.committed(checkpoint, now: host.now(), collects: { changes.isWanted }))
    }

    // MARK: reading

    private func ready() throws -> [ViewPartition] {
        let partitions = state.withLock { $0.partitions }
        guard !partitions.isEmpty else { throw ViewError(503, "view \(options.name) is being restored", fix: "try again in a second") }
        return partitions
    }

    func get(_ key: [UInt8], _ hash: UInt64) throws -> (version: Int64, row: [UInt8])? {
        let partitions = try ready(), groups = state.withLock { $0.maxParallelism }
        let at = KeyGroups.subtask(ofGroup: KeyGroups.group(ofHash: hash, maxParallelism: groups), parallelism: partitions.count, maxParallelism: groups)
        return try partitions[at].get(key, hash, now: host.now())
    }

    struct Page {
        var rows: [(key: [UInt8], version: Int64, row: [UInt8])] = []
        /// nil = there are no more.
        var next: [UInt8]?
    }

    func scan(after: [UInt8], limit: Int) throws -> Page {
        let partitions = try ready()
        var page = Page(), after = after
        while true {
            let wanted = limit - page.rows.count + 1
            var found: [(key: [UInt8], hash: UInt64, partition: ViewPartition)] = []
            for partition in partitions { found += try partition.keys(after: after, limit: wanted).map { ($0.key, $0.hash, partition) } }
            found.sort { $0.key.lexicographicallyPrecedes($1.key) }
            let now = host.now()
            for entry in found.prefix(wanted) {
                guard let row = try entry.partition.get(entry.key, entry.hash, now: now) else { continue }
                if page.rows.count == limit {
                    page.next = page.rows[limit - 1].key
                    return page
                }
                page.rows.append((entry.key, row.version, row.row))
            }
            // Rows that went meanwhile leave gaps.
            guard found.count >= wanted else { return page }
            after = found[wanted - 1].key
        }
    }

    func description() -> ViewDescription {
        let (partitions, isRunning) = state.withLock { ($0.partitions, !$0.open.isEmpty) }
        let all = partitions.map(\.statistics)
        func column(_ field: Field) -> ViewDescription.Column { .init(name: field.name, type: "\(field.type)") }
        return ViewDescription(
            name: options.name, table: table.name, key: codec.fields.map(column), columns: table.schema.map(column), rows: all.reduce(0) { $0 + $1.rows },
            memoryBytes: all.reduce(0) { $0 + $1.bytes }, isOnDisk: all.contains { $0.isOnDisk }, visibility: options.visibility.rawValue, timeToLive: options.timeToLive,
            version: newestVersion, subscribers: changes.readerCount, state: partitions.isEmpty ? "restoring" : isRunning ? "running" : "ended")
    }
}
