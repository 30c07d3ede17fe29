import StreamTesting
import Testing
@testable import StreamCore

@Suite("Buffer pool") struct BufferPoolTests {
    @Test("buffers of every size are usable to their end, aligned, and padded with zeros", arguments: UInt64(0)..<4)
    func sizes(seed: UInt64) {
        var random = SeededRandom(seed)
        var sizes = [0, 1, 63, 64, 1_984, 1_985, 4_031, 4_032, 4_033, 8 << 20, (8 << 20) - 64, (8 << 20) - 63]
        sizes += (0..<200).map { _ in Int.random(in: 0...(1 << Int.random(in: 1...23, using: &random)), using: &random) }
        for round in 0..<3 {
            var held: [(Buffer, UInt8)] = []
            for (i, size) in sizes.enumerated() {
                let buffer = Buffer(capacity: size), mark = UInt8(truncatingIfNeeded: i &+ round)
                #expect(Int(bitPattern: buffer.base) % 64 == 0)
                buffer.base.initializeMemory(as: UInt8.self, repeating: mark, count: size)
                held.append((buffer, mark))
                if Bool.random(using: &random) { held.remove(at: Int.random(in: 0..<held.count, using: &random)) }
            }
            for (buffer, mark) in held {
                let bytes = UnsafeRawBufferPointer(start: buffer.base, count: buffer.capacity + Buffer.padding)
                #expect(bytes.prefix(buffer.capacity).allSatisfy { $0 == mark }, "seed \(seed), \(buffer.capacity) bytes")
                #expect(bytes.suffix(Buffer.padding).allSatisfy { $0 == 0 }, "seed \(seed), \(buffer.capacity) bytes")
            }
        }
    }
}
