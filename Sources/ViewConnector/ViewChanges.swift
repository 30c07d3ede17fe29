import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What became of a row.
struct ViewChange: Sendable {
    var key: [UInt8], hash: UInt64
    var version: Int64
    /// nil = it is gone.
    var row: [UInt8]?
}

/// The newest changes of a view, numbered, for any number of readers who go through them at their own pace. It keeps changes only while
/// someone reads, and for a while after: a reader who comes back finds them.
final class ViewChanges: @unchecked Sendable {  // SAFETY: everything that changes is touched while `mutex` is held
    /// Milliseconds for which changes are kept after the last reader has gone.
    static let linger: Int64 = 120_000

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private let limit: Int
    private let now: @Sendable () -> Int64
    /// `kept[first...]`, in order; the number of `kept[first]` is `firstID`.
    private var kept: [ViewChange] = []
    private var first = 0
    /// Of the change after the last one.
    private var nextID: Int64
    private var readers = 0
    private var lastReaderAt: Int64 = .min
    private var isOver = false
    /// Set whenever someone reads, so that writers need not lock to know that nobody does.
    private let wanted = Atomic<Bool>(false)

    /// - Parameter start: number of the first change: larger than those of all runs before.
    init(limit: Int, start: Int64, now: @escaping @Sendable () -> Int64) {
        (self.limit, nextID, self.now) = (limit, start, now)
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    private func locked<R>(_ body: () throws -> R) rethrows -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    private var firstID: Int64 { nextID - Int64(kept.count - first) }

    var isWanted: Bool { wanted.load(ordering: .relaxed) }
    var readerCount: Int { locked { readers } }

    func add(_ changes: [ViewChange]) {
        guard !changes.isEmpty else { return }
        locked {
            if readers == 0, now() > lastReaderAt &+ Self.linger {
                wanted.store(false, ordering: .relaxed)
                (kept, first) = ([], 0)
                // What was not kept has been missed.
                nextID += Int64(changes.count)
                return
            }
            kept.append(contentsOf: changes)
            nextID += Int64(changes.count)
            let over = kept.count - first - limit
            if over > 0 { first += over }
            if first > limit {
                kept.removeFirst(first)
                first = 0
            }
        }
        pthread_cond_broadcast(condition)
    }

    /// Readers have to begin anew: the rows are others now.
    func reset() {
        locked {
            (kept, first) = ([], 0)
            nextID += 1
        }
        pthread_cond_broadcast(condition)
    }

    func end() {
        locked { isOver = true }
        pthread_cond_broadcast(condition)
    }

    /// - Returns: the number of the next change.
    func enter() -> Int64 {
        locked {
            readers += 1
            // Writers that do not look yet when this is set have their rows in the tables by the time the reader looks there.
            if !wanted.exchange(true, ordering: .sequentiallyConsistent), readers == 1 {
                (kept, first) = ([], 0)
                nextID += 1
            }
            return nextID
        }
    }

    func leave() {
        locked {
            readers -= 1
            lastReaderAt = now()
        }
    }

    var next: Int64 { locked { nextID } }

    enum Found {
        case changes([ViewChange], next: Int64)
        /// Changes from there on are not known any more.
        case missed(next: Int64)
        case over
    }

    /// Changes from number `from` on, at most `most`: at once, or as soon as there is one; none when `milliseconds` have gone by.
    func read(from: Int64, most: Int, milliseconds: Int) -> Found {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        var until = timespec()
        clock_gettime(CLOCK_REALTIME, &until)
        let total = until.tv_nsec + milliseconds * 1_000_000
        until.tv_sec += total / 1_000_000_000
        until.tv_nsec = total % 1_000_000_000
        while true {
            if isOver { return .over }
            if from < firstID || from > nextID { return .missed(next: nextID) }
            if from < nextID {
                let start = first + Int(from - firstID), end = min(start + most, kept.count)
                return .changes(Array(kept[start..<end]), next: from + Int64(end - start))
            }
            if milliseconds <= 0 || pthread_cond_timedwait(condition, mutex, &until) == ETIMEDOUT { return .changes([], next: from) }
        }
    }
}

/// Follows the changes of a view. It holds nothing but where it is: one who reads slowly is told that changes were missed, and gets
/// the newest rows.
final class LocalSubscription: ViewSubscription, @unchecked Sendable {  // SAFETY: one thread at a time, as the protocol says; `close` may come once from another
    private let view: View
    private let key: (bytes: [UInt8], hash: UInt64)?
    private let keyText: String
    private var position: Int64
    /// The newest rows are being given: those behind this key follow.
    private var copying: [UInt8]?
    private var sent: Int64 = 0
    private let isClosed = Atomic<Bool>(false)

    init(_ view: View, key: String?, since: Int64?, snapshot: Bool) throws {
        self.view = view
        self.key = try key.map { try view.codec.parse($0) }
        keyText = self.key.map { key in key.bytes.withUnsafeBytes { view.codec.text($0) } } ?? ""
        let newest = view.changes.enter()
        position = since.map { $0 + 1 } ?? newest
        copying = since == nil && (snapshot || key != nil) ? [] : nil
    }

    deinit { close() }

    func close() {
        if !isClosed.exchange(true, ordering: .relaxed) { view.changes.leave() }
    }

    func next(milliseconds: Int) throws -> [ViewEvent]? {
        if isClosed.load(ordering: .relaxed) { return nil }
        if let after = copying { return try copy(after: after) }
        switch view.changes.read(from: position, most: 256, milliseconds: milliseconds) {
        case .over: return nil
        case .missed(let next):
            position = next
            copying = []
            return [.reset(id: next - 1)]
        case .changes(let changes, let next):
            let start = position
            position = next
            var events: [ViewEvent] = []
            for (i, change) in changes.enumerated() {
                if let key {
                    // A row that was read may be newer than the changes on their way.
                    guard change.hash == key.hash, change.key == key.bytes, change.version > sent || change.version == sent && change.row == nil else { continue }
                    sent = change.version
                }
                let text = change.key.withUnsafeBytes { view.codec.text($0) }
                events.append(.change(id: start + Int64(i), ViewRow(key: text, version: change.version, row: change.row)))
            }
            return events
        }
    }

    private func copy(after: [UInt8]) throws -> [ViewEvent] {
        if let key {
            copying = nil
            guard let row = try view.get(key.bytes, key.hash) else {
                return [.change(id: position - 1, ViewRow(key: keyText, version: view.newestVersion, row: nil))]
            }
            sent = row.version
            return [.change(id: position - 1, ViewRow(key: keyText, version: row.version, row: row.row))]
        }
        let page = try view.scan(after: after, limit: 100)
        copying = page.next
        return page.rows.map { row in
            .change(id: position - 1, ViewRow(key: row.key.withUnsafeBytes { view.codec.text($0) }, version: row.version, row: row.row))
        }
    }
}
