import StreamCore

/// Reads messages into slots. A plain struct of pointers: the decoder keeps it in a local variable.
///
/// Functions return the position behind what they read, or nil after noting a failure. Memory some bytes past an end is readable.
struct ProtobufReader {
    typealias Text = UnsafePointer<UInt8>
    typealias Message = UnsafeMutablePointer<ProtobufMessage>
    typealias FieldPointer = UnsafeMutablePointer<ProtobufField>

    enum Failure: UInt8 { case none, truncated, varint, tag, utf8, range, required, mapKey, group, depth }

    /// Groups in groups, which are skipped.
    private static let depthMax = 100

    let heapList: Unmanaged<HeapList>
    var heap = 0
    var heapBase: Text = UnsafePointer(Buffer.empty.pointer(as: UInt8.self))
    var stamps: UInt64 = 0
    var failure = Failure.none
    var failedField: FieldPointer?

    init(heapList: HeapList) { self.heapList = .passUnretained(heapList) }

    /// A whole message.
    mutating func record(_ message: Message, _ row: Int, _ start: Text, _ end: Text) -> Bool {
        begin(message)
        guard read(message, row, start, end) else { return false }
        return finish(message, row)
    }

    @inline(never)
    private mutating func fail(_ failure: Failure, _ field: FieldPointer? = nil) -> Bool {
        self.failure = failure
        failedField = field
        return false
    }

    @inline(__always)
    private mutating func begin(_ message: Message) {
        stamps &+= 1
        message.pointee.stamp = stamps
    }

    @inline(__always)
    private static func varint(_ p: Text) -> (UInt64, Text)? {
        let first = p[0]
        if first < 0x80 { return (UInt64(first), p + 1) }
        let second = p[1]
        if second < 0x80 { return (UInt64(first & 0x7F) | UInt64(second) &<< 7, p + 2) }
        return longVarint(p)
    }

    @inline(never)
    private static func longVarint(_ p: Text) -> (UInt64, Text)? {
        var value: UInt64 = 0, i = 0
        while i < 10 {
            let byte = p[i]
            value |= UInt64(byte & 0x7F) &<< UInt64(i &* 7)
            i &+= 1
            if byte < 0x80 { return (value, p + i) }
        }
        return nil
    }

    /// The fields between `start` and `end`; more of the same message may follow elsewhere.
    private mutating func read(_ message: Message, _ row: Int, _ start: Text, _ end: Text) -> Bool {
        var p = start
        let fields = message.pointee.fields, count = message.pointee.count
        var next = 0
        while p < end {
            guard let (tag, afterTag) = Self.varint(p) else { return fail(.varint) }
            guard afterTag <= end else { return fail(.truncated) }
            p = afterTag
            var index = next
            if index >= count || UInt64(fields[index].tag) != tag || fields[index].op == .skip {
                let number = tag &>> 3
                guard number > 0, number < 1 &<< 29 else { return fail(.tag) }
                if number < UInt64(message.pointee.denseCount) {
                    index = Int(message.pointee.dense[Int(number)])
                } else {
                    index = -1
                    var i = count - 1
                    while i >= 0, UInt64(fields[i].number) >= number {
                        if UInt64(fields[i].number) == number { index = i }
                        i -= 1
                    }
                }
                guard index >= 0 else {
                    guard let after = skip(tag, p, end, 0) else { return false }
                    p = after
                    continue
                }
            }
            let field = fields + index
            guard let after = value(message, field, tag, row, p, end) else { return false }
            p = after
            next = field.pointee.isRepeated ? index : index + 1
        }
        return true
    }

