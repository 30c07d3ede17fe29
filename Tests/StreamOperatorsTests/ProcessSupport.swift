import StreamCore
import StreamOperators
import StreamState
import Synchronization

/// An ordered store in memory. What it froze stays readable by the directory that a snapshot names.
final class SortedStore: KeyedStore {
    private static let frozen = Mutex<[String: [[UInt8]: [UInt8]]]>([:])
    private static let names = Atomic<Int>(0)

    private let name: String, identity: String
    private(set) var entries: [[UInt8]: [UInt8]] = [:]
    private var order: [[UInt8]] = []
    /// Bytes of all values ever put.
    private(set) var bytesPut = 0
    private(set) var isClosed = false

    init(_ name: String, identity: String) { (self.name, self.identity) = (name, identity) }

    func get(_ key: [UInt8]) -> [UInt8]? { entries[key] }

    func get(_ keys: ByteList, found: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
        for i in 0..<keys.count { if let value = entries[Array(keys[i])] { try value.withUnsafeBytes { try found(i, $0) } } }
    }

    /// The number of keys before `key`.
    private func place(_ key: [UInt8]) -> Int {
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if order[middle].lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func apply(_ changes: StoreChanges) {
        for i in 0..<changes.rangeStarts.count {
            let range = place(Array(changes.rangeStarts[i]))..<place(Array(changes.rangeEnds[i]))
            for key in order[range] { entries[key] = nil }
            order.removeSubrange(range)
        }
        for i in 0..<changes.puts.count {
            let key = Array(changes.puts[i])
            if entries.updateValue(Array(changes.values[i]), forKey: key) == nil { order.insert(key, at: place(key)) }
            bytesPut += changes.values[i].count
        }
        for i in 0..<changes.deletes.count {
            let key = Array(changes.deletes[i])
            if entries.removeValue(forKey: key) != nil { order.remove(at: place(key)) }
        }
    }

    func scan(from low: [UInt8], to high: [UInt8]?, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws {
        for key in order[place(low)..<max(place(low), high.map { place($0) } ?? order.count)] {
            guard try key.withUnsafeBytes({ key in try entries[Array(key)]!.withUnsafeBytes { try body(key, $0) } }) else { return }
        }
    }

    func scan(prefixes: ByteList, _ body: (Int, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void) throws {
        for i in 0..<prefixes.count {
            let prefix = Array(prefixes[i])
            for key in order[place(prefix)...].prefix(while: { $0.starts(with: prefix) }) {
                try key.withUnsafeBytes { key in try entries[Array(key)]!.withUnsafeBytes { try body(i, key, $0) } }
            }
        }
    }

    private struct Entry: Sendable { var key: [UInt8], value: [UInt8] }

    private final class View: KeyedStoreView {
        private let entries: [Entry]
        init(_ entries: [Entry]) { self.entries = entries }

        func scan(from low: [UInt8], to high: [UInt8]?, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws {
            for entry in entries where !entry.key.lexicographicallyPrecedes(low) && (high.map { entry.key.lexicographicallyPrecedes($0) } ?? true) {
                guard try entry.key.withUnsafeBytes({ key in try entry.value.withUnsafeBytes { try body(key, $0) } }) else { return }
            }
        }
    }

    func view() -> any KeyedStoreView { View(order.map { Entry(key: $0, value: entries[$0]!) }) }

    var operatorCacheBytes: Int { 1 << 20 }

    func snapshot(_ checkpoint: UInt64) -> StoreFiles {
        let directory = "frozen-\(Self.names.wrappingAdd(1, ordering: .relaxed).newValue)"
        let entries = entries
        Self.frozen.withLock { $0[directory] = entries }
        return StoreFiles(name: name, directory: directory, immutable: ["entries"], mutable: [], identity: identity)
    }

    func restore(_ stores: [StoreFiles], keyGroups: Range<Int>) {
        precondition(entries.isEmpty, "restored into a store in use")
        for store in stores {
            let frozen = Self.frozen.withLock { $0[store.directory]! }
            entries.merge(frozen.filter { keyGroups.contains(Int($0.key[0]) << 8 | Int($0.key[1])) }) { _, new in new }
        }
        order = entries.keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    func close() { isClosed = true }
}

/// Makes sorted stores, and remembers them.
final class SortedBackend: StateBackend {
    // SAFETY: read only after the operator that uses them is done, on the test's thread.
    nonisolated(unsafe) private(set) var stores: [SortedStore] = []
    let name = "sorted"

    func makeStore(_ name: String, identity: String, directory: String) -> any KeyedStore {
        stores.append(SortedStore(name, identity: identity))
        return stores.last!
    }
}

/// Milliseconds that move only when told to.
final class FakeClock: Sendable {
    private let time: Atomic<Int64>
    init(_ start: Int64 = 1_000_000) { time = Atomic(start) }
    var now: Int64 { time.load(ordering: .relaxed) }
    func advance(_ milliseconds: Int64) { time.wrappingAdd(milliseconds, ordering: .relaxed) }
}

/// All subtasks of a keyed operator: rows go where the exchange would send them.
final class ProcessHarness {
    let subtasks: [any StreamOperator]
    let outputs: [Collector]
    let backends: [SortedBackend]
    let clock: FakeClock
    private let keys: [[Int]]
    private let maxParallelism: Int

    /// - Parameter keys: of each input.
    init(_ make: Operators.Factory, keys: [[Int]], parallelism: Int = 1, maxParallelism: Int = 128, inStore: Bool = false, clock: FakeClock = FakeClock(),
         room: Int = .max, restoring state: RestoredState = RestoredState()) throws {
        subtasks = try (0..<parallelism).map { _ in try make() }
        outputs = subtasks.map { _ in Collector(room: room) }
        backends = subtasks.map { _ in SortedBackend() }
        (self.keys, self.maxParallelism, self.clock) = (keys, maxParallelism, clock)
        for (i, subtask) in subtasks.enumerated() {
            let context = OperatorContext(name: "process", subtask: i, parallelism: parallelism, maxParallelism: maxParallelism,
                                          backend: inStore ? backends[i] : nil, workDirectory: "work", now: { clock.now })
            try subtask.open(context)
            // As the runtime does: pieces of the subtask's own key groups, and all stores.
            let own = RestoredState(pieces: state.pieces.filter { context.keyGroups.contains(Int($0.keyGroup)) }, stores: state.stores)
            if !state.isEmpty { try subtask.restore(own) }
        }
    }

    private func through(_ subtask: Int, _ progress: Progress) throws {
        var progress = progress
        while progress == .more {
            outputs[subtask].makeRoom()
            progress = try subtasks[subtask].resume(outputs[subtask])
        }
        outputs[subtask].makeRoom()
    }

    func process(_ batch: Batch, input: Int = 0) throws {
        var hashes = [UInt64](repeating: 0, count: batch.count)
        hashes.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { RowHash.hash(batch, keys: keys[input], into: base) } }
        for i in subtasks.indices {
            var part = batch
            part.selection = Selection((0..<batch.count).filter { row in
                let group = KeyGroups.group(ofHash: hashes[row], maxParallelism: maxParallelism)
                return KeyGroups.subtask(ofGroup: group, parallelism: subtasks.count, maxParallelism: maxParallelism) == i
            }.map { Int32(batch.row($0)) })
            try through(i, subtasks[i].process(part, input: input, output: outputs[i]))
        }
    }

    func advance(_ watermark: Int64) throws {
        for i in subtasks.indices { try through(i, subtasks[i].advance(to: EventTime(milliseconds: watermark), output: outputs[i])) }
    }

    /// Moves the clock, and wakes the subtasks that want to be.
    func wait(_ milliseconds: Int64) throws {
        clock.advance(milliseconds)
        for i in subtasks.indices {
            if let wake = subtasks[i].wakeAt, wake <= clock.now { try through(i, subtasks[i].onTime(clock.now, output: outputs[i])) }
        }
    }

    func finish(inputs: Int = 1) throws {
        try advance(.max)
        for i in subtasks.indices { for input in 0..<inputs { try through(i, subtasks[i].finish(input: input, output: outputs[i])) } }
    }

    /// Frozen state whose pieces are made when asked for.
    func snapshot() throws -> () throws -> RestoredState {
        let snapshots = try subtasks.map { try $0.snapshot(1) }
        return {
            RestoredState(pieces: RestoredState(try snapshots.flatMap { try $0.loaded() }).pieces, stores: snapshots.flatMap(\.stores))
        }
    }

    /// Rows that came out since the last call, subtask by subtask.
    func take() -> [[Value]] {
        defer { for output in outputs { output.batches = [] } }
        return outputs.flatMap(\.rows)
    }
}
