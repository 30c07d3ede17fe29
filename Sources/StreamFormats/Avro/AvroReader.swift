import StreamCore

/// Reads Avro values into slots by the steps of a plan. A plain struct of pointers: the decoder keeps it in a local variable.
///
/// Functions return the position behind a value, or nil after noting a failure. Memory some bytes past `end` is readable.
struct AvroReader {
    typealias Text = UnsafePointer<UInt8>
    typealias Steps = UnsafeMutablePointer<AvroStep>

    enum Failure: UInt8 { case none, truncated, length, whole, utf8, range, branch, symbol, boolean, mismatch, depth, required, mapKey, empty }

    /// Types that contain themselves are skipped down to here.
    private static let depthMax = 200
    /// Elements that take no bytes, in one record.
    private static let emptyMax = 1_000

    let heapList: Unmanaged<HeapList>
    var heap = 0
    var heapBase: Text = UnsafePointer(Buffer.empty.pointer(as: UInt8.self))
    var end: Text = UnsafePointer(Buffer.empty.pointer(as: UInt8.self))
    var skips: UnsafeMutablePointer<(steps: UnsafeMutablePointer<AvroStep>?, count: Int)>
    /// Text is copied, as it does not lie in the heap.
    var copies = false
    var emptyLeft = 0
    var depth = 0
    var failure = Failure.none
    var failedStep: Steps?

    init(heapList: HeapList, plan: AvroPlan) {
        self.heapList = .passUnretained(heapList)
        skips = plan.skips
    }

    /// A record from `start` to `end`.
    mutating func record(_ plan: Steps, _ row: Int, _ start: Text, _ end: Text) -> Text? {
        self.end = end
        emptyLeft = Self.emptyMax
        depth = 0
        return run(plan, 1, row, start)
    }

    @inline(never)
    private mutating func fail(_ failure: Failure, _ step: Steps) -> Text? {
        self.failure = failure
        failedStep = step
        return nil
    }

