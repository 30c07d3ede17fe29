/// State of one operator for one key group: named columnar pieces.
public struct KeyGroupState: Sendable {
    /// Stands for a piece that belongs to no key group: every subtask gets it back.
    public static let everywhere = UInt16.max

    public var keyGroup: UInt16
    public var name: String
    public var batch: Batch
    /// Names of the batch's columns, for people who look into a snapshot.
    public var columns: [String]

    public init(keyGroup: UInt16, name: String, batch: Batch, columns: [String] = []) {
        self.keyGroup = keyGroup
        self.name = name
        self.batch = batch
        self.columns = columns
    }
}

/// A part of an operator's state that changes as a whole.
public struct StateUnit: Sendable {
    /// Unique within the operator's snapshot.
    public var name: String
    /// Differs whenever the contents do, within one run of a job; nil = taken to differ always. A unit whose version is the
    /// same as in the checkpoint before is referenced and not written again.
    public var version: UInt64?
    /// Cuts the unit into key groups. Called at most once, on another thread than the operator's and while that goes on: it
    /// must hold a frozen copy of what it needs. Pieces of a key group may come in any order and number.
    public var pieces: @Sendable () throws -> [KeyGroupState]

    public init(name: String, version: UInt64? = nil, pieces: @escaping @Sendable () throws -> [KeyGroupState]) {
        self.name = name
        self.version = version
        self.pieces = pieces
    }
}

/// State of one operator subtask at a barrier. Taking it costs the stream a copy at most; writing it happens elsewhere.
public struct OperatorSnapshot: Sendable {
    public var units: [StateUnit]
    /// Files of an embedded store, for operators that keep their state in one.
    public var stores: [StoreFiles]

    public init(units: [StateUnit] = [], stores: [StoreFiles] = []) {
        self.units = units
        self.stores = stores
    }

    /// State that is cut up already, as one unit that is always written.
    public init(_ states: [KeyGroupState]) {
        self.init(units: states.isEmpty ? [] : [StateUnit(name: "state") { states }])
    }

    public static let empty = OperatorSnapshot()
    public var isEmpty: Bool { units.isEmpty && stores.isEmpty }
}

/// A frozen set of files that together are a store's contents at a barrier.
public struct StoreFiles: Sendable, Hashable {
    /// The store's name within its operator.
    public var name: String
    /// Where the files are: a directory that belongs to the snapshot and is removed once they have been taken over.
    public var directory: String
    /// Names in it that never change once written: a file of the same name and size in the checkpoint before is the same.
    public var immutable: [String]
    /// Names in it that every snapshot has anew.
    public var mutable: [String]
    /// Tells stores of different subtasks and runs apart, since their files may have equal names.
    public var identity: String

    public init(name: String, directory: String, immutable: [String], mutable: [String], identity: String) {
        self.name = name
        self.directory = directory
        self.immutable = immutable
        self.mutable = mutable
        self.identity = identity
    }
}

/// State that an operator subtask gets back: what snapshots of any parallelism held for its key groups.
public struct RestoredState: Sendable {
    /// A piece that is read from the disk when it is asked for.
    public struct Piece: Sendable {
        public var keyGroup: UInt16
        public var name: String
        public var load: @Sendable () throws -> KeyGroupState

        public init(keyGroup: UInt16, name: String, load: @escaping @Sendable () throws -> KeyGroupState) {
            self.keyGroup = keyGroup
            self.name = name
            self.load = load
        }
    }

    public var pieces: [Piece]
    /// Stores of all subtasks that the operator had, to be opened read-only; each may hold key groups of others too.
    public var stores: [StoreFiles]

    public init(pieces: [Piece] = [], stores: [StoreFiles] = []) {
        self.pieces = pieces
        self.stores = stores
    }

    /// State that is in memory already.
    public init(_ states: [KeyGroupState]) {
        self.init(pieces: states.map { state in Piece(keyGroup: state.keyGroup, name: state.name) { state } })
    }

    public var isEmpty: Bool { pieces.isEmpty && stores.isEmpty }

    /// All pieces at once.
    public func loaded() throws -> [KeyGroupState] { try pieces.map { try $0.load() } }

    /// Every piece in order, loaded one at a time.
    public func forEach(_ body: (KeyGroupState) throws -> Void) throws {
        for piece in pieces { try body(piece.load()) }
    }
}

/// Byte strings one behind the other.
public struct ByteList: Sendable {
    public private(set) var bytes: [UInt8] = []
    public private(set) var ends: [Int] = []

    public init() {}

    @inlinable public var count: Int { ends.count }

