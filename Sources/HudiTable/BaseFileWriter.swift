import CArrowData
import Foundation
import StreamCore

/// What every base file of one commit has in common.
struct BaseFileContext {
    let files: TableFiles
    let markers: CommitMarkers
    let tableName: String
    /// The columns as stored.
    let schema: Schema
    let codec: ParquetCodec
    let instant: String
    /// How many levels partition paths have.
    let partitionDepth: Int

    static let rowGroupRows = 500_000
    static let rowGroupBytes = 64 << 20
    /// Rows that are collected before they are handed to Parquet.
    static let chunkRows = 16_384
    static let chunkBytes = 8 << 20
}

/// Writes one base file: meta columns, data columns and footer. Its rows are fresh ones, which get this commit's time, and
/// rows copied from the version before, which keep theirs.
final class BaseFileWriter {
    let slice: FileSlice
    private(set) var stat: WriteStat
    private let context: BaseFileContext
    private let task: Int
    /// Made with the first chunk, so that a file with few rows costs no more than these rows until it is closed.
    private var parquet: (writer: ParquetWriter, temporary: String)?
    private let meta: [ArrowArrayBuilder]
    private let data: [ArrowArrayBuilder]
    private var bloom = BloomFilter()
    private var smallest: [UInt8]?
    private var largest: [UInt8] = []
    private var freshRows: Int64 = 0
    private var rowsInGroup = 0
    private var bytesInGroup = 0
    private var closed = false

    private static let layout = ArrowLayout.lake

    /// Makes the partition's folder and the marker of the file.
    /// - Parameters:
    ///   - previous: the version that this one replaces; nil for a new file group.
    ///   - fileId: of a new file group that is written a second time; nil = a new one.
    ///   - task: different for every file of the commit.
    init(_ context: BaseFileContext, partition: String, previous: FileSlice?, fileId: String? = nil, task: Int, attempt: Int) throws {
        self.context = context
        self.task = task
        let fileId = fileId ?? previous?.fileId ?? context.files.host.uuid() + "-0"
        let name = "\(fileId)_\(task)-\(attempt)-0_\(context.instant).parquet"
        slice = FileSlice(partition: partition, fileId: fileId, name: name, instant: context.instant)
        stat = WriteStat(fileId: fileId, path: slice.path, previous: previous?.instant, partition: partition)

        let files = context.files
        try files.makeFolder(partition, flushing: false)
        let partitionFile = (partition.isEmpty ? "" : partition + "/") + ".hoodie_partition_metadata"
        if !files.exists(partitionFile) {
            try files.publish(partitionFile, PropertiesText.format(
                [("commitTime", context.instant), ("partitionDepth", String(context.partitionDepth))], comment: "partition metadata"),
                flushingFolder: false)
        }
        try files.reached(.partitionMetadata)
        try context.markers.add(name, partition: partition, isNew: previous == nil)
        try files.reached(.marker)

        meta = AvroSchema.metaColumns.map { _ in ArrowArrayBuilder(type: .string, layout: Self.layout) }
        data = context.schema.map { ArrowArrayBuilder(type: $0.type, layout: Self.layout) }
    }

    deinit {
        if !closed, let parquet { try? context.files.remove(parquet.temporary) }
    }

    var isOpen: Bool { parquet != nil }

    private func opened() throws -> ParquetWriter {
        if let parquet { return parquet.writer }
        let fields = AvroSchema.metaColumns.map { Field($0, .string) } + context.schema.map { Field($0.name, $0.type) }
        let temporary = try context.files.temporaryName()
        try context.files.touch(temporary)
        let writer = try ParquetWriter(path: context.files.absolute(temporary), schema: Self.layout.schema(fields), codec: context.codec,
                                       plain: ["_hoodie_commit_seqno", "_hoodie_record_key"], rowGroupRows: BaseFileContext.rowGroupRows)
        parquet = (writer, temporary)
        return writer
    }

    private var writtenBytes: Int64 { parquet?.writer.bytes ?? 0 }

    /// Bytes of the file so far, the open row group estimated by what the others came to.
    var estimatedBytes: Int64 {
        writtenBytes + Int64(Double(bytesInGroup + bufferedBytes) * compression)
    }

    private var bytesFlushed = 0

