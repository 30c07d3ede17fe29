#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Memory for tables and arrays that are read at random places. Large ones ask for 2 MiB pages: faults and address look-ups,
/// not the work on the values, would otherwise be a good part of an update's cost. Freed with `deallocate()`.
enum LargeMemory {
    private static let page = 2 << 20

    static func allocate(_ bytes: Int, alignment: Int = 16) -> UnsafeMutableRawPointer {
        #if canImport(Glibc)
        if bytes >= page {
            let rounded = (bytes + page - 1) / page * page
            let block = UnsafeMutableRawPointer.allocate(byteCount: rounded, alignment: page)
            // Only a hint: without huge pages the block is as good as any.
            _ = madvise(block, rounded, MADV_HUGEPAGE)
            return block
        }
        #endif
        return .allocate(byteCount: max(bytes, alignment), alignment: alignment)
    }
}

/// A block of memory that goes with the last who holds it: what is written once may be read by a snapshot while the array that
/// it belonged to has long moved to a larger one.
final class MemoryBlock: @unchecked Sendable {  // SAFETY: the address never changes; the owner alone writes, and only where no snapshot reads
    let base: UnsafeMutableRawPointer
    init(bytes: Int) { base = LargeMemory.allocate(bytes) }
    deinit { base.deallocate() }
}

extension UnsafeMutablePointer {
    static func allocateLarge(capacity: Int) -> Self {
        LargeMemory.allocate(capacity * MemoryLayout<Pointee>.stride).bindMemory(to: Pointee.self, capacity: capacity)
    }
}

extension UnsafeMutableRawPointer {
    func isEqual(to other: UnsafeMutableRawPointer, bytes: Int) -> Bool { self == other || memcmp(self, other, bytes) == 0 }
}
