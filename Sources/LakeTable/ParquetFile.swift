import CArrowData
import CArrowShim
import Foundation
import StreamCore

/// Compression of base files.
public enum ParquetCodec: String, Sendable, CaseIterable {
    case none, snappy, zstd, gzip, lz4

    package var shim: sw_parquet_codec {
        switch self {
        case .none: SW_PARQUET_NONE
        case .snappy: SW_PARQUET_SNAPPY
        case .zstd: SW_PARQUET_ZSTD
        case .gzip: SW_PARQUET_GZIP
        case .lz4: SW_PARQUET_LZ4
        }
    }
}

/// Takes the text of a failed call and releases it.
private func failure(_ doing: String, _ path: String, _ error: UnsafeMutablePointer<CChar>?, _ code: StreamError.Code = .io) -> StreamError {
    defer { sw_error_free(error) }
    let reason = error.map { String(cString: $0) } ?? "unknown error"
    // Arrow reports the system's error as "[errno 28] No space left on device".
    let system = [ENOSPC, EDQUOT, EACCES, EROFS, EMFILE].first { reason.contains("[errno \($0)]") }
    return StreamError(code, "cannot \(doing) \(path): \(reason)", fix: system.flatMap(TableFiles.fix))
}

package enum Parquet {
    /// - Throws: `.validate` when this build has no Parquet library.
    package static func require() throws {
        guard sw_parquet_version() != nil else {
            throw StreamError(.validate, "this build cannot read or write Parquet files, hence no Hudi tables",
                              fix: "install Arrow's Parquet library (make setup) and build again")
        }
    }
}

/// Where a column of a new version of a file comes from.
package struct RewrittenColumn {
    /// The top-level column of the version before; nil = it has none.
    package var input: Int?
    /// A text that stands in for it in all rows.
    package var constant: String?
    /// Rows that change have in it what they had before.
    package var keepsValue: Bool

    package init(input: Int?, constant: String? = nil, keepsValue: Bool = false) {
        (self.input, self.constant, self.keepsValue) = (input, constant, keepsValue)
    }
}

/// Writes one Parquet file; memory holds one row group in compressed form.
package final class ParquetWriter {
    private let path: String
    private let handle: OpaquePointer

    /// Dictionaries are kept small: their hash tables are most of what an open file takes in memory.
    /// - Parameter plain: columns whose values hardly repeat, so that a dictionary is wasted on them.
    package init(path: String, schema: ArrowSchema, codec: ParquetCodec, plain: [String], rowGroupRows: Int) throws {
        var schema = schema, error: UnsafeMutablePointer<CChar>?
        let names = plain.map { strdup($0) }
        defer { names.forEach { free($0) } }
        let pointers = names.map { UnsafePointer($0) }
        let opened = pointers.withUnsafeBufferPointer { pointers in
            var options = sw_parquet_options(codec: codec.shim, dictionary: true, plain_columns: pointers.baseAddress,
                                             plain_column_count: Int64(plain.count), dictionary_bytes: 256 << 10,
                                             row_group_rows: Int64(rowGroupRows))
            return sw_parquet_writer_open(path, &schema, &options, &error)
        }
        guard let opened else { throw failure("create", path, error) }
        (self.path, handle) = (path, opened)
    }

    deinit { sw_parquet_writer_free(handle) }

    package func write(_ rows: ArrowArray) throws {
        var rows = rows, error: UnsafeMutablePointer<CChar>?
        guard sw_parquet_writer_write(handle, &rows, &error) else { throw failure("write", path, error) }
    }

    /// Writes the rows of another file, some of them changed; see `sw_parquet_rewrite`.
    /// - Parameters:
    ///   - other: the file; it must not be read at the same time.
    ///   - columns: for each column of this file, where its values come from.
    ///   - rows: ascending rows of the other file.
    ///   - changes: what becomes of them: a row of `patch`, or -1 = it goes.
    ///   - threads: that all calls of the process use together.
    /// - Returns: rows written.
    package func rewrite(_ other: ParquetReader, columns: [RewrittenColumn], rows: [Int64], changes: [Int32], patch: ArrowArray, threads: Int) throws -> Int64 {
        let texts = columns.map { $0.constant.map { strdup($0)! } }
        defer { for text in texts { free(text) } }
        let list = zip(columns, texts).map {
            sw_rewrite_column(input: Int32($0.input ?? -1), constant: $1.map { UnsafePointer($0) }, keeps_value: $0.keepsValue)
        }
        var patch = patch, written: Int64 = 0, error: UnsafeMutablePointer<CChar>?
        other.willReadAll()
        guard sw_parquet_rewrite(other.handle, handle, list, rows, changes, Int64(rows.count), &patch, Int32(threads), &written, &error) else {
            let known = failure("write a new version of \(other.path) to", path, error)
            throw other.object?.failure ?? known
        }
        return written
    }

    package func endRowGroup() throws {
        var error: UnsafeMutablePointer<CChar>?
        guard sw_parquet_writer_end_row_group(handle, &error) else { throw failure("write", path, error) }
    }

    /// Bytes in the file; the open row group is not among them.
    package var bytes: Int64 { sw_parquet_writer_bytes(handle) }

    package func setMetadata(_ key: String, _ value: String) throws {
        var error: UnsafeMutablePointer<CChar>?, value = value
        let done = value.withUTF8 { value in
            value.withMemoryRebound(to: CChar.self) { sw_parquet_writer_metadata(handle, key, $0.baseAddress, Int64($0.count), &error) }
        }
        guard done else { throw failure("write", path, error) }
    }

    /// Ends the file; the caller flushes it to disk.
    /// - Returns: its size in bytes.
    package func close() throws -> Int64 {
        var bytes: Int64 = 0, error: UnsafeMutablePointer<CChar>?
        guard sw_parquet_writer_close(handle, &bytes, &error) else { throw failure("write", path, error) }
        return bytes
    }
}

