import StreamCore

/// Functions that put a new text together: CONCAT, LPAD, REPEAT, REPLACE, TRANSLATE, OVERLAY, ELT, CHR.
extension FunctionRegistry {
    mutating func registerBuildFunctions() {
        define("CONCAT", takes: [.text("string")], variadic: true, returns: .string) { args, rows, _ in
            let parts = args.map(\.text)
            return rows.text(.string) { row, out in
                for part in parts { out.append(part[row]) }
            }
        }
        register("CONCAT_WS") { args, _ in
            let bound = try Binding.arguments("CONCAT_WS", args, [.text("separator"), .text("string")], variadic: true)
            return Binding.callLenient("CONCAT_WS", .string, bound) { args, rows, _ in
                let separator = args[0].text, parts = args.dropFirst().map { (column: $0, text: $0.text) }
                let separators = args[0]
                return rows.text(.string) { row, out in
                    guard separators.isValid(row) else { return out.setNull() }
                    var first = true
                    for part in parts where part.column.isValid(row) {
                        if !first { out.append(separator[row]) }
                        first = false
                        out.append(part.text[row])
                    }
                }
            }
        }
        definePad("LPAD", left: true)
        definePad("RPAD", left: false)
        define("REPEAT", takes: [.text("string"), .int("times")], returns: .string) { args, rows, _ in
            let text = args[0].text, times = args[1].vector(Int32.self)
            return try rows.text(.string) { row, out in
                let s = text[row], n = Int(max(times[row], 0))
                try TextBuild.check("REPEAT", s.count * n)
                out.append(s, times: n)
            }
        }
        define("REPLACE", takes: [.text("string"), .text("search"), .text("replacement")], returns: .string) { args, rows, _ in
            let text = args[0].text, search = args[1].text, replacement = args[2].text
            return rows.text(.string) { row, out in TextBuild.replace(text[row], search[row], replacement[row], &out) }
        }
        define("TRANSLATE", "TRANSLATE3", takes: [.text("string"), .text("from"), .text("to")], returns: .string) { args, rows, _ in
            let text = args[0].text, from = args[1].text, to = args[2].text
            return rows.text(.string) { row, out in TextBuild.translate(text[row], from[row], to[row], &out) }
        }
        define("OVERLAY", takes: [.text("string"), .text("replacement"), .bigint("start"), .bigint("length")], optional: 1, result: {
            let (n, m) = ($0[0].type.declaredLength!, $0[1].type.declaredLength!)
            return .varchar(min(n + m, DataType.maxLength))
        }) { bound, type in
            let hasLength = bound.count == 4
            return { args, rows, _ in
                let text = args[0].text, replacement = args[1].text, start = args[2].vector(Int64.self)
                let length = hasLength ? args[3].vector(Int64.self) : start
                return rows.text(type) { row, out in
                    let n = hasLength ? length[row] : Int64(Utf8Text.count(replacement[row]))
                    TextBuild.overlay(text[row], replacement[row], start[row], n, &out)
                }
            }
        }
        register("ELT") { args, _ in
            let parameters: [Parameter] = [.bigint("index"), .textOrBinary("value")]
            let bound = try Binding.arguments("ELT", args, parameters, variadic: true)
            if case .int(let index)? = Binding.constant(bound[0]), index < 0 {
                throw StreamError(.validate, "ELT counts from 1, but its index is \(index)", fix: "give an index from 1 to \(bound.count - 1)")
            }
            let (values, common) = try Binding.unify("ELT", Array(bound.dropFirst()))
            let type = values.allSatisfy { $0.type == args[1].type } ? args[1].type : common
            return Binding.callLenient("ELT", type, [bound[0]] + values) { args, rows, _ in
                let indexes = args[0], index = args[0].vector(Int64.self)
                let values = args.dropFirst().map { (column: $0, text: $0.text) }
                return rows.text(type) { row, out in
                    guard indexes.isValid(row), index[row] >= 1, index[row] <= values.count else { return out.setNull() }
                    let value = values[Int(index[row]) - 1]
                    if value.column.isValid(row) { out.append(value.text[row]) } else { out.setNull() }
                }
            }
        }
        define("CHR", takes: [.bigint("code")], returns: .string) { args, rows, _ in
            let code = args[0].vector(Int64.self)
            return rows.text(.string) { row, out in
                if code[row] >= 0 { out.append(scalar: Unicode.Scalar(UInt8(truncatingIfNeeded: code[row]))) }
            }
        }
    }

