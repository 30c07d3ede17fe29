import StreamCore

/// Why a record was given up.
struct JSONFailure {
    enum Reason: UInt8 { case none, syntax, conversion, missingField, depth, trailing, notObject, mapKey, attribute }
    var reason = Reason.none
    var position: UnsafePointer<UInt8>?
    /// End of the value, for conversions.
    var end: UnsafePointer<UInt8>?
    /// The column or part that the value was for.
    var slot: UnsafeMutablePointer<Slot>?
    /// Name of the field, from the innermost ROW outwards.
    var path: [String] = []
}

/// Parses objects into slots. A plain struct of pointers: the decoder keeps it in a local variable while it loops.
///
/// Every function takes the position of a token and returns the position behind it, or nil after noting a failure. Each type
/// has a quick way for the forms that producers write; anything else falls to ``convert(_:_:_:)``, which knows all forms.
struct JSONReader {
    typealias Text = UnsafePointer<UInt8>
    typealias SlotPointer = UnsafeMutablePointer<Slot>

    /// Nesting beyond this is refused, as Jackson does.
    static let depthMax = 1_000

    let ignoreErrors: Bool
    let failOnMissing: Bool
    let timestamps: DateTimeText.Form
    let heapList: Unmanaged<HeapList>
    /// Which heap the text lies in, and where that begins.
    var heap = 0
    var heapBase: Text = UnsafePointer(Buffer.empty.pointer(as: UInt8.self))
    /// Newlines inside a record are spaces: true for messages, false for lines.
    var newlineIsSpace = false
    var objects: UInt64 = 0
    var failure = JSONFailure()

    init(ignoreErrors: Bool, failOnMissing: Bool, timestamps: DateTimeText.Form, heapList: HeapList) {
        self.ignoreErrors = ignoreErrors
        self.failOnMissing = failOnMissing
        self.timestamps = timestamps
        self.heapList = .passUnretained(heapList)
    }

    @inline(never)
    mutating func fail(_ reason: JSONFailure.Reason, _ p: Text, end: Text? = nil, slot: SlotPointer? = nil) -> Text? {
        failure = JSONFailure(reason: reason, position: p, end: end, slot: slot)
        return nil
    }

    @inline(__always)
    func skipSpace(_ p: Text) -> Text {
        if p[0] > 0x20 { return p }
        if p[0] == 0x20, p[1] > 0x20 { return p + 1 }
        return skipSpaces(p)
    }

    @inline(never)
    private func skipSpaces(_ start: Text) -> Text {
        var p = start
        while p[0] == 0x20 || p[0] == 0x09 || p[0] == 0x0D || (p[0] == 0x0A && newlineIsSpace) { p += 1 }
        return p
    }

    // MARK: objects

    /// The object whose opening brace is at `start`, one slot per wanted field, at index `row` of each.
    mutating func object(_ slots: SlotPointer, _ slotCount: Int, _ names: UnsafeMutablePointer<FieldNames>, _ row: Int, _ start: Text) -> Text? {
        members(slots, slotCount, names, row, start, areAttributes: false)
    }

    /// An object at the top of a record. The slot `whole` takes all of it as a VARIANT.
    @inline(__always)
    mutating func record(
        _ slots: SlotPointer, _ slotCount: Int, _ names: UnsafeMutablePointer<FieldNames>, whole: SlotPointer?, _ row: Int, _ start: Text
    ) -> Text? {
        guard let next = object(slots, slotCount, names, row, start) else { return nil }
        guard let whole else { return next }
        return variant(whole, row, start)
    }