/// Reads one Parquet file, some columns of it, batch by batch.
package final class ParquetReader {
    fileprivate let path: String
    fileprivate let handle: OpaquePointer
    /// All top-level columns of the file.
    package let schema: Schema
    private var arrowSchema: ArrowSchema
    private var selected: ArrowSchema?
    /// Of a file on an object store.
    fileprivate let object: ObjectReader?

    /// - Parameter path: of a local file, or a URL that `TableFiles.absolute` gave.
    package init(path: String) throws {
        var error: UnsafeMutablePointer<CChar>?
        object = try ObjectFolders.reader(path)
        let made: OpaquePointer?
        if let object {
            var source = object.source()
            made = sw_parquet_reader_open_source(&source, &error)
        } else {
            made = sw_parquet_reader_open(path, &error)
        }
        guard let opened = made else { throw Self.failed(path, error, object) }
        var read = ArrowSchema()
        guard sw_parquet_reader_schema(opened, &read, &error) else {
            sw_parquet_reader_free(opened)
            throw Self.failed(path, error, object)
        }
        do { schema = try ArrowImport.fields(of: read) } catch {
            read.release(&read)
            sw_parquet_reader_free(opened)
            throw error
        }
        (self.path, handle, arrowSchema) = (path, opened, read)
    }

    deinit {
        arrowSchema.release(&arrowSchema)
        selectedChildren?.deallocate()
        sw_parquet_reader_free(handle)
    }

    /// The ids of the top-level columns, where the file has them.
    package var fieldIDs: [Int32?] {
        (0..<Int(arrowSchema.n_children)).map { i in
            ArrowMetadata.value("PARQUET:field_id", of: arrowSchema.children[i]!.pointee).flatMap { Int32($0) }
        }
    }

    /// Calls `body` with what the footer says of each leaf column that has an id, in each row group. The bounds live as long as the call.
    package func forEachLeaf(_ body: (sw_parquet_leaf) throws -> Void) throws {
        var group: Int32 = 0, leaf: Int32 = 0, error: UnsafeMutablePointer<CChar>?
        while true {
            var found = sw_parquet_leaf()
            switch sw_parquet_reader_leaf(handle, group, leaf, &found, &error) {
            case 1:
                if found.field_id >= 0 { try body(found) }
                leaf += 1
            case 0 where leaf > 0: (group, leaf) = (group + 1, 0)
            case 0: return
            default: throw Self.failed(path, error, object)
            }
        }
    }

    /// What went wrong with the object is more than what Arrow was told.
    private static func failed(_ path: String, _ error: UnsafeMutablePointer<CChar>?, _ object: ObjectReader?) -> StreamError {
        let known = failure("read", path, error, .corrupt)
        return object?.failure ?? known
    }

    package var rows: Int64 { sw_parquet_reader_rows(handle) }

    /// Whether each column of another schema that the file has, by name, lies in memory as the other one does.
    package func hasLayout(of other: ArrowSchema) -> Bool {
        func same(_ a: ArrowSchema, _ b: ArrowSchema) -> Bool {
            let (x, y) = (String(cString: a.format), String(cString: b.format))
            // The zone of a timestamp changes nothing.
            guard x == y || x.hasPrefix("ts") && x.prefix(4) == y.prefix(4), a.n_children == b.n_children else { return false }
            return (0..<Int(a.n_children)).allSatisfy { same(a.children[$0]!.pointee, b.children[$0]!.pointee) }
        }
        return (0..<Int(other.n_children)).allSatisfy { i in
            let wanted = other.children[i]!.pointee, name = String(cString: wanted.name)
            guard let at = schema.firstIndex(where: { $0.name == name }) else { return true }
            return same(arrowSchema.children[at]!.pointee, wanted)
        }
    }

    /// Of an object, one download is cheaper than many parts.
    fileprivate func willReadAll() {
        if let object, object.bytes > ObjectReader.memoryBytes { object.readWhole() }
    }

    /// Whether all values of a top-level column refer to dictionaries.
    package func usesDictionary(_ column: Int) -> Bool { sw_parquet_reader_uses_dictionary(handle, Int32(column)) }

    package func metadata(_ key: String) -> String? {
        var length: Int64 = 0
        guard let value = sw_parquet_reader_metadata(handle, key, &length) else { return nil }
        return value.withMemoryRebound(to: UInt8.self, capacity: Int(length)) {
            String(decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self)
        }
    }

    private var selectedChildren: UnsafeMutablePointer<UnsafeMutablePointer<ArrowSchema>?>?

    /// Rows of each row group.
    package var rowGroups: [Int64] { (0..<sw_parquet_reader_row_groups(handle)).map { sw_parquet_reader_row_group_rows(handle, $0) } }

    /// Calls `body` with what the footer says of a column of `schema` in a row group; nil when it says nothing.
    package func statistics<R>(group: Int, column: Int, _ body: (sw_parquet_statistics?) throws -> R) throws -> R {
        var found = sw_parquet_statistics(), error: UnsafeMutablePointer<CChar>?
        switch sw_parquet_reader_statistics(handle, Int32(group), Int32(column), &found, &error) {
        case 0: return try body(nil)
        case 1: return try body(found)
        default: throw Self.failed(path, error, object)
        }
    }

    /// - Parameters:
    ///   - columns: ascending indices into `schema`; batches have these columns in this order.
    ///   - groups: ascending numbers of row groups; nil = all.
    package func start(columns: [Int], groups: [Int]? = nil, batchRows: Int) throws {
        var error: UnsafeMutablePointer<CChar>?
        if groups == nil, columns.count == schema.count { willReadAll() }
        let numbers = columns.map { Int32($0) }, chosen = groups.map { $0.map { Int32($0) } }
        let started = (chosen ?? []).withUnsafeBufferPointer { list in
            // An empty list is not the same as none.
            var nothing: Int32 = 0
            return withUnsafePointer(to: &nothing) { nothing in
                sw_parquet_reader_start(handle, numbers, Int64(numbers.count), chosen == nil ? nil : list.baseAddress ?? nothing, Int64(list.count),
                                        Int64(batchRows), &error)
            }
        }
        guard started else { throw Self.failed(path, error, object) }
        // A view of the file's schema with the selected children only; it owns nothing but the list.
        selectedChildren?.deallocate()
        let children = UnsafeMutablePointer<UnsafeMutablePointer<ArrowSchema>?>.allocate(capacity: max(columns.count, 1))
        for (i, column) in columns.enumerated() { children[i] = arrowSchema.children[column] }
        selectedChildren = children
        var view = arrowSchema
        view.children = children
        view.n_children = Int64(columns.count)
        view.release = nil
        selected = view
    }

    /// The next rows; nil at the end.
    package func next() throws -> Batch? {
        guard let selected else { preconditionFailure("start was not called") }
        var array = ArrowArray(), error: UnsafeMutablePointer<CChar>?
        switch sw_parquet_reader_next(handle, &array, &error) {
        case 0: return nil
        case 1: return try ArrowImport.batch(array, schema: selected)
        default: throw Self.failed(path, error, object)
        }
    }
}
