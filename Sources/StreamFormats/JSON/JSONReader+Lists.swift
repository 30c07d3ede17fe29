import StreamCore

/// Values of ARRAY and MAP.
extension JSONReader {
    mutating func array(_ slot: SlotPointer, _ row: Int, _ start: Text) -> Text? { elements(slot, row, start, .plain) }

    mutating func map(_ slot: SlotPointer, _ row: Int, _ start: Text) -> Text? { entries(slot, row, start, .plain) }

    /// What stands in a list: JSON values, attribute values of DynamoDB, or the members of its sets.
    enum ItemForm { case plain, attribute, text, number, binary }

    @inline(__always)
    private mutating func item(_ slot: SlotPointer, _ row: Int, _ p: Text, _ form: ItemForm) -> Text? {
        switch form {
        case .plain: value(slot, row, p)
        case .attribute: attribute(slot, row, p)
        case .text: attributeText(slot, row, p)
        case .number: attributeNumber(slot, row, p)
        case .binary: attributeBinary(slot, row, p)
        }
    }

    @inline(__always)
    mutating func elements(_ slot: SlotPointer, _ row: Int, _ start: Text, _ form: ItemForm) -> Text? {
        let element = slot.pointee.children!
        var at = slot.beginList(row)
        var p = skipSpace(start + 1)
        if p[0] == UInt8(ascii: "]") {
            slot.endList(row, at: at)
            return p + 1
        }
        while true {
            element.ensure(at)
            guard let next = item(element, at, p, form) else { return nil }
            at += 1
            p = skipSpace(next)
            if p[0] == UInt8(ascii: ",") {
                p = skipSpace(p + 1)
                continue
            }
            guard p[0] == UInt8(ascii: "]") else { return fail(.syntax, p) }
            slot.endList(row, at: at)
            return p + 1
        }
    }

    @inline(__always)
    mutating func entries(_ slot: SlotPointer, _ row: Int, _ start: Text, _ form: ItemForm) -> Text? {
        let key = slot.pointee.children!, entry = key + 1
        let begin = slot.beginList(row)
        var at = begin
        var keys = MapKeys()
        var p = skipSpace(start + 1)
        if p[0] == UInt8(ascii: "}") {
            slot.endList(row, at: at)
            return p + 1
        }
        while true {
            guard p[0] == UInt8(ascii: "\"") else { return fail(.syntax, p) }
            key.ensure(at)
            entry.ensure(at)
            guard let afterKey = value(key, at, p) else { return nil }
            let old = keys.find(key, begin, at, heapList)
            p = skipSpace(afterKey)
            guard p[0] == UInt8(ascii: ":") else { return fail(.syntax, p) }
            p = skipSpace(p + 1)
            if old != nil, !entry.pointee.allowsRewrite { return fail(.mapKey, afterKey, slot: key) }
            guard let next = item(entry, old ?? at, p, form) else { return nil }
            if old == nil { at += 1 }
            p = skipSpace(next)
            if p[0] == UInt8(ascii: ",") {
                p = skipSpace(p + 1)
                continue
            }
            guard p[0] == UInt8(ascii: "}") else { return fail(.syntax, p) }
            slot.endList(row, at: at)
            return p + 1
        }
    }
}

/// Finds repeated keys of one map value. Small maps are compared key by key; from `indexed` entries on an index is kept.
struct MapKeys {
    private static let indexed = 16
    private var index: [[UInt8]: Int] = [:]

    /// The entry that has the same key as entry `at`, among those from `begin` on.
    mutating func find(_ key: UnsafeMutablePointer<Slot>, _ begin: Int, _ at: Int, _ heaps: Unmanaged<HeapList>) -> Int? {
        let views = key.pointee.values.assumingMemoryBound(to: StringView.self)
        func bytes(_ i: Int) -> UnsafeRawBufferPointer {
            let n = Int(views[i].length)
            if n <= StringView.inlineLength { return UnsafeRawBufferPointer(start: UnsafeRawPointer(views + i) + 4, count: n) }
            let base = heaps._withUnsafeGuaranteedRef { $0.heaps[Int(views[i].heapIndex)].base }
            return UnsafeRawBufferPointer(start: base + Int(views[i].offset), count: n)
        }
        if at - begin < Self.indexed {
            for i in begin..<at where views[i].length == views[at].length && views[i].prefix == views[at].prefix
                && bytes(i).elementsEqual(bytes(at)) { return i }
            return nil
        }
        if index.isEmpty { for i in begin..<at { index[Array(bytes(i))] = i } }
        let name = Array(bytes(at))
        if let old = index[name] { return old }
        index[name] = at
        return nil
    }
}
