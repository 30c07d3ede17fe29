import CArrowData
import Foundation
import LakeTable
import StreamCore
import StreamFormats

/// Makes one Parquet file: in a temporary file, since the footer comes last and row groups must not stay in memory.
final class ParquetFileEncoder: FileEncoder {
    static let compressionKey = "parquet.compression", rowGroupKey = "parquet.row-group.rows"

    private let schema: Schema
    private let codec: ParquetCodec
    private let rowGroupRows: Int
    private var open: (writer: ParquetWriter, path: String)?

    /// Codec, and rows of a row group: what is in memory of an open file.
    static func options(_ table: TableDescriptor) throws -> (ParquetCodec, rowGroupRows: Int) {
        func error(_ key: String, _ fix: String) -> StreamError {
            StreamError(.validate, "table \(table.name): option '\(key)' = '\(table.options[key] ?? "")' is not supported", fix: fix, at: table.optionLocations[key])
        }
        let names = ParquetCodec.allCases.map(\.rawValue)
        let text = table.options[compressionKey]?.lowercased() ?? ParquetCodec.snappy.rawValue
        guard let codec = ParquetCodec(rawValue: text == "uncompressed" ? "none" : text) else {
            throw error(compressionKey, "use one of " + names.joined(separator: ", "))
        }
        guard let rows = Int(table.options[rowGroupKey] ?? "100000"), (1...10_000_000).contains(rows) else {
            throw error(rowGroupKey, "give a number of rows, for example 100000")
        }
        return (codec, rows)
    }

    init(_ table: TableDescriptor) throws {
        (codec, rowGroupRows) = try Self.options(table)
        schema = table.schema
        for field in schema { try Self.check(field.type, field.name, table) }
    }

    deinit { discard() }

    private static func check(_ type: DataType, _ column: String, _ table: TableDescriptor) throws {
        switch type {
        case .variant, .intervalYearMonth, .intervalDayTime, .null:
            throw StreamError(.validate, "table \(table.name): column \(column): a Parquet file holds no \(type)",
                              fix: type == .variant ? "declare it as STRING and write JSON_STRING(...)" : "cast it to BIGINT")
        case .array(let element): try check(element, column, table)
        case .map(let key, let value):
            try check(key, column, table)
            try check(value, column, table)
        case .row(let fields): for field in fields { try check(field.type, "\(column).\(field.name)", table) }
        default: break
        }
    }

    private func discard() {
        if let path = open?.path { unlink(path) }
        open = nil
    }

    private func writer() throws -> ParquetWriter {
        if let open { return open.writer }
        let path = NSTemporaryDirectory() + "swiftwater-\(UUID().uuidString).parquet"
        let writer = try ParquetWriter(path: path, schema: ArrowLayout().schema(schema), codec: codec, plain: [], rowGroupRows: rowGroupRows)
        open = (writer, path)
        return writer
    }

    func write(_ batch: Batch) throws {
        var (schema, array) = try batch.exportArrow(schema, layout: ArrowLayout())
        schema.release(&schema)
        try writer().write(array)
    }

    var bytes: Int { Int(open?.writer.bytes ?? 0) }

    func finish(_ take: (UnsafeRawBufferPointer) throws -> Void) throws {
        _ = try writer().close()
        guard let path = open?.path else { return }
        defer { discard() }
        guard let file = FileHandle(forReadingAtPath: path) else { throw StreamError(.io, "cannot read \(path), which was just written", fix: "check the folder for temporary files") }
        defer { try? file.close() }
        while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty { try piece.withUnsafeBytes { try take($0) } }
    }
}
