import StreamCore

/// FLATTEN_VARIANT: an object of several levels as one of a single level.
///
///     FLATTEN_VARIANT(PARSE_JSON('{"id":1,"home":{"city":"Rome","geo":{"lat":41.9}}}'), '_')
///     -> {"home_city":"Rome","home_geo_lat":41.9,"id":1}
extension FunctionRegistry {
    mutating func registerFlattenFunction() {
        // Up to `depth` names are joined by the separator ('_' when none is given); what lies deeper stays together, as JSON text. Lists are JSON
        // text, or with 'index' a member for each element, numbered from 0, or with 'keep' lists. Empty objects leave nothing.
        let variant = Parameter("object", takes: "a VARIANT", example: "VARIANT") { $0.type == .variant ? .variant : nil }
        define("FLATTEN_VARIANT", takes: [variant, .text("separator"), .int("depth"), .text("lists")], optional: 3, result: { _ in .variant }) { bound, type in
            let count = bound.count
            return { args, rows, _ in
                let values = args[0].text, separators = count > 1 ? args[1].text : nil
                let depths = count > 2 ? args[2].vector(Int32.self) : nil, forms = count > 3 ? args[3].text : nil
                var writer = VariantWriter(), flattener = VariantFlattener()
                return try rows.text(type) { row, out in
                    let value = Variant(values[row])
                    guard value.kind == .object else { return out.append(values[row]) }
                    if let separators { flattener.separator = Array(separators[row]) }
                    if let depths {
                        guard depths[row] >= 1 else {
                            throw StreamError(.runtime, "FLATTEN_VARIANT was given the depth \(depths[row])", fix: "give how many names may be joined, at least 1")
                        }
                        flattener.depth = Int(depths[row])
                    }
                    if let forms {
                        guard let form = VariantFlattener.Lists(rawValue: forms[row].string.lowercased()) else {
                            throw StreamError(.runtime, "FLATTEN_VARIANT was given '\(forms[row].string)' as what becomes of lists", fix: "write 'json', 'index' or 'keep'")
                        }
                        flattener.lists = form
                    }
                    writer.removeAll()
                    try flattener.flatten(value, to: &writer)
                    writer.bytes.withUnsafeBytes { out.append($0) }
                }
            }
        }
    }
}

/// Makes objects of several levels into ones of a single level.
struct VariantFlattener {
    enum Lists: String { case json, index, keep }

    var separator: [UInt8] = [UInt8(ascii: "_")]
    /// How many names may be joined.
    var depth = Int.max
    var lists = Lists.json

    func flatten(_ object: Variant, to writer: inout VariantWriter) throws {
        var seen: Set<[UInt8]> = []
        try writer.object { out, next in
            try members(of: object, [], 1) { key, value, asText in
                guard seen.insert(key).inserted else {
                    throw StreamError(.runtime, "FLATTEN_VARIANT finds two values for \"\(String(decoding: key, as: UTF8.self))\"",
                                      fix: "give a separator that the names do not hold, for example '.' or '__'")
                }
                if asText { out.append(string: VariantJSON.text(value)) } else { out.append(value) }
                next(&out, key)
            }
        }
    }

    private func members(of value: Variant, _ prefix: [UInt8], _ level: Int, _ take: (_ key: [UInt8], Variant, _ asText: Bool) throws -> Void) throws {
        for i in 0..<value.count {
            let isObject = value.kind == .object
            let key = prefix + (level > 1 ? separator : []) + (isObject ? Array(value.key(i)) : Array(String(i).utf8))
            let member = isObject ? value.value(i) : value.element(i)
            switch member.kind {
            case .object where level < depth, .array where lists == .index && level < depth: try members(of: member, key, level + 1, take)
            case .object: try take(key, member, true)
            case .array: try take(key, member, lists != .keep)
            default: try take(key, member, false)
            }
        }
    }
}
