/// Finds the records of a body.
enum BodySplitter: Hashable, Sendable {
    /// The body is one record.
    case whole
    /// Each line is; empty ones are none.
    case lines
    /// Each line is, or each element when the body is a JSON array.
    case json
    /// Lines may go on inside of quotes. The first one holds names when `hasHeader` is set.
    case csv(quote: UInt8?, escape: UInt8?, hasHeader: Bool)

    /// What is wrong with a body that has no records to be found.
    struct Problem: Error {
        let text: String
    }

    func ranges(_ body: UnsafeBufferPointer<UInt8>) throws -> [Range<Int>] {
        switch self {
        case .whole: return body.isEmpty ? [] : [0..<body.count]
        case .lines: return Self.lines(body, quote: nil, escape: nil)
        case .json:
            let first = body.first { !Self.isSpace($0) }
            return first == UInt8(ascii: "[") ? try Self.elements(body) : Self.lines(body, quote: nil, escape: nil)
        case .csv(let quote, let escape, let hasHeader):
            let all = Self.lines(body, quote: quote, escape: escape)
            return hasHeader ? Array(all.dropFirst()) : all
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    private static func lines(_ body: UnsafeBufferPointer<UInt8>, quote: UInt8?, escape: UInt8?) -> [Range<Int>] {
        var ranges: [Range<Int>] = [], start = 0, isQuoted = false, i = 0
        func end(_ at: Int) {
            var stop = at
            if stop > start, body[stop - 1] == 0x0D { stop -= 1 }
            if stop > start { ranges.append(start..<stop) }
            start = at + 1
        }
        while i < body.count {
            let byte = body[i]
            if byte == 0x0A, !isQuoted {
                end(i)
            } else if byte == escape, escape != nil {
                i += 1
            } else if byte == quote, quote != nil {
                isQuoted.toggle()
            }
            i += 1
        }
        if start < body.count { end(body.count) }
        return ranges
    }

    /// The elements of an array; whether each is right is for the format to say.
    private static func elements(_ body: UnsafeBufferPointer<UInt8>) throws -> [Range<Int>] {
        var ranges: [Range<Int>] = [], depth = 0, isText = false, start: Int?, stop = 0, i = 0, isOver = false
        func end() throws {
            guard let first = start else { throw Problem(text: "element \(ranges.count + 1) of the array is missing") }
            ranges.append(first..<stop)
            start = nil
        }
        while i < body.count {
            let byte = body[i]
            if isOver {
                guard isSpace(byte) else { throw Problem(text: "something follows the array, at byte \(i)") }
            } else if isText {
                if byte == UInt8(ascii: "\\") { i += 1 } else if byte == UInt8(ascii: "\"") { isText = false }
                stop = min(i + 1, body.count)
            } else if depth == 0 {
                if byte == UInt8(ascii: "[") { depth = 1 }
            } else if depth == 1, byte == UInt8(ascii: ",") {
                try end()
            } else if depth == 1, byte == UInt8(ascii: "]") {
                if start != nil || !ranges.isEmpty { try end() }
                isOver = true
            } else if !isSpace(byte) {
                if start == nil { start = i }
                switch byte {
                case UInt8(ascii: "\""): isText = true
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
                default: break
                }
                guard depth > 0 else { throw Problem(text: "a bracket closes that was not opened, at byte \(i)") }
                stop = i + 1
            }
            i += 1
        }
        guard isOver else { throw Problem(text: "the array does not end") }
        return ranges
    }
}
