import StreamCore

/// One value per key.
public final class ValueState<T> {
    private let access: StateAccess
    private let type: StateType<T>

    package init(_ access: StateAccess, _ type: StateType<T>) { (self.access, self.type) = (access, type) }

    /// The current key's value; nil when there is none, or it has expired.
    public func value() throws -> T? { try access.read(type) }
    public func update(_ value: T) throws { try access.write(value, type) }
    public func clear() throws { try access.clear() }

    /// Changes the value in place, beginning with `initial` when there is none.
    public func modify(default initial: T, _ body: (inout T) throws -> Void) throws {
        var value = try value() ?? initial
        try body(&value)
        try update(value)
    }
}

/// A list per key. Appending does not read or rewrite what is there.
public final class ListState<T> {
    private let access: StateAccess
    private let type: StateType<T>

    package init(_ access: StateAccess, _ type: StateType<T>) { (self.access, self.type) = (access, type) }

    /// All elements, oldest first. Rewrites them when the time to live starts anew on reads.
    public func values() throws -> [T] {
        let key = try access.key()
        let stored = try access.backend.list(access.number, key)
        let live = stored.filter { !access.isExpired($0) }
        if access.renewsOnRead, !live.isEmpty {
            try access.backend.replaceList(access.number, key, live.map { access.renewed($0) })
        } else if live.count < stored.count {
            try access.backend.replaceList(access.number, key, live)
        }
        return try live.map { try access.decode($0, type) }
    }

    public func add(_ element: T) throws { try access.backend.append(access.number, access.key(), [access.encode(element, type)]) }

    public func add(contentsOf elements: some Sequence<T>) throws {
        try access.backend.append(access.number, access.key(), elements.map { try access.encode($0, type) })
    }

    /// Puts other elements in place of all.
    public func update(_ elements: some Sequence<T>) throws {
        try access.backend.replaceList(access.number, access.key(), elements.map { try access.encode($0, type) })
    }

    public func clear() throws { try access.clear() }
}

/// A map per key. Entries are read and written one by one.
public final class MapState<K, V> {
    private let access: StateAccess
    private let keyType: StateType<K>
    private let type: StateType<V>

    package init(_ access: StateAccess, _ keyType: StateType<K>, _ type: StateType<V>) {
        (self.access, self.keyType, self.type) = (access, keyType, type)
    }

    public func get(_ mapKey: K) throws -> V? {
        let key = try access.key(), mapKey = try StateAccess.mapKey(mapKey, keyType)
        guard let bytes = try access.backend.entry(access.number, key, mapKey) else { return nil }
        if access.isExpired(bytes) {
            try access.backend.removeEntry(access.number, key, mapKey)
            return nil
        }
        if access.renewsOnRead { try access.backend.setEntry(access.number, key, mapKey, access.renewed(bytes)) }
        return try access.decode(bytes, type)
    }

    public func put(_ mapKey: K, _ value: V) throws {
        try access.backend.setEntry(access.number, access.key(), StateAccess.mapKey(mapKey, keyType), access.encode(value, type))
    }

    public func remove(_ mapKey: K) throws { try access.backend.removeEntry(access.number, access.key(), StateAccess.mapKey(mapKey, keyType)) }

    public func contains(_ mapKey: K) throws -> Bool { try get(mapKey) != nil }

    /// All entries in the order of their keys: numbers by size, text by its UTF-8 bytes, structs by their parts.
    public func entries() throws -> [(key: K, value: V)] {
        let key = try access.key()
        var live: [(key: K, value: V)] = []
        for (mapKey, bytes) in try access.backend.entries(access.number, key) {
            if access.isExpired(bytes) {
                try access.backend.removeEntry(access.number, key, mapKey)
                continue
            }
            if access.renewsOnRead { try access.backend.setEntry(access.number, key, mapKey, access.renewed(bytes)) }
            live.append((try StateAccess.decode(mapKey, keyType, from: 0, name: access.layout.name), try access.decode(bytes, type)))
        }
        return live
    }

    public func keys() throws -> [K] { try entries().map(\.key) }
    public func values() throws -> [V] { try entries().map(\.value) }
    public func isEmpty() throws -> Bool { try entries().isEmpty }
    public func clear() throws { try access.clear() }
}

/// One value per key that each added value is combined into.
public final class ReducingState<T> {
    private let access: StateAccess
    private let type: StateType<T>
    private let combine: (T, T) throws -> T

    package init(_ access: StateAccess, _ type: StateType<T>, _ combine: @escaping (T, T) throws -> T) {
        (self.access, self.type, self.combine) = (access, type, combine)
    }

    /// All that was added, combined; nil when nothing was.
    public func value() throws -> T? { try access.read(type) }
    public func add(_ value: T) throws { try access.write(access.read(type).map { try combine($0, value) } ?? value, type) }
    public func clear() throws { try access.clear() }
}

/// An accumulator per key that values are added to, and a result that is made of it.
public final class AggregatingState<Input, Accumulator, Result> {
    private let access: StateAccess
    private let type: StateType<Accumulator>
    private let create: () -> Accumulator
    private let add: (inout Accumulator, Input) throws -> Void
    private let result: (Accumulator) throws -> Result
    private let merge: (Accumulator, Accumulator) throws -> Accumulator

    package init(_ access: StateAccess, _ type: StateType<Accumulator>, create: @escaping () -> Accumulator,
                 add: @escaping (inout Accumulator, Input) throws -> Void, result: @escaping (Accumulator) throws -> Result,
                 merge: @escaping (Accumulator, Accumulator) throws -> Accumulator) {
        (self.access, self.type, self.create) = (access, type, create)
        (self.add, self.result, self.merge) = (add, result, merge)
    }

    /// The result so far; nil when nothing was added.
    public func value() throws -> Result? { try access.read(type).map(result) }

    public func add(_ value: Input) throws {
        var accumulator = try access.read(type) ?? create()
        try add(&accumulator, value)
        try access.write(accumulator, type)
    }

    /// Adds what another accumulator has gathered, for example one that was filled in front of an exchange.
    public func add(merging other: Accumulator) throws { try access.write(access.read(type).map { try merge($0, other) } ?? other, type) }

    public func clear() throws { try access.clear() }
}
