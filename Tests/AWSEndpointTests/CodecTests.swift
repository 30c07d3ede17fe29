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
}
