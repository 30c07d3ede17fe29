import StreamCore

/// Attribute values of DynamoDB in well-formed JSON text, as VARIANT and as plain JSON. Functions return the position behind a
/// value, or nil when it is no attribute value.
struct AttributeText {
    typealias Text = UnsafePointer<UInt8>
    let reader: JSONReader

    private struct NoAttribute: Error {}

    // MARK: Scalars

    /// The text between the quotes at `p` and before `end`, without escapes.
    static func string(_ p: Text, _ end: Text) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: end - p) { out, n in n = JSONScan.unescape(p, to: out.baseAddress!) }
    }

    /// A number in quotes: an integer of 64 bits, a decimal of up to 38 digits, else a double. False when it is no number.
    static func appendNumber(_ p: Text, _ end: Text, _ out: inout VariantWriter) -> Bool {
        let text = UnsafeRawBufferPointer(start: p + 1, count: end - p - 2)
        var whole = 0, fraction = 0, isFraction = false, isPlain = true
        var unscaled: Int128 = 0
        for (i, c) in text.enumerated() {
            if c == UInt8(ascii: "-"), i == 0 { continue }
            if c == UInt8(ascii: "."), !isFraction, whole > 0 {
                isFraction = true
                continue
            }
            guard c &- 48 < 10, whole + fraction < 38 else {
                isPlain = false
                break
            }
            unscaled = unscaled * 10 + Int128(c - 48)
            if isFraction { fraction += 1 } else { whole += 1 }
        }
        if isPlain, whole > 0, !isFraction || fraction > 0 {
            if text[0] == UInt8(ascii: "-") { unscaled = -unscaled }
            if fraction == 0, let integer = Int64(exactly: unscaled) { out.append(integer) } else { out.append(decimal: unscaled, scale: fraction) }
            return true
        }
        guard let value = NumberText.parseDouble(text), value.isFinite else { return false }
        out.append(value)
        return true
    }

    static func appendBinary(_ p: Text, _ end: Text, _ out: inout VariantWriter) -> Bool {
        let text = string(p, end)
        let bytes: [UInt8]? = text.withUnsafeBytes { text in
            var isBase64 = true
            let bytes = [UInt8](unsafeUninitializedCapacity: text.count) { out, n in
                guard text.count > 0 else { return }
                if let count = TextConversion.base64(text, to: out.baseAddress!) { n = count } else { isBase64 = false }
            }
            return isBase64 ? bytes : nil
        }
        guard let bytes else { return false }
        bytes.withUnsafeBytes { out.append(binary: $0) }
        return true
    }

    /// The text between the quotes at `p` as it stands there, when it has no escapes, and the position behind it.
    private func plainString(_ p: Text) -> (UnsafeRawBufferPointer, Text)? {
        guard p[0] == UInt8(ascii: "\"") else { return nil }
        let (stop, _) = JSONScan.string(p + 1)
        return stop[0] == UInt8(ascii: "\"") ? (UnsafeRawBufferPointer(start: p + 1, count: stop - p - 1), stop + 1) : nil
    }

    private func end(ofString p: Text) -> Text? { p[0] == UInt8(ascii: "\"") ? JSONScan.skipString(p)?.end : nil }

    /// Behind the brace that ends an attribute value, which has one member.
    private func close(_ p: Text?) -> Text? {
        guard let p else { return nil }
        let at = reader.skipSpace(p)
        return at[0] == UInt8(ascii: "}") ? at + 1 : nil
    }

    // MARK: VARIANT

    /// An item: an object of attribute values.
    func appendItem(_ start: Text, to out: inout VariantWriter) -> Text? {
        guard start[0] == UInt8(ascii: "{") else { return nil }
        let object = out.beginObject()
        var p = reader.skipSpace(start + 1)
        if p[0] == UInt8(ascii: "}") {
            out.endObject(object)
            return p + 1
        }
        while true {
            let plain = plainString(p)
            guard let end = plain?.1 ?? end(ofString: p) else { return nil }
            let keyStart = p
            p = reader.skipSpace(end)
            guard p[0] == UInt8(ascii: ":"), let next = appendVariant(reader.skipSpace(p + 1), to: &out) else { return nil }
            if let plain { out.endMember(key: plain.0) } else { Self.string(keyStart, end).withUnsafeBytes { out.endMember(key: $0) } }
            p = reader.skipSpace(next)
            if p[0] == UInt8(ascii: "}") {
                out.endObject(object)
                return p + 1
            }
            guard p[0] == UInt8(ascii: ",") else { return nil }
            p = reader.skipSpace(p + 1)
        }
    }

    func appendVariant(_ start: Text, to out: inout VariantWriter) -> Text? {
        guard let (kind, p) = reader.attributeKind(start) else { return nil }
        switch kind {
        case .text, .number, .binary: return close(appendScalar(p, kind, to: &out))
        case .boolean:
            guard p[0] == UInt8(ascii: "t") || p[0] == UInt8(ascii: "f") else { return nil }
            out.append(p[0] == UInt8(ascii: "t"))
            return close(p + (p[0] == UInt8(ascii: "t") ? 4 : 5))
        case .null:
            out.appendNull()
            var copy = reader
            return close(copy.skip(p, depth: 1))
        case .map: return close(p[0] == UInt8(ascii: "{") ? appendItem(p, to: &out) : nil)
        case .list, .textSet, .numberSet, .binarySet:
            var last: Text?
            do throws(NoAttribute) {
                try out.array { (out, next) throws(NoAttribute) in
                    last = try items(p) { (at) throws(NoAttribute) in
                        let end = kind == .list ? appendVariant(at, to: &out) : appendScalar(at, member(of: kind), to: &out)
                        guard let end else { throw NoAttribute() }
                        next(&out)
                        return end
                    }
                }
            } catch { return nil }
            return close(last)
        }
    }

    private func member(of set: JSONReader.AttributeKind) -> JSONReader.AttributeKind {
        set == .textSet ? .text : set == .numberSet ? .number : .binary
    }

    private func appendScalar(_ p: Text, _ kind: JSONReader.AttributeKind, to out: inout VariantWriter) -> Text? {
        if kind == .text, let (text, end) = plainString(p) {
            out.append(string: text)
            return end
        }
        if kind == .number, p[0] == UInt8(ascii: "\""), let (value, end) = reader.integer(p + 1), end[0] == UInt8(ascii: "\"") {
            out.append(value)
            return end + 1
        }
        guard let end = end(ofString: p) else { return nil }
        switch kind {
        case .text: Self.string(p, end).withUnsafeBytes { out.append(string: $0) }
        case .number: guard Self.appendNumber(p, end, &out) else { return nil }
        default: guard Self.appendBinary(p, end, &out) else { return nil }
        }
        return end
    }

    // MARK: Plain JSON

    /// Numbers keep their digits, binary values stay base64.
    func appendJSON(_ start: Text, to out: inout EncodedBytes) -> Text? {
        guard let (kind, p) = reader.attributeKind(start) else { return nil }
        switch kind {
        case .text, .number, .binary: return close(appendScalar(p, kind, to: &out))
        case .boolean, .null:
            var copy = reader
            guard let end = copy.skip(p, depth: 1) else { return nil }
            if kind == .null { out.append("null") } else { out.append(UnsafeRawBufferPointer(start: p, count: end - p)) }
            return close(end)
        case .map:
            out.append(UInt8(ascii: "{"))
            var isFirst = true
            var copy = EncodedBytes(capacity: 64)
            let last = try? members(p) { (key, at) throws(NoAttribute) in
                if !isFirst { copy.append(UInt8(ascii: ",")) }
                isFirst = false
                key.withUnsafeBytes { appendJSONString($0, to: &copy) }
                copy.append(UInt8(ascii: ":"))
                guard let end = appendJSON(at, to: &copy) else { throw NoAttribute() }
                return end
            }
            out.append(copy.bytes)
            out.append(UInt8(ascii: "}"))
            return close(last ?? nil)
        case .list, .textSet, .numberSet, .binarySet:
            out.append(UInt8(ascii: "["))
            var isFirst = true
            var copy = EncodedBytes(capacity: 64)
            let last = try? items(p) { (at) throws(NoAttribute) in
                if !isFirst { copy.append(UInt8(ascii: ",")) }
                isFirst = false
                guard let end = kind == .list ? appendJSON(at, to: &copy) : appendScalar(at, member(of: kind), to: &copy) else { throw NoAttribute() }
                return end
            }
            out.append(copy.bytes)
            out.append(UInt8(ascii: "]"))
            return close(last ?? nil)
        }
    }

    private func appendScalar(_ p: Text, _ kind: JSONReader.AttributeKind, to out: inout EncodedBytes) -> Text? {
        guard let end = end(ofString: p) else { return nil }
        if kind == .number {
            guard JSONScan.skipNumber(p + 1) == end - 1 else { return nil }
            out.append(UnsafeRawBufferPointer(start: p + 1, count: end - p - 2))
        } else {
            Self.string(p, end).withUnsafeBytes { appendJSONString($0, to: &out) }
        }
        return end
    }

    // MARK: Containers

    private func members(_ start: Text, _ body: ([UInt8], Text) throws(NoAttribute) -> Text) throws(NoAttribute) -> Text? {
        guard start[0] == UInt8(ascii: "{") else { return nil }
        var p = reader.skipSpace(start + 1)
        if p[0] == UInt8(ascii: "}") { return p + 1 }
        while true {
            guard let end = end(ofString: p) else { return nil }
            let key = Self.string(p, end)
            p = reader.skipSpace(end)
            guard p[0] == UInt8(ascii: ":") else { return nil }
            p = reader.skipSpace(try body(key, reader.skipSpace(p + 1)))
            if p[0] == UInt8(ascii: "}") { return p + 1 }
            guard p[0] == UInt8(ascii: ",") else { return nil }
            p = reader.skipSpace(p + 1)
        }
    }

    private func items(_ start: Text, _ body: (Text) throws(NoAttribute) -> Text) throws(NoAttribute) -> Text? {
        guard start[0] == UInt8(ascii: "[") else { return nil }
        var p = reader.skipSpace(start + 1)
        if p[0] == UInt8(ascii: "]") { return p + 1 }
        while true {
            p = reader.skipSpace(try body(p))
            if p[0] == UInt8(ascii: "]") { return p + 1 }
            guard p[0] == UInt8(ascii: ",") else { return nil }
            p = reader.skipSpace(p + 1)
        }
    }
}
