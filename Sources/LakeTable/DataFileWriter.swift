import CArrowData
import Foundation
import StreamCore

/// What every data file of one commit has in common.
package struct DataFileContext: Sendable {
    package let files: TableFiles
    /// What the table's format puts into files beside the rows.
    package let commit: any CommitFiles
    package let marks: MarkColumns
    /// The columns as stored.
    package let schema: Schema
    package let codec: ParquetCodec

    package init(files: TableFiles, commit: any CommitFiles, marks: MarkColumns, schema: Schema, codec: ParquetCodec) {
        (self.files, self.commit, self.marks, self.schema, self.codec) = (files, commit, marks, schema, codec)
    }

    /// What a new version reads of the one before: the columns that are kept, then the data columns.
    package var mergeColumns: Schema { marks.kept.map { Field($0, .string) } + schema }

    /// Reads the version before.
    package func reader(of slice: FileSlice) throws -> DataFileReader {
        let ids = commit.fieldIDs(schema).map { Array(repeating: nil, count: marks.kept.count) + $0 }
        return try DataFileReader(path: files.absolute(slice.path), wanted: mergeColumns, ids: ids, constants: slice.constants)
    }

    package static let rowGroupRows = 500_000
    package static let rowGroupBytes = 64 << 20
    /// Rows that are collected before they are handed to Parquet.
    package static let chunkRows = 16_384
    package static let chunkBytes = 8 << 20
}

