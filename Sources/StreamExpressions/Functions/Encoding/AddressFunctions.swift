import StreamCore

/// INET_ATON and INET_NTOA: IPv4 addresses as numbers.
extension FunctionRegistry {
    mutating func registerAddressFunctions() {
        define("INET_ATON", takes: [.text("address")], returns: .bigint) { args, rows, _ in
            let text = args[0].text
            return rows.fixedOrNull(.bigint) { row -> Int64? in IPv4Address.parse(text[row]) }
        }
        define("INET_NTOA", takes: [.bigint("number")], returns: .string) { args, rows, _ in
            let number = args[0].vector(Int64.self)
            return rows.text(.string) { row, out in
                guard let value = UInt32(exactly: number[row]) else { return out.setNull() }
                for shift in [24, 16, 8, 0] as [UInt32] {
                    if shift < 24 { out.append(UInt8(ascii: ".")) }
                    let to = out.spareText(NumberText.capacity)
                    out.advance(NumberText.write(Int64(value >> shift & 255), to: to))
                }
            }
        }
    }
}

enum IPv4Address {
    /// Of `a.b.c.d`, and as in MySQL of `a.b.c`, `a.b` and `a`, whose last number stands for the remaining bytes; nil for other texts.
    static func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
        var parts: [Int64] = [], at = 0
        while true {
            var value: Int64 = 0
            let start = at
            while at < text.count, text[at] &- 48 < 10, at - start < 10 {
                value = value * 10 + Int64(text[at] &- 48)
                at += 1
            }
            guard at > start else { return nil }
            parts.append(value)
            if at == text.count { break }
            guard text[at] == UInt8(ascii: "."), parts.count < 4 else { return nil }
            at += 1
        }
        let last = parts.removeLast()
        guard parts.allSatisfy({ $0 < 256 }), last < 1 << Int64(8 * (4 - parts.count)) else { return nil }
        let high = parts.enumerated().reduce(Int64(0)) { $0 | $1.element << Int64(8 * (3 - $1.offset)) }
        return high | last
    }
}