    /// The bits of a whole number before they are unfolded, and what follows them; nil when it is too long.
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
        var value: UInt64 = 0, shift: UInt64 = 0, i = 0
        while i < 10 {
            let byte = p[i]
            value |= UInt64(byte & 0x7F) &<< shift
            i &+= 1
            if byte < 0x80 { return i == 10 && byte > 1 ? nil : (value, p + i) }
            shift &+= 7
        }
        return nil
    }

    @inline(__always)
    private static func unfold(_ bits: UInt64) -> Int64 { Int64(bitPattern: bits &>> 1) ^ -Int64(bitPattern: bits & 1) }

    /// Every byte is ASCII. Reads whole words.
    @inline(__always)
    private static func isASCII(_ start: Text, _ count: Int) -> Bool {
        let raw = UnsafeRawPointer(start)
        var all: UInt64 = 0, i = 0
        while i &+ 8 <= count {
            all |= raw.loadUnaligned(fromByteOffset: i, as: UInt64.self)
            i &+= 8
        }
        let left = count &- i
        if left > 0 { all |= raw.loadUnaligned(fromByteOffset: i, as: UInt64.self) & ((1 &<< UInt64(truncatingIfNeeded: left &* 8)) &- 1) }
        return all & 0x8080_8080_8080_8080 == 0
    }

    private mutating func run(_ steps: Steps, _ count: Int, _ row: Int, _ start: Text) -> Text? {
        var p = start
        let end = self.end
        var step = steps
        let last = steps + count
        while step < last {
            if step.pointee.nullBranch >= 0 {
                // Branches 0 and 1 are the bytes 0 and 2.
                let branch = p[0]
                guard p < end else { return fail(.truncated, step) }
                p += 1
                if Int8(truncatingIfNeeded: branch) == step.pointee.nullBranch &<< 1 {
                    if let slot = step.pointee.slot {
                        if step.pointee.isRequired { return fail(.required, step) }
                        slot.setNull(row)
                    } else if step.pointee.op == .row {
                        return fail(.required, step)
                    }
                    step += 1
                    continue
                }
                guard branch == 0 || branch == 2 else { return fail(.branch, step) }
            }
            switch step.pointee.op {
            case .int32, .int8, .int16, .int64FromInt:
                guard let (bits, next) = Self.varint(p) else { return fail(.whole, step) }
                guard next <= end else { return fail(.truncated, step) }
                p = next
                let value = Self.unfold(bits)
                guard let narrow = Int32(exactly: value) else { return fail(.range, step) }
                let slot = step.pointee.slot!
                switch step.pointee.op {
                case .int32: slot.store(narrow, at: row)
                case .int64FromInt: slot.store(value, at: row)
                case .int16:
                    guard let short = Int16(exactly: narrow) else { return fail(.range, step) }
                    slot.store(short, at: row)
                default:
                    guard let tiny = Int8(exactly: narrow) else { return fail(.range, step) }
                    slot.store(tiny, at: row)
                }
            case .int64:
                guard let (bits, next) = Self.varint(p) else { return fail(.whole, step) }
                guard next <= end else { return fail(.truncated, step) }
                p = next
                step.pointee.slot!.store(Self.unfold(bits), at: row)
            case .timestamp:
                guard let (bits, next) = Self.varint(p) else { return fail(.whole, step) }
                guard next <= end else { return fail(.truncated, step) }
                p = next
                var value = Self.unfold(bits)
                if step.pointee.a > 1 {
                    let (product, overflow) = value.multipliedReportingOverflow(by: Int64(step.pointee.a))
                    if overflow { return fail(.range, step) }
                    value = product
                } else if step.pointee.b > 1 {
                    let by = Int64(step.pointee.b), quotient = value / by
                    value = value % by < 0 ? quotient - 1 : quotient
                }
                step.pointee.slot!.store(value, at: row)
            case .text, .binary:
                var count = step.pointee.a
                if count < 0 {
                    guard let (bits, next) = Self.varint(p) else { return fail(.whole, step) }
                    guard next <= end else { return fail(.truncated, step) }
                    p = next
                    let length = Self.unfold(bits)
                    guard length >= 0 else { return fail(.length, step) }
                    guard length <= Int64(end - p) else { return fail(.truncated, step) }
                    count = Int(length)
                } else if count > end - p {
                    return fail(.truncated, step)
                }
                if step.pointee.op == .text, !Self.isASCII(p, count), !JSONScan.isUTF8(p, p + count) { return fail(.utf8, step) }
                if copies { store(copy: p, count, step.pointee.slot!, row) } else {
                    step.pointee.slot!.store(inline: p, count, heap: heap, offset: p - heapBase, at: row)
                }
                p += count
            case .double:
                guard end - p >= 8 else { return fail(.truncated, step) }
                step.pointee.slot!.store(UnsafeRawPointer(p).loadUnaligned(as: Double.self), at: row)
                p += 8
            case .float, .doubleFromFloat:
                guard end - p >= 4 else { return fail(.truncated, step) }
                let value = UnsafeRawPointer(p).loadUnaligned(as: Float.self)
                if step.pointee.op == .float { step.pointee.slot!.store(value, at: row) } else { step.pointee.slot!.store(Double(value), at: row) }
                p += 4
            case .boolean:
                guard p < end else { return fail(.truncated, step) }
                guard p[0] < 2 else { return fail(.boolean, step) }
                step.pointee.slot!.store(p[0], at: row)
                p += 1
            case .row:
                guard let next = run(step.pointee.steps!, step.pointee.stepCount, row, p) else { return nil }
                p = next
                if let slot = step.pointee.slot { slot.markValid(row) }
            case .skipFixed:
                guard end - p >= step.pointee.a else { return fail(.truncated, step) }
                p += step.pointee.a
            case .skipWhole:
                guard let (_, next) = Self.varint(p) else { return fail(.whole, step) }
                guard next <= end else { return fail(.truncated, step) }
                p = next
            case .skipBytes:
                guard let next = skipBytes(p, step) else { return nil }
                p = next
            case .missing: step.pointee.slot!.setNull(row)
            default:
                guard let next = rare(step, row, p) else { return nil }
                p = next
            }
            step += 1
        }
        return p
    }

    private func skipped(_ p: Text, _ length: Int64) -> Text? { length >= 0 && length <= Int64(end - p) ? p + Int(length) : nil }

    @inline(__always)
    private mutating func skipBytes(_ p: Text, _ step: Steps) -> Text? {
        guard let (length, next) = whole(p, step) else { return nil }
        guard let after = skipped(next, length) else { return fail(length < 0 ? .length : .truncated, step) }
        return after
    }

    @inline(__always)
    private mutating func whole(_ p: Text, _ step: Steps) -> (Int64, Text)? {
        guard let (bits, next) = Self.varint(p) else {
            _ = fail(.whole, step)
            return nil
        }
        guard next <= end else {
            _ = fail(.truncated, step)
            return nil
        }
        return (Self.unfold(bits), next)
    }

    private func store(copy p: Text, _ count: Int, _ slot: UnsafeMutablePointer<Slot>, _ row: Int) {
        heapList._withUnsafeGuaranteedRef { heaps in
            let out = heaps.reserve(count)
            UnsafeMutableRawPointer(out).copyMemory(from: p, byteCount: count)
            let (heap, offset) = heaps.commit(count > StringView.inlineLength ? count : 0)
            slot.store(inline: UnsafePointer(out), count, heap: heap, offset: offset, at: row)
        }
    }

    // MARK: What is rarer than a call costs

    @inline(never)
    private mutating func rare(_ step: Steps, _ row: Int, _ start: Text) -> Text? {
        var p = start
        switch step.pointee.op {
        case .floatFromWhole, .doubleFromWhole:
            guard let (value, next) = whole(p, step) else { return nil }
            let slot = step.pointee.slot!
            if step.pointee.op == .floatFromWhole { slot.store(Float(value), at: row) } else { slot.store(Double(value), at: row) }
            return next
        case .time:
            guard let (value, next) = whole(p, step) else { return nil }
            let milliseconds = value / Int64(step.pointee.b)
            guard value >= 0, milliseconds < 86_400_000 else { return fail(.range, step) }
            step.pointee.slot!.store(Int32(milliseconds), at: row)
            return next
        case .enumeration:
            guard let (index, next) = whole(p, step) else { return nil }
            guard index >= 0, index < step.pointee.a else { return fail(.symbol, step) }
            let symbol = step.pointee.data!.assumingMemoryBound(to: AvroSymbol.self)[Int(index)]
            store(copy: symbol.bytes, symbol.count, step.pointee.slot!, row)
            return next
        case .decimal: return decimal(step, row, p)
        case .null:
            step.pointee.slot!.setNull(row)
            return p
        case .list, .skipArray, .skipMap: return list(step, row, p)
        case .map: return map(step, row, p)
        case .union, .skipUnion:
            guard let (branch, next) = whole(p, step) else { return nil }
            guard branch >= 0, branch < step.pointee.stepCount else { return fail(.branch, step) }
            return run(step.pointee.steps! + Int(branch), 1, row, next)
        case .constant:
            let (outerEnd, outerCopies, outerSkips) = (end, copies, skips)
            p = Text(step.pointee.data!.assumingMemoryBound(to: UInt8.self))
            (end, copies) = (p + step.pointee.a, true)
            defer { (end, copies, skips) = (outerEnd, outerCopies, outerSkips) }
            return run(step.pointee.steps!, 1, row, p) == nil ? nil : start
        case .skipNamed:
            guard depth < Self.depthMax else { return fail(.depth, step) }
            depth += 1
            defer { depth -= 1 }
            let (steps, count) = skips[step.pointee.a]
            guard let steps else { return p }
            return run(steps, count, row, p)
        default: return fail(.mismatch, step)
        }
    }

    /// The number of elements of the next block: 0 = the list ends.
    private mutating func block(_ step: Steps, _ p: Text) -> (count: Int, next: Text, bytes: Int64)? {
        guard var (count, next) = whole(p, step) else { return nil }
        var bytes: Int64 = -1
        if count < 0 {
            guard count > .min, let (size, after) = whole(next, step) else { return fail(.length, step).map { (0, $0, 0) } }
            guard size >= 0, size <= Int64(end - after) else { return fail(.truncated, step).map { (0, $0, 0) } }
            (count, next, bytes) = (-count, after, size)
        }
        if step.pointee.hasEmptyElements {
            guard count <= Int64(emptyLeft) else { return fail(.empty, step).map { (0, $0, 0) } }
            emptyLeft -= Int(count)
        } else if count > Int64(end - next) {
            return fail(.truncated, step).map { (0, $0, 0) }
        }
        return (Int(count), next, bytes)
    }

    private mutating func list(_ step: Steps, _ row: Int, _ start: Text) -> Text? {
        let item = step.pointee.steps!
        guard step.pointee.op == .list else { return skipList(step, row, start) }
        let slot = step.pointee.slot!, element = slot.pointee.children!
        var p = start, at = slot.beginList(row)
        while true {
            guard let (count, next, _) = block(step, p) else { return nil }
            p = next
            if count == 0 { break }
            for _ in 0..<count {
                element.ensure(at)
                guard let next = run(item, 1, at, p) else { return nil }
                p = next
                at += 1
            }
        }
        slot.endList(row, at: at)
        return p
    }

    private mutating func skipList(_ step: Steps, _ row: Int, _ start: Text) -> Text? {
        let isMap = step.pointee.op == .skipMap
        var p = start
        while true {
            guard let (count, next, bytes) = block(step, p) else { return nil }
            p = next
            if count == 0 { return p }
            if bytes >= 0 {
                p += Int(bytes)
                continue
            }
            for _ in 0..<count {
                if isMap {
                    guard let next = skipBytes(p, step) else { return nil }
                    p = next
                }
                guard let next = run(step.pointee.steps!, 1, row, p) else { return nil }
                p = next
            }
        }
    }

    private mutating func map(_ step: Steps, _ row: Int, _ start: Text) -> Text? {
        let slot = step.pointee.slot!, key = slot.pointee.children!, item = key + 1
        let begin = slot.beginList(row)
        var p = start, at = begin, keys = MapKeys()
        while true {
            guard let (count, next, _) = block(step, p) else { return nil }
            p = next
            if count == 0 { break }
            for _ in 0..<count {
                key.ensure(at)
                item.ensure(at)
                guard let afterKey = run(step.pointee.steps!, 1, at, p) else { return nil }
                let old = keys.find(key, begin, at, heapList)
                if old != nil, !item.pointee.allowsRewrite { return fail(.mapKey, step) }
                guard let next = run(step.pointee.steps! + 1, 1, old ?? at, afterKey) else { return nil }
                p = next
                if old == nil { at += 1 }
            }
        }
        slot.endList(row, at: at)
        return p
    }

    private mutating func decimal(_ step: Steps, _ row: Int, _ start: Text) -> Text? {
        var p = start, count = step.pointee.a
        if count < 0 {
            guard let (length, next) = whole(p, step) else { return nil }
            guard skipped(next, length) != nil else { return fail(length < 0 ? .length : .truncated, step) }
            (p, count) = (next, Int(length))
        } else if count > end - p {
            return fail(.truncated, step)
        }
        let slot = step.pointee.slot!
        var value: Int128 = count > 0 && p[0] & 0x80 != 0 ? -1 : 0
        let sign = UInt8(truncatingIfNeeded: value)
        for i in 0..<count {
            // Bytes in front of the last 16 only repeat the sign.
            if i + 16 < count, p[i] != sign { return fail(.range, step) }
            if i + 16 == count, (p[i] ^ sign) & 0x80 != 0 { return fail(.range, step) }
            value = value &<< 8 | Int128(p[i])
        }
        let powers = NumberText.int128PowersOfTen
        let shift = step.pointee.b
        if shift > 0 {
            let (product, overflow) = value.multipliedReportingOverflow(by: powers[min(shift, 38)])
            if overflow { return fail(.range, step) }
            value = product
        } else if shift < -38 {
            value = 0
        } else if shift < 0 {
            // Half up, as Flink rounds.
            let by = powers[-shift], rest = value % by
            value /= by
            if rest.magnitude >= by.magnitude - rest.magnitude { value += rest < 0 ? -1 : 1 }
        }
        guard value.magnitude < powers[min(slot.pointee.precision, 38)].magnitude else { return fail(.range, step) }
        slot.store(value, at: row)
        return p + count
    }
}
