import StreamCore

/// The rows a kernel has to compute, and the loops over them.
///
/// `validity` is that of all arguments together: in a strict function a row with a null argument is null and is not computed.
public struct RowSet {
    /// nil = all rows.
    public let selection: Selection?
    /// Rows of every argument and of the result.
    public let count: Int
    /// nil = no row has a null argument.
    public let validity: Buffer?

    public init(_ selection: Selection?, count: Int, validity: Buffer? = nil) {
        self.selection = selection
        self.count = count
        self.validity = validity
    }

    /// Calls `body` for each row to compute, in order.
    @inline(__always)
    public func forEach(_ body: (Int) throws -> Void) rethrows {
        if let selection {
            let rows = selection.rows
            if let bits = validity?.base {
                for i in 0..<selection.count {
                    let row = Int(rows[i])
                    if Bitmap.get(bits, row) { try body(row) }
                }
            } else {
                for i in 0..<selection.count { try body(Int(rows[i])) }
            }
        } else if let bits = validity?.base {
            for row in 0..<count where Bitmap.get(bits, row) { try body(row) }
        } else {
            for row in 0..<count { try body(row) }
        }
    }

    /// True when a loop over every row costs less than one over the selection; only for loops that cannot fail.
    var prefersDense: Bool {
        guard let selection else { return true }
        return selection.count * 4 >= count
    }

    /// Memory for `count` values; zeroed where not every row will be written.
    func makeValues<T: BitwiseCopyable>(_: T.Type) -> Buffer {
        let bytes = count * MemoryLayout<T>.stride
        return selection == nil && validity == nil ? Buffer(capacity: bytes) : Buffer(zeroed: bytes)
    }

    /// A column of fixed-width values; `T` must be the storage type of `type` (UInt8 for BOOLEAN).
    @inline(__always)
    public func fixed<T: BitwiseCopyable>(_ type: DataType, _ compute: (Int) throws -> T) rethrows -> Column {
        let values = makeValues(T.self)
        let out = values.pointer(as: T.self)
        try forEach { out[$0] = try compute($0) }
        return Column(type: type, count: count, validity: validity, values: values)
    }

    /// As ``fixed(_:_:)``; nil makes the row null.
    @inline(__always)
    public func fixedOrNull<T: BitwiseCopyable>(_ type: DataType, _ compute: (Int) throws -> T?) rethrows -> Column {
        let values = Buffer(zeroed: count * MemoryLayout<T>.stride)
        let out = values.pointer(as: T.self)
        var nulls = NullMask(validity: validity, count: count)
        try forEach { row in
            if let value = try compute(row) { out[row] = value } else { nulls.setNull(row) }
        }
        return Column(type: type, count: count, validity: nulls.buffer, values: values)
    }

    /// A BOOLEAN column.
    @inline(__always)
    public func booleans(_ compute: (Int) throws -> Bool) rethrows -> Column {
        try fixed(.boolean) { row -> UInt8 in try compute(row) ? 1 : 0 }
    }

    /// A BOOLEAN column; nil makes the row null.
    @inline(__always)
    public func booleansOrNull(_ compute: (Int) throws -> Bool?) rethrows -> Column {
        try fixedOrNull(.boolean) { row -> UInt8? in try compute(row).map { $0 ? 1 : 0 } }
    }

    /// A text or binary column; `write` appends a row's value to the sink, or calls its `setNull()`.
    @inline(__always)
    public func text(_ type: DataType, _ write: (Int, inout TextSink) throws -> Void) rethrows -> Column {
        var sink = TextSink(count: count, validity: validity)
        try forEach { row in
            try write(row, &sink)
            sink.store(row)
        }
        return sink.finish(type, count: count)
    }

    /// A column of any type, built value by value: for ARRAY, MAP and ROW results. `append` must append exactly one value.
    /// Rows that need not be computed become null.
    @inline(__always)
    public func build(_ type: DataType, _ append: (Int, ColumnBuilder) throws -> Void) rethrows -> Column {
        let builder = ColumnBuilder(type: type, capacity: max(count, 1))
        var next = 0
        try forEach { row in
            while next < row {
                builder.appendNull()
                next += 1
            }
            try append(row, builder)
            next = row + 1
        }
        while next < count {
            builder.appendNull()
            next += 1
        }
        return builder.finish()
    }
}
