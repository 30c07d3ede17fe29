import StreamCore
import Synchronization

/// Tells the directories of this process's stores apart: operators of one chain may share a work directory.
private enum StoreNumbers {
    static let next = Atomic<Int>(0)
}

/// An operator whose state may be larger than memory: the in-memory operator works on the entries that are at hand, and what
/// it has not seen for a while is in a store.
///
///     a batch comes    entries it needs and that are not held are read from the store, all at once, and given to the
///                      in-memory operator as if restored; then that operator processes the batch
///     memory is full   changed entries are written in the order of their keys, and the in-memory operator starts anew
///     a snapshot       changed entries are written; the store's files are the snapshot
///
/// Results are those of the in-memory operator because it makes them. For as long as nothing was let go the store is not
/// read at all. Everything about one key must fit into memory.
class StoredOperator: StreamOperator {
    private let makeInner: () throws -> any StreamOperator
    final private(set) var inner: any StreamOperator
    final private(set) var context = OperatorContext(name: "")
    final private(set) var states: [StoredState] = []
    /// What belongs to no key, as the in-memory operator gave it last.
    final private(set) var progress: [KeyGroupState] = []
    /// Everything in the store is held as well.
    final private(set) var isComplete = true
    /// Entries changed without having been touched.
    final var changedAll = false
    private var openedStore: (any KeyedStore)?
    /// The key group, from the first one of the subtask, in which the next expired entries are deleted.
    private var sweepAt = 0
    /// Rows of the current holding, for state that grows with them.
    private var rows = 0
    /// Bytes that a held entry takes apart from its key, and a row.
    private let entryBytes: Int, rowBytes: Int

    /// - Parameter entryBytes: estimate of the memory of a held entry without what its key and stored value account for.
    /// - Parameter rowBytes: the same for each row processed, when state grows with rows.
    init(entryBytes: Int, rowBytes: Int, _ makeInner: @escaping () throws -> any StreamOperator) throws {
        (self.entryBytes, self.rowBytes, self.makeInner) = (entryBytes, rowBytes, makeInner)
        inner = try makeInner()
    }

    /// How state lies in the store.
    func layouts() -> [StoredLayout] { preconditionFailure("abstract") }

    final var store: any KeyedStore { openedStore! }

    func open(_ context: OperatorContext) throws {
        guard let backend = context.backend else { preconditionFailure("opened without a state backend") }
        self.context = context
        let number = StoreNumbers.next.wrappingAdd(1, ordering: .relaxed).newValue
        let made = try backend.makeStore("state", identity: "\(context.name)-\(context.subtask)",
                                         directory: "\(context.workDirectory)/state-\(number)")
        openedStore = made
        made.gauges.map(context.metrics.addGauges)
        states = layouts().map { StoredState($0, made, context) }
        try inner.open(context)
    }

    // MARK: Input

    /// Makes the in-memory operator hold what the batch needs.
    func prepare(_ batch: Batch, input: Int) throws { preconditionFailure("abstract") }

    func senderReached(_ watermark: EventTime) { inner.senderReached(watermark) }

