import StreamCore

/// PARSE_JSON, TRY_PARSE_JSON and access to parts of a VARIANT.
extension FunctionRegistry {
    mutating func registerVariantFunctions() {
        for (name, isSafe) in [("PARSE_JSON", false), ("TRY_PARSE_JSON", true)] {
            define(name, takes: [.text("JSON"), .boolean("allow duplicate keys")], optional: 1, result: { _ in .variant }) { bound, type in
                let hasFlag = bound.count == 2
                return { args, rows, _ in
                    let text = args[0].text, flag = hasFlag ? args[1].vector(UInt8.self) : nil
                    var writer = VariantWriter()
                    return try rows.text(type) { row, out in
                        writer.removeAll()
                        do throws(VariantJSON.Failure) {
                            try VariantJSON.parse(text[row], allowsDuplicates: flag.map { $0[row] != 0 } ?? false, into: &writer)
                        } catch {
                            if isSafe { return out.setNull() }
                            throw VariantAccess.failure(name, text[row], error)
                        }
                        writer.bytes.withUnsafeBytes { out.append($0) }
                    }
                }
            }
        }
        // v.name: as v['name'], but null for what has no such part.
        register("FIELD") { args, _ in try VariantAccess.item(args[0], args[1], isStrict: false) }
    }
}

enum VariantAccess {
    static func failure(_ name: String, _ text: UnsafeRawBufferPointer, _ reason: VariantJSON.Failure) -> StreamError {
        let shown = text.count > 200 ? String(decoding: text.prefix(200), as: UTF8.self) + "..." : text.string
        return switch reason {
        case .malformed(let at):
            StreamError(.runtime, "\(name) was given '\(shown)', which is not JSON from character \(at + 1) on", fix: "write TRY_PARSE_JSON to get NULL for such values")
        case .duplicateKey(let key):
            StreamError(.runtime, "\(name) was given '\(shown)', which has the key \"\(key)\" twice",
                        fix: "write \(name)(value, TRUE) to let the last value count")
        case .tooDeep: StreamError(.runtime, "\(name) was given JSON with more than 1000 levels of nesting", fix: "write TRY_PARSE_JSON to get NULL for such values")
        }
    }

    /// `v['key']`, or `v[i]` from 1: the part as a VARIANT, null when there is none.
    ///
    /// - Parameter isStrict: access by key to what is no object, and by index to what is no array, fails the job, as in Flink.
    static func item(_ value: Expr, _ key: Expr, isStrict: Bool) throws -> Expr {
        if key.type.isText {
            return Binding.call(isStrict ? "ITEM" : "FIELD", .variant, [value, key]) { args, rows, _ in
                let keys = args[1].text
                return try rows.slices(.variant, of: args[0]) { row, bytes in
                    let whole = Variant(bytes)
                    guard whole.kind == .object else {
                        if isStrict, whole.kind != .null {
                            throw StreamError(.runtime, "['\(keys[row].string)'] needs an object, but the VARIANT is \(whole.kindName)",
                                              fix: "write v.\(keys[row].string) to get NULL for what is no object")
                        }
                        return nil
                    }
                    return whole.member(keys[row]).map { range(of: $0, in: bytes) }
                }
            }
        }
        guard key.type.isInteger else {
            throw Binding.mismatch("[ ]", [value, key], takes: "a VARIANT and a string or an integer")
        }
        return Binding.call("ITEM", .variant, [value, try Binding.cast(key, to: .bigint)]) { args, rows, _ in
            let index = args[1].vector(Int64.self)
            return try rows.slices(.variant, of: args[0]) { row, bytes in
                let whole = Variant(bytes)
                guard whole.kind == .array else {
                    if isStrict, whole.kind != .null {
                        throw StreamError(.runtime, "[\(index[row])] needs an array, but the VARIANT is \(whole.kindName)", fix: "test it with TYPEOF or JSON_STRING first")
                    }
                    return nil
                }
                guard index[row] >= 1, index[row] <= whole.count else { return nil }
                return range(of: whole.element(Int(index[row]) - 1), in: bytes)
            }
        }
    }

    private static func range(of part: Variant, in whole: UnsafeRawBufferPointer) -> Range<Int> {
        let start = part.bytes.baseAddress! - whole.baseAddress!
        return start..<start + part.bytes.count
    }
}

/// Comparisons of a VARIANT.
///
/// Two are equal when they are the same value of the same kind. Beside a value of another type, and by their order, a VARIANT takes part with
/// the value in it: numbers compare as numbers, whatever their kind; a comparison of different kinds is false (`<>` true), never an
/// error; null and missing values give unknown.
enum VariantComparison {
    /// nil when no argument is a VARIANT.
    static func bind(_ comparison: Comparison, _ name: String, _ args: [Expr]) throws -> Expr? {
        guard args.count == 2, args.contains(where: { $0.type == .variant }) else { return nil }
        let isIdentity = comparison.isEquality && args.allSatisfy { $0.type == .variant }
        let values = try args.map { arg -> Expr in
            if arg.type == .null { return .literal(.null, .variant) }
            return try Binding.cast(arg, to: .variant)
        }
        return Binding.call(name, .boolean, values) { args, rows, _ in
            let a = args[0].text, b = args[1].text
            if isIdentity { return rows.booleans { ByteOrder.equal(a[$0], b[$0]) == (comparison == .equal) } }
            return rows.booleansOrNull { row -> Bool? in
                let (x, y) = (Variant(a[row]), Variant(b[row]))
                if x.kind == .null || y.kind == .null { return nil }
                guard let order = Variant.compare(x, y) else { return comparison == .notEqual }
                return comparison.holds(order)
            }
        }
    }
}
