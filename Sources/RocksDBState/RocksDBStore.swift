import CRocksDB
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// State of one operator subtask in a RocksDB database.
///
/// Many sorted changes at a time are written straight to a file in key order, which costs a third of what the way through a
/// write buffer does; few go through the write buffer.
final class RocksDBStore: KeyedStore {
    private let name: String
    private let identity: String
    /// Holds the database and, while they are made, files to be taken in.
    let directory: String
    let memory: SharedMemory
    let host: Host
    private var opened: Database? {
        // A reader of gauges must not keep a database from being closed.
        willSet { statistics.watch(newValue) }
    }
    private let statistics = StoreStatistics()
    private let readOptions: OpaquePointer
    private var files = 0
    private var snapshots = 0

    /// Fewer changes than this go through the write buffer.
    static let fileMinimum = 8_192
    /// Files in the first level at which writing waits for compaction: each is looked into by every read.
    private static let levelZeroMaximum: UInt64 = 16

    init(name: String, identity: String, directory: String, memory: SharedMemory, host: Host) throws {
        (self.name, self.identity, self.directory, self.memory, self.host) = (name, identity + "-" + host.uuid(), directory, memory, host)
        try host.removeTree(directory)
        try host.createDirectories(directory)
        readOptions = rocksdb_readoptions_create()
        opened = try Database(directory: directory + "/db", memory: memory, host: host)
        statistics.watch(opened)
    }

    deinit {
        close()
        rocksdb_readoptions_destroy(readOptions)
    }

    func close() {
        // The database removes its files and the directory, later if somebody still reads a view of it.
        opened = nil
    }

    private func database() throws -> Database {
        guard let opened else { throw StreamError(.runtime, "the store \(name) in \(directory) is closed", fix: "open a new one") }
        return opened
    }

    /// Closes the database, which must be empty, and opens one of the files that `fill` puts into the directory.
    func replaceDatabase(_ fill: (String) throws -> Void) throws {
        opened = nil
        let target = directory + "/db"
        try fill(target)
        opened = try Database(directory: target, memory: memory, host: host)
    }

    var operatorCacheBytes: Int { memory.operatorCacheBytes }
    var gauges: (@Sendable () -> [String: Int64])? { { [statistics] in statistics.read() } }

    // MARK: Reading

    func get(_ key: [UInt8]) throws -> [UInt8]? {
        let database = try database()
        return try key.withUnsafeBytes { bytes -> [UInt8]? in
            var length = 0
            let value = try RocksDBError.check("read a key", database.directory) {
                rocksdb_get(database.pointer, readOptions, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &length, $0)
            }
            guard let value else { return nil }
            defer { rocksdb_free(value) }
            return Array(UnsafeRawBufferPointer(start: value, count: length))
        }
    }

