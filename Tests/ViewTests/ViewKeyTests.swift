import Foundation
import StreamCore
import StreamFormats
import StreamTesting
import Testing
@testable import ViewConnector

/// Keys as columns, bytes and text.
@Suite("keys of views") struct ViewKeyTests {
    private static func codec(_ types: [DataType]) throws -> KeyCodec {
        let schema = types.enumerated().map { Field("c\($0.offset)", $0.element, nullable: false) }
        return try KeyCodec(TableDescriptor(name: "v", schema: schema, primaryKey: schema.map(\.name)))
    }

    private static func encode(_ codec: KeyCodec, _ rows: [[Value]]) throws -> [(bytes: [UInt8], hash: UInt64)] {
        let batch = Batch(schema: codec.fields, rows: rows)
        var out = EncodedBytes(), ends: [Int] = [], hashes = [UInt64](repeating: 0, count: rows.count)
        try codec.encode(batch, into: &out, ends: &ends)
        RowHash.hash(batch, keys: Array(codec.fields.indices), into: &hashes)
        let all = Array(out.bytes)
        return ends.indices.map { (Array(all[($0 == 0 ? 0 : ends[$0 - 1])..<ends[$0]]), hashes[$0]) }
    }

    @Test("every key comes back from its text, with the hash that rows are distributed by; bytes are in the keys' order")
    func roundTrip() throws {
        var random = SeededRandom(5)
        let hostile = ["", " ", "a,b", "50%", "%2C", "../../etc/passwd", "a/b?c#d", "\u{0}", "a\u{0}b", "\u{0}\u{FF}", "é", "日本", "\"quoted\"", "\\", "\r\nSet-Cookie: x", "<script>",
                       "🤖", "changes", "a&b=c+d", String(repeating: "long ", count: 200), "\u{202E}gnp", "null"]
        func number() -> Int64 { [Int64.random(in: -5...5, using: &random), Int64.random(in: .min ... .max, using: &random), .min, .max, 0].randomElement(using: &random)! }
        let makers: [(DataType, () -> Value)] = [
            (.string, { .string(hostile.randomElement(using: &random)!) }), (.bigint, { .int(number()) }), (.int, { .int(Int64(Int32(truncatingIfNeeded: number()))) }),
            (.tinyint, { .int(Int64(Int8(truncatingIfNeeded: number()))) }), (.smallint, { .int(Int64(Int16(truncatingIfNeeded: number()))) }), (.boolean, { .bool(Bool.random(using: &random)) }),
            (.decimal(precision: 20, scale: 4), { .decimal(Int128(number())) }), (.double, { .double([0, -0.5, 1e300, -1e-300, 12.25, .infinity].randomElement(using: &random)!) }),
            (.float, { .float([0, -0.5, 1e30, 0.1].randomElement(using: &random)!) }), (.date, { .int(Int64.random(in: -100_000...100_000, using: &random)) }),
            (.timestamp(3), { .int(Int64.random(in: -3_000_000_000_000...3_000_000_000_000, using: &random)) }),
            (.timestampLTZ(6), { .int(Int64.random(in: -3_000_000_000_000_000...3_000_000_000_000_000, using: &random)) }), (.time(3), { .int(Int64.random(in: 0..<86_400_000, using: &random)) }),
            (.bytes, { .binary((0..<Int.random(in: 0...6, using: &random)).map { _ in [0, 1, 0xFF, 0x61].randomElement(using: &random)! }) }),
        ]
        for round in 0..<400 {
            let chosen = (0..<Int.random(in: 1...3, using: &random)).map { _ in makers.randomElement(using: &random)! }
            let codec = try Self.codec(chosen.map(\.0))
            let rows = (0..<8).map { _ in chosen.map { $0.1() } }
            let keys = try Self.encode(codec, rows)
            for (row, key) in zip(rows, keys) {
                let text = key.bytes.withUnsafeBytes { codec.text($0) }
                #expect(text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }, "\(text)")
                let again = try codec.parse(text)
                #expect(again.bytes == key.bytes && again.hash == key.hash, "round \(round): \(row) as \(text)")
            }
            if case .string = rows[0][0] { continue }
            for (a, b) in zip(0..<7, 1..<8) {
                let isLess: Bool? = switch (rows[a][0], rows[b][0]) {
                case (.int(let x), .int(let y)) where x != y: x < y
                case (.decimal(let x), .decimal(let y)) where x != y: x < y
                case (.double(let x), .double(let y)) where x != y: x < y
                case (.float(let x), .float(let y)) where x != y: x < y
                default: nil
                }
                if let isLess { #expect(keys[a].bytes.lexicographicallyPrecedes(keys[b].bytes) == isLess, "\(rows[a][0]) and \(rows[b][0])") }
            }
        }
    }

    @Test("texts that are no key are refused with status 400 and what to write")
    func refusals() throws {
        func problem(_ types: [DataType], _ text: String) throws -> String {
            do { _ = try Self.codec(types).parse(text) } catch let error as ViewError {
                #expect(error.status == 400)
                return "\(error)"
            }
            return ""
        }
        #expect(try problem([.bigint], "seven").contains("BIGINT"))
        #expect(try problem([.tinyint], "300").contains("TINYINT"))
        #expect(try problem([.timestamp(3)], "yesterday").contains("2024-05-04T19:45:00"))
        #expect(try problem([.string, .int], "a").contains("2 parts"))
        #expect(try problem([.string, .int], "a,b,1").contains("%2C"))
        #expect(try problem([.string], "%zz").contains("percent"))
        #expect(try problem([.string], "%ff").contains("percent"))
        #expect(try problem([.boolean], "yes").contains("true or false"))
        #expect(try problem([.bytes], "abc").contains("hexadecimal"))
        #expect(try problem([.string], "a,b") == "")
        #expect(try problem([.timestamp(3)], "2024-05-04%2019:45:00") == "")
        #expect(try problem([.decimal(precision: 5, scale: 2)], "12.5") == "")
    }
}