    /// - Parameter areAttributes: values are attribute values of DynamoDB.
    @inline(__always)
    mutating func members(
        _ slots: SlotPointer, _ slotCount: Int, _ names: UnsafeMutablePointer<FieldNames>, _ row: Int, _ start: Text, areAttributes: Bool
    ) -> Text? {
        objects &+= 1
        let stamp = objects
        var seen = 0
        var p = skipSpace(start + 1)
        if p[0] == UInt8(ascii: "}") {
            p += 1
        } else {
            var previous = -1
            var guess = names.pointee.first
            while true {
                guard p[0] == UInt8(ascii: "\"") else { return fail(.syntax, p) }
                var entries = names.pointee.entries
                if UInt(bitPattern: guess) < UInt(bitPattern: names.pointee.count), FieldNames.matches(entries + guess, p + 1) {
                    p += (entries + guess).pointee.quotedCount &+ 1
                } else {
                    guard let (found, end) = findName(names, p) else { return fail(.syntax, p) }
                    entries = names.pointee.entries
                    p = end
                    if found >= 0 {
                        if previous >= 0 { (entries + previous).pointee.next = found } else { names.pointee.first = found }
                    }
                    guess = found
                }
                if p[0] != UInt8(ascii: ":") {
                    p = skipSpace(p)
                    guard p[0] == UInt8(ascii: ":") else { return fail(.syntax, p) }
                }
                p = skipSpace(p + 1)
                let wanted = guess < 0 ? -1 : (entries + guess).pointee.slot
                if wanted >= 0 {
                    let slot = slots + wanted
                    if slot.pointee.stamp != stamp {
                        slot.pointee.stamp = stamp
                        seen &+= 1
                    }
                    guard let next = areAttributes ? attribute(slot, row, p) : value(slot, row, p) else {
                        failure.path.append(String(decoding: UnsafeBufferPointer(start: entries[guess].bytes, count: entries[guess].count), as: UTF8.self))
                        return nil
                    }
                    p = next
                } else {
                    guard let next = skip(p, depth: 1) else { return nil }
                    p = next
                }
                if guess >= 0 {
                    previous = guess
                    guess = (entries + guess).pointee.next
                }
                p = skipSpace(p)
                if p[0] == UInt8(ascii: ",") {
                    p = skipSpace(p + 1)
                    continue
                }
                guard p[0] == UInt8(ascii: "}") else { return fail(.syntax, p) }
                p += 1
                break
            }
        }
        if seen != slotCount { return fillMissing(slots, slotCount, stamp, row, p) }
        return p
    }

    @inline(never)
    private mutating func fillMissing(_ slots: SlotPointer, _ slotCount: Int, _ stamp: UInt64, _ row: Int, _ p: Text) -> Text? {
        for i in 0..<slotCount where slots[i].stamp != stamp {
            if failOnMissing { return fail(.missingField, p, slot: slots + i) }
            (slots + i).setNull(row)
            if let missing = slots[i].missing { Bitmap.set(missing, row) }
        }
        return p
    }

