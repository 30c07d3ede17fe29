import StreamCore

/// Attribute values of DynamoDB, such as `{"S":"text"}` and `{"M":{"a":{"N":"1"}}}`, straight into slots.
///
///     S                  any type that a text can be read as; BYTES get its UTF-8
///     N                  numbers, all digits; STRING gets them as text
///     B                  BYTES; STRING gets the base64 text
///     BOOL NULL          BOOLEAN, STRING; NULL
///     M                  ROW by names, MAP<STRING, ...>; STRING gets plain JSON
///     L SS NS BS         ARRAY; STRING gets plain JSON
///     any                VARIANT
extension JSONReader {
    enum AttributeKind { case text, number, binary, boolean, null, map, list, textSet, numberSet, binarySet }

    /// The kind that an attribute value's name says, and where its value begins. `start` is at the opening brace.
    @inline(__always)
    func attributeKind(_ start: Text) -> (AttributeKind, Text)? {
        guard start[0] == UInt8(ascii: "{") else { return nil }
        let p = skipSpace(start + 1)
        guard p[0] == UInt8(ascii: "\"") else { return nil }
        let kind: AttributeKind
        var at: Text
        if p[2] == UInt8(ascii: "\"") {
            switch p[1] {
            case UInt8(ascii: "S"): kind = .text
            case UInt8(ascii: "N"): kind = .number
            case UInt8(ascii: "M"): kind = .map
            case UInt8(ascii: "L"): kind = .list
            case UInt8(ascii: "B"): kind = .binary
            default: return nil
            }
            at = p + 3
        } else if p[2] == UInt8(ascii: "S"), p[3] == UInt8(ascii: "\"") {
            switch p[1] {
            case UInt8(ascii: "S"): kind = .textSet
            case UInt8(ascii: "N"): kind = .numberSet
            case UInt8(ascii: "B"): kind = .binarySet
            default: return nil
            }
            at = p + 4
        } else {
            // Four letters and a quote; the words are compared as little-endian numbers.
            let word = JSONScan.half(p + 1)
            guard p[1] != 0, p[2] != 0, p[3] != 0, p[4] != 0, p[5] == UInt8(ascii: "\"") else { return nil }
            if word == 0x4C4F_4F42 { kind = .boolean } else if word == 0x4C4C_554E { kind = .null } else { return nil }
            at = p + 6
        }
        if at[0] != UInt8(ascii: ":") {
            at = skipSpace(at)
            guard at[0] == UInt8(ascii: ":") else { return nil }
        }
        return (kind, skipSpace(at + 1))
    }

    /// The members of an item, or of an M, by their names.
    mutating func attributes(
        _ slots: SlotPointer, _ slotCount: Int, _ names: UnsafeMutablePointer<FieldNames>, _ row: Int, _ start: Text
    ) -> Text? {
        members(slots, slotCount, names, row, start, areAttributes: true)
    }

    /// The attribute value at `start`.
    @inline(__always)
    mutating func attribute(_ slot: SlotPointer, _ row: Int, _ start: Text) -> Text? {
        guard let (kind, p) = attributeKind(start) else { return fail(.attribute, start) }
        let next: Text?
        switch (kind, slot.pointee.kind) {
        case (.text, .text): next = p[0] == UInt8(ascii: "\"") ? value(slot, row, p) : fail(.attribute, start)
        case (.number, .int32), (.number, .int64), (.number, .double): next = attributeNumber(slot, row, p)
        default: return otherAttribute(slot, row, start, kind, p)
        }
        guard let next else { return nil }
        return attributeEnd(next)
    }

    @inline(__always)
    private mutating func attributeEnd(_ p: Text) -> Text? {
        if p[0] == UInt8(ascii: "}") { return p + 1 }
        let at = skipSpace(p)
        return at[0] == UInt8(ascii: "}") ? at + 1 : fail(.syntax, at)
    }

    @inline(never)
    private mutating func otherAttribute(_ slot: SlotPointer, _ row: Int, _ start: Text, _ kind: AttributeKind, _ p: Text) -> Text? {
        let wanted = slot.pointee.kind
        if wanted == .variant { return variantAttribute(slot, row, start) }
        let next: Text?
        switch kind {
        case .text: next = attributeText(slot, row, p)
        case .number: next = attributeNumber(slot, row, p)
        case .binary: next = attributeBinary(slot, row, p)
        case .boolean:
            guard p[0] == UInt8(ascii: "t") || p[0] == UInt8(ascii: "f") else { return fail(.attribute, start) }
            next = value(slot, row, p)
        case .null:
            next = skip(p, depth: 1)
            if next != nil { slot.setNull(row) }
        case .map where p[0] == UInt8(ascii: "{"):
            switch wanted {
            case .row:
                slot.markValid(row)
                next = attributes(slot.pointee.children!, slot.pointee.childCount, slot.pointee.names!, row, p)
            case .map: next = entries(slot, row, p, .attribute)
            case .text: next = plainText(slot, row, start, p)
            default: next = mismatch(slot, row, p)
            }
        case .list, .textSet, .numberSet, .binarySet:
            guard p[0] == UInt8(ascii: "[") else { return fail(.attribute, start) }
            switch (wanted, kind) {
            case (.array, .list): next = elements(slot, row, p, .attribute)
            case (.array, .textSet): next = elements(slot, row, p, .text)
            case (.array, .numberSet): next = elements(slot, row, p, .number)
            case (.array, _): next = elements(slot, row, p, .binary)
            case (.text, _): next = plainText(slot, row, start, p)
            default: next = mismatch(slot, row, p)
            }
        case .map: return fail(.attribute, start)
        }
        guard let next else { return nil }
        return attributeEnd(next)
    }

