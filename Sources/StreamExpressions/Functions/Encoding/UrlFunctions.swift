import StreamCore

/// PARSE_URL, URL_ENCODE, URL_DECODE and STR_TO_MAP.
extension FunctionRegistry {
    mutating func registerUrlFunctions() {
        define("PARSE_URL", takes: [.text("url"), .text("part"), .text("key")], optional: 1, result: { _ in .string }) { bound, type in
            let hasKey = bound.count == 3
            return { args, rows, _ in
                let part = args[1].text, key = hasKey ? args[2].text : part
                return rows.slices(type, of: args[0]) { row, text in
                    guard let url = UrlParts(text) else { return nil }
                    if !hasKey { return url.part(part[row]) }
                    guard UrlParts.isQuery(part[row]), let query = url.query else { return nil }
                    return UrlParts.parameter(key[row], of: text, query)
                }
            }
        }
        define("URL_ENCODE", takes: [.text("string")], returns: .string) { args, rows, _ in
            let text = args[0].text
            return rows.text(.string) { row, out in
                for c in text[row] {
                    switch c {
                    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "*"): out.append(c)
                    case 0x20: out.append(UInt8(ascii: "+"))
                    default:
                        out.append(UInt8(ascii: "%"))
                        out.append(ByteText.hexDigit(c >> 4, upper: true))
                        out.append(ByteText.hexDigit(c & 15, upper: true))
                    }
                }
            }
        }
        define("URL_DECODE", takes: [.text("string")], returns: .string) { args, rows, _ in
            let text = args[0].text
            return rows.text(.string) { row, out in
                let s = text[row]
                var at = 0, isASCII = true
                while at < s.count {
                    if s[at] == UInt8(ascii: "+") {
                        out.append(0x20)
                        at += 1
                    } else if s[at] == UInt8(ascii: "%") {
                        guard at + 2 < s.count, let high = ByteText.nibble(s[at + 1]), let low = ByteText.nibble(s[at + 2]) else { return out.setNull() }
                        out.append(high << 4 | low)
                        if high >= 8 { isASCII = false }
                        at += 3
                    } else {
                        out.append(s[at])
                        at += 1
                    }
                }
                if !isASCII {
                    // Escapes may spell bytes that are no text.
                    let repaired = out.bytes.string
                    out.truncate(to: 0)
                    out.append(string: repaired)
                }
            }
        }
        let mapType = DataType.map(key: .string, value: .string)
        register("STR_TO_MAP") { args, _ in
            guard args.count == 1 || args.count == 3 else {
                throw StreamError(.validate, "STR_TO_MAP takes 1 or 3 arguments (string, pair delimiter, key delimiter), \(args.count) given")
            }
            let delimiters: [Expr] = args.count == 3 ? Array(args.dropFirst()) : [.literal(.string(","), .char(1)), .literal(.string("="), .char(1))]
            let bound = try Binding.arguments("STR_TO_MAP", [args[0]] + delimiters, [.text("string"), .text("pair delimiter"), .text("key delimiter")])
            let pairs = RegexSource(bound[1]), keys = RegexSource(bound[2])
            return Binding.call("STR_TO_MAP", mapType, bound) { args, rows, _ in
                let text = args[0].text
                // Delimiters are regular expressions, as in Flink.
                var pairDelimiter = RegexColumn(args[1], pairs), keyDelimiter = RegexColumn(args[2], keys)
                return try rows.build(mapType) { row, builder in
                    let s = text[row]
                    if s.isEmpty { return builder.finishList() }
                    var entries: [(key: Range<Int>, value: Range<Int>?)] = []
                    func add(_ key: Range<Int>, _ value: Range<Int>?) {
                        let bytes = UnsafeRawBufferPointer(rebasing: s[key])
                        if let i = entries.firstIndex(where: { Utf8Text.equal(UnsafeRawBufferPointer(rebasing: s[$0.key]), bytes) }) {
                            entries[i].value = value
                        } else {
                            entries.append((key, value))
                        }
                    }
                    for pair in try Splitting.split(s, &pairDelimiter, row) {
                        let part = UnsafeRawBufferPointer(rebasing: s[pair])
                        let hit: Range<Int>? = try keyDelimiter.with(row, invalid: nil) { matcher in
                            try matcher.find(part) ? matcher.range(ofGroup: 0) : nil
                        }
                        if let hit, !(hit.isEmpty && hit.lowerBound == 0) {
                            add(pair.lowerBound..<pair.lowerBound + hit.lowerBound, pair.lowerBound + hit.upperBound..<pair.upperBound)
                        } else {
                            add(pair, nil)
                        }
                    }
                    for (key, value) in entries {
                        builder.child(0).append(bytes: UnsafeRawBufferPointer(rebasing: s[key]))
                        if let value { builder.child(1).append(bytes: UnsafeRawBufferPointer(rebasing: s[value])) } else { builder.child(1).appendNull() }
                    }
                    builder.finishList()
                }
            }
        }
    }
}

