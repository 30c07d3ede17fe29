import AWSProtocol
import Foundation
import GRDB
import ShardLog
import StreamCore
import Synchronization

/// The service's tables in one SQLite file: many readers, one writer whose transactions are shared by those who wait for it.
///
/// What `write` returned is on the disk: the file is in WAL mode and every commit is flushed.
public final class Store: Sendable {
    let host: StreamCore.Host
    let path: String
    let pool: DatabasePool
    public let changes: ChangeLog
    let maintenance: Maintenance
    private let catalog: Box<Mutex<Catalog>>
    private let commits: GroupCommit<WriteTransaction>
    private let commitsDone = Box(Atomic<Int>(0))
    private let isClosed = Box(Mutex(false))
    /// Transactions since the file was opened; writes share them.
    var commitCount: Int { commitsDone.value.load(ordering: .relaxed) }

    /// - Throws: `.io` when the file cannot be opened, `.corrupt` when it is damaged, `.validate` when a newer program has written it.
    init(directory: String, options: DynamoDBServiceOptions) throws {
        host = options.host
        maintenance = Maintenance(sweepSeconds: options.sweepSeconds, log: options.report)
        try host.createDirectories(directory)
        path = directory + "/tables.sqlite"
        var configuration = Configuration()
        configuration.label = "tables"
        configuration.maximumReaderCount = options.readersMax
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA cache_size = -16384") }
        let path = path
        let (opened, stored) = try Self.naming(path) {
            let pool = try DatabasePool(path: path, configuration: configuration)
            let migrator = TableSchema.migrator
            if try pool.read(migrator.hasBeenSuperseded) {
                throw StreamError(.validate, "\(path) was written by a newer version of this program", fix: "use that version, or another directory")
            }
            try pool.writeWithoutTransaction { db in
                // The pool sets NORMAL, with which a power cut may take back commits that were acknowledged.
                try db.execute(sql: "PRAGMA synchronous = FULL")
                guard try Int.fetchOne(db, sql: "PRAGMA synchronous") == 2 else { throw StreamError(.io, "\(path) cannot be flushed at every commit") }
            }
            try migrator.migrate(pool)
            return (pool, try pool.read { try Self.catalog($0, path) })
        }
        pool = opened
        let changes = try ChangeLog(pool: opened, log: options.log, host: options.host)
        self.changes = changes
        let catalog = Box(Mutex(stored))
        self.catalog = catalog
        let (host, commitsDone) = (host, commitsDone)
        commits = GroupCommit { jobs in
            try Self.naming(path) {
                try opened.writeWithoutTransaction { db in
                    let transaction = WriteTransaction(db: db, catalog: catalog.value.withLock { $0 }, changes: changes, host: host)
                    do {
                        try db.inTransaction(.immediate) {
                            jobs(transaction)
                            try transaction.writeCounters()
                            return .commit
                        }
                    } catch {
                        changes.rolledBack()
                        throw error
                    }
                    if transaction.hasNewCatalog { catalog.value.withLock { $0 = transaction.catalog } }
                    commitsDone.value.add(1, ordering: .relaxed)
                    changes.committed()
                }
            }
        }
    }

    private static func catalog(_ db: Database, _ path: String) throws -> Catalog {
        var catalog = Catalog()
        for row in try Row.fetchAll(db, sql: "SELECT id, account, region, name, definition FROM tables") {
            let (id, account, region, name, text): (Int64, String, String, String, String) = (row[0], row[1], row[2], row[3], row[4])
            guard let definition = try? JSONDecoder().decode(TableDefinition.self, from: Data(text.utf8)) else {
                throw StreamError(.corrupt, "\(path): the definition of table \(name) is damaged: \(text.prefix(80))", fix: "restore the file from a copy")
            }
            catalog.tables[.init(account: account, region: region, name: name)] =
                TableInfo(id: id, account: account, region: region, name: name, definition: definition)
        }
        return catalog
    }

    /// Says what went wrong with the file in the words of the engine.
    static func naming<T>(_ path: String, _ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as DatabaseError {
            let reason = error.message ?? "SQLite error \(error.resultCode.rawValue)"
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw StreamError(.corrupt, "\(path) is damaged: \(reason)", fix: "restore it from a copy, or name another directory")
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                throw StreamError(.conflict, "\(path) is in use by another process", fix: "end that process, or name another directory")
            case .SQLITE_FULL: throw StreamError(.io, "cannot write \(path): no space is left", fix: "free disk space")
            default: throw StreamError(.io, "\(path): \(reason)")
            }
        }
    }

    /// Sees what was committed last, and nothing of what comes while it reads.
    public func read<T>(_ body: (Database) throws -> T) throws -> T { try Self.naming(path) { try pool.read(body) } }

    /// Runs `body` in a transaction with others; what it threw leaves nothing behind. Returns when the transaction is durable.
    func transact<T: Sendable>(_ body: @escaping @Sendable (WriteTransaction) throws -> T) throws -> T {
        let path = path
        return try commits.run { transaction in try Self.naming(path) { try transaction.attempt { try body(transaction) } } }
    }

    /// As ``transact(_:)``, for those who need the database alone.
    public func write<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) throws -> T { try transact { try body($0.db) } }

    // MARK: Tables

    var tables: [TableInfo] { catalog.value.withLock { Array($0.tables.values) } }

    func find(_ name: Catalog.Name) -> TableInfo? { catalog.value.withLock { $0.table(name) } }

    /// By name, or by Amazon resource name.
    ///
    /// - Throws: `ResourceNotFoundException`; `ValidationException` for text that is neither.
    public func table(_ account: String, _ region: String, _ nameOrArn: String) throws -> TableInfo {
        guard let table = find(try TableNames.catalogName(nameOrArn, account: account, region: region)) else {
            throw AWSError("ResourceNotFoundException", "Requested resource not found")
        }
        return table
    }

    /// Items and bytes of tables and indexes, by their numbers.
    func counters(_ ids: [Int64]) throws -> [Int64: Counter] {
        try read { db in
            var out: [Int64: Counter] = [:]
            let statement = try db.cachedStatement(sql: "SELECT items, bytes FROM counters WHERE id = ?")
            for id in ids {
                if let row = try Row.fetchOne(statement, arguments: [id]) { out[id] = Counter(items: row[0], bytes: row[1]) }
            }
            return out
        }
    }

    func close() {
        let wasClosed = isClosed.value.withLock { isClosed in
            defer { isClosed = true }
            return isClosed
        }
        guard !wasClosed else { return }
        maintenance.close()
        commits.close()
        changes.close()
        // Without readers the file is whole without its log; a failure leaves the log beside it, which is just as good.
        try? pool.close()
    }
}

struct Counter: Hashable, Sendable {
    var items = 0
    var bytes = 0
}
