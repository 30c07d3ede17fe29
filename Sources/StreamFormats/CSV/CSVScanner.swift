import StreamCore

/// One field of a record, as it stands in the input, without its quotes.
struct CSVField {
    var start = UnsafePointer<UInt8>(Buffer.empty.pointer(as: UInt8.self))
    var end = UnsafePointer<UInt8>(Buffer.empty.pointer(as: UInt8.self))
    /// Doubled quotes or escapes are in it.
    var needsCleaning = false
}

/// Splits text into records and records into fields.
struct CSVScanner {
    struct Record {
        /// Where the next record starts; nil when the input ends within this one.
        var next: UnsafePointer<UInt8>?
        /// Behind the last byte, without the line end.
        var end: UnsafePointer<UInt8>
        /// One more than the limit when there are too many.
        var fieldCount = 0
        var isBlank = false, isComment = false, isMalformed = false
    }

    private let delimiter: UInt8
    private let quote: UInt8?
    private let escape: UInt8?
    private let allowComments: Bool
    private let fieldLimit: Int
    private let pattern: UInt64, escapePattern: UInt64

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    init(_ options: CSVOptions, fieldLimit: Int) {
        delimiter = options.delimiter
        quote = options.quote
        escape = options.escape
        allowComments = options.allowComments
        self.fieldLimit = fieldLimit
        pattern = Self.ones &* UInt64(options.delimiter)
        escapePattern = Self.ones &* UInt64(options.escape ?? 10)
    }

    /// The record at `start`. With `isLast` the end of input ends it too.
    func record(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, isLast: Bool, into fields: UnsafeMutablePointer<CSVField>) -> Record {
        var record = Record(next: nil, end: end)
        var p = start
        if allowComments, let first = firstNonSpace(p, end), first[0] == UInt8(ascii: "#") {
            record.isComment = true
            while p < end, p[0] != 10 { p += 1 }
            return close(record, start, p, end, isLast)
        }
        while true {
            var field = CSVField()
            if let quote, p < end, p[0] == quote {
                field.start = p + 1
                p += 1
                while p < end {
                    if p[0] == quote {
                        if p + 1 < end, p[1] == quote {
                            field.needsCleaning = true
                            p += 2
                            continue
                        }
                        break
                    }
                    if let escape, p[0] == escape, p + 1 < end {
                        field.needsCleaning = true
                        p += 2
                        continue
                    }
                    p += 1
                }
                field.end = min(p, end)
                if p >= end {
                    // No closing quote: it may come with more input.
                    record.isMalformed = true
                    record.next = isLast ? end : nil
                    return record
                }
                p += 1
                // Spaces between the closing quote and the delimiter carry nothing.
                while p < end, p[0] == 0x20, delimiter != 0x20 { p += 1 }
                if p < end, p[0] != delimiter, p[0] != 10, !(p[0] == 13 && p + 1 < end && p[1] == 10) {
                    if p[0] == 13, p + 1 == end, !isLast { return record }
                    if !(p[0] == 13 && p + 1 == end) { record.isMalformed = true }
                    while p < end, p[0] != 10 { p += 1 }
                }
            } else {
                field.start = p
                p = plainEnd(p, end, &field.needsCleaning)
                field.end = p
                if p > field.start, p[-1] == 13, p == end || p[0] == 10 { field.end = p - 1 }
            }
            if record.fieldCount < fieldLimit { fields[record.fieldCount] = field }
            record.fieldCount = min(record.fieldCount + 1, fieldLimit + 1)
            if p < end, p[0] == delimiter {
                p += 1
                continue
            }
            if p < end, p[0] == 13 { p += 1 }
            record = close(record, start, p, end, isLast)
            if record.fieldCount == 1, field.start == field.end, field.start == start { record.isBlank = true }
            return record
        }
    }

    /// Ends a record at a line end or at the end of input.
    private func close(_ record: Record, _ start: UnsafePointer<UInt8>, _ p: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ isLast: Bool) -> Record {
        var record = record
        record.end = p > start && p[-1] == 13 ? p - 1 : p
        if p < end { record.next = p + 1 } else { record.next = isLast ? end : nil }
        return record
    }

    private func firstNonSpace(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> UnsafePointer<UInt8>? {
        var p = start
        while p < end, p[0] == 0x20 { p += 1 }
        return p < end ? p : nil
    }

    /// The delimiter, line feed or end of input that ends an unquoted field, 8 bytes at a time.
    private func plainEnd(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>, _ escaped: inout Bool) -> UnsafePointer<UInt8> {
        var p = start
        while true {
            while p + 8 <= end {
                let w = UnsafeRawPointer(p).loadUnaligned(as: UInt64.self)
                let a = w ^ pattern, b = w ^ (Self.ones &* 10), c = w ^ escapePattern
                let stop = (((a &- Self.ones) & ~a) | ((b &- Self.ones) & ~b) | ((c &- Self.ones) & ~c)) & Self.highs
                if stop != 0 {
                    p += stop.trailingZeroBitCount >> 3
                    break
                }
                p += 8
            }
            while p < end, p[0] != delimiter, p[0] != 10, p[0] != escape { p += 1 }
            guard p < end, p[0] == escape else { return p }
            escaped = true
            p += p + 1 < end ? 2 : 1
        }
    }

    /// The text of a field without doubled quotes and escapes; returns its length, which is never greater.
    static func clean(_ raw: UnsafeRawBufferPointer, _ options: CSVOptions, to out: UnsafeMutablePointer<UInt8>) -> Int {
        var i = 0, n = 0
        while i < raw.count {
            var c = raw[i]
            if let escape = options.escape, c == escape, i + 1 < raw.count {
                i += 1
                switch raw[i] {
                case UInt8(ascii: "0"): c = 0
                case UInt8(ascii: "n"): c = 10
                case UInt8(ascii: "r"): c = 13
                case UInt8(ascii: "t"): c = 9
                default: c = raw[i]
                }
            } else if c == options.quote, i + 1 < raw.count, raw[i + 1] == c {
                i += 1
            }
            out[n] = c
            n += 1
            i += 1
        }
        return n
    }
}
