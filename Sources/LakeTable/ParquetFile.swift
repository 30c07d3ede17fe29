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
    private let path: String
    private let handle: OpaquePointer
    /// All top-level columns of the file.
    package let schema: Schema
    private var arrowSchema: ArrowSchema
    private var selected: ArrowSchema?

    package init(path: String) throws {
        var error: UnsafeMutablePointer<CChar>?
        guard let opened = sw_parquet_reader_open(path, &error) else { throw failure("read", path, error, .corrupt) }
        var read = ArrowSchema()
        guard sw_parquet_reader_schema(opened, &read, &error) else {
            sw_parquet_reader_free(opened)
            throw failure("read", path, error, .corrupt)
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

    package var rows: Int64 { sw_parquet_reader_rows(handle) }

    package func metadata(_ key: String) -> String? {
        var length: Int64 = 0
        guard let value = sw_parquet_reader_metadata(handle, key, &length) else { return nil }
        return value.withMemoryRebound(to: UInt8.self, capacity: Int(length)) {
            String(decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self)
        }
    }

    private var selectedChildren: UnsafeMutablePointer<UnsafeMutablePointer<ArrowSchema>?>?

    /// - Parameter columns: ascending indices into `schema`; batches have these columns in this order.
    package func start(columns: [Int], batchRows: Int) throws {
        var error: UnsafeMutablePointer<CChar>?
        let numbers = columns.map { Int32($0) }
        guard sw_parquet_reader_start(handle, numbers, Int64(numbers.count), Int64(batchRows), &error) else {
            throw failure("read", path, error, .corrupt)
        }
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
        default: throw failure("read", path, error, .corrupt)
        }
    }
}
