import Foundation
import StreamCore
import StreamFormats
import Testing

@Suite("JSON reading against Foundation") struct JSONFuzzTests {
    static let schema: Schema = [
        Field("i", .bigint), Field("d", .double), Field("s", .string), Field("b", .boolean), Field("xs", .array(.double)),
        Field("r", .row([Field("i", .int), Field("s", .string)])), Field("m", .map(key: .string, value: .string)),
    ]

    /// A random document of the schema, with noise: other fields, spaces, any order.
    static func document(_ random: inout SeededRandom) -> String {
        func space() -> String { Int.random(in: 0..<4, using: &random) == 0 ? [" ", "\t", "  ", "\r"].randomElement(using: &random)! : "" }
        func string() -> String {
            let pieces = ["a", "é", "日", "😀", "\\n", "\\\"", "\\\\", "\\u0041", "\\ud83d\\ude00", "\\/", " ", "{", "]", ",", "xyz", "0123456789"]
            return "\"" + (0..<Int.random(in: 0..<9, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined() + "\""
        }
        func number() -> String {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: "\(Int64(truncatingIfNeeded: random.next()))"
            case 1: "\(Int.random(in: -999...999, using: &random)).\(Int.random(in: 0...99_999, using: &random))"
            case 2: "\(Int.random(in: 0...99, using: &random))e\(Int.random(in: -30...30, using: &random))"
            case 3: { let v = Double(bitPattern: random.next()); return v.isFinite ? "\(v)" : "0" }()
            case 4: "\(1 + random.next() % 1_000)\(random.next() % 1_000_000_000).\(random.next() % 1_000_000_000_000)"
            default: "\(Int.random(in: -5...5, using: &random))"
            }
        }
        func list(_ open: String, _ close: String, _ items: [String]) -> String {
            open + space() + items.joined(separator: space() + "," + space()) + space() + close
        }
        func object(_ fields: [(String, String)]) -> String { list("{", "}", fields.map { "\"\($0.0)\"\(space()):\(space())\($0.1)" }) }
        func some(_ n: Int, _ item: () -> String) -> [String] { (0..<Int.random(in: 0...n, using: &random)).map { _ in item() } }
        var fields = [
            ("i", "\(Int64(truncatingIfNeeded: random.next()) >> Int64.random(in: 0..<64, using: &random))"), ("d", number()), ("s", string()),
            ("b", Bool.random(using: &random) ? "true" : "false"), ("xs", list("[", "]", some(4, number))),
            ("r", object([("s", string()), ("i", "\(Int32(truncatingIfNeeded: random.next()))")])),
            ("m", object((0..<Int.random(in: 0..<4, using: &random)).map { ("k\($0)", string()) })), ("other", list("[", "]", some(3, string))), ("more", number()),
        ]
        if Int.random(in: 0..<3, using: &random) > 0 { fields.shuffle(using: &random) }
        fields.removeLast(Int.random(in: 0..<3, using: &random))
        return object(fields)
    }

    static func parsed(_ bytes: [UInt8]) -> [String: Any]? {
        (try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])) as? [String: Any]
    }

    static func expected(_ json: Any?, _ type: DataType) -> Value {
        guard let json, !(json is NSNull) else { return .null }
        switch type {
        case .bigint, .int: return .int((json as! NSNumber).int64Value)
        case .double: return .double((json as! NSNumber).doubleValue)
        case .boolean: return .bool((json as! NSNumber).boolValue)
        case .array(let element): return .array((json as! [Any]).map { expected($0, element) })
        case .row(let fields): return .row(fields.map { expected((json as! [String: Any])[$0.name], $0.type) })
        case .map(_, let value): return .map((json as! [String: Any]).sorted { $0.key < $1.key }.map { .init(.string($0.key), expected($0.value, value)) })
        default: return .string(json as! String)
        }
    }

    /// Foundation reads doubles only nearly right: those are compared to 14 digits here, and exactly in a test of their own.
    static func same(_ a: Value, _ b: Value) -> Bool {
        switch (a, b) {
        case (.double(let x), .double(let y)): x == y || abs(x - y) <= abs(y) * 1e-14
        case (.array(let x), .array(let y)): x.count == y.count && zip(x, y).allSatisfy { same($0, $1) }
        case (.map(let x), .map(let y)): x.sorted { "\($0.key)" < "\($1.key)" } == y
        default: a == b
        }
    }

    @Test("numbers are read exactly, as strtod reads them", arguments: UInt64(0)..<4)
    func doubles(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let texts = (0..<5_000).map { i -> String in
            switch i % 5 {
            case 0: let v = Double(bitPattern: random.next()); return v.isFinite ? "\(v)" : "0"
            case 1: return "\(Int.random(in: -9_999...9_999, using: &random)).\(random.next() % 1_000_000_000_000)"
            case 2: return "-0.\(String(repeating: "0", count: Int.random(in: 0...20, using: &random)))\(random.next())"
            case 3: return "\(1 + random.next() % 1_000_000_000)e\(Int.random(in: -330...300, using: &random))"
            default: return "\(Int64(truncatingIfNeeded: random.next()) >> 8)"
            }
        }
        let schema: Schema = [Field("d", .double), Field("f", .float)]
        let rows = try jsonDecoder(schema).rows(texts.map { "{\"d\":\($0),\"f\":\($0)}" }.joined(separator: "\n"))
        for (text, row) in zip(texts, rows) {
            guard case .double(let d) = row[0], case .float(let f) = row[1] else { continue }
            #expect(d.bitPattern == strtod(text, nil).bitPattern && f.bitPattern == strtof(text, nil).bitPattern, "\(text), seed \(seed)")
        }
    }

    @Test("random documents give the same values", arguments: UInt64(0)..<4)
    func documents(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let lines = (0..<500).map { _ in Self.document(&random) }
        let rows = try jsonDecoder(Self.schema).rows(lines.joined(separator: "\n"))
        try #require(rows.count == lines.count)
        for (line, row) in zip(lines, rows) {
            let object = try #require(Self.parsed(Array(line.utf8)), "\(line)")
            for (field, value) in zip(Self.schema, row) {
                let wanted = Self.expected(object[field.name], field.type)
                #expect(Self.same(value, wanted), "\(field.name) of \(line), seed \(seed)")
            }
        }
    }

    @Test("mutated documents never crash, and are taken only when Foundation takes them", arguments: UInt64(0)..<6)
    func mutations(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let decoder = try jsonDecoder(Self.schema) { $0.ignoreParseErrors = true }
        let skipping = try jsonDecoder(Self.schema, projection: []) { $0.ignoreParseErrors = true }
        let alphabet = Array("{}[]:,\"\\0123456789.eE+-truefalsn \t\r\u{1}u".utf8) + [0, 0x7F, 0x80, 0xC3, 0xE2, 0xED, 0xF0, 0xFF]
        for _ in 0..<1_500 {
            var bytes = Array(Self.document(&random).utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[at] = alphabet.randomElement(using: &random)!
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(alphabet.randomElement(using: &random)!, at: at)
                case 3: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...8, using: &random)))
                default: bytes.append(contentsOf: bytes[at..<min(bytes.count, at + 8)])
                }
                if bytes.isEmpty { bytes = [32] }
            }
            let ours = try decoder.decode(records: [0..<bytes.count], in: buffer(bytes)).batch.count
            let skipped = try skipping.decode(records: [0..<bytes.count], in: buffer(bytes)).batch.count
            let line = try decoder.rows(bytes.filter { $0 != 10 }).count
            let shown = String(decoding: bytes, as: UTF8.self)
            #expect(ours == skipped && ours == line, "\(shown), seed \(seed)")
            guard bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") else { continue }
            let theirs = Self.parsed(bytes) != nil ? 1 : 0
            // Foundation refuses numbers beyond the range of Double.
            if ours == 1, theirs == 0, shown.contains(/[0-9][eE][+-]?[0-9]{3,}/) { continue }
            #expect(ours == theirs, "\(shown), seed \(seed)")
        }
    }

    @Test("random bytes never crash", arguments: UInt64(0)..<4)
    func noise(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let decoder = try jsonDecoder(Self.schema) { $0.ignoreParseErrors = true }
        let alphabet = Array("{}[]:,\"\\019.e-tn\n s".utf8)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            _ = try decoder.rows(bytes)
            _ = try decoder.decode(records: [0..<bytes.count], in: buffer(bytes))
        }
    }
}
