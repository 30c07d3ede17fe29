import StreamCore

/// Writes rows with their row kinds as change messages: +I and +U as inserts, -U and -D as deletes, as Flink does.
final class ChangeEncoder: RecordEncoder {
    private let format: ChangeCaptureFormat
    private let image: DataType
    private let messages: any RecordEncoder

    /// - Parameter messages: writes the columns of ``fields(_:image:)``.
    init(_ format: ChangeCaptureFormat, schema: Schema, messages: any RecordEncoder) {
        self.format = format
        image = .row(schema)
        self.messages = messages
    }

    convenience init(_ format: ChangeCaptureFormat, schema: Schema, options: JSONOptions) throws {
        self.init(format, schema: schema, messages: try JSONRecordEncoder(schema: Self.fields(format, image: .row(schema)), options: options))
    }

    /// What a message consists of.
    static func fields(_ format: ChangeCaptureFormat, image: DataType) -> Schema {
        switch format {
        case .debezium: [Field("before", image), Field("after", image), Field("op", .string)]
        case .canal: [Field("data", .array(image)), Field("type", .string)]
        case .maxwell: [Field("data", image), Field("type", .string)]
        }
    }

    func encode(_ batch: Batch, into out: inout EncodedBytes) throws { try messages.encode(envelopes(batch), into: &out) }

    func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        try messages.encode(envelopes(batch), into: &out, ends: &ends)
    }

    /// The same rows as parts of the messages' columns.
    private func envelopes(_ batch: Batch) -> Batch {
        let n = batch.physicalCount
        let adds = Bitmap.make(n, valid: true), removes = Bitmap.make(n, valid: false)
        let codes = Buffer(zeroed: n * 4)
        for row in 0..<n where !batch.kind(atPhysical: row).isAdd {
            Bitmap.clear(adds.base, row)
            Bitmap.set(removes.base, row)
            codes.pointer(as: Int32.self)[row] = 1
        }
        let words = ColumnBuilder(type: .string, capacity: 2)
        func word(_ insert: String, _ delete: String) -> Column {
            words.append(string: insert)
            words.append(string: delete)
            return Column(type: .string, count: n, values: codes, dictionary: words.finish())
        }
        func rows(_ validity: Buffer?) -> Column { Column(type: image, count: n, validity: validity, values: .empty, children: batch.columns) }
        let columns: [Column]
        switch format {
        case .debezium: columns = [rows(removes), rows(adds), word("c", "d")]
        case .canal:
            // A list of one row each.
            let offsets = Buffer(capacity: (n + 1) * 4)
            for i in 0...n { offsets.pointer(as: Int32.self)[i] = Int32(truncatingIfNeeded: i) }
            columns = [Column(type: .array(image), count: n, values: offsets, children: [rows(nil)]), word("INSERT", "DELETE")]
        case .maxwell: columns = [rows(nil), word("insert", "delete")]
        }
        return Batch(columns: columns, physicalCount: n, selection: batch.selection, rowKinds: nil)
    }
}