    private mutating func value(_ message: Message, _ field: FieldPointer, _ tag: UInt64, _ row: Int, _ p: Text, _ end: Text) -> Text? {
        let isFirst = field.pointee.stamp != message.pointee.stamp
        let isPacked = tag & 7 == 2 && field.pointee.isRepeated && field.pointee.tag & 7 != 2
        if field.pointee.op == .skip || (UInt64(field.pointee.tag) != tag && !isPacked) {
            // Another wire type than the field's is an unknown field.
            guard let after = skip(tag, p, end, 0) else { return nil }
            if field.pointee.op == .skip { see(message, field) }
            return after
        }
        if !field.pointee.isRepeated {
            switch field.pointee.op {
            case .message:
                guard let (start, stop) = bytes(field, p, end) else { return nil }
                let inner = field.pointee.message!
                // A message that comes in parts is merged.
                if isFirst { begin(inner) }
                see(message, field)
                return read(inner, row, start, stop) ? stop : nil
            default:
                var isKnown = true
                guard let after = scalar(field, field.pointee.slot!, row, p, end, &isKnown) else { return nil }
                if isKnown { see(message, field) }
                return after
            }
        }
        if isFirst { field.pointee.count = field.pointee.slot!.beginList(row) }
        field.pointee.stamp = message.pointee.stamp
        let element = field.pointee.slot!.pointee.children!
        if isPacked {
            guard let (first, stop) = bytes(field, p, end) else { return nil }
            var at = first
            while at < stop {
                element.ensure(field.pointee.count)
                var isKnown = true
                guard let after = scalar(field, element, field.pointee.count, at, stop, &isKnown) else { return nil }
                if isKnown { field.pointee.count += 1 }
                at = after
            }
            return stop
        }
        element.ensure(field.pointee.count)
        switch field.pointee.op {
        case .message:
            guard let (start, stop) = bytes(field, p, end) else { return nil }
            let inner = field.pointee.message!, at = field.pointee.count
            begin(inner)
            guard read(inner, at, start, stop), finish(inner, at) else { return nil }
            element.markValid(at)
            field.pointee.count += 1
            return stop
        case .map:
            guard let (start, stop) = bytes(field, p, end) else { return nil }
            (element + 1).ensure(field.pointee.count)
            let inner = field.pointee.message!, at = field.pointee.count
            begin(inner)
            guard read(inner, at, start, stop), finish(inner, at) else { return nil }
            field.pointee.count += 1
            return stop
        default:
            var isKnown = true
            guard let after = scalar(field, element, field.pointee.count, p, end, &isKnown) else { return nil }
            if isKnown { field.pointee.count += 1 }
            return after
        }
    }

    /// Notes that a field is there; the others of its oneof no longer are.
    @inline(__always)
    private mutating func see(_ message: Message, _ field: FieldPointer) {
        if message.pointee.hasOneofs, field.pointee.oneof >= 0 {
            for i in 0..<message.pointee.count where message.pointee.fields[i].oneof == field.pointee.oneof { message.pointee.fields[i].stamp = 0 }
        }
        field.pointee.stamp = message.pointee.stamp
    }

    @inline(__always)
    private mutating func bytes(_ field: FieldPointer, _ p: Text, _ end: Text) -> (Text, Text)? {
        guard let (length, start) = Self.varint(p) else {
            _ = fail(.varint, field)
            return nil
        }
        guard start <= end, length <= UInt64(end - start) else {
            _ = fail(.truncated, field)
            return nil
        }
        return (start, start + Int(length))
    }

    /// `isKnown` is cleared for a number that a closed enum does not have.
    @inline(__always)
    private mutating func scalar(_ field: FieldPointer, _ slot: UnsafeMutablePointer<Slot>, _ row: Int, _ p: Text, _ end: Text, _ isKnown: inout Bool) -> Text? {
        switch field.pointee.op {
        case .text, .binary:
            guard let (start, stop) = bytes(field, p, end) else { return nil }
            if field.pointee.op == .text, !JSONScan.isUTF8(start, stop) {
                _ = fail(.utf8, field)
                return nil
            }
            slot.store(inline: start, stop - start, heap: heap, offset: start - heapBase, at: row)
            return stop
        case .double, .fixed64:
            guard end - p >= 8 else { return failed(.truncated, field) }
            slot.store(UnsafeRawPointer(p).loadUnaligned(as: Int64.self), at: row)
            return p + 8
        case .float, .fixed32, .wideFixed32:
            guard end - p >= 4 else { return failed(.truncated, field) }
            let bits = UnsafeRawPointer(p).loadUnaligned(as: UInt32.self)
            if field.pointee.op == .wideFixed32 { slot.store(Int64(bits), at: row) } else { slot.store(bits, at: row) }
            return p + 4
        default:
            guard let (bits, next) = Self.varint(p) else { return failed(.varint, field) }
            guard next <= end else { return failed(.truncated, field) }
            switch field.pointee.op {
            case .int32: slot.store(Int32(truncatingIfNeeded: bits), at: row)
            case .int64: slot.store(Int64(bitPattern: bits), at: row)
            case .sint32:
                let low = UInt32(truncatingIfNeeded: bits)
                slot.store(Int32(bitPattern: low &>> 1) ^ -Int32(bitPattern: low & 1), at: row)
            case .sint64: slot.store(Int64(bitPattern: bits &>> 1) ^ -Int64(bitPattern: bits & 1), at: row)
            case .wide32: slot.store(Int64(UInt32(truncatingIfNeeded: bits)), at: row)
            case .bool: slot.store(bits == 0 ? 0 : 1 as UInt8, at: row)
            default: if !enumeration(field, slot, row, Int32(truncatingIfNeeded: bits), &isKnown) { return nil }
            }
            return next
        }
    }

