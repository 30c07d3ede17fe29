import StreamCore

/// The state of one operator subtask as its handles see it: the declared names, the current key, the backend and the clock.
package final class KeyedScope {
    /// Names of snapshot pieces that hold something else than a handle's state.
    package static let timersPiece = "timers"

    /// What the handles are about; nil outside of callbacks.
    package var key: StateKey?
    /// Handles can be declared for now.
    package var isOpening = true
    package let backend: any KeyedBackend
    package let now: @Sendable () -> Int64
    private(set) var layouts: [HandleLayout] = []

    package init(backend: any KeyedBackend, now: @escaping @Sendable () -> Int64) {
        self.backend = backend
        self.now = now
    }

    package func declare(_ name: String, _ kind: HandleLayout.Kind, key: ElementLayout? = nil, value: ElementLayout, ttl: StateTTL?) throws -> StateAccess {
        guard isOpening else {
            throw StreamError(.validate, "state \"\(name)\" is declared after open", fix: "declare all state in open(_:) and keep the handles")
        }
        if let other = layouts.first(where: { $0.name == name }) {
            throw StreamError(.validate, "state \"\(name)\" is declared twice, first as \(other.signature)", fix: "give each state a name of its own")
        }
        guard !name.isEmpty, name != Self.timersPiece else {
            throw StreamError(.validate, name.isEmpty ? "a state has no name" : "\"\(name)\" is the name under which snapshots hold timers",
                              fix: "give the state another name")
        }
        if let ttl, ttl.milliseconds <= 0 {
            throw StreamError(.validate, "state \"\(name)\" is to be kept for \(ttl.duration)", fix: "give it at least a millisecond, or no time to live")
        }
        let layout = HandleLayout(name: name, kind: kind, key: key, value: value, ttl: ttl)
        try backend.declare(layout)
        layouts.append(layout)
        return StateAccess(scope: self, number: layouts.count - 1, layout: layout)
    }
}

/// What all handles need: the current key, and the time in front of values that expire.
package struct StateAccess {
    let scope: KeyedScope
    let number: Int
    let layout: HandleLayout

    var backend: any KeyedBackend { scope.backend }
    var renewsOnRead: Bool { layout.ttl?.updateType == .onReadAndWrite }

    func key() throws -> StateKey {
        if let key = scope.key { return key }
        throw StreamError(.validate, "state \"\(layout.name)\" is used outside of a callback for a row or a timer, where there is no current key",
                          fix: "use it in process or onTimer only")
    }

    func encode<T>(_ value: T, _ type: StateType<T>) throws -> [UInt8] {
        var writer = StateWriter()
        if layout.ttl != nil { writer.fixed(scope.now()) }
        try type.write(value, &writer)
        return writer.bytes
    }

    func decode<T>(_ bytes: [UInt8], _ type: StateType<T>) throws -> T {
        try Self.decode(bytes, type, from: layout.stampSize, name: layout.name)
    }

    static func decode<T>(_ bytes: [UInt8], _ type: StateType<T>, from start: Int, name: String) throws -> T {
        var reader = StateReader(bytes, at: start)
        let value = try type.read(&reader)
        guard reader.isAtEnd else { throw reader.damaged("\(reader.rest.count) bytes of state \"\(name)\" are left over behind a \(T.self)") }
        return value
    }

    static func mapKey<K>(_ key: K, _ type: StateType<K>) throws -> [UInt8] {
        var writer = StateWriter()
        try type.write(key, &writer)
        return writer.bytes
    }

    func isExpired(_ bytes: [UInt8]) -> Bool { layout.ttl != nil && layout.isExpired(bytes, now: scope.now()) }

    /// The same value, touched now.
    func renewed(_ bytes: [UInt8]) -> [UInt8] {
        var writer = StateWriter()
        writer.fixed(scope.now())
        writer.raw(Array(bytes[8...]))
        return writer.bytes
    }

    func clear() throws { try backend.clear(number, key()) }

    /// One value per key, of a value, reducing or aggregating state.
    func read<T>(_ type: StateType<T>) throws -> T? {
        let key = try key()
        guard let bytes = try backend.value(number, key) else { return nil }
        if isExpired(bytes) {
            try backend.clear(number, key)
            return nil
        }
        if renewsOnRead { try backend.setValue(number, key, renewed(bytes)) }
        return try decode(bytes, type)
    }

    func write<T>(_ value: T, _ type: StateType<T>) throws { try backend.setValue(number, key(), encode(value, type)) }
}