/// Writes one data file: the format's columns, data columns and footer. Its rows are fresh ones, and rows copied from the
/// version before.
package final class DataFileWriter {
    package let slice: FileSlice
    package private(set) var stat: WriteStat
    private let context: DataFileContext
    /// Made with the first chunk, so that a file with few rows costs no more than these rows until it is closed.
    private var parquet: (writer: ParquetWriter, temporary: String)?
    private let marks: any FileMarks
    private let meta: [ArrowArrayBuilder]
    private let data: [ArrowArrayBuilder]
    private var rowsInChunk = 0
    private var rowsInGroup = 0
    private var bytesInGroup = 0
    private var closed = false

    /// - Parameters:
    ///   - previous: the version that this one replaces; nil for a new file group.
    ///   - fileId: of a new file group that is written a second time; nil = a new one.
    ///   - task: different for every file of the commit.
    package init(_ context: DataFileContext, partition: String, previous: FileSlice?, fileId: String? = nil, task: Int, attempt: Int) throws {
        self.context = context
        let commit = context.commit
        let fileId = fileId ?? previous?.fileId ?? commit.newFileId()
        var slice = FileSlice(partition: partition, fileId: fileId, name: commit.name(fileId: fileId, task: task, attempt: attempt), instant: commit.commit)
        slice.location = commit.location(partition: partition, name: slice.name)
        self.slice = slice
        stat = WriteStat(fileId: fileId, path: slice.path, previous: previous?.instant, partition: partition)
        try commit.prepare(slice, isNew: previous == nil)
        marks = commit.marks(for: slice, task: task)
        meta = marks.builders
        data = context.schema.map { ArrowArrayBuilder(type: $0.type, layout: commit.layout) }
    }

    deinit {
        if !closed, let parquet { try? context.files.remove(parquet.temporary) }
    }

    package var isOpen: Bool { parquet != nil }

    /// - Parameter plain: columns whose values hardly repeat, beside those of the format.
    private func opened(plain: Set<String>? = nil) throws -> ParquetWriter {
        if let parquet { return parquet.writer }
        let plain = context.commit.plainColumns + (plain ?? plainColumns).sorted()
        let fields = marks.names.map { Field($0, .string) } + context.schema.map { Field($0.name, $0.type) }
        let temporary = try context.files.temporaryName()
        try context.files.touch(temporary)
        let writer = try ParquetWriter(path: context.files.absolute(temporary), schema: context.commit.arrowSchema(fields, layout: context.commit.layout),
                                       codec: context.codec, plain: plain, rowGroupRows: DataFileContext.rowGroupRows)
        parquet = (writer, temporary)
        return writer
    }

    /// Data columns of whose first rows most are different: a dictionary would be made and then given up.
    private var plainColumns: Set<String> = []
    private var sawRows = false

    private func look(at columns: [Column], _ rows: UnsafePointer<Int32>?, _ n: Int) {
        sawRows = true
        // Of fewer rows nothing can be told.
        guard n >= 1_024 else { return }
        let n = min(n, 8_192)
        var seen = Set<UInt64>(minimumCapacity: n)
        for (field, column) in zip(context.schema, columns) where column.dictionary == nil && column.children.isEmpty && field.type != .boolean {
            seen.removeAll(keepingCapacity: true)
            let isText = column.type.physical == .view, width = column.type.width, base = column.values.base
            for i in 0..<n {
                let row = rows.map { Int($0[i]) } ?? i
                if isText {
                    let bytes = column.bytes(at: row)
                    seen.insert(RowHash.bytes(bytes.baseAddress!, bytes.count))
                } else {
                    seen.insert(RowHash.bytes(base + row * width, width))
                }
            }
            if seen.count * 4 > n * 3 { plainColumns.insert(field.name) }
        }
    }

    private var writtenBytes: Int64 { parquet?.writer.bytes ?? 0 }

    /// Bytes of the file so far, the open row group estimated by what the others came to.
    package var estimatedBytes: Int64 {
        writtenBytes + Int64(Double(bytesInGroup + bufferedBytes) * compression)
    }

    private var bytesFlushed = 0

    /// Bytes on disk per byte in memory; a guess before the first row group is written.
    private var compression: Double { bytesFlushed > 0 ? Double(writtenBytes - rewrittenBytes) / Double(bytesFlushed) : 0.3 }

    /// Bytes of row groups that were made from those of the version before.
    private var rewrittenBytes: Int64 = 0

    /// Bytes that wait in memory, uncompressed: those not yet given to Parquet.
    package var bufferedBytes: Int { meta.reduce(0) { $0 + $1.byteCount } + data.reduce(0) { $0 + $1.byteCount } }

    /// Bytes in memory, those of the open row group estimated.
    package var heldBytes: Int {
        meta.reduce(0) { $0 + $1.capacityBytes } + data.reduce(0) { $0 + $1.capacityBytes } + Int(Double(bytesInGroup) * compression)
    }

    // MARK: Rows

    /// Appends rows that this commit inserts or changes.
    /// - Parameters:
    ///   - columns: as stored, in the order of the schema.
    ///   - keys: the record key of each physical row.
    ///   - rows: physical rows; nil = the first `n`.
    package func append(_ columns: [Column], keys: TextColumn, rows: UnsafePointer<Int32>?, count n: Int) throws {
        var done = 0
        while done < n {
            let part = min(n - done, DataFileContext.chunkRows)
            let shifted = rows.map { $0 + done }
            if let shifted {
                try appendPart(columns, keys, shifted, part)
            } else if done == 0, part == n {
                try appendPart(columns, keys, nil, part)
            } else {
                let some = Selection.range(done..<done + part)
                try withExtendedLifetime(some) { try appendPart(columns, keys, some.rows, part) }
            }
            done += part
        }
    }

    private func appendPart(_ columns: [Column], _ keys: TextColumn, _ rows: UnsafePointer<Int32>?, _ n: Int) throws {
        if !sawRows { look(at: columns, rows, n) }
        for (builder, column) in zip(data, columns) { try builder.append(column, rows: rows, count: n) }
        try marks.appendFresh(rows.map { keys.gather($0, n) } ?? (n == keys.count ? keys : keys.prefix(n)))
        try added(n)
    }

    /// Appends rows of the version before.
    /// - Parameter batch: `DataFileContext.mergeColumns`.
    package func appendCopied(_ batch: Batch, rows: UnsafePointer<Int32>, count n: Int) throws {
        guard n > 0 else { return }
        try marks.appendCopied(batch, rows: rows, count: n)
        let first = context.marks.kept.count
        for (i, builder) in data.enumerated() { try builder.append(batch.columns[first + i], rows: rows, count: n) }
        try added(n)
    }

    // MARK: A version made from the one before

    /// Rows that take the place of stored ones in the next `rewrite`, numbered in the order in which they come.
    package func appendChanges(_ columns: [Column], keys: TextColumn, rows: UnsafePointer<Int32>, count n: Int) throws {
        for (builder, column) in zip(data, columns) { try builder.append(column, rows: rows, count: n) }
        try marks.appendChanged(keys.gather(rows, n))
        changedRows += n
    }

    private var changedRows = 0

    /// Whether `rewrite` can make this file of another one: it must have the columns under the same names and ids, lying in memory in the same way.
    package func canRewrite(_ input: ParquetReader, of slice: FileSlice) -> Bool {
        guard slice.constants.keys.allSatisfy({ name in input.schema.contains { $0.name == name } }) else { return false }
        if let ids = context.commit.fieldIDs(context.schema) {
            let stored = input.fieldIDs
            for (field, id) in zip(context.schema, ids) {
                let at = input.schema.firstIndex { $0.name == field.name }
                guard at.map({ stored[$0] == id }) ?? !stored.contains(where: { $0 != nil && $0 == id }) else { return false }
            }
        }
        var wanted = context.commit.arrowSchema(context.schema.map { Field($0.name, $0.type) }, layout: context.commit.layout)
        defer { wanted.release?(&wanted) }
        return input.hasLayout(of: wanted)
    }

    /// Copies all rows of the version before, some of them changed; to be called before rows are appended.
    /// - Parameters:
    ///   - rows: ascending rows of the version before.
    ///   - changes: what becomes of each: the number of a row given to `appendChanges`, or -1 = it goes.
    ///   - unchanged: data columns in which rows that change keep their values.
    ///   - threads: that all calls of the process use together.
    ///   - keys: gives the record keys of the version before, called when they have to be noted again.
    package func rewrite(_ input: ParquetReader, rows: [Int64], changes: [Int32], unchanged: Set<String> = [], threads: Int = 1, keys: () throws -> Void) throws {
        func position(_ name: String) -> Int? { input.schema.firstIndex { $0.name == name } }
        let columns = marks.names.map { RewrittenColumn(input: position($0), constant: marks.constant($0), keepsValue: context.marks.unchanged.contains($0)) }
            + context.schema.map { RewrittenColumn(input: position($0.name), keepsValue: unchanged.contains($0.name)) }
        if !marks.inherit(rows: input.rows, { input.metadata($0) }) { try keys() }
        let plain = context.schema.map(\.name).filter { name in position(name).map { !input.usesDictionary($0) } ?? false }
        let writer = try opened(plain: Set(plain))
        let arrays = meta.map { $0.finish() } + data.map { $0.finish() }
        let patch = makeArrowArray(length: changedRows, nullCount: 0, buffers: [nil], owners: [], children: arrays)
        stat.rows += try writer.rewrite(input, columns: columns, rows: rows, changes: changes, patch: patch, threads: threads)
        for builder in meta { builder.recycle() }
        for builder in data { builder.recycle() }
        changedRows = 0
        rewrittenBytes = writtenBytes
    }

    package func note(_ keys: TextColumn) { marks.note(keys) }
    package func forgetRange() { marks.forgetRange() }
    package func noteRange(_ smallest: UnsafeRawBufferPointer, _ largest: UnsafeRawBufferPointer) { marks.noteRange(smallest, largest) }

    private func added(_ n: Int) throws {
        stat.rows += Int64(n)
        rowsInChunk += n
        if rowsInChunk >= DataFileContext.chunkRows || bufferedBytes >= DataFileContext.chunkBytes { try flushChunk() }
    }

    /// Hands the collected rows to Parquet.
    /// - Parameter keepingMemory: false when the memory is needed elsewhere.
    package func flushChunk(keepingMemory: Bool = true) throws {
        let rows = rowsInChunk
        guard rows > 0 else { return }
        let bytes = bufferedBytes
        let arrays = meta.map { $0.finish() } + data.map { $0.finish() }
        try opened().write(makeArrowArray(length: rows, nullCount: 0, buffers: [nil], owners: [], children: arrays))
        if keepingMemory {
            for builder in meta { builder.recycle() }
            for builder in data { builder.recycle() }
        }
        rowsInChunk = 0
        rowsInGroup += rows
        bytesInGroup += bytes
        if rowsInGroup >= DataFileContext.rowGroupRows - DataFileContext.chunkRows || bytesInGroup >= DataFileContext.rowGroupBytes {
            try endRowGroup()
        }
    }

    package func endRowGroup() throws {
        guard rowsInGroup > 0, let parquet else { return }
        try parquet.writer.endRowGroup()
        bytesFlushed += bytesInGroup
        (rowsInGroup, bytesInGroup) = (0, 0)
    }

    // MARK: The end

    /// Counts of the stat that only the caller knows.
    package func count(inserts: Int64 = 0, updates: Int64 = 0, deletes: Int64 = 0) {
        stat.inserts += inserts
        stat.updates += updates
        stat.deletes += deletes
    }

    /// Writes the footer and gives the file its name. It stays invisible until the commit completes; the caller flushes the
    /// folders before that.
    package func close() throws -> WriteStat {
        try flushChunk()
        let parquet = try opened()
        for (key, value) in marks.footer() + context.commit.footer(context.schema) { try parquet.setMetadata(key, value) }
        stat.bytes = try parquet.close()
        try context.files.flush(self.parquet!.temporary)
        try context.commit.flush()
        try context.files.reached(.baseFileWritten)
        try context.files.publish(temporary: self.parquet!.temporary, as: slice.path, flushingFolder: false)
        closed = true
        try context.files.reached(.baseFilePublished)
        return stat
    }
}