    @inline(never)
    private mutating func failed(_ failure: Failure, _ field: FieldPointer) -> Text? {
        _ = fail(failure, field)
        return nil
    }

    @inline(never)
    private mutating func enumeration(_ field: FieldPointer, _ slot: UnsafeMutablePointer<Slot>, _ row: Int, _ number: Int32, _ isKnown: inout Bool) -> Bool {
        var index = -1
        for i in 0..<field.pointee.symbolCount where field.pointee.symbolNumbers![i] == number {
            index = i
            break
        }
        if index < 0, field.pointee.isClosed {
            isKnown = false
            return true
        }
        switch slot.pointee.kind {
        case .text:
            if index >= 0 { store(field.pointee.symbols![index], slot, row) } else {
                let unknown: StaticString = "UNRECOGNIZED\0\0\0\0"
                store(AvroSymbol(bytes: unknown.utf8Start, count: 12), slot, row)
            }
        case .int8:
            guard let tiny = Int8(exactly: number) else { return fail(.range, field) }
            slot.store(tiny, at: row)
        case .int16:
            guard let short = Int16(exactly: number) else { return fail(.range, field) }
            slot.store(short, at: row)
        case .int64: slot.store(Int64(number), at: row)
        default: slot.store(number, at: row)
        }
        return true
    }

    private func store(_ text: AvroSymbol, _ slot: UnsafeMutablePointer<Slot>, _ row: Int) {
        heapList._withUnsafeGuaranteedRef { heaps in
            guard text.count > StringView.inlineLength else { return slot.store(inline: text.bytes, text.count, heap: 0, offset: 0, at: row) }
            let out = heaps.reserve(text.count)
            UnsafeMutableRawPointer(out).copyMemory(from: text.bytes, byteCount: text.count)
            let (heap, offset) = heaps.commit(text.count)
            slot.store(inline: UnsafePointer(out), text.count, heap: heap, offset: offset, at: row)
        }
    }

    /// Past a value that nobody wants.
    private mutating func skip(_ tag: UInt64, _ start: Text, _ end: Text, _ depth: Int) -> Text? {
        var p = start
        switch tag & 7 {
        case 0:
            guard let (_, next) = Self.varint(p) else {
                _ = fail(.varint)
                return nil
            }
            p = next
        case 1: p += 8
        case 5: p += 4
        case 2:
            guard let (length, next) = Self.varint(p), next <= end, length <= UInt64(end - next) else {
                _ = fail(.truncated)
                return nil
            }
            p = next + Int(length)
        case 3:
            guard depth < Self.depthMax else {
                _ = fail(.depth)
                return nil
            }
            while true {
                guard p < end, let (inner, next) = Self.varint(p), next <= end, inner &>> 3 > 0 else {
                    _ = fail(.truncated)
                    return nil
                }
                p = next
                if inner & 7 == 4 {
                    guard inner &>> 3 == tag &>> 3 else {
                        _ = fail(.group)
                        return nil
                    }
                    return p
                }
                guard let after = skip(inner, p, end, depth + 1) else { return nil }
                p = after
            }
        case 4:
            _ = fail(.group)
            return nil
        default:
            _ = fail(.tag)
            return nil
        }
        guard p <= end else {
            _ = fail(.truncated)
            return nil
        }
        return p
    }

    // MARK: What is not there

