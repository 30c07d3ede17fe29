import StreamCore

/// Makes changes of the rows of DMS files.
struct DMSRows {
    private let layout: DMSLayout
    private let mode: ChangeMode
    private let control: [[UInt8]]
    let opColumn: String

    init(_ layout: DMSLayout, _ options: DMSOptions) {
        self.layout = layout
        mode = options.mode
        opColumn = options.opColumn
        control = options.csv.control.map { Array($0.utf8) }
    }

    /// The changes, and the rows that say an unknown thing of themselves, which are left out.
    ///
    /// - Returns: also for each change its row in `batch`; nil when they are the same rows.
    func changes(_ batch: Batch) -> (Batch, rowOf: [Int32]?, unknown: [Int]) {
        let batch = batch.compacted()
        var columns = batch.columns.map { $0.flat() }
        let n = batch.physicalCount, ops = columns[0], words = ops.pointer(as: StringView.self)
        var kinds = [UInt8](repeating: RowKind.insert.rawValue, count: n)
        var unknown: [Int] = [], hasChanges = false
        for row in 0..<n where ops.isValid(row) {
            let view = words + row
            guard view.pointee.length <= 1 else {
                unknown.append(row)
                continue
            }
            if view.pointee.length == 0 { continue }
            switch (UnsafeRawPointer(view) + 4).load(as: UInt8.self) {
            case UInt8(ascii: "I"), UInt8(ascii: "i"): continue
            case UInt8(ascii: "U"), UInt8(ascii: "u"): kinds[row] = RowKind.updateAfter.rawValue
            case UInt8(ascii: "D"), UInt8(ascii: "d"): kinds[row] = RowKind.delete.rawValue
            default:
                unknown.append(row)
                continue
            }
            hasChanges = true
        }
        var rowOf: [Int32]?, count = n
        if !unknown.isEmpty {
            let left = Set(unknown)
            let picks = (0..<n).filter { !left.contains($0) }.map { Int32(truncatingIfNeeded: $0) }
            kinds = picks.map { kinds[Int($0)] }
            count = picks.count
            columns = picks.withUnsafeBufferPointer { picks in
                columns.map { column in picks.baseAddress.map { column.gather($0, count: picks.count) } ?? ColumnBuilder(type: column.type).finish() }
            }
            rowOf = picks
        }
        let made = layout.outputs.map { output in
            switch output {
            case .column(let i): columns[i]
            case .op: columns[0]
            case .timestamp(let i): Self.timestamps(columns[i!])
            case .whole: withoutControl(columns[layout.whole])
            }
        }
        let kindBuffer = hasChanges && mode != .append ? kinds.withUnsafeBytes { Buffer(copying: $0) } : nil
        return (Batch(columns: made, physicalCount: count, rowKinds: kindBuffer), rowOf, unknown)
    }

    /// As TIMESTAMP(6), from text in either of the usual forms, or from timestamps.
    private static func timestamps(_ source: Column) -> Column {
        let type = DataType.timestamp(6)
        guard source.type.isText else { return source.type.isTimestamp ? FormatMetadata.converted(source, to: type) : Column.nulls(type: type, count: source.count) }
        let builder = ColumnBuilder(type: type, capacity: source.count)
        for row in 0..<source.count {
            guard source.isValid(row) else {
                builder.appendNull()
                continue
            }
            let text = source.bytes(at: row)
            let forms: [DateTimeText.Form] = [.sql.zone(.optionalZ), .iso8601.zone(.optionalZ)]
            if let value = forms.lazy.compactMap({ DateTimeText.parseTimestamp(text, precision: 6, form: $0) }).first { builder.append(fixed: value) }
            else { builder.appendNull() }
        }
        return builder.finish()
    }

    private func withoutControl(_ source: Column) -> Column {
        let builder = ColumnBuilder(type: .variant, capacity: source.count)
        var writer = VariantWriter()
        for row in 0..<source.count {
            guard source.isValid(row) else {
                builder.appendNull()
                continue
            }
            let value = Variant(source.bytes(at: row))
            guard control.contains(where: { name in name.withUnsafeBytes { value.member($0) } != nil }) else {
                builder.append(bytes: value.bytes)
                continue
            }
            writer.removeAll()
            writer.object { out, next in
                for i in 0..<value.count where !control.contains(where: { value.key(i).elementsEqual($0) }) {
                    out.append(value.value(i))
                    next(&out, Array(value.key(i)))
                }
            }
            writer.bytes.withUnsafeBytes { builder.append(bytes: $0) }
        }
        return builder.finish()
    }

    func reason(_ text: String) -> String { "column \"\(opColumn)\" has \"\(text)\" and not I, U or D" }
}
