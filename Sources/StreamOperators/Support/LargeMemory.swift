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

extension UnsafeMutablePointer {
    static func allocateLarge(capacity: Int) -> Self {
        LargeMemory.allocate(capacity * MemoryLayout<Pointee>.stride).bindMemory(to: Pointee.self, capacity: capacity)
    }
}