    /// Ends the message at `row`: lists are closed, and fields that were not there get their values.
    private mutating func finish(_ message: Message, _ row: Int) -> Bool {
        let stamp = message.pointee.stamp
        for i in 0..<message.pointee.count {
            let field = message.pointee.fields + i
            let isThere = field.pointee.stamp == stamp
            if field.pointee.isRepeated, let slot = field.pointee.slot {
                let begin = slot.beginList(row)
                if isThere, field.pointee.count > begin {
                    if field.pointee.op == .map, !dropRepeatedKeys(field, begin) { return fail(.mapKey, field) }
                    slot.endList(row, at: field.pointee.count)
                } else if field.pointee.missing == .null {
                    slot.setNull(row)
                } else {
                    slot.endList(row, at: begin)
                }
                continue
            }
            if isThere {
                if field.pointee.op == .message {
                    guard finish(field.pointee.message!, row) else { return false }
                    field.pointee.slot!.markValid(row)
                }
                continue
            }
            switch field.pointee.missing {
            case .required: return fail(.required, field)
            case .null: field.pointee.slot?.setNull(row)
            case .value: if !storeDefault(field, row) { return false }
            }
        }
        return true
    }

    private mutating func storeDefault(_ field: FieldPointer, _ row: Int) -> Bool {
        guard let slot = field.pointee.slot else { return true }
        let bits = field.pointee.defaultBits
        switch field.pointee.op {
        case .text, .binary: store(field.pointee.symbols![0], slot, row)
        case .enumText, .enumNumber:
            var isKnown = true
            guard enumeration(field, slot, row, Int32(truncatingIfNeeded: bits), &isKnown) else { return false }
            if !isKnown { slot.setNull(row) }
        case .bool: slot.store(UInt8(truncatingIfNeeded: bits), at: row)
        case .int32, .sint32, .fixed32, .float: slot.store(UInt32(truncatingIfNeeded: bits), at: row)
        case .message:
            begin(field.pointee.message!)
            guard finish(field.pointee.message!, row) else { return false }
            slot.markValid(row)
        case .map, .skip: break
        default: slot.store(bits, at: row)
        }
        return true
    }

    // MARK: Maps

    /// Of entries with the same key the last one stays. False when values hold lists, whose elements cannot be moved.
    private func dropRepeatedKeys(_ field: FieldPointer, _ begin: Int) -> Bool {
        let key = field.pointee.slot!.pointee.children!, item = key + 1, end = field.pointee.count
        guard end - begin > 1 else { return true }
        let width = key.pointee.width
        func bytes(_ i: Int) -> UnsafeRawBufferPointer {
            guard key.pointee.kind == .text else { return UnsafeRawBufferPointer(start: key.pointee.values + i * width, count: width) }
            let view = key.pointee.values.assumingMemoryBound(to: StringView.self) + i
            let n = Int(view.pointee.length)
            if n <= StringView.inlineLength { return UnsafeRawBufferPointer(start: UnsafeRawPointer(view) + 4, count: n) }
            let base = heapList._withUnsafeGuaranteedRef { $0.heaps[Int(view.pointee.heapIndex)].base }
            return UnsafeRawBufferPointer(start: base + Int(view.pointee.offset), count: n)
        }
        var repeated = false
        var index: [[UInt8]: Int] = [:]
        if end - begin <= 16 {
            search: for i in begin + 1..<end {
                let own = bytes(i)
                for j in begin..<i where bytes(j).elementsEqual(own) {
                    repeated = true
                    break search
                }
            }
        } else {
            for i in begin..<end { index[Array(bytes(i))] = i }
            repeated = index.count < end - begin
        }
        guard repeated else { return true }
        guard item.pointee.allowsRewrite else { return false }
        index.removeAll()
        var at = begin
        for i in begin..<end {
            let name = Array(bytes(i))
            if let old = index[name] {
                Self.move(item, i, old)
            } else {
                index[name] = at
                Self.move(key, i, at)
                Self.move(item, i, at)
                at += 1
            }
        }
        field.pointee.count = at
        return true
    }

    private static func move(_ slot: UnsafeMutablePointer<Slot>, _ from: Int, _ to: Int) {
        guard from != to else { return }
        if slot.pointee.hasNulls {
            if Bitmap.get(slot.pointee.validity, from) { Bitmap.set(slot.pointee.validity, to) } else { Bitmap.clear(slot.pointee.validity, to) }
        }
        let width = slot.pointee.width
        if width > 0 { (slot.pointee.values + to * width).copyMemory(from: slot.pointee.values + from * width, byteCount: width) }
        for i in 0..<slot.pointee.childCount { move(slot.pointee.children! + i, from, to) }
    }
}
