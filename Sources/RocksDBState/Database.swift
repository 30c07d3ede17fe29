import CRocksDB
import StreamCore

/// An open RocksDB database with a directory of its own, which goes when the last reference to the object does.
final class Database: @unchecked Sendable {  // SAFETY: RocksDB may be called by any thread; the pointers never change
    let pointer: OpaquePointer
    let family: OpaquePointer
    let directory: String
    let options: OpaquePointer
    let writeOptions: OpaquePointer
    private let tableOptions: OpaquePointer
    let memory: SharedMemory
    private let share: Int?
    private let host: Host

    /// - Parameter forReading: an existing database that is not changed, and not counted among those that share the memory.
    init(directory: String, memory: SharedMemory, host: Host, forReading: Bool = false) throws {
        (self.directory, self.memory, self.host) = (directory, memory, host)
        (options, tableOptions) = memory.withShares { Self.makeOptions(cache: $0, writeBuffer: $1) }
        if memory.countsTickers, !forReading { rocksdb_options_enable_statistics(options) }
        writeOptions = rocksdb_writeoptions_create()
        // Checkpoints are what makes state durable.
        rocksdb_writeoptions_disable_WAL(writeOptions, 1)
        var family: OpaquePointer?
        do {
            let options = options
            pointer = try "default".withCString { name in
                let names: [UnsafePointer<CChar>?] = [name], all: [OpaquePointer?] = [options]
                return try RocksDBError.check("open the store", directory) {
                    forReading ? rocksdb_open_for_read_only_column_families(options, directory, 1, names, all, &family, 0, $0)
                        : rocksdb_open_column_families(options, directory, 1, names, all, &family, $0)
                }
            }!
        } catch {
            rocksdb_writeoptions_destroy(writeOptions)
            rocksdb_options_destroy(options)
            rocksdb_block_based_options_destroy(tableOptions)
            throw error
        }
        self.family = family!
        do {
            share = forReading ? nil : try memory.add(pointer)
        } catch {
            rocksdb_column_family_handle_destroy(self.family)
            rocksdb_close(pointer)
            rocksdb_writeoptions_destroy(writeOptions)
            rocksdb_options_destroy(options)
            rocksdb_block_based_options_destroy(tableOptions)
            throw error
        }
    }

    deinit {
        if let share { memory.remove(share) }
        rocksdb_cancel_all_background_work(pointer, 1)
        rocksdb_column_family_handle_destroy(family)
        rocksdb_close(pointer)
        rocksdb_writeoptions_destroy(writeOptions)
        rocksdb_options_destroy(options)
        rocksdb_block_based_options_destroy(tableOptions)
        // Working files: what is left behind by a failure here is removed with the job's work directory.
        try? host.removeTree(directory)
        _ = host.rmdir(Host.parent(of: directory))
    }

