import StreamCore

/// Reading a value of any scalar type from its text: the careful way that all text formats share. JSON has quicker ways
/// for the usual forms and comes here for the rest.
enum TextConversion {
    /// `text` as the slot's type, or false when it is not one. Text and binary types are the caller's affair.
    static func store(_ text: UnsafeRawBufferPointer, into slot: UnsafeMutablePointer<Slot>, at row: Int, timestamps: DateTimeText.Form,
                      timePrecision: Int) -> Bool {
        switch slot.pointee.kind {
        case .boolean:
            // As Java's Boolean.parseBoolean: anything but "true" is false.
            slot.store(UInt8(equalsIgnoringCase(trimmed(text), "true") ? 1 : 0), at: row)
        case .int8: return storeInteger(trimmed(text), Int8.self, slot, row)
        case .int16: return storeInteger(trimmed(text), Int16.self, slot, row)
        case .int32: return storeInteger(trimmed(text), Int32.self, slot, row)
        case .int64: return storeInteger(trimmed(text), Int64.self, slot, row)
        case .float:
            guard let value = NumberText.parseFloat(trimmed(text)) else { return false }
            slot.store(value, at: row)
        case .double:
            guard let value = NumberText.parseDouble(trimmed(text)) else { return false }
            slot.store(value, at: row)
        case .decimal:
            guard let value = NumberText.parseDecimal(trimmed(text), precision: slot.pointee.precision, scale: slot.pointee.scale)
            else { return false }
            slot.store(value, at: row)
        case .date:
            guard let value = DateTimeText.parseDate(text) else { return false }
            slot.store(value, at: row)
        case .time:
            guard let value = DateTimeText.parseTime(text, precision: min(slot.pointee.precision, timePrecision)) else { return false }
            slot.store(value, at: row)
        case .timestamp:
            let form = timestamps.zone(slot.pointee.isLocalZoned ? .requiredZ : .optionalZ)
            guard let value = DateTimeText.parseTimestamp(text, precision: slot.pointee.precision, form: form) else { return false }
            slot.store(value, at: row)
        case .null: slot.setNull(row)
        case .text, .binary, .variant, .array, .map, .row: return false
        }
        return true
    }

    private static func storeInteger<T: FixedWidthInteger & BitwiseCopyable>(
        _ text: UnsafeRawBufferPointer, _: T.Type, _ slot: UnsafeMutablePointer<Slot>, _ row: Int
    ) -> Bool {
        guard let value = NumberText.parseInt64(text), let narrow = T(exactly: value) else { return false }
        slot.store(narrow, at: row)
        return true
    }

    static func trimmed(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var (from, to) = (0, text.count)
        while from < to, text[from] <= 0x20 { from += 1 }
        while to > from, text[to - 1] <= 0x20 { to -= 1 }
        return UnsafeRawBufferPointer(rebasing: text[from..<to])
    }

    static func equalsIgnoringCase(_ text: UnsafeRawBufferPointer, _ lowercase: StaticString) -> Bool {
        guard text.count == lowercase.utf8CodeUnitCount else { return false }
        for i in 0..<text.count where text[i] | 0x20 != lowercase.utf8Start[i] { return false }
        return true
    }

    /// Decodes standard base64, with its padding, to `out`, which has room for 3 bytes per 4 characters; nil when it is
    /// not base64.
    static func base64(_ text: UnsafeRawBufferPointer, to out: UnsafeMutablePointer<UInt8>) -> Int? {
        var end = text.count
        while end > 0, text.count - end < 2, text[end - 1] == UInt8(ascii: "=") { end -= 1 }
        guard text.count % 4 == 0, end % 4 != 1 else { return nil }
        var n = 0, bits: UInt32 = 0, held = 0
        for i in 0..<end {
            let c = text[i]
            let six: UInt8
            switch c {
            case 65...90: six = c - 65
            case 97...122: six = c - 71
            case 48...57: six = c + 4
            case UInt8(ascii: "+"): six = 62
            case UInt8(ascii: "/"): six = 63
            default: return nil
            }
            bits = bits << 6 | UInt32(six)
            held += 6
            if held >= 8 {
                held -= 8
                out[n] = UInt8(truncatingIfNeeded: bits >> UInt32(held))
                n += 1
            }
        }
        // Bits behind the last byte are not data.
        return bits & ((1 << UInt32(held)) - 1) == 0 ? n : nil
    }

    private static let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    static func appendBase64(_ bytes: UnsafeRawBufferPointer, to out: inout EncodedBytes) {
        let target = out.reserve((bytes.count + 2) / 3 * 4), letters = alphabet.utf8Start
        var n = 0, i = 0
        while i < bytes.count {
            let b0 = bytes[i], b1 = i + 1 < bytes.count ? bytes[i + 1] : 0, b2 = i + 2 < bytes.count ? bytes[i + 2] : 0
            target[n] = letters[Int(b0 >> 2)]
            target[n + 1] = letters[Int(b0 << 4 & 0x30 | b1 >> 4)]
            target[n + 2] = i + 1 < bytes.count ? letters[Int(b1 << 2 & 0x3C | b2 >> 6)] : UInt8(ascii: "=")
            target[n + 3] = i + 2 < bytes.count ? letters[Int(b2 & 0x3F)] : UInt8(ascii: "=")
            n += 4
            i += 3
        }
        out.advance(n)
    }

    /// Text for an error message: at most about 100 bytes, control characters shown as dots.
    static func excerpt(_ bytes: UnsafeRawBufferPointer) -> String {
        var end = min(bytes.count, 100)
        // Not in the middle of a character.
        while end > 0, end < bytes.count, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        let shown = bytes.prefix(end).map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: ".") : $0 }
        return String(decoding: shown, as: UTF8.self) + (end < bytes.count ? "..." : "")
    }
}