    @inline(never)
    private mutating func findName(_ names: UnsafeMutablePointer<FieldNames>, _ p: Text) -> (entry: Int, end: Text)? {
        guard let (end, hasEscapes) = JSONScan.skipString(p) else { return nil }
        let raw = UnsafeRawBufferPointer(start: p + 1, count: end - p - 2)
        guard hasEscapes else { return (names.pointee.find(raw), end) }
        let found = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: raw.count + 4) { out in
            let n = JSONScan.unescape(p, to: out.baseAddress!)
            return names.pointee.find(UnsafeRawBufferPointer(start: out.baseAddress!, count: n))
        }
        return (found, end)
    }

    /// An object that was given up may have stood at `row` before.
    @inline(never)
    private func clearMissing(_ slot: SlotPointer, _ row: Int) {
        for i in 0..<slot.pointee.childCount {
            if let missing = slot.pointee.children![i].missing { Bitmap.clear(missing, row) }
        }
    }

    // MARK: values

    @inline(__always)
    mutating func value(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        switch slot.pointee.kind {
        case .int32:
            if let (value, next) = integer(p), let narrow = Int32(exactly: value) {
                slot.store(narrow, at: row)
                return next
            }
        case .int64:
            if let (value, next) = integer(p) {
                slot.store(value, at: row)
                return next
            }
        case .double:
            if let next = double(slot, row, p) { return next }
        case .text:
            if p[0] == UInt8(ascii: "\"") {
                let (stop, nonASCII) = JSONScan.string(p + 1)
                if stop[0] == UInt8(ascii: "\""), nonASCII == 0 || JSONScan.isUTF8(p + 1, stop) {
                    slot.store(inline: p + 1, stop - p &- 1, heap: heap, offset: p - heapBase &+ 1, at: row)
                    return stop + 1
                }
            }
        case .timestamp:
            if let next = timestamp(slot, row, p) { return next }
        case .boolean:
            let word = JSONScan.half(p)
            if word == JSONScan.wordTrue {
                slot.store(1 as UInt8, at: row)
                return p + 4
            }
            if word == JSONScan.wordFals, p[4] == UInt8(ascii: "e") {
                slot.store(0 as UInt8, at: row)
                return p + 5
            }
        default:
            return otherValue(slot, row, p)
        }
        return convert(slot, row, p)
    }

    /// The types that are rarer than a call costs.
    @inline(never)
    private mutating func otherValue(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        switch slot.pointee.kind {
        case .int8:
            if let (value, next) = integer(p), let narrow = Int8(exactly: value) {
                slot.store(narrow, at: row)
                return next
            }
        case .int16:
            if let (value, next) = integer(p), let narrow = Int16(exactly: value) {
                slot.store(narrow, at: row)
                return next
            }
        case .float:
            if let next = float(slot, row, p) { return next }
        case .decimal:
            if let next = decimal(slot, row, p) { return next }
        case .row where p[0] == UInt8(ascii: "{"):
            slot.markValid(row)
            if slot.pointee.childCount > 0, slot.pointee.children!.pointee.missing != nil { clearMissing(slot, row) }
            return image(slot, row, p)
        case .array where p[0] == UInt8(ascii: "["):
            return array(slot, row, p)
        case .map where p[0] == UInt8(ascii: "{"):
            return map(slot, row, p)
        case .variant where p[0] != UInt8(ascii: "n"):
            return variant(slot, row, p)
        default: break
        }
        return convert(slot, row, p)
    }

    /// The parts of a ROW, and in a hidden last part all of it.
    private mutating func image(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        let parts = slot.pointee.children!, count = slot.pointee.childCount
        guard slot.pointee.keepsWhole || slot.pointee.areAttributes else { return object(parts, count, slot.pointee.names!, row, p) }
        let named = slot.pointee.keepsWhole ? count - 1 : count, areAttributes = slot.pointee.areAttributes
        guard let next = areAttributes ? attributes(parts, named, slot.pointee.names!, row, p) : object(parts, named, slot.pointee.names!, row, p)
        else { return nil }
        guard slot.pointee.keepsWhole else { return next }
        return areAttributes ? wholeItem(parts + named, row, p) : variant(parts + named, row, p)
    }

    /// Any value; of equal keys the last one counts.
    mutating func variant(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard let next = skip(p, depth: 1) else { return nil }
        var writer = VariantWriter()
        do throws(VariantJSON.Failure) {
            try VariantJSON.parse(UnsafeRawBufferPointer(start: p, count: next - p), allowsDuplicates: true, into: &writer)
        } catch {
            return fail(.syntax, p)
        }
        keep(writer.bytes, slot, row)
        return next
    }

    /// Stores bytes that lie nowhere else.
    func keep(_ bytes: [UInt8], _ slot: SlotPointer, _ row: Int) {
        let heaps = heapList._withUnsafeGuaranteedRef { $0 }
        let n = bytes.count, out = heaps.reserve(n)
        bytes.withUnsafeBytes { if let from = $0.baseAddress { UnsafeMutableRawPointer(out).copyMemory(from: from, byteCount: n) } }
        let (heap, offset) = heaps.commit(n > StringView.inlineLength ? n : 0)
        slot.store(inline: UnsafePointer(out), n, heap: heap, offset: offset, at: row)
    }

    /// An integer of at most 18 digits without fraction or exponent.
    @inline(__always)
    func integer(_ start: Text) -> (Int64, Text)? {
        var p = start
        let negative = p[0] == UInt8(ascii: "-")
        if negative { p += 1 }
        let first = p
        var value: Int64 = 0
        while true {
            let digit = p[0] &- 48
            if digit > 9 { break }
            value = value &* 10 &+ Int64(digit)
            p += 1
        }
        let count = p - first
        guard count > 0, count <= 18, first[0] != 48 || count == 1, p[0] != UInt8(ascii: "."), p[0] | 0x20 != UInt8(ascii: "e") else { return nil }
        return (negative ? 0 &- value : value, p)
    }

    /// Digits with an optional fraction and no exponent: all digits as one integer, and how many were behind the point. At
    /// most 18 digits.
    @inline(__always)
    private func fixedPoint(_ start: Text) -> (negative: Bool, digits: UInt64, scale: Int, next: Text)? {
        var p = start
        let negative = p[0] == UInt8(ascii: "-")
        if negative { p += 1 }
        let first = p
        var value: UInt64 = 0
        while true {
            let digit = p[0] &- 48
            if digit > 9 { break }
            value = value &* 10 &+ UInt64(digit)
            p += 1
        }
        let whole = p - first
        guard whole > 0, first[0] != 48 || whole == 1 else { return nil }
        var scale = 0
        if p[0] == UInt8(ascii: ".") {
            p += 1
            let fraction = p
            while true {
                let digit = p[0] &- 48
                if digit > 9 { break }
                value = value &* 10 &+ UInt64(digit)
                p += 1
            }
            scale = p - fraction
            guard scale > 0 else { return nil }
        }
        guard whole &+ scale <= 18, p[0] | 0x20 != UInt8(ascii: "e") else { return nil }
        return (negative, value, scale, p)
    }

    /// Exact powers of ten. SAFETY: written once, here, before anyone can read it.
    nonisolated(unsafe) private static let doublePowers: UnsafeMutablePointer<Double> = {
        let table = UnsafeMutablePointer<Double>.allocate(capacity: 19)
        var power = 1.0
        for i in 0..<19 {
            (table + i).initialize(to: power)
            power *= 10
        }
        return table
    }()

    private let powers = JSONReader.doublePowers

    /// Up to 2^53 and 10^18 both operands are exact, so one division rounds correctly (Clinger's fast case).
    @inline(__always)
    func double(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard let (negative, digits, scale, next) = fixedPoint(p) else { return nil }
        let magnitude = digits <= 1 << 53 ? Double(digits) / powers[scale] : NumberText.quotient(digits, scale: scale, as: Double.self)
        slot.store(negative ? -magnitude : magnitude, at: row)
        return next
    }

    func float(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard let (negative, digits, scale, next) = fixedPoint(p) else { return nil }
        let magnitude = NumberText.quotient(digits, scale: scale, as: Float.self)
        slot.store(negative ? -magnitude : magnitude, at: row)
        return next
    }

    /// A number, or a string that holds one, with no more fraction than the column has.
    private func decimal(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        let quoted = p[0] == UInt8(ascii: "\"")
        guard let (negative, digits, scale, end) = fixedPoint(quoted ? p + 1 : p), !quoted || end[0] == UInt8(ascii: "\"") else { return nil }
        let next = quoted ? end + 1 : end
        let missing = slot.pointee.scale - scale
        let (precision, wanted) = (slot.pointee.precision, slot.pointee.scale)
        // The whole part must fit: digits < 10^(precision - scale) * 10^scale of the text.
        guard missing >= 0, precision - wanted + scale <= 18 ? Double(digits) < powers[precision - wanted + scale] : true else { return nil }
        var value = Int128(digits)
        if missing > 0 {
            guard missing + 18 <= 38 || digits == 0 else { return nil }
            value *= Int128(powers[min(missing, 18)])
            if missing > 18 { value *= Int128(powers[missing - 18]) }
        }
        slot.store(negative ? -value : value, at: row)
        return next
    }

    /// `"2024-01-01T00:00:00.123Z"` and the like. Times come close to each other: while the first 16 characters (to the
    /// minute) are those of the value before, only seconds and fraction are read.
    @inline(__always)
    private func timestamp(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard p[0] == UInt8(ascii: "\"") else { return nil }
        let low = JSONScan.word(p + 1), high = JSONScan.word(p + 9)
        if low != slot.pointee.prefix.0 || high != slot.pointee.prefix.1 {
            guard newMinute(slot, p + 1) else { return nil }
            slot.pointee.prefix = (low, high)
        }
        let tens = p[18] &- 48, units = p[19] &- 48
        guard p[17] == UInt8(ascii: ":"), tens < 6, units < 10 else { return nil }
        var at = p + 20
        var fraction = 0, digits = 0
        if at[0] == UInt8(ascii: ".") {
            at += 1
            while digits < 10 {
                let digit = at[0] &- 48
                if digit > 9 { break }
                fraction = fraction &* 10 &+ Int(digit)
                digits &+= 1
                at += 1
            }
        }
        if at[0] == UInt8(ascii: "Z") {
            at += 1
        } else if slot.pointee.isLocalZoned {
            return nil
        }
        guard at[0] == UInt8(ascii: "\"") else { return nil }
        let second = Int(tens) &* 10 &+ Int(units)
        if digits == 3, slot.pointee.precision == 3 {
            slot.store(slot.pointee.prefixValue &+ Int64(truncatingIfNeeded: second &* 1_000 &+ fraction), at: row)
            return at + 1
        }
        guard digits <= 9 else { return nil }
        for _ in digits..<9 { fraction *= 10 }
        guard let part = DateTimeText.assemble(days: 0, secondOfDay: second, nanos: fraction, precision: slot.pointee.precision) else { return nil }
        let (sum, overflow) = slot.pointee.prefixValue.addingReportingOverflow(part)
        if overflow { return nil }
        slot.store(sum, at: row)
        return at + 1
    }

    /// Reads `2024-01-01T00:00` into the slot's prefix; false when it is not of that form.
    @inline(never)
    private func newMinute(_ slot: SlotPointer, _ p: Text) -> Bool {
        func two(_ i: Int) -> Int? {
            let (a, b) = (p[i] &- 48, p[i + 1] &- 48)
            return a < 10 && b < 10 ? Int(a) * 10 + Int(b) : nil
        }
        let separator = timestamps.separator == .letterT ? UInt8(ascii: "T") : UInt8(ascii: " ")
        guard let century = two(0), let year = two(2), p[4] == UInt8(ascii: "-"), let month = two(5), p[7] == UInt8(ascii: "-"),
              let day = two(8), p[10] == separator, let hour = two(11), p[13] == UInt8(ascii: ":"), let minute = two(14),
              (1...12).contains(month), day >= 1, day <= CivilDate.daysInMonth(month, of: century * 100 + year), hour < 24, minute < 60,
              let value = DateTimeText.assemble(days: CivilDate(year: century * 100 + year, month: month, day: day).days,
                                                secondOfDay: hour * 3_600 + minute * 60, nanos: 0, precision: slot.pointee.precision)
        else { return false }
        slot.pointee.prefixValue = value
        return true
    }

    // MARK: everything else

    /// Past any value, checked but not kept.
    mutating func skip(_ p: Text, depth: Int) -> Text? {
        switch p[0] {
        case UInt8(ascii: "\""):
            let (stop, nonASCII) = JSONScan.string(p + 1)
            if stop[0] == UInt8(ascii: "\""), nonASCII == 0 { return stop + 1 }
            return JSONScan.skipString(p)?.end ?? fail(.syntax, p)
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            return skipContainer(p, depth: depth)
        case UInt8(ascii: "t"):
            return JSONScan.half(p) == JSONScan.wordTrue ? p + 4 : fail(.syntax, p)
        case UInt8(ascii: "n"):
            return JSONScan.half(p) == JSONScan.wordNull ? p + 4 : fail(.syntax, p)
        case UInt8(ascii: "f"):
            return JSONScan.half(p) == JSONScan.wordFals && p[4] == UInt8(ascii: "e") ? p + 5 : fail(.syntax, p)
        default:
            return JSONScan.skipNumber(p) ?? fail(.syntax, p)
        }
    }

    private mutating func skipContainer(_ start: Text, depth: Int) -> Text? {
        guard depth < Self.depthMax else { return fail(.depth, start) }
        let isObject = start[0] == UInt8(ascii: "{"), close = isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
        var p = skipSpace(start + 1)
        if p[0] == close { return p + 1 }
        while true {
            if isObject {
                guard p[0] == UInt8(ascii: "\""), let (end, _) = JSONScan.skipString(p) else { return fail(.syntax, p) }
                p = skipSpace(end)
                guard p[0] == UInt8(ascii: ":") else { return fail(.syntax, p) }
                p = skipSpace(p + 1)
            }
            guard let next = skip(p, depth: depth + 1) else { return nil }
            p = skipSpace(next)
            if p[0] == close { return p + 1 }
            guard p[0] == UInt8(ascii: ",") else { return fail(.syntax, p) }
            p = skipSpace(p + 1)
        }
    }

    /// Reads a value in any of the forms that Flink takes for the type.
    @inline(never)
    mutating func convert(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        if JSONScan.half(p) == JSONScan.wordNull {
            slot.setNull(row)
            return p + 4
        }
        guard let end = skip(p, depth: 1) else { return nil }
        if store(slot, row, p, end) { return end }
        guard ignoreErrors else { return fail(.conversion, p, end: end, slot: slot) }
        slot.setNull(row)
        return end
    }

    /// The well-formed value between `p` and `end`; false when it is none of the slot's type.
    private mutating func store(_ slot: SlotPointer, _ row: Int, _ p: Text, _ end: Text) -> Bool {
        let kind = slot.pointee.kind
        let raw = UnsafeRawBufferPointer(start: p, count: end - p)
        switch p[0] {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard kind == .text else { return false }
            return storeCompacted(slot, row, p, end)
        case UInt8(ascii: "\""):
            switch kind {
            case .text:
                let heaps = heapList._withUnsafeGuaranteedRef { $0 }
                let out = heaps.reserve(raw.count)
                let n = JSONScan.unescape(p, to: out)
                let (heap, offset) = heaps.commit(n > StringView.inlineLength ? n : 0)
                slot.store(inline: UnsafePointer(out), n, heap: heap, offset: offset, at: row)
                return true
            case .binary:
                let heaps = heapList._withUnsafeGuaranteedRef { $0 }
                let out = heaps.reserve(raw.count * 2)
                let text = out + raw.count
                let length = JSONScan.unescape(p, to: text)
                guard let n = TextConversion.base64(UnsafeRawBufferPointer(start: text, count: length), to: out) else { return false }
                let (heap, offset) = heaps.commit(n > StringView.inlineLength ? n : 0)
                slot.store(inline: UnsafePointer(out), n, heap: heap, offset: offset, at: row)
                return true
            default:
                return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: raw.count + 4) { out in
                    let n = JSONScan.unescape(p, to: out.baseAddress!)
                    let text = UnsafeRawBufferPointer(start: out.baseAddress!, count: n)
                    return TextConversion.store(text, into: slot, at: row, timestamps: timestamps, timePrecision: 0)
                }
            }
        default:
            switch kind {
            case .text:
                slot.store(inline: p, raw.count, heap: heap, offset: p - heapBase, at: row)
                return true
            case .int32, .int64:
                // Jackson cuts the fraction of numbers for these two types, and only for these.
                guard p[0] == UInt8(ascii: "-") || p[0] &- 48 < 10 else { return false }
                if TextConversion.store(raw, into: slot, at: row, timestamps: timestamps, timePrecision: 0) { return true }
                return storeTruncated(slot, row, raw)
            case .boolean:
                slot.store(0 as UInt8, at: row)
                return true
            case .int8, .int16, .float, .double, .decimal:
                guard p[0] == UInt8(ascii: "-") || p[0] &- 48 < 10 else { return false }
                return TextConversion.store(raw, into: slot, at: row, timestamps: timestamps, timePrecision: 0)
            case .null:
                slot.setNull(row)
                return true
            default:
                return false
            }
        }
    }

    /// A number with fraction or exponent as INT or BIGINT, cut towards zero.
    private func storeTruncated(_ slot: SlotPointer, _ row: Int, _ text: UnsafeRawBufferPointer) -> Bool {
        guard let value = NumberText.parseDouble(text) else { return false }
        let whole = value.rounded(.towardZero)
        if slot.pointee.kind == .int32 {
            guard let narrow = Int32(exactly: whole) else { return false }
            slot.store(narrow, at: row)
        } else {
            guard text.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }), let wide = Int64(exactly: whole)
            else { return false }
            slot.store(wide, at: row)
        }
        return true
    }

    /// An object or array as text, as Jackson writes it again: no spaces, no needless escapes, fractions as doubles.
    private mutating func storeCompacted(_ slot: SlotPointer, _ row: Int, _ p: Text, _ end: Text) -> Bool {
        var out = EncodedBytes(capacity: end - p + 64)
        var at = p
        while at < end {
            switch at[0] {
            case UInt8(ascii: "\""):
                guard let (stop, _) = JSONScan.skipString(at) else { return false }
                withUnsafeTemporaryAllocation(of: UInt8.self, capacity: stop - at) { text in
                    let n = JSONScan.unescape(at, to: text.baseAddress!)
                    appendJSONString(UnsafeRawBufferPointer(start: text.baseAddress!, count: n), to: &out)
                }
                at = stop
            case UInt8(ascii: "-"), 48...57:
                guard let stop = JSONScan.skipNumber(at) else { return false }
                let text = UnsafeRawBufferPointer(start: at, count: stop - at)
                if text.contains(where: { $0 == UInt8(ascii: ".") || $0 | 0x20 == UInt8(ascii: "e") }), let value = NumberText.parseDouble(text), value.isFinite {
                    out.advance(NumberText.write(value, to: out.reserve(NumberText.capacity)))
                } else {
                    out.append(text)
                }
                at = stop
            default:
                if at[0] > 0x20 { out.append(at[0]) }
                at += 1
            }
        }
        let heaps = heapList._withUnsafeGuaranteedRef { $0 }
        let n = out.count, copy = heaps.reserve(n)
        UnsafeMutableRawPointer(copy).copyMemory(from: out.bytes.baseAddress!, byteCount: n)
        let (heap, offset) = heaps.commit(n > StringView.inlineLength ? n : 0)
        slot.store(inline: UnsafePointer(copy), n, heap: heap, offset: offset, at: row)
        return true
    }
}