    public mutating func append(_ more: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: more)
        ends.append(bytes.count)
    }

    public mutating func append(_ more: [UInt8]) { more.withUnsafeBytes { append($0) } }

    /// Appends an item that consists of three parts.
    public mutating func append(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ c: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: a)
        bytes.append(contentsOf: b)
        bytes.append(contentsOf: c)
        ends.append(bytes.count)
    }

    /// Lengthens the last item.
    public mutating func extendLast(_ more: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: more)
        ends[ends.count - 1] = bytes.count
    }

    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }

    public func range(_ i: Int) -> Range<Int> { (i == 0 ? 0 : ends[i - 1])..<ends[i] }
    public subscript(_ i: Int) -> ArraySlice<UInt8> { bytes[range(i)] }
}

/// Changes to a store that are made together.
public struct StoreChanges: Sendable {
    public var puts = ByteList()
    /// Value of the put with the same number.
    public var values = ByteList()
    public var deletes = ByteList()
    /// Ranges that are emptied before anything else is changed: the first key of each, and the key behind its last one.
    public var rangeStarts = ByteList(), rangeEnds = ByteList()

    public init() {}

    public var isEmpty: Bool { puts.count == 0 && deletes.count == 0 && rangeStarts.count == 0 }

    public mutating func put(_ key: [UInt8], _ value: [UInt8]) {
        puts.append(key)
        values.append(value)
    }

    public mutating func delete(_ key: [UInt8]) { deletes.append(key) }

    /// Deletes all keys from `low` up to, not including, `high`, as far as they are older than these changes.
    public mutating func deleteRange(_ low: [UInt8], _ high: [UInt8]) {
        rangeStarts.append(low)
        rangeEnds.append(high)
    }

    public mutating func removeAll() {
        rangeStarts.removeAll()
        rangeEnds.removeAll()
        puts.removeAll()
        values.removeAll()
        deletes.removeAll()
    }
}

/// An ordered key-value store with the state of one operator subtask. Keys begin with their key group as two bytes, the
/// higher one first. One thread at a time.
public protocol KeyedStore: AnyObject {
    func get(_ key: [UInt8]) throws -> [UInt8]?
    /// Calls `found` with the number of each key that is there and its value, which is valid within the call only.
    func get(_ keys: ByteList, found: (Int, UnsafeRawBufferPointer) throws -> Void) throws
    func apply(_ changes: StoreChanges) throws
    /// Calls `body` with entries from `low` up to, not including, `high` (nil = the end) in the order of their keys, until it
    /// returns false.
    func scan(from low: [UInt8], to high: [UInt8]?, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws
    /// Calls `body` with the number of each prefix and every entry whose key begins with it. Fastest when the prefixes ascend.
    func scan(prefixes: ByteList, _ body: (Int, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void) throws
    /// The contents as they are now, to be read later and on any thread.
    func view() throws -> any KeyedStoreView
    /// Freezes the contents as files.
    func snapshot(_ checkpoint: UInt64) throws -> StoreFiles
    /// Takes over the entries of other stores whose key group is in the range. The store must be empty.
    func restore(_ stores: [StoreFiles], keyGroups: Range<Int>) throws
    /// Bytes that the operator may use for entries that it holds in front of the store. May change as stores come and go.
    var operatorCacheBytes: Int { get }
    /// Reads what the store measures of itself, by names such as `rocksdb.estimate-num-keys`; nil = nothing. Called from any thread, also after
    /// the store was closed.
    var gauges: (@Sendable () -> [String: Int64])? { get }
    func close()
}

extension KeyedStore {
    public func scan(prefixes: ByteList, _ body: (Int, UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void) throws {
        for i in 0..<prefixes.count {
            let prefix = Array(prefixes[i])
            try scan(from: prefix, to: nil) { key, value in
                guard key.starts(with: prefix) else { return false }
                try body(i, key, value)
                return true
            }
        }
    }

    public var operatorCacheBytes: Int { 32 << 20 }
    public var gauges: (@Sendable () -> [String: Int64])? { nil }
}

/// Frozen contents of a ``KeyedStore``. Outlives the store; lets go of what it holds when the last reference to it goes.
public protocol KeyedStoreView: AnyObject, Sendable {
    /// As ``KeyedStore/scan(from:to:_:)``.
    func scan(from low: [UInt8], to high: [UInt8]?, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool) throws
}

/// Where operators keep state: `nil` in an ``OperatorContext`` stands for their own memory.
public protocol StateBackend: Sendable {
    /// As `state.backend.type` names it.
    var name: String { get }
    /// A new, empty store in a directory of its own, which is removed when the store is closed.
    /// - Parameter identity: tells the stores of all operators and subtasks of this run apart.
    func makeStore(_ name: String, identity: String, directory: String) throws -> any KeyedStore
}

extension OperatorSnapshot {
    /// The pieces of all units.
    public func loaded() throws -> [KeyGroupState] { try units.flatMap { try $0.pieces() } }
}
