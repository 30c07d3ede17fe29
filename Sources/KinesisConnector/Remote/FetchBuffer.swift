import Foundation
import StreamCore

/// Between the thread that fetches a shard's records and the subtask that reads them: what has come, up to so many bytes.
final class FetchBuffer: @unchecked Sendable {  // SAFETY: all state is guarded by `condition`
    enum Item {
        case chunk(ShardChunk.Remote)
        case finished
        case failed(StreamError)
    }

    private let condition = NSCondition()
    private var items: [Item] = []
    private var bytes = 0
    private var closed = false
    private var millisecondsBehind: Int64?

    /// An answer is at most 10 MiB; one may wait while the next is fetched.
    private static let bytesMax = 4 << 20

    var isClosed: Bool {
        condition.lock()
        defer { condition.unlock() }
        return closed
    }

    /// How far the last answer was behind the end of the shard; nil before the first.
    var behind: Int64? {
        get {
            condition.lock()
            defer { condition.unlock() }
            return millisecondsBehind
        }
        set {
            condition.lock()
            millisecondsBehind = newValue
            condition.unlock()
        }
    }

    /// Waits for room. Returns false when nobody reads any more.
    func put(_ item: Item) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        while !closed, bytes >= Self.bytesMax { condition.wait() }
        if closed { return false }
        if case .chunk(let chunk) = item { bytes += chunk.buffer.capacity }
        items.append(item)
        return true
    }

    /// The next item, if there is one. The last one stays.
    func take() -> Item? {
        condition.lock()
        defer { condition.unlock() }
        guard let first = items.first else { return nil }
        guard case .chunk(let chunk) = first else { return first }
        items.removeFirst()
        bytes -= chunk.buffer.capacity
        condition.broadcast()
        return first
    }

    /// Returns after so long, or when the buffer is closed: false then.
    func sleep(_ seconds: Double) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        let end = Date(timeIntervalSinceNow: seconds)
        while !closed, condition.wait(until: end) {}
        return !closed
    }

    func close() {
        condition.lock()
        closed = true
        items = []
        bytes = 0
        condition.broadcast()
        condition.unlock()
    }
}