    /// Bytes on disk per byte in memory; a guess before the first row group is written.
    private var compression: Double { bytesFlushed > 0 ? Double(writtenBytes) / Double(bytesFlushed) : 0.3 }

    /// Bytes that wait in memory, uncompressed: those not yet given to Parquet.
    var bufferedBytes: Int { meta.reduce(0) { $0 + $1.byteCount } + data.reduce(0) { $0 + $1.byteCount } }

    /// Bytes in memory, those of the open row group estimated.
    var heldBytes: Int {
        meta.reduce(0) { $0 + $1.capacityBytes } + data.reduce(0) { $0 + $1.capacityBytes } + Int(Double(bytesInGroup) * compression)
    }

    // MARK: Rows

    /// Appends rows that this commit inserts or changes.
    /// - Parameters:
    ///   - columns: as stored, in the order of the schema.
    ///   - keys: the record key of each physical row.
    ///   - rows: physical rows; nil = the first `n`.
    func append(_ columns: [Column], keys: TextColumn, rows: UnsafePointer<Int32>?, count n: Int) throws {
        var done = 0
        while done < n {
            let part = min(n - done, BaseFileContext.chunkRows)
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
        for (builder, column) in zip(data, columns) { try builder.append(column, rows: rows, count: n) }
        appendConstant(context.instant, to: meta[0], n)
        appendSequenceNumbers(n)
        if let rows {
            let gathered = gather(keys, rows, n)
            meta[2].append(text: gathered.bytes.base, offsets: gathered.offsets.pointer(as: Int32.self), count: n)
            note(gathered)
        } else {
            meta[2].append(text: keys.bytes.base, offsets: keys.offsets.pointer(as: Int32.self), count: n)
            note(keys)
        }
        appendConstant(slice.partition, to: meta[3], n)
        appendConstant(slice.name, to: meta[4], n)
        freshRows += Int64(n)
        try added(n)
    }

    /// Appends rows of the version before, unchanged but for the file name.
    /// - Parameter batch: the four first meta columns, then the data columns as stored.
    func appendCopied(_ batch: Batch, rows: UnsafePointer<Int32>, count n: Int) throws {
        guard n > 0 else { return }
        for c in 0..<4 { try meta[c].append(batch.columns[c], rows: rows, count: n) }
        appendConstant(slice.name, to: meta[4], n)
        for (i, builder) in data.enumerated() { try builder.append(batch.columns[4 + i], rows: rows, count: n) }
        let keys = batch.columns[2].gather(rows, count: n)
        note(try TextColumn(keys, null: "", empty: "", what: "_hoodie_record_key"))
        try added(n)
    }

    private func appendConstant(_ text: String, to builder: ArrowArrayBuilder, _ n: Int) {
        var text = text
        text.withUTF8 { builder.append(repeating: UnsafeRawBufferPointer($0), count: n) }
    }

    private func appendSequenceNumbers(_ n: Int) {
        let prefix = Array("\(context.instant)_\(task)_".utf8)
        let width = prefix.count + 20
        let bytes = Buffer(capacity: n * width), offsets = Buffer(capacity: (n + 1) * 4)
        let base = bytes.pointer(as: UInt8.self), to = offsets.pointer(as: Int32.self)
        var at = 0
        to[0] = 0
        prefix.withUnsafeBufferPointer { prefix in
            for i in 0..<n {
                (base + at).update(from: prefix.baseAddress!, count: prefix.count)
                at += prefix.count
                at += DecimalText.write(freshRows + Int64(i), base + at)
                to[i + 1] = Int32(truncatingIfNeeded: at)
            }
        }
        meta[1].append(text: bytes.base, offsets: UnsafePointer(to), count: n)
    }

    private func gather(_ keys: TextColumn, _ rows: UnsafePointer<Int32>, _ n: Int) -> TextColumn {
        let from = keys.offsets.pointer(as: Int32.self), offsets = Buffer(capacity: (n + 1) * 4)
        let to = offsets.pointer(as: Int32.self)
        to[0] = 0
        for i in 0..<n { to[i + 1] = to[i] + from[Int(rows[i]) + 1] - from[Int(rows[i])] }
        let bytes = Buffer(capacity: Int(to[n]))
        for i in 0..<n {
            (bytes.base + Int(to[i])).copyMemory(from: keys.bytes.base + Int(from[Int(rows[i])]), byteCount: Int(to[i + 1] - to[i]))
        }
        return TextColumn(count: n, bytes: bytes, offsets: offsets)
    }

    /// Adds keys to the bloom filter and to the range of keys.
    private func note(_ keys: TextColumn) {
        guard keys.count > 0 else { return }
        bloom.add(keys)
        var low = 0, high = 0
        for i in 1..<keys.count {
            let key = keys.value(i)
            if Self.compare(key, keys.value(low)) < 0 { low = i } else if Self.compare(key, keys.value(high)) > 0 { high = i }
        }
        noteRange(keys.value(low))
        noteRange(keys.value(high))
    }

    private func noteRange(_ key: UnsafeRawBufferPointer) {
        if smallest == nil {
            smallest = Array(key)
            largest = Array(key)
        }
        if smallest!.withUnsafeBytes({ Self.compare(key, $0) }) < 0 { smallest = Array(key) }
        if largest.withUnsafeBytes({ Self.compare(key, $0) }) > 0 { largest = Array(key) }
    }

    @inline(__always)
    private static func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        guard let x = a.baseAddress, let y = b.baseAddress else { return a.count - b.count }
        let order = memcmp(x, y, min(a.count, b.count))
        return order != 0 ? Int(order) : a.count - b.count
    }

