import StreamCore

/// DYNAMODB_FLAT and DYNAMODB_EVENT: change records of DynamoDB tables, as they come through a stream, made plain.
///
///     {"eventName":"INSERT","dynamodb":{"NewImage":{"id":{"S":"864732"},"amount":{"N":"1.5"}}}}
///     -> {"id":"864732","amount":1.5}
extension FunctionRegistry {
    mutating func registerDynamoDBFunctions() {
        // The item after the change as an object of plain values, in the item's order; NULL for a text that is neither a change
        // record nor an item. Of a deleted item, what it was (or its keys), with "__deleted":true.
        define("DYNAMODB_FLAT", takes: [.text("record")], returns: .string) { args, rows, _ in
            let text = args[0].text
            var document = JsonDocument(), out: [UInt8] = []
            return rows.text(.string) { row, builder in
                out.removeAll(keepingCapacity: true)
                guard document.parse(text[row]), DynamoDBItem.append(document, to: &out) else { return builder.setNull() }
                out.withUnsafeBytes { builder.append($0) }
            }
        }
        // INSERT, MODIFY or REMOVE; NULL when the text is no change record.
        define("DYNAMODB_EVENT", takes: [.text("record")], returns: .string) { args, rows, _ in
            let text = args[0].text
            var document = JsonDocument()
            return rows.text(.string) { row, builder in
                guard document.parse(text[row]), let name = DynamoDBItem.eventName(document) else { return builder.setNull() }
                builder.append(document.bytes(document.nodes[name]))
            }
        }
    }
}

/// Items in DynamoDB's typed JSON.
private enum DynamoDBItem {
    static func eventName(_ document: JsonDocument) -> Int? {
        guard document.nodes[0].kind == .object, let name = document.member(0, Array("eventName".utf8)), document.nodes[name].kind == .string else { return nil }
        return name
    }

    /// False when the document holds no item; what was appended is of no use then.
    static func append(_ document: JsonDocument, to out: inout [UInt8]) -> Bool {
        guard document.nodes[0].kind == .object else { return false }
        guard let change = document.member(0, Array("dynamodb".utf8)), eventName(document) != nil else { return object(document, 0, &out) }
        guard document.nodes[change].kind == .object else { return false }
        if let image = document.member(change, Array("NewImage".utf8)) { return object(document, image, &out) }
        // A record of changed keys alone tells no item, unless the item is gone.
        guard let name = eventName(document), Array(document.bytes(document.nodes[name])) == Array("REMOVE".utf8),
              let image = document.member(change, Array("OldImage".utf8)) ?? document.member(change, Array("Keys".utf8)),
              object(document, image, &out) else { return false }
        out.removeLast()
        out += (out.last == UInt8(ascii: "{") ? "" : ",").utf8
        out += "\"__deleted\":true}".utf8
        return true
    }

    /// An object whose members are typed values.
    private static func object(_ document: JsonDocument, _ index: Int, _ out: inout [UInt8]) -> Bool {
        let node = document.nodes[index]
        guard node.kind == .object else { return false }
        out.append(UInt8(ascii: "{"))
        var i = index + 1
        while i < Int(node.next) {
            if i > index + 1 { out.append(UInt8(ascii: ",")) }
            quoted(document, i, &out)
            out.append(UInt8(ascii: ":"))
            guard value(document, i + 1, &out) else { return false }
            i = Int(document.nodes[i + 1].next)
        }
        out.append(UInt8(ascii: "}"))
        return true
    }

    /// `{"S":"text"}` and its like: an object of one member, whose name is the type.
    private static func value(_ document: JsonDocument, _ index: Int, _ out: inout [UInt8]) -> Bool {
        let node = document.nodes[index]
        guard node.kind == .object, Int(node.next) > index + 2, Int(document.nodes[index + 2].next) == Int(node.next) else { return false }
        let inner = index + 2, kind = document.nodes[inner].kind
        switch String(decoding: document.bytes(document.nodes[index + 1]), as: UTF8.self) {
        case "S", "B":
            guard kind == .string else { return false }
            quoted(document, inner, &out)
        case "N": return number(document, inner, &out)
        case "BOOL":
            guard kind == .true || kind == .false else { return false }
            out += document.bytes(document.nodes[inner])
        case "NULL":
            guard kind == .true || kind == .false else { return false }
            out += "null".utf8
        case "M": return object(document, inner, &out)
        case "L": return list(document, inner, &out) { value($0, $1, &$2) }
        case "SS", "BS":
            return list(document, inner, &out) { document, element, out in
                guard document.nodes[element].kind == .string else { return false }
                quoted(document, element, &out)
                return true
            }
        case "NS": return list(document, inner, &out) { number($0, $1, &$2) }
        default: return false
        }
        return true
    }

    private static func list(_ document: JsonDocument, _ index: Int, _ out: inout [UInt8], _ element: (JsonDocument, Int, inout [UInt8]) -> Bool) -> Bool {
        guard document.nodes[index].kind == .array else { return false }
        out.append(UInt8(ascii: "["))
        for (i, child) in document.children(index).enumerated() {
            if i > 0 { out.append(UInt8(ascii: ",")) }
            guard element(document, child, &out) else { return false }
        }
        out.append(UInt8(ascii: "]"))
        return true
    }

    private static func quoted(_ document: JsonDocument, _ index: Int, _ out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        out += document.bytes(document.nodes[index])
        out.append(UInt8(ascii: "\""))
    }

    /// Numbers come as text, and keep all of their digits.
    private static func number(_ document: JsonDocument, _ index: Int, _ out: inout [UInt8]) -> Bool {
        let node = document.nodes[index]
        guard node.kind == .string, !node.isEscaped else { return false }
        var parsed = JsonDocument()
        let bytes = document.bytes(node)
        guard parsed.parse(bytes), parsed.nodes[0].kind == .integer || parsed.nodes[0].kind == .decimal, Int(parsed.nodes[0].end) == bytes.count else { return false }
        out += bytes
        return true
    }
}