    final func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        if !batch.isEmpty {
            try prepare(batch, input: input)
            rows += batch.count
        }
        return try settled(inner.process(batch, input: input, output: output), output)
    }

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        try settled(inner.advance(to: watermark, output: output), output)
    }

    func resume(_ output: any Output) throws -> Progress { try settled(inner.resume(output), output) }
    final func outputWatermark(_ watermark: EventTime) -> EventTime { inner.outputWatermark(watermark) }
    func finish(input: Int, output: any Output) throws -> Progress { try settled(inner.finish(input: input, output: output), output) }
    final func idle(output: any Output) throws { try inner.idle(output: output) }
    final func prepareSnapshot(_ checkpoint: UInt64, output: any Output) throws { try inner.prepareSnapshot(checkpoint, output: output) }
    var wakeAt: Int64? { inner.wakeAt }
    func onTime(_ now: Int64, output: any Output) throws -> Progress { try settled(inner.onTime(now, output: output), output) }

    final func settled(_ step: Progress, _ output: any Output) throws -> Progress {
        if step == .done, heldBytes > store.operatorCacheBytes {
            // What is held only for batching would be lost with the operator.
            try inner.prepareSnapshot(0, output: output)
            try letGo()
        }
        return step
    }

    private var heldBytes: Int {
        states.reduce(rows * rowBytes) { $0 + $1.heldCount * entryBytes + $1.heldBytes * 3 }
    }

    final func give(_ piece: KeyGroupState?) throws {
        if let piece { try inner.restore(RestoredState(oneOfEach(progressPieces()) + [piece])) }
    }

    /// The in-memory operators give every key group the same progress.
    final func oneOfEach(_ pieces: [KeyGroupState]) -> [KeyGroupState] {
        var names: Set<String> = []
        return pieces.filter { names.insert($0.name).inserted }
    }

    /// What the in-memory operator is to know beside its entries.
    func progressPieces() -> [KeyGroupState] { progress }

    // MARK: The store

    /// Writes what is not in the store yet.
    final func write() throws {
        willWrite()
        var writings = states.map { _ in StoredState.Writing() }
        var others: [KeyGroupState] = []
        // One unit at a time, as all pieces together would take as much memory as the operator does.
        for unit in try inner.snapshot(0).units {
            for piece in try unit.pieces() {
                if let i = states.firstIndex(where: { $0.layout.name == piece.name }) {
                    try states[i].add(piece, all: changedAll, to: &writings[i])
                    try wrote(piece)
                } else {
                    others.append(piece)
                }
            }
        }
        progress = others
        for i in states.indices {
            let writing = writings[i]
            writings[i] = StoredState.Writing()
            try states[i].finish(writing)
        }
        changedAll = false
    }

    /// Pieces are about to be written: all there are, if the operator holds everything.
    func willWrite() {}

    /// The piece is about to be in the store.
    func wrote(_ piece: KeyGroupState) throws {}

    /// The operator holds nothing any more.
    func letGone() {}

    /// Writes everything and starts with empty hands, or without what has gone if that is enough.
    private func letGo() throws {
        try write()
        if isComplete {
            for state in states { state.removeMissing() }
            if rowBytes == 0, heldBytes < store.operatorCacheBytes / 2 { return }
        }
        try startAnew()
    }

    /// Drops what is held; it must have been written.
    final func startAnew() throws {
        rows = 0
        for state in states { state.removeAll() }
        letGone()
        isComplete = false
        try removeExpired()
        try renewInner()
    }

    /// Deletes what is too old in the next of the key groups, going round: nothing that is asked for, which is why the in-memory
    /// operator does not see it.
    private func removeExpired() throws {
        let groups = context.keyGroups
        for (state, timeToLive) in zip(states, timesToLive) {
            guard let timeToLive else { continue }
            for k in 0..<min(Self.sweptAtOnce, groups.count) {
                try state.removeExpired(groups.lowerBound + (sweepAt + k) % groups.count, before: context.now() - timeToLive + 1)
            }
        }
        sweepAt = (sweepAt + Self.sweptAtOnce) % max(groups.count, 1)
    }

    /// Milliseconds after which entries of each kind of state are forgotten.
    var timesToLive: [Int64?] { states.map { _ in nil } }

    private static let sweptAtOnce = 8

    final func renewInner() throws {
        inner.close()
        inner = try makeInner()
        try inner.open(context)
        if !progress.isEmpty { try inner.restore(RestoredState(oneOfEach(progressPieces()))) }
    }

    /// The in-memory operator with nothing but progress, for a part of the work.
    final func makeOther() throws -> any StreamOperator {
        let other = try makeInner()
        try other.open(context)
        return other
    }

    /// The store has become empty.
    final func storeIsEmpty() { isComplete = true }

    // MARK: State

    final func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        try write()
        let progress = progressPieces()
        return OperatorSnapshot(units: progress.isEmpty ? [] : [StateUnit(name: "progress") { progress }], stores: [try store.snapshot(checkpoint)])
    }

    final func portableSnapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        if isComplete { return try inner.portableSnapshot(checkpoint) }
        try write()
        let progress = progressPieces(), view = try store.view()
        var units = progress.isEmpty ? [] : [StateUnit(name: "progress") { progress }]
        for layout in states.map(\.layout) {
            for group in context.keyGroups {
                units.append(StateUnit(name: "\(layout.name)-\(group)") { try Self.pieces(layout, of: group, in: view) })
            }
        }
        return OperatorSnapshot(units: units)
    }

    private static func pieces(_ layout: StoredLayout, of group: Int, in view: any KeyedStoreView) throws -> [KeyGroupState] {
        var pieces: [KeyGroupState] = []
        var reader = StoredLayout.Reader(layout)
        func end() {
            guard let (columns, n) = reader.finish() else { return }
            pieces.append(KeyGroupState(keyGroup: UInt16(group), name: layout.name, batch: Batch(columns: columns, physicalCount: n),
                                        columns: layout.columnNames))
            reader = StoredLayout.Reader(layout)
        }
        let range = layout.range(ofKeyGroup: group)
        try view.scan(from: range.low, to: range.high) { key, value in
            try reader.append(key, value)
            if reader.count == 65_536 { end() }
            return true
        }
        end()
        return pieces
    }

    func restore(_ state: RestoredState) throws {
        guard !state.isEmpty else { return }
        if !state.stores.isEmpty {
            try store.restore(state.stores, keyGroups: context.keyGroups)
            isComplete = false
        }
        var loaded: [KeyGroupState] = []
        for piece in state.pieces {
            if let known = states.first(where: { $0.layout.name == piece.name }) {
                try known.load(piece.load())
                isComplete = false
            } else {
                loaded.append(try piece.load())  // Refused by the in-memory operator when it is of no use.
            }
        }
        if !loaded.isEmpty {
            try inner.restore(RestoredState(loaded))
            progress = try inner.snapshot(0).loaded().filter { piece in !states.contains { $0.layout.name == piece.name } }
        }
    }

    final func close() {
        inner.close()
        openedStore?.close()
    }
}

extension StoredLayout {
    /// The keys of this layout in a key group: up to, not including, `high`.
    func range(ofKeyGroup group: Int) -> (low: [UInt8], high: [UInt8]) {
        switch part {
        case .side(let number), .kind(let number):
            return (Self.prefix(keyGroup: group) + [number], Self.prefix(keyGroup: group) + [number + 1])
        case .none, .slice: break
        }
        return (Self.prefix(keyGroup: group), Self.prefix(keyGroup: group + 1))
    }
}

extension AggregatePlan {
    var stateHasNulls: Bool { wanted.contains { $0.part.mayBeNull } }

    /// State of a group takes more memory with every row.
    var growsWithRows: Bool { wanted.contains { $0.part.growsWithRows } }
}

extension AggregatePlan.Part {
    fileprivate var mayBeNull: Bool {
        switch self {
        case .count, .sum, .preciseSum, .extreme: false
        case .end, .list, .multiset, .distinct, .distinctTable, .sketch, .user: true
        }
    }

    fileprivate var growsWithRows: Bool {
        switch self {
        case .count, .sum, .preciseSum: false
        case .extreme(_, let type, _), .end(_, let type, _): type.physical == .view
        case .list, .multiset, .distinct, .distinctTable, .sketch, .user: true
        }
    }
}