    private static func makeOptions(cache: OpaquePointer, writeBuffer: Int) -> (OpaquePointer, OpaquePointer) {
        let table = rocksdb_block_based_options_create()!
        rocksdb_block_based_options_set_block_cache(table, cache)
        rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1)
        rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1)
        rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10))
        rocksdb_block_based_options_set_format_version(table, 5)
        rocksdb_block_based_options_set_block_size(table, 4_096)
        // Keys are looked up one by one far more often than in order.
        rocksdb_block_based_options_set_data_block_index_type(table, 1)
        rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75)

        let options = rocksdb_options_create()!
        rocksdb_options_set_create_if_missing(options, 1)
        rocksdb_options_set_block_based_table_factory(options, table)
        rocksdb_options_set_write_buffer_size(options, writeBuffer)
        // Small against every share of the memory: a buffer that is made smaller later must have room for more than its first block.
        rocksdb_options_set_arena_block_size(options, 16_384)
        rocksdb_options_set_max_write_buffer_number(options, 2)
        rocksdb_options_set_compression(options, Int32(rocksdb_no_compression))
        rocksdb_options_set_compaction_style(options, Int32(rocksdb_level_compaction))
        rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1)
        rocksdb_options_set_target_file_size_base(options, 32 << 20)
        rocksdb_options_set_max_bytes_for_level_base(options, 128 << 20)
        rocksdb_options_set_max_background_jobs(options, 2)
        rocksdb_options_set_skip_stats_update_on_db_open(options, 1)
        rocksdb_options_set_stats_dump_period_sec(options, 0)
        rocksdb_options_set_info_log_level(options, 3)
        rocksdb_options_set_keep_log_file_num(options, 1)
        return (options, table)
    }

    /// A number that RocksDB keeps about itself.
    func property(_ name: String) -> UInt64 {
        var value: UInt64 = 0
        return rocksdb_property_int(pointer, name, &value) == 0 ? value : 0
    }

    /// Calls `body` with the entries of a range in order, as of `snapshot` or now, until it returns false.
    func scan(from low: [UInt8], to high: [UInt8]?, snapshot: OpaquePointer? = nil, fillsCache: Bool = false,
              _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws {
        let readOptions = rocksdb_readoptions_create()!
        defer { rocksdb_readoptions_destroy(readOptions) }
        if let snapshot { rocksdb_readoptions_set_snapshot(readOptions, snapshot) }
        rocksdb_readoptions_set_fill_cache(readOptions, fillsCache ? 1 : 0)
        try (high ?? []).withUnsafeBytes { end in
            if high != nil { rocksdb_readoptions_set_iterate_upper_bound(readOptions, end.baseAddress?.assumingMemoryBound(to: CChar.self), end.count) }
            let iterator = rocksdb_create_iterator(pointer, readOptions)!
            defer { rocksdb_iter_destroy(iterator) }
            low.withUnsafeBytes {
                if let start = $0.baseAddress {
                    rocksdb_iter_seek(iterator, start.assumingMemoryBound(to: CChar.self), $0.count)
                } else {
                    rocksdb_iter_seek_to_first(iterator)
                }
            }
            while rocksdb_iter_valid(iterator) != 0 {
                var (keyLength, valueLength) = (0, 0)
                let key = rocksdb_iter_key(iterator, &keyLength), value = rocksdb_iter_value(iterator, &valueLength)
                guard try body(UnsafeRawBufferPointer(start: key, count: keyLength), UnsafeRawBufferPointer(start: value, count: valueLength))
                else { return }
                rocksdb_iter_next(iterator)
            }
            try RocksDBError.check("read the store", directory) { rocksdb_iter_get_error(iterator, $0) }
        }
    }
}

extension Database {
    /// Calls `body` with the number of each prefix and every entry that has it.
    func scan(prefixes: ByteList, _ body: (Int, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void) throws {
        let readOptions = rocksdb_readoptions_create()!
        defer { rocksdb_readoptions_destroy(readOptions) }
        let iterator = rocksdb_create_iterator(pointer, readOptions)!
        defer { rocksdb_iter_destroy(iterator) }
        for i in 0..<prefixes.count {
            try prefixes.withBytes(i) { prefix in
                rocksdb_iter_seek(iterator, prefix.baseAddress?.assumingMemoryBound(to: CChar.self), prefix.count)
                while rocksdb_iter_valid(iterator) != 0 {
                    var (keyLength, valueLength) = (0, 0)
                    let key = UnsafeRawBufferPointer(start: rocksdb_iter_key(iterator, &keyLength), count: keyLength)
                    guard key.count >= prefix.count, key[0..<prefix.count].elementsEqual(prefix) else { break }
                    let value = rocksdb_iter_value(iterator, &valueLength)
                    try body(i, key, UnsafeRawBufferPointer(start: value, count: valueLength))
                    rocksdb_iter_next(iterator)
                }
            }
            try RocksDBError.check("read the store", directory) { rocksdb_iter_get_error(iterator, $0) }
        }
    }
}

/// The contents at one moment.
final class DatabaseView: KeyedStoreView {
    private let database: Database
    // SAFETY: a RocksDB snapshot may be read by any thread.
    private struct Pass: @unchecked Sendable { var pointer: OpaquePointer }
    private let snapshot: Pass

    init(_ database: Database) {
        self.database = database
        snapshot = Pass(pointer: rocksdb_create_snapshot(database.pointer)!)
    }

    deinit { rocksdb_release_snapshot(database.pointer, snapshot.pointer) }

    func scan(from low: [UInt8], to high: [UInt8]?, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws {
        try database.scan(from: low, to: high, snapshot: snapshot.pointer, body)
    }
}