    /// A value that is none of the slot's type.
    private mutating func mismatch(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard let end = skip(p, depth: 1) else { return nil }
        guard ignoreErrors else { return fail(.conversion, p, end: end, slot: slot) }
        slot.setNull(row)
        return end
    }

    private func isText(_ p: Text) -> Bool { p[0] == UInt8(ascii: "\"") }

    /// The text of an S, or of a member of an SS.
    @inline(never)
    mutating func attributeText(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard isText(p) else { return fail(.attribute, p) }
        switch slot.pointee.kind {
        case .binary:
            guard let end = skip(p, depth: 1) else { return nil }
            keep(AttributeText.string(p, end), slot, row)
            return end
        case .variant:
            guard let end = skip(p, depth: 1) else { return nil }
            var writer = VariantWriter()
            AttributeText.string(p, end).withUnsafeBytes { writer.append(string: $0) }
            keep(writer.bytes, slot, row)
            return end
        case .array, .map, .row: return mismatch(slot, row, p)
        default: return value(slot, row, p)
        }
    }

    /// The text of an N, or of a member of an NS: digits in quotes.
    @inline(__always)
    mutating func attributeNumber(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard isText(p) else { return fail(.attribute, p) }
        switch slot.pointee.kind {
        case .int64:
            if let (value, next) = integer(p + 1), next[0] == UInt8(ascii: "\"") {
                slot.store(value, at: row)
                return next + 1
            }
        case .int32:
            if let (value, next) = integer(p + 1), let narrow = Int32(exactly: value), next[0] == UInt8(ascii: "\"") {
                slot.store(narrow, at: row)
                return next + 1
            }
        case .double:
            if let next = double(slot, row, p + 1), next[0] == UInt8(ascii: "\"") { return next + 1 }
        default: return otherNumber(slot, row, p)
        }
        return convert(slot, row, p)
    }

    @inline(never)
    private mutating func otherNumber(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        switch slot.pointee.kind {
        case .variant:
            guard let end = skip(p, depth: 1) else { return nil }
            var writer = VariantWriter()
            guard AttributeText.appendNumber(p, end, &writer) else { return fail(.attribute, p) }
            keep(writer.bytes, slot, row)
            return end
        case .text, .decimal, .float, .int8, .int16: return value(slot, row, p)
        default: return mismatch(slot, row, p)
        }
    }

    /// The base64 text of a B, or of a member of a BS.
    @inline(never)
    mutating func attributeBinary(_ slot: SlotPointer, _ row: Int, _ p: Text) -> Text? {
        guard isText(p) else { return fail(.attribute, p) }
        switch slot.pointee.kind {
        case .text, .binary: return value(slot, row, p)
        case .variant:
            guard let end = skip(p, depth: 1) else { return nil }
            var writer = VariantWriter()
            guard AttributeText.appendBinary(p, end, &writer) else { return fail(.attribute, p) }
            keep(writer.bytes, slot, row)
            return end
        default: return mismatch(slot, row, p)
        }
    }

    // MARK: Whole values

    /// The value of kind M, L or a set as plain JSON. `p` is behind the attribute's name.
    private mutating func plainText(_ slot: SlotPointer, _ row: Int, _ start: Text, _ p: Text) -> Text? {
        guard skip(start, depth: 1) != nil, let end = skip(p, depth: 1) else { return nil }
        var out = EncodedBytes(capacity: end - p + 64)
        guard AttributeText(reader: self).appendJSON(start, to: &out) != nil else { return fail(.attribute, start) }
        keep(Array(out.bytes), slot, row)
        return end
    }

    private mutating func variantAttribute(_ slot: SlotPointer, _ row: Int, _ start: Text) -> Text? {
        guard let end = skip(start, depth: 1) else { return nil }
        var writer = VariantWriter()
        guard AttributeText(reader: self).appendVariant(start, to: &writer) != nil else { return fail(.attribute, start) }
        keep(writer.bytes, slot, row)
        return end
    }

    /// An item as an object of plain values.
    mutating func wholeItem(_ slot: SlotPointer, _ row: Int, _ start: Text) -> Text? {
        guard let end = skip(start, depth: 1) else { return nil }
        var writer = VariantWriter()
        guard AttributeText(reader: self).appendItem(start, to: &writer) != nil else { return fail(.attribute, start) }
        keep(writer.bytes, slot, row)
        return end
    }
}
