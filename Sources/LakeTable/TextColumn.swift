import StreamCore

/// Texts that lie one behind the other: record keys, partition values.
package struct TextColumn {
    package let count: Int
    package let bytes: Buffer
    /// Int32 [count + 1]
    package let offsets: Buffer

    /// Empty texts.
    package init(empty n: Int) {
        (count, bytes, offsets) = (n, Buffer(capacity: 1), Buffer(zeroed: (n + 1) * 4))
    }

    @inline(__always)
    package func value(_ row: Int) -> UnsafeRawBufferPointer {
        let offsets = offsets.pointer(as: Int32.self)
        return UnsafeRawBufferPointer(start: bytes.base + Int(offsets[row]), count: Int(offsets[row + 1] - offsets[row]))
    }

    /// The text form of a column's values as Hudi's key generators write them: numbers in decimal, `true`/`false`, dates as
    /// `yyyy-MM-dd`, timestamps as microseconds since 1970.
    /// - Parameters:
    ///   - null: what stands for NULL; nil = NULL is an error.
    ///   - empty: what stands for the empty text; nil = that is an error.
    /// - Throws: `.runtime` for a NULL or empty value that is not allowed.
    package init(_ column: Column, null: String?, empty: String?, what: String) throws {
        let column = column.flat()
        let n = column.count
        let nullText = null.map { Array($0.utf8) }, emptyText = empty.map { Array($0.utf8) }
        let longest = max(nullText?.count ?? 0, emptyText?.count ?? 0)
        let valid = column.validity?.base
        var size = n * max(longest, 45)
        if column.type.physical == .view {
            let views = column.pointer(as: StringView.self)
            size = 16
            for i in 0..<n { size += max(Int(views[i].length), longest) }
        }
        guard size <= Int(Int32.max) else { throw StreamError(.runtime, "\(what): the keys of one batch take more than 2 GiB") }
        let offsets = Buffer(capacity: (n + 1) * 4), out = Buffer(capacity: size)
        let to = offsets.pointer(as: Int32.self), base = out.pointer(as: UInt8.self)
        to[0] = 0
        var end = base

        func fill(_ write: (Int, UnsafeMutablePointer<UInt8>) -> Int) throws {
            for i in 0..<n {
                if let valid, !Bitmap.get(valid, i) {
                    guard let nullText else { throw Self.missing(what, "NULL") }
                    end.update(from: nullText, count: nullText.count)
                    end += nullText.count
                } else {
                    let written = write(i, end)
                    end += written
                    if written == 0 {
                        guard let emptyText else { throw Self.missing(what, "empty") }
                        end.update(from: emptyText, count: emptyText.count)
                        end += emptyText.count
                    }
                }
                to[i + 1] = Int32(truncatingIfNeeded: end - base)
            }
        }
        switch column.type.physical {
        case .view:
            try fill { row, end in
                let value = column.bytes(at: row)
                UnsafeMutableRawPointer(end).copyMemory(from: value.baseAddress!, byteCount: value.count)
                return value.count
            }
        case .bool:
            let values = column.pointer(as: UInt8.self)
            try fill { row, end in Self.copy(values[row] != 0 ? "true" : "false", end) }
        case .int8:
            let values = column.pointer(as: Int8.self)
            try fill { row, end in DecimalText.write(Int64(values[row]), end) }
        case .int16:
            let values = column.pointer(as: Int16.self)
            try fill { row, end in DecimalText.write(Int64(values[row]), end) }
        case .int32:
            let values = column.pointer(as: Int32.self)
            if column.type == .date {
                try fill { row, end in Self.copy(Self.date(Int64(values[row])), end) }
            } else {
                try fill { row, end in DecimalText.write(Int64(values[row]), end) }
            }
        case .int64:
            let values = column.pointer(as: Int64.self)
            let factor: Int64 = column.type.timeUnit == .milliseconds ? 1_000 : 1
            try fill { row, end in DecimalText.write(values[row] &* factor, end) }
        case .int128:
            let values = column.pointer(as: Int128.self), scale = column.type.decimalShape!.scale
            try fill { row, end in Self.copy(Self.decimal(values[row], scale: scale), end) }
        default: preconditionFailure("\(column.type) cannot be a key")
        }
        (count, bytes, self.offsets) = (n, out, offsets)
    }

    package init(count: Int, bytes: Buffer, offsets: Buffer) { (self.count, self.bytes, self.offsets) = (count, bytes, offsets) }

    /// The values of some rows.
    package func gather(_ rows: UnsafePointer<Int32>, _ n: Int) -> TextColumn {
        let from = self.offsets.pointer(as: Int32.self), offsets = Buffer(capacity: (n + 1) * 4)
        let to = offsets.pointer(as: Int32.self)
        to[0] = 0
        for i in 0..<n { to[i + 1] = to[i] + from[Int(rows[i]) + 1] - from[Int(rows[i])] }
        let bytes = Buffer(capacity: Int(to[n]))
        for i in 0..<n {
            (bytes.base + Int(to[i])).copyMemory(from: self.bytes.base + Int(from[Int(rows[i])]), byteCount: Int(to[i + 1] - to[i]))
        }
        return TextColumn(count: n, bytes: bytes, offsets: offsets)
    }

    package func prefix(_ n: Int) -> TextColumn { TextColumn(count: n, bytes: bytes, offsets: offsets) }

    /// `a:1,b:2` for the values of several columns.
    package init(named parts: [(name: String, values: TextColumn)]) {
        let n = parts[0].values.count
        var out = GrowingBytes()
        let offsets = Buffer(capacity: (n + 1) * 4)
        let to = offsets.pointer(as: Int32.self)
        to[0] = 0
        let labels = parts.enumerated().map { i, part in Array(((i == 0 ? "" : ",") + part.name + ":").utf8) }
        out.reserve(parts.reduce(0) { $0 + Int($1.values.offsets.pointer(as: Int32.self)[n]) } + n * labels.reduce(0) { $0 + $1.count })
        for i in 0..<n {
            for (label, part) in zip(labels, parts) {
                label.withUnsafeBytes { out.append($0) }
                out.append(part.values.value(i))
            }
            to[i + 1] = Int32(truncatingIfNeeded: out.count)
        }
        self.init(count: n, bytes: out.buffer, offsets: offsets)
    }

    private static func missing(_ what: String, _ state: String) -> StreamError {
        StreamError(.runtime, "\(what) is \(state) in a row, and a record key must not be", fix: "leave such rows out (WHERE ... IS NOT NULL) or give the key a default")
    }

    private static func copy(_ text: String, _ end: UnsafeMutablePointer<UInt8>) -> Int {
        var at = 0
        for byte in text.utf8 {
            end[at] = byte
            at += 1
        }
        return at
    }

    package static func date(_ days: Int64) -> String {
        let date = CivilDate(days: Int(days)), digits = String(abs(date.year))
        return (date.year < 0 ? "-" : "") + String(repeating: "0", count: max(0, 4 - digits.count)) + digits + (date.month < 10 ? "-0" : "-")
            + String(date.month) + (date.day < 10 ? "-0" : "-") + String(date.day)
    }

    package static func decimal(_ unscaled: Int128, scale: Int) -> String {
        var digits = String(unscaled.magnitude)
        if scale > 0 {
            if digits.count <= scale { digits = String(repeating: "0", count: scale + 1 - digits.count) + digits }
            digits.insert(".", at: digits.index(digits.endIndex, offsetBy: -scale))
        }
        return (unscaled < 0 ? "-" : "") + digits
    }

    /// Whether values of a type can be record keys, and what to say if not.
    package static func canBeKey(_ type: DataType) -> Bool {
        switch type.physical {
        case .float, .double, .list, .map, .row, .null: false
        default: !type.isBinary
        }
    }
}

package enum DecimalText {
    /// Writes an integer in decimal and returns the number of bytes, at most 20.
    @inline(__always)
    package static func write(_ value: Int64, _ out: UnsafeMutablePointer<UInt8>) -> Int {
        var rest = value.magnitude
        var length = value < 0 ? 1 : 0
        if value < 0 { out[0] = 0x2D }
        var digits = 1, limit: UInt64 = 10
        while digits < 20, rest >= limit {
            digits += 1
            if digits == 20 { break }
            limit &*= 10
        }
        length += digits
        var at = length - 1
        for _ in 0..<digits {
            out[at] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            at -= 1
        }
        return length
    }
}