enum Splitting {
    /// The parts between matches; empty parts at the end are dropped, as in Java's String.split.
    static func split(_ text: UnsafeRawBufferPointer, _ delimiter: inout RegexColumn, _ row: Int) throws -> [Range<Int>] {
        var parts: [Range<Int>] = [], at = 0
        try delimiter.with(row, invalid: ()) { matcher in
            try Patterns.forEachMatch(&matcher, text) { matcher in
                let match = matcher.registers[0]..<matcher.registers[1]
                // An empty match at the start makes no empty first part.
                if match.isEmpty, match.lowerBound == 0 || match.lowerBound == text.count { return }
                parts.append(at..<match.lowerBound)
                at = match.upperBound
            }
        }
        if parts.isEmpty { return [0..<text.count] }
        parts.append(at..<text.count)
        while let last = parts.last, last.isEmpty { parts.removeLast() }
        return parts
    }
}

/// The parts of a URL, as byte ranges, as java.net.URL sees them.
struct UrlParts {
    let text: UnsafeRawBufferPointer
    let scheme: Range<Int>
    let authority: Range<Int>?, userInfo: Range<Int>?, host: Range<Int>
    let path: Range<Int>, query: Range<Int>?, reference: Range<Int>?

    /// Other schemes have no handler in Java, and give null.
    private static let schemes: Set<String> = ["http", "https", "ftp", "file", "jar", "mailto"]

    static func isQuery(_ part: UnsafeRawBufferPointer) -> Bool { part.elementsEqual("QUERY".utf8) }

    init?(_ text: UnsafeRawBufferPointer) {
        self.text = text
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")), colon > 0,
              Self.schemes.contains(Utf8Text.slice(text, 0, colon).string.lowercased()) else { return nil }
        scheme = 0..<colon
        var end = text.count
        func first(_ c: Character, _ from: Int, _ to: Int) -> Int? { text[from..<to].firstIndex(of: c.asciiValue!) }
        if let hash = first("#", colon, end) {
            reference = hash + 1..<end
            end = hash
        } else {
            reference = nil
        }
        var at = colon + 1
        let question = first("?", at, end)
        query = question.map { $0 + 1..<end }
        let pathEnd = question ?? end
        if at + 1 < pathEnd, text[at] == UInt8(ascii: "/"), text[at + 1] == UInt8(ascii: "/") {
            at += 2
            let stop = first("/", at, pathEnd) ?? pathEnd
            authority = at..<stop
            var hostStart = at
            if let sign = text[at..<stop].lastIndex(of: UInt8(ascii: "@")) {
                userInfo = at..<sign
                hostStart = sign + 1
            } else {
                userInfo = nil
            }
            var hostEnd = stop
            if hostStart < stop, text[hostStart] == UInt8(ascii: "["), let close = first("]", hostStart, stop) {
                hostEnd = close + 1
            } else if let port = first(":", hostStart, stop) {
                guard text[(port + 1)..<stop].allSatisfy({ $0 &- 0x30 < 10 }), stop - port <= 6 else { return nil }
                hostEnd = port
            }
            host = hostStart..<hostEnd
            at = stop
        } else {
            authority = nil
            userInfo = nil
            host = at..<at
        }
        path = at..<pathEnd
    }

    func part(_ name: UnsafeRawBufferPointer) -> Range<Int>? {
        switch name.string {
        case "HOST": host
        case "PATH": path
        case "QUERY": query
        case "REF": reference
        case "PROTOCOL": scheme
        case "FILE": path.lowerBound..<(query?.upperBound ?? path.upperBound)
        case "AUTHORITY": authority
        case "USERINFO": userInfo
        default: nil
        }
    }

    /// The value of the first `key=value` in the query.
    static func parameter(_ key: UnsafeRawBufferPointer, of text: UnsafeRawBufferPointer, _ query: Range<Int>) -> Range<Int>? {
        var at = query.lowerBound
        while at <= query.upperBound {
            let end = text[at..<query.upperBound].firstIndex(of: UInt8(ascii: "&")) ?? query.upperBound
            if at + key.count < end, text[at + key.count] == UInt8(ascii: "="), Utf8Text.matches(key, in: text, at: at) {
                return at + key.count + 1..<end
            }
            at = end + 1
        }
        return nil
    }
}
