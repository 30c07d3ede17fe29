/// Which parts of a long array of state changed since the last snapshot: chunks of consecutive numbers, each with a version
/// that differs whenever the contents do.
final class ChunkVersions {
    static let size = 1 << 16
    private var changed: [Bool] = []
    private var versions: [UInt64] = []
    private let counter: VersionCounter

    init(_ counter: VersionCounter) { self.counter = counter }

    private func reserve(_ chunks: Int) {
        while changed.count < chunks {
            changed.append(true)
            versions.append(0)
        }
    }

    func mark(_ number: Int) {
        reserve(number / Self.size + 1)
        changed[number / Self.size] = true
    }

    func mark(_ numbers: UnsafePointer<Int32>, count: Int) {
        var last = -1
        for i in 0..<count where Int(numbers[i]) / Self.size != last {
            last = Int(numbers[i]) / Self.size
            mark(Int(numbers[i]))
        }
    }

    /// The numbers mean something else from now on.
    func markAll() { for i in changed.indices { changed[i] = true } }

    /// Chunks of `count` numbers with their versions; what is marked from now on is of the next snapshot.
    func take(_ count: Int) -> [(range: Range<Int>, version: UInt64)] {
        let chunks = (count + Self.size - 1) / Self.size
        reserve(chunks)
        return (0..<chunks).map { chunk in
            if changed[chunk] { versions[chunk] = counter.next() }
            changed[chunk] = false
            return (chunk * Self.size..<min((chunk + 1) * Self.size, count), versions[chunk])
        }
    }
}

/// Gives versions out, none twice, and none that an operator gave out that started at an earlier time.
final class VersionCounter {
    private var last: UInt64 = 0

    /// - Parameter now: wall-clock milliseconds.
    func start(at now: Int64) { last = max(last, UInt64(max(now, 0)) << 20) }

    func next() -> UInt64 {
        last += 1
        return last
    }
}
