import Synchronization

/// Blocks of memory that are used again: batches are made and dropped thousands of times a second, often on different threads,
/// and giving their pages back to the system each time costs more than filling them.
///
/// Blocks of 4 KiB to 8 MiB come in size classes, four to each power of two. What is kept is bounded by ``keptBytesMax``.
enum BufferPool {
    static let smallest = 4_096, largest = 8 << 20
    static let keptBytesMax = 64 << 20

    private final class Shelf: Sendable {
        let size: Int
        // Addresses, as pointers are not Sendable.
        let blocks = Mutex<[UInt]>([])
        init(size: Int) { self.size = size }
    }

    private static let shelves: [Shelf] = {
        var sizes: [Int] = []
        var power = smallest
        while power < largest {
            for quarter in 4..<8 { sizes.append(power / 4 * quarter) }
            power *= 2
        }
        return (sizes + [largest]).map(Shelf.init)
    }()

    private static let keptBytes = Atomic<Int>(0)

    /// The shelf for blocks of at least `bytes`; nil when they are too small or too large to be pooled.
    private static func shelf(for bytes: Int) -> Shelf? {
        guard bytes > smallest / 2, bytes <= largest else { return nil }
        if bytes <= smallest { return shelves[0] }
        let power = Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount
        let quarter = (bytes - 1) >> (power - 2) & 3
        return shelves[(power - 12) * 4 + quarter + 1]
    }

    static func take(_ bytes: Int) -> UnsafeMutableRawPointer {
        guard let shelf = shelf(for: bytes) else { return .allocate(byteCount: bytes, alignment: Buffer.alignment) }
        if let address = shelf.blocks.withLock({ $0.popLast() }) {
            keptBytes.subtract(shelf.size, ordering: .relaxed)
            return UnsafeMutableRawPointer(bitPattern: address)!
        }
        return .allocate(byteCount: shelf.size, alignment: Buffer.alignment)
    }

    /// Takes back a block that `take` gave for the same number of bytes.
    static func give(_ block: UnsafeMutableRawPointer, _ bytes: Int) {
        guard let shelf = shelf(for: bytes), keptBytes.load(ordering: .relaxed) + shelf.size <= keptBytesMax else { return block.deallocate() }
        keptBytes.add(shelf.size, ordering: .relaxed)
        shelf.blocks.withLock { $0.append(UInt(bitPattern: block)) }
    }
}
