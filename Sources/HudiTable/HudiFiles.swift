import CArrowData
import Foundation
import LakeTable
import StreamCore
import Synchronization

/// The base files of one Hudi commit: their names, folders and markers, the five meta columns, and the footer.
final class HudiFiles: CommitFiles {
    let commit: String
    private let files: TableFiles
    private let tableName: String
    private let markers: CommitMarkers

    /// The first four meta columns, which a row keeps.
    static let markColumns = MarkColumns(kept: Array(AvroSchema.metaColumns.dropLast()), key: 2, commit: 0,
                                         unchanged: ["_hoodie_record_key", "_hoodie_partition_path"])

    init(_ files: TableFiles, _ properties: TableProperties, instant: String) {
        self.files = files
        commit = instant
        tableName = properties.name
        markers = CommitMarkers(files, instant: instant)
    }

    var plainColumns: [String] { ["_hoodie_commit_seqno", "_hoodie_record_key"] }

    func name(fileId: String, task: Int, attempt: Int) -> String { "\(fileId)_\(task)-\(attempt)-0_\(commit).parquet" }

    func newFileId() -> String { files.host.uuid() + "-0" }

    func prepare(_ file: FileSlice, isNew: Bool) throws {
        try files.makeFolder(file.partition, flushing: false)
        let partitionFile = (file.partition.isEmpty ? "" : file.partition + "/") + ".hoodie_partition_metadata"
        if !files.exists(partitionFile) {
            let partitionDepth = file.partition.isEmpty ? 0 : file.partition.utf8.reduce(1) { $1 == 0x2F ? $0 + 1 : $0 }
            try files.publish(partitionFile, PropertiesText.format(
                [("commitTime", commit), ("partitionDepth", String(partitionDepth))], comment: "partition metadata"), flushingFolder: false)
        }
        try files.reached(.partitionMetadata)
        try markers.add(file.name, partition: file.partition, isNew: isNew)
        try files.reached(.marker)
    }

    func flush() throws { try markers.flush() }

    func marks(for file: FileSlice, task: Int) -> any FileMarks { HudiMarks(file, task: task) }

    func arrowSchema(_ fields: Schema, layout: ArrowLayout) -> ArrowSchema { layout.schema(fields) }

    func footer(_ schema: Schema) -> [(String, String)] {
        [("parquet.avro.schema", AvroSchema.json(schema, table: tableName, withMetaColumns: true)), ("writer.model.name", "avro")]
    }
}

/// The meta columns of one base file, its range of keys and its bloom filter.
final class HudiMarks: FileMarks {
    let names = AvroSchema.metaColumns
    let builders: [ArrowArrayBuilder]
    private let file: FileSlice
    private let task: Int
    private var bloom = BloomFilter()
    private var smallest: [UInt8]?
    private var largest: [UInt8] = []
    private var freshRows: Int64 = 0
    /// `bloom` has keys.
    private var hasKeys = false

    init(_ file: FileSlice, task: Int) {
        (self.file, self.task) = (file, task)
        builders = AvroSchema.metaColumns.map { _ in ArrowArrayBuilder(type: .string, layout: .lake) }
    }

    func appendFresh(_ keys: TextColumn) throws {
        append(keys, name: file.name)
        note(keys)
    }

    /// The file's name stands in for the column when all rows are there.
    func appendChanged(_ keys: TextColumn) throws { append(keys, name: "") }

    private func append(_ keys: TextColumn, name: String) {
        let n = keys.count
        appendConstant(file.instant, to: builders[0], n)
        appendSequenceNumbers(n)
        builders[2].append(text: keys.bytes.base, offsets: keys.offsets.pointer(as: Int32.self), count: n)
        appendConstant(file.partition, to: builders[3], n)
        appendConstant(name, to: builders[4], n)
        freshRows += Int64(n)
    }

    private var inherited: String?

    func inherit(rows: Int64, _ footer: (String) -> String?) -> Bool {
        guard let filter = footer("org.apache.hudi.bloomfilter"), let least = footer("hoodie_min_record_key"), let greatest = footer("hoodie_max_record_key"),
              BloomFilter.canGrow(filter, rows: rows) else { return rows == 0 }
        inherited = filter
        (smallest, largest) = (Array(least.utf8), Array(greatest.utf8))
        return true
    }

    func constant(_ column: String) -> String? { column == "_hoodie_file_name" ? file.name : nil }

    /// All but the file name stays as it was.
    func appendCopied(_ batch: Batch, rows: UnsafePointer<Int32>, count n: Int) throws {
        for c in 0..<4 { try builders[c].append(batch.columns[c], rows: rows, count: n) }
        appendConstant(file.name, to: builders[4], n)
        note(try TextColumn(batch.columns[2].gather(rows, count: n), null: "", empty: "", what: "_hoodie_record_key"))
    }

    private func appendConstant(_ text: String, to builder: ArrowArrayBuilder, _ n: Int) {
        var text = text
        text.withUTF8 { builder.append(repeating: UnsafeRawBufferPointer($0), count: n) }
    }

    private func appendSequenceNumbers(_ n: Int) {
        let prefix = Array("\(file.instant)_\(task)_".utf8)
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
        builders[1].append(text: bytes.base, offsets: UnsafePointer(to), count: n)
    }

    /// Adds keys to the bloom filter and to the range of keys.
    func note(_ keys: TextColumn) {
        guard keys.count > 0 else { return }
        hasKeys = true
        bloom.add(keys)
        var low = 0, high = 0
        for i in 1..<keys.count {
            let key = keys.value(i)
            if Self.compare(key, keys.value(low)) < 0 { low = i } else if Self.compare(key, keys.value(high)) > 0 { high = i }
        }
        noteRange(keys.value(low))
        noteRange(keys.value(high))
    }

    func forgetRange() { (smallest, largest) = (nil, []) }

    func noteRange(_ smallest: UnsafeRawBufferPointer, _ largest: UnsafeRawBufferPointer) {
        noteRange(smallest)
        noteRange(largest)
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

    func footer() -> [(String, String)] {
        let filter = inherited.map { hasKeys ? BloomFilter.joined($0, bloom.encoded(growing: true)) : $0 } ?? bloom.encoded()
        var out = [("hoodie_bloom_filter_type_code", "DYNAMIC_V0"), ("org.apache.hudi.bloomfilter", filter)]
        if let smallest {
            out.append(("hoodie_min_record_key", String(decoding: smallest, as: UTF8.self)))
            out.append(("hoodie_max_record_key", String(decoding: largest, as: UTF8.self)))
        }
        return out
    }
}
