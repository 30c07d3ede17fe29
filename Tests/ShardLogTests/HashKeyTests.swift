import CChecksum
import ShardLog
import StreamCore
import Testing

@Suite("Hash keys and checksums") struct HashKeyTests {
    @Test("MD5 of the RFC 1321 examples")
    func md5() {
        let known = [
            "": "d41d8cd98f00b204e9800998ecf8427e", "a": "0cc175b9c0f1b6a831c399e269772661",
            "abc": "900150983cd24fb0d6963f7d28e17f72", "message digest": "f96b697d7cb7938d525a2f31aaf161d0",
            "abcdefghijklmnopqrstuvwxyz": "c3fcd3d76192e4007dfb496cca67e13b",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": "d174ab98d277d9f5a5611c2c9f419d9f",
            String(repeating: "1234567890", count: 8): "57edf4a22be3c955ac49da2e2107b67a",
        ]
        for (text, digest) in known { #expect(HashKey.of(text) == UInt128(digest, radix: 16), "\(text)") }
    }

    @Test("shards split the hash keys as Kinesis does")
    func ranges() throws {
        #expect(HashKeyRange.even(1) == [HashKeyRange(first: 0, last: .max)])
        #expect(HashKeyRange.even(2).map(\.first) == [0, try HashKey.parse("170141183460469231731687303715884105728")])
        // As `aws kinesis create-stream --shard-count 3` shows.
        #expect(HashKeyRange.even(3) == [
            HashKeyRange(first: 0, last: try HashKey.parse("113427455640312821154458202477256070484")),
            HashKeyRange(first: try HashKey.parse("113427455640312821154458202477256070485"),
                         last: try HashKey.parse("226854911280625642308916404954512140969")),
            HashKeyRange(first: try HashKey.parse("226854911280625642308916404954512140970"), last: .max),
        ])
        #expect(HashKeyRange.even(4)[1].first == UInt128(1) << 126)
        for n in 1...70 {
            let ranges = HashKeyRange.even(n)
            #expect(ranges.first!.first == 0 && ranges.last!.last == .max)
            for i in 1..<max(n, 1) where n > 1 { #expect(ranges[i].first == ranges[i - 1].last + 1) }
        }
    }

    @Test("explicit hash keys are decimal and fit 128 bits", arguments: ["", "-1", "+1", "x", "340282366920938463463374607431768211456"])
    func badHashKey(text: String) {
        #expect(throws: StreamError.self) { try HashKey.parse(text) }
    }

    @Test("CRC32C: known answers, and the instruction agrees with the table at every length")
    func crc() {
        let digits = Array("123456789".utf8)
        #expect(digits.withUnsafeBytes { sw_crc32c(0, $0.baseAddress, 9) } == 0xE306_9283)
        #expect([UInt8](repeating: 0, count: 32).withUnsafeBytes { sw_crc32c(0, $0.baseAddress, 32) } == 0x8A91_36AA)
        #expect([UInt8](repeating: 0xFF, count: 32).withUnsafeBytes { sw_crc32c(0, $0.baseAddress, 32) } == 0x62A8_AB43)
        var random = SeededRandom(7)
        let bytes = (0..<60_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        bytes.withUnsafeBytes { p in
            for length in Array(0...2_000) + [8_191, 24_575, 24_576, 24_577, 50_000, 59_990] {
                let start = length % 7
                #expect(sw_crc32c(5, p.baseAddress! + start, length) == sw_crc32c_table(5, p.baseAddress! + start, length))
            }
            let whole = sw_crc32c(0, p.baseAddress, 60_000)
            #expect(sw_crc32c(sw_crc32c(0, p.baseAddress, 12_345), p.baseAddress! + 12_345, 60_000 - 12_345) == whole)
        }
    }

    @Test("sequence numbers are 56 digits, order as text like as numbers, and parse back")
    func sequenceNumbers() throws {
        let a = SequenceNumber(created: 1_700_000_000_000, shard: 3, epoch: 1, index: 99)
        var b = a
        b.index = 100
        #expect(a.description.utf8.count == 56 && a.description.hasPrefix("4901700000000000"))
        #expect(a < b && a.description < b.description)
        #expect(try SequenceNumber(parsing: a.description) == a)
        #expect(throws: StreamError.self) { try SequenceNumber(parsing: "12") }
        #expect(throws: StreamError.self) { try SequenceNumber(parsing: String(repeating: "9", count: 56)) }
    }
}