    private func added(_ n: Int) throws {
        stat.rows += Int64(n)
        if meta[0].count >= BaseFileContext.chunkRows || bufferedBytes >= BaseFileContext.chunkBytes { try flushChunk() }
    }

    /// Hands the collected rows to Parquet.
    /// - Parameter keepingMemory: false when the memory is needed elsewhere.
    func flushChunk(keepingMemory: Bool = true) throws {
        let rows = meta[0].count
        guard rows > 0 else { return }
        let bytes = bufferedBytes
        let arrays = meta.map { $0.finish() } + data.map { $0.finish() }
        try opened().write(makeArrowArray(length: rows, nullCount: 0, buffers: [nil], owners: [], children: arrays))
        if keepingMemory {
            for builder in meta { builder.recycle() }
            for builder in data { builder.recycle() }
        }
        rowsInGroup += rows
        bytesInGroup += bytes
        if rowsInGroup >= BaseFileContext.rowGroupRows - BaseFileContext.chunkRows || bytesInGroup >= BaseFileContext.rowGroupBytes {
            try endRowGroup()
        }
    }

    func endRowGroup() throws {
        guard rowsInGroup > 0, let parquet else { return }
        try parquet.writer.endRowGroup()
        bytesFlushed += bytesInGroup
        (rowsInGroup, bytesInGroup) = (0, 0)
    }

    // MARK: The end

    /// Counts of the stat that only the caller knows.
    func count(inserts: Int64 = 0, updates: Int64 = 0, deletes: Int64 = 0) {
        stat.inserts += inserts
        stat.updates += updates
        stat.deletes += deletes
    }

    /// Writes the footer and gives the file its name. It stays invisible until the commit completes; the caller flushes the
    /// folders before that.
    func close() throws -> WriteStat {
        try flushChunk()
        let parquet = try opened()
        try parquet.setMetadata("hoodie_bloom_filter_type_code", "DYNAMIC_V0")
        try parquet.setMetadata("org.apache.hudi.bloomfilter", bloom.encoded())
        if let smallest {
            try parquet.setMetadata("hoodie_min_record_key", String(decoding: smallest, as: UTF8.self))
            try parquet.setMetadata("hoodie_max_record_key", String(decoding: largest, as: UTF8.self))
        }
        try parquet.setMetadata("parquet.avro.schema", AvroSchema.json(context.schema, table: context.tableName, withMetaColumns: true))
        try parquet.setMetadata("writer.model.name", "avro")
        stat.bytes = try parquet.close()
        try context.files.flush(self.parquet!.temporary)
        try context.markers.flush()
        try context.files.reached(.baseFileWritten)
        try context.files.publish(temporary: self.parquet!.temporary, as: slice.path, flushingFolder: false)
        closed = true
        try context.files.reached(.baseFilePublished)
        return stat
    }
}