    func get(_ keys: ByteList, found: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
        let database = try database()
        let isSorted = keys.isAscending()
        let step = 1_024
        let pointers = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: step)
        let lengths = UnsafeMutablePointer<Int>.allocate(capacity: step)
        let values = UnsafeMutablePointer<OpaquePointer?>.allocate(capacity: step)
        let messages = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: step)
        defer {
            pointers.deallocate()
            lengths.deallocate()
            values.deallocate()
            messages.deallocate()
        }
        try keys.bytes.withUnsafeBufferPointer { bytes in
            guard bytes.baseAddress != nil || keys.count == 0 else { return }
            let base = UnsafeRawPointer(bytes.baseAddress ?? UnsafePointer(bitPattern: 1)!).assumingMemoryBound(to: CChar.self)
            for start in stride(from: 0, to: keys.count, by: step) {
                let n = min(step, keys.count - start)
                for i in 0..<n {
                    let range = keys.range(start + i)
                    pointers[i] = base + range.lowerBound
                    lengths[i] = range.count
                }
                rocksdb_batched_multi_get_cf(database.pointer, readOptions, database.family, n, pointers, lengths, values, messages, isSorted)
                defer { for i in 0..<n where values[i] != nil { rocksdb_pinnableslice_destroy(values[i]) } }
                var failure: StreamError?
                for i in 0..<n {
                    guard let message = messages[i] else { continue }
                    if failure == nil { failure = RocksDBError.failure("read a key", database.directory, String(cString: message)) }
                    rocksdb_free(message)
                }
                if let failure { throw failure }
                for i in 0..<n {
                    guard let value = values[i] else { continue }
                    var length = 0
                    let p = rocksdb_pinnableslice_value(value, &length)
                    try found(start + i, UnsafeRawBufferPointer(start: p, count: length))
                }
            }
        }
    }

    func scan(from low: [UInt8], to high: [UInt8]?, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws {
        try database().scan(from: low, to: high, body)
    }

    func scan(prefixes: ByteList, _ body: (Int, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void) throws {
        try database().scan(prefixes: prefixes, body)
    }

    func view() throws -> any KeyedStoreView { DatabaseView(try database()) }

    // MARK: Writing

    func apply(_ changes: StoreChanges) throws {
        let database = try database()
        if changes.rangeStarts.count > 0 {
            try write(database) { batch in
                changes.rangeStarts.forEach { i, start in
                    changes.rangeEnds.withBytes(i) { end in
                        rocksdb_writebatch_delete_range(batch, start.baseAddress?.assumingMemoryBound(to: CChar.self), start.count,
                                                        end.baseAddress?.assumingMemoryBound(to: CChar.self), end.count)
                    }
                }
            }
        }
        if changes.puts.count + changes.deletes.count >= Self.fileMinimum, changes.puts.isAscending(), changes.deletes.isAscending() {
            try ingest(changes, database)
        } else if changes.puts.count + changes.deletes.count > 0 {
            try write(database) { batch in
                changes.deletes.forEach { _, key in
                    rocksdb_writebatch_delete(batch, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count)
                }
                changes.puts.forEach { i, key in
                    changes.values.withBytes(i) { value in
                        rocksdb_writebatch_put(batch, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count,
                                               value.baseAddress?.assumingMemoryBound(to: CChar.self), value.count)
                    }
                }
            }
        }
    }

    private func write(_ database: Database, _ fill: (OpaquePointer) -> Void) throws {
        let batch = rocksdb_writebatch_create()!
        defer { rocksdb_writebatch_destroy(batch) }
        fill(batch)
        try RocksDBError.check("write to the store", database.directory) { rocksdb_write(database.pointer, database.writeOptions, batch, $0) }
    }

    /// Writes ascending changes as a file and hands it to the database.
    private func ingest(_ changes: StoreChanges, _ database: Database) throws {
        try awaitCompaction(database)
        files += 1
        let path = directory + "/import-\(files).sst"
        defer { _ = host.unlink(path) }
        let environment = rocksdb_envoptions_create()!
        let writer = rocksdb_sstfilewriter_create(environment, database.options)!
        defer {
            rocksdb_sstfilewriter_destroy(writer)
            rocksdb_envoptions_destroy(environment)
        }
        try RocksDBError.check("create the file", path) { rocksdb_sstfilewriter_open(writer, path, $0) }
        let doing = "write the file"
        var d = 0
        let (deletes, puts, values) = (changes.deletes, changes.puts, changes.values)
        func delete(_ key: UnsafeRawBufferPointer) throws {
            try RocksDBError.check(doing, path) {
                rocksdb_sstfilewriter_delete(writer, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count, $0)
            }
        }
        try puts.bytes.withUnsafeBytes { putBytes in
            try values.bytes.withUnsafeBytes { valueBytes in
                for i in 0..<puts.count {
                    let key = UnsafeRawBufferPointer(rebasing: putBytes[puts.range(i)])
                    let value = UnsafeRawBufferPointer(rebasing: valueBytes[values.range(i)])
                    while d < deletes.count, try deletes.withBytes(d, { other in
                        guard ByteOrder.isBefore(other, key) else { return false }
                        try delete(other)
                        return true
                    }) { d += 1 }
                    // A key that is deleted and put is put.
                    if d < deletes.count, deletes.withBytes(d, { $0.elementsEqual(key) }) { d += 1 }
                    try RocksDBError.check(doing, path) {
                        rocksdb_sstfilewriter_put(writer, key.baseAddress?.assumingMemoryBound(to: CChar.self), key.count,
                                                  value.baseAddress?.assumingMemoryBound(to: CChar.self), value.count, $0)
                    }
                }
            }
        }
        while d < deletes.count {
            try deletes.withBytes(d) { try delete($0) }
            d += 1
        }
        try RocksDBError.check("finish the file", path) { rocksdb_sstfilewriter_finish(writer, $0) }
        let options = rocksdb_ingestexternalfileoptions_create()!
        defer { rocksdb_ingestexternalfileoptions_destroy(options) }
        rocksdb_ingestexternalfileoptions_set_move_files(options, 1)
        try path.withCString { path in
            let paths: [UnsafePointer<CChar>?] = [path]
            try RocksDBError.check("take a file into the store", database.directory) {
                rocksdb_ingest_external_file(database.pointer, paths, 1, options, $0)
            }
        }
    }

    /// RocksDB slows writers down that are faster than its compaction, but not files that it is handed.
    private func awaitCompaction(_ database: Database) throws {
        while database.property("rocksdb.num-files-at-level0") >= Self.levelZeroMaximum {
            if database.property("rocksdb.background-errors") > 0 {
                throw StreamError(.io, "the store in \(database.directory) cannot compact its files", fix: "check the disk and its free space")
            }
            usleep(1_000)
        }
    }

    // MARK: Snapshots

    func snapshot(_ checkpoint: UInt64) throws -> StoreFiles {
        let database = try database()
        snapshots += 1
        let target = directory + "-checkpoint-\(checkpoint)-\(snapshots)"
        try host.removeTree(target)
        let maker = try RocksDBError.check("prepare a checkpoint of the store", database.directory) {
            rocksdb_checkpoint_object_create(database.pointer, $0)
        }!
        defer { rocksdb_checkpoint_object_destroy(maker) }
        do {
            try RocksDBError.check("write a checkpoint of the store to \(target)", database.directory) {
                rocksdb_checkpoint_create(maker, target, 0, $0)
            }
            let names = try Host.names(in: target)
            let tables = names.filter { $0.hasSuffix(".sst") }
            return StoreFiles(name: name, directory: target, immutable: tables, mutable: names.filter { !$0.hasSuffix(".sst") }, identity: identity)
        } catch {
            try? host.removeTree(target)
            throw error
        }
    }
}

enum ByteOrder {
    @inline(__always)
    static func isBefore(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        let n = min(a.count, b.count)
        let order = n == 0 ? 0 : memcmp(a.baseAddress!, b.baseAddress!, n)
        return order < 0 || (order == 0 && a.count < b.count)
    }
}

extension ByteList {
    /// Whether each item comes before the next one.
    func isAscending() -> Bool {
        bytes.withUnsafeBytes { bytes in
            for i in stride(from: 1, to: count, by: 1)
            where !ByteOrder.isBefore(UnsafeRawBufferPointer(rebasing: bytes[range(i - 1)]), UnsafeRawBufferPointer(rebasing: bytes[range(i)])) {
                return false
            }
            return true
        }
    }

    func withBytes<R>(_ i: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range(i)])) }
    }

    func forEach(_ body: (Int, UnsafeRawBufferPointer) -> Void) {
        bytes.withUnsafeBytes { bytes in
            for i in 0..<count { body(i, UnsafeRawBufferPointer(rebasing: bytes[range(i)])) }
        }
    }
}
