import StreamCore

/// Writes rows with their row kinds as change messages: +I and +U as inserts, -U and -D as deletes, as Flink does.
final class ChangeEncoder: RecordEncoder {
    private let format: ChangeCaptureFormat
    private let image: DataType
    private let json: JSONRecordEncoder

    init(_ format: ChangeCaptureFormat, schema: Schema, options: JSONOptions) throws {
        self.format = format
        image = .row(schema)
        let fields: Schema
        switch format {
        case .debezium: fields = [Field("before", image), Field("after", image), Field("op", .string)]
        case .canal: fields = [Field("data", .array(image)), Field("type", .string)]
        case .maxwell: fields = [Field("data", image), Field("type", .string)]
        }
        json = try JSONRecordEncoder(schema: fields, options: options)
    }

    func encode(_ batch: Batch, into out: inout EncodedBytes) throws { try json.encode(envelopes(batch), into: &out) }

    func encode(_ batch: Batch, into out: inout EncodedBytes, ends: inout [Int]) throws {
        try json.encode(envelopes(batch), into: &out, ends: &ends)
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
