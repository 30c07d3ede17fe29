import StreamCore

/// One declared state: its name, its form, and what it keeps.
package struct HandleLayout: Sendable {
    package enum Kind: String, Sendable { case value, list, map, reducing, aggregating }

    package let name: String
    package let kind: Kind
    /// Of the keys of a map state.
    package let key: ElementLayout?
    package let value: ElementLayout
    package let ttl: StateTTL?

    /// What must be the same in a snapshot for it to be restored: `map<String, Int64>, expiring`.
    package var signature: String {
        "\(kind.rawValue)<\(key.map { $0.name + ", " } ?? "")\(value.name)>" + (ttl == nil ? "" : ", expiring")
    }

    /// Bytes in front of each value: when it was last touched, if it expires.
    var stampSize: Int { ttl == nil ? 0 : 8 }

    /// Whether a value, or an element of a list or map, is too old. Its first eight bytes are its time.
    func isExpired(_ bytes: some Collection<UInt8>, now: Int64) -> Bool {
        guard let ttl else { return false }
        let touched = bytes.prefix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
        let (end, overflow) = touched.addingReportingOverflow(ttl.milliseconds)
        return !overflow && end <= now
    }
}

/// Where keyed state is. Values are bytes; those of a handle that expires begin with the time they were last touched.
package protocol KeyedBackend: AnyObject {
    /// Handles are numbered in the order in which they are declared.
    func declare(_ handle: HandleLayout) throws

    func value(_ handle: Int, _ key: StateKey) throws -> [UInt8]?
    func setValue(_ handle: Int, _ key: StateKey, _ value: [UInt8]) throws

    func list(_ handle: Int, _ key: StateKey) throws -> [[UInt8]]
    func append(_ handle: Int, _ key: StateKey, _ elements: [[UInt8]]) throws
    func replaceList(_ handle: Int, _ key: StateKey, _ elements: [[UInt8]]) throws

    func entry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8]) throws -> [UInt8]?
    func setEntry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8], _ value: [UInt8]) throws
    func removeEntry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8]) throws
    /// In the order of the map keys' bytes.
    func entries(_ handle: Int, _ key: StateKey) throws -> [(key: [UInt8], value: [UInt8])]

    /// Removes all that a handle keeps for a key.
    func clear(_ handle: Int, _ key: StateKey) throws

    /// Looks at the next `budget` values that can expire, and removes those that have.
    func removeExpired(now: Int64, budget: Int) throws

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot
    /// - Parameter pieces: of handles' state only.
    func restore(_ pieces: [RestoredState.Piece], _ stores: [StoreFiles]) throws
    func close()
}

extension Array where Element == HandleLayout {
    /// The handle that a snapshot's state is for, or why there is none.
    func number(restoring name: String, signature: String) throws -> Int {
        guard let number = firstIndex(where: { $0.name == name }) else {
            throw StreamError(
                .validate, "the snapshot holds state \"\(name)\" (\(signature)), which the function does not declare",
                fix: NearName.nearest(to: name, in: map(\.name)).map { "rename \"\($0)\" to \"\(name)\", or declare both in open" }
                    ?? "declare it in open, even if it is no longer used")
        }
        guard self[number].signature == signature else {
            throw StreamError(
                .validate, "state \"\(name)\" is declared as \(self[number].signature), but the snapshot holds \(signature)",
                fix: "declare it with the type it had, or give the new state another name")
        }
        return number
    }
}
