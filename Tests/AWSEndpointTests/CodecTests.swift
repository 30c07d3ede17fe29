import AWSProtocol
import Testing

@Suite struct CodecTests {
    static let value: AWSValue = [
        "text": "a\"\\\n\u{1F600}", "whole": -7, "half": .double(0.5), "flag": true, "none": .null, "list": [1, "two", [:]], "map": ["k": ["v": 3]],
    ]

    @Test func `JSON and CBOR give back what was written`() throws {
        #expect(try AWSJSON.parse(AWSJSON.write(Self.value)) == Self.value)
        #expect(try CBOR.parse(CBOR.write(Self.value)) == Self.value)
        #expect(try CBOR.parse(CBOR.write(["b": .blob([0, 1, 255]), "t": .timestamp(1.5)])) == ["b": .blob([0, 1, 255]), "t": .timestamp(1.5)])
    }

    @Test func `times in CBOR count milliseconds for the SDKs and seconds for Smithy`() throws {
        let time = AWSValue.timestamp(1_545_084_650.987)
        #expect(CBOR.write(time) == [0xC1, 0x1B, 0, 0, 0x01, 0x67, 0xBE, 0x38, 0xC5, 0xEB])
        #expect(try CBOR.parse(CBOR.write(time)) == time)
        #expect(CBOR.write(.timestamp(1.5), times: .seconds) == [0xC1, 0xFB, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0])
        #expect(try CBOR.parse([0xC1, 0x01], times: .seconds) == .timestamp(1))
    }

    /// Maps and lists of the Java SDK do not tell their lengths beforehand.
    @Test func `CBOR of open length is read`() throws {
        let body: [UInt8] = [0xBF, 0x67] + Array("Records".utf8) + [0x9F, 0xBF, 0x64] + Array("Data".utf8) + [0x42, 0x01, 0x02]
            + [0x6C] + Array("PartitionKey".utf8) + [0x61, 0x6B, 0xFF, 0xFF]
            + [0x65] + Array("Limit".utf8) + [0x19, 0x27, 0x10, 0x61, 0x74, 0x7F, 0x61, 0x61, 0x61, 0x62, 0xFF, 0x61, 0x62, 0x5F, 0x41, 0x01, 0x40, 0xFF, 0xFF]
        #expect(try CBOR.parse(body) == ["Records": [["Data": .blob([1, 2]), "PartitionKey": "k"]], "Limit": 10_000, "t": "ab", "b": .blob([1])])
        for end in 1..<body.count { #expect(throws: AWSError.self) { try CBOR.parse(Array(body[..<end])) } }
    }

    @Test func `CRC-32 is that of zlib`() {
        #expect(CRC32.of(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(CRC32.of([]) == 0)
        #expect(CRC32.of(Array("The quick brown fox jumps over the lazy dog".utf8)) == 0x414F_A339)
    }

    @Test(arguments: ["{", "{\"a\":}", "[1,]", "01", "\"\\x\"", "{} {}", "nul", "\"\u{1}\"", "-"]) func `text that is not JSON is refused`(_ text: String) {
        #expect(throws: AWSError.self) { try AWSJSON.parse(Array(text.utf8)) }
    }

    @Test func `Base64 follows RFC 4648`() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")] {
            #expect(Base64.encode(Array(plain.utf8)) == text)
            #expect(Base64.decode(text) == Array(plain.utf8))
        }
        for broken in ["Zg=", "Zg", "Z===", "Zm9v!mFy", "Zg==Zg=="] { #expect(Base64.decode(broken) == nil) }
    }

    @Test func `broken constraints are told in the services' words`() throws {
        let shape = Structure(
            required: [("StreamName", .string(min: 1, max: 128, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-"))), ("Limit", .integer(min: 1, max: 10))],
            optional: [("Records", .list(.structure(Structure(required: [("Data", .blob(max: 2))])), min: 1))])
        let value = try shape.convert(["StreamName": "", "Records": [["Data": "AAAAAA=="]]], encoding: .json)
        #expect(shape.violations(value) == [
            "Value '' at 'streamName' failed to satisfy constraint: Member must have length greater than or equal to 1",
            "Value '' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            "Value null at 'limit' failed to satisfy constraint: Member must not be null",
            "Value 'java.nio.HeapByteBuffer[pos=0 lim=4 cap=4]' at 'records.1.member.data' failed to satisfy constraint: Member must have length less than or equal to 2",
        ])
        #expect(throws: AWSError.serialization("NUMBER_VALUE cannot be converted to String")) { try shape.convert(["StreamName": 1], encoding: .json) }
    }

    @Test func `numbers that no service can use are refused`() throws {
        let shape = Structure(optional: [("T", .timestamp), ("D", .double), ("I", .integer()), ("L", .long())])
        for text in ["{\"T\":1e300}", "{\"T\":-1e18}", "{\"T\":1e999}", "{\"D\":1e999}", "{\"I\":2147483648}", "{\"I\":1.5}", "{\"L\":1e30}", "{\"L\":9223372036854775808}"] {
            #expect(throws: AWSError.self, "\(text)") { try shape.convert(AWSJSON.parse(Array(text.utf8)), encoding: .json) }
        }
        #expect(try shape.convert(["T": .integer(1_500)], encoding: .cbor) == ["T": .timestamp(1.5)])
        #expect(try shape.convert(["T": .integer(1_500)], encoding: .json) == ["T": .timestamp(1_500)])
        #expect(try shape.convert(["T": .timestamp(1_500)], encoding: .cbor) == ["T": .timestamp(1_500)])
        #expect(try shape.convert(AWSJSON.parse(Array("{\"I\":5.0,\"L\":1e3}".utf8)), encoding: .json) == ["I": 5, "L": 1_000])
    }

    /// Damaged documents are refused or read as something else; they never bring the process down.
    @Test func `damaged bodies are read to an end`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Generator(state: seed)
        let shape = Structure(optional: [
            ("text", .string(min: 2, max: 5)), ("whole", .integer(min: 0)), ("half", .double), ("list", .list(.text, max: 1)), ("map", .map(value: .timestamp)),
        ])
        let event = EventStreamMessage(headers: [(":event-type", "a"), ("b", "")], payload: [1, 2, 3]).bytes()
        let event2 = try #require(try EventStreamMessage.parse(event[...]))
        #expect(event2.length == event.count && event2.message.payload == [1, 2, 3])
        for round in 0..<20_000 {
            let encoding: AWSEncoding = round % 2 == 0 ? .json : .cbor
            var bytes = round % 8 == 7 ? event : encoding == .json ? AWSJSON.write(Self.value) : CBOR.write(Self.value)
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = .random(in: 0...255, using: &random)
                case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2: bytes.removeSubrange(at..<min(bytes.count, at + 3))
                default: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 5)], at: at)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            do {
                _ = try EventStreamMessage.parse(bytes[...])
            } catch {
                #expect(error is AWSError, "seed \(seed)")
            }
            do {
                let value = encoding == .json ? try AWSJSON.parse(bytes) : try CBOR.parse(bytes)
                _ = shape.violations(try shape.convert(value, encoding: encoding))
                _ = AWSJSON.write(value) + CBOR.write(value)
            } catch {
                #expect(error is AWSError, "seed \(seed)")
            }
        }
    }

    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }
}