    private mutating func definePad(_ name: String, left: Bool) {
        define(name, takes: [.text("string"), .int("length"), .text("pad")], returns: .string) { args, rows, _ in
            let text = args[0].text, length = args[1].vector(Int32.self), pad = args[2].text
            return try rows.text(.string) { row, out in
                let (s, n, p) = (text[row], Int(length[row]), pad[row])
                guard n >= 0, !p.isEmpty else { return out.setNull() }
                try TextBuild.check(name, n)
                let missing = n - Utf8Text.utf16Count(s)
                if left, missing > 0 { TextBuild.pad(p, missing, &out) }
                if missing >= 0 { out.append(s) } else { TextBuild.pad(s, n, &out) }
                if !left, missing > 0 { TextBuild.pad(p, missing, &out) }
            }
        }
    }
}

enum TextBuild {
    typealias Bytes = UnsafeRawBufferPointer

    /// A longer result is an error instead of exhausting the memory.
    static let maxBytes = 256 << 20

    static func check(_ name: String, _ bytes: Int) throws {
        if bytes > maxBytes {
            throw StreamError(.runtime, "\(name) would make a text of \(bytes) bytes; the limit is \(maxBytes)", fix: "ask for a shorter result")
        }
    }

    /// `units` UTF-16 units of `text`, repeated. Half of a character beyond U+FFFF becomes a question mark, as in Java.
    static func pad(_ text: Bytes, _ units: Int, _ out: inout TextSink) {
        var left = units, at = 0
        while left > 0 {
            let first = text[at], width = min(Utf8Text.width(first), text.count - at)
            if first < 0xF0 {
                out.append(Utf8Text.slice(text, at, at + width))
                left -= 1
            } else if left >= 2 {
                out.append(Utf8Text.slice(text, at, at + width))
                left -= 2
            } else {
                out.append(UInt8(ascii: "?"))
                left = 0
            }
            at += width
            if at == text.count { at = 0 }
        }
    }

    /// An empty `search` is found before each character and at the end.
    static func replace(_ text: Bytes, _ search: Bytes, _ replacement: Bytes, _ out: inout TextSink) {
        var at = 0
        if search.isEmpty {
            while at < text.count {
                let next = min(at + Utf8Text.width(text[at]), text.count)
                out.append(replacement)
                out.append(Utf8Text.slice(text, at, next))
                at = next
            }
            return out.append(replacement)
        }
        while let hit = Utf8Text.find(search, in: text, from: at) {
            out.append(Utf8Text.slice(text, at, hit))
            out.append(replacement)
            at = hit + search.count
        }
        out.append(Utf8Text.slice(text, at, text.count))
    }

    /// Character i of `from` becomes character i of `to`, or nothing when `to` is shorter.
    static func translate(_ text: Bytes, _ from: Bytes, _ to: Bytes, _ out: inout TextSink) {
        var at = 0
        while at < text.count {
            let next = min(at + Utf8Text.width(text[at]), text.count)
            let c = Utf8Text.slice(text, at, next)
            var i = 0, j = 0, found = false
            while i < from.count {
                let end = min(i + Utf8Text.width(from[i]), from.count)
                if Utf8Text.equal(Utf8Text.slice(from, i, end), c) {
                    found = true
                    break
                }
                i = end
                if j < to.count { j = min(j + Utf8Text.width(to[j]), to.count) }
            }
            if !found {
                out.append(c)
            } else if j < to.count {
                out.append(Utf8Text.slice(to, j, min(j + Utf8Text.width(to[j]), to.count)))
            }
            at = next
        }
    }

    /// A start outside the text leaves it as it is; without a positive length the rest is cut off, as in Flink.
    static func overlay(_ text: Bytes, _ replacement: Bytes, _ start: Int64, _ length: Int64, _ out: inout TextSink) {
        let count = Int64(Utf8Text.count(text))
        guard start > 0, start <= count else { return out.append(text) }
        let head = Utf8Text.skip(Int(start) - 1, in: text)
        out.append(Utf8Text.slice(text, 0, head))
        out.append(replacement)
        if length > 0, length <= count - start {
            out.append(Utf8Text.slice(text, Utf8Text.skip(Int(length), in: text, from: head), text.count))
        }
    }
}
