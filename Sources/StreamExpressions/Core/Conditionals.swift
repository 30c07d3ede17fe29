import StreamCore

extension FunctionRegistry {
    /// COALESCE, IFNULL, NULLIF, IF, GREATEST, LEAST.
    static func registerConditionals(into registry: inout FunctionRegistry) {
        registry.register("COALESCE") { args, _ in
            guard !args.isEmpty else { throw Binding.arityError("COALESCE", given: 0, least: 1, most: .max, names: ["value", "..."]) }
            let (args, type) = try Binding.unify("COALESCE", args)
            return args.count == 1 ? args[0] : .coalesce(args, type)
        }
        registry.register("IFNULL") { args, _ in
            let (args, type) = try Binding.unify("IFNULL", try Binding.arguments("IFNULL", args, [.anyOrNull("value"), .anyOrNull("replacement")]))
            return .coalesce(args, type)
        }
        registry.register("NULLIF") { args, _ in
            let args = try Binding.arguments("NULLIF", args, [.any("value"), .anyOrNull("other")])
            if args[1].type == .null { return args[0] }
            let equal = try ComparisonBinder.bind(.equal, "NULLIF", args)
            return .caseWhen([.init(equal, then: .literal(.null, args[0].type))], otherwise: args[0], args[0].type)
        }
        registry.register("IF") { args, _ in
            let args = try Binding.arguments("IF", args, [.boolean("condition"), .anyOrNull("then"), .anyOrNull("else")])
            let (results, type) = try Binding.unify("IF", Array(args[1...]))
            return .caseWhen([.init(args[0], then: results[0])], otherwise: results[1], type)
        }
        for (name, comparison) in [("GREATEST", Comparison.greater), ("LEAST", .less)] {
            registry.register(name) { args, _ in
                guard !args.isEmpty else { throw Binding.arityError(name, given: 0, least: 1, most: .max, names: ["value", "..."]) }
                let (args, type) = try Binding.unify(name, args)
                guard let body = extreme(type, comparison) else { throw Binding.mismatch(name, args, takes: "values that have an order") }
                return args.dropFirst().reduce(args[0]) { Binding.call(name, type, [$0, $1], body) }
            }
        }
    }

    /// The larger (or smaller) of two values; null when one is null.
    private static func extreme(_ type: DataType, _ comparison: Comparison) -> KernelBody? {
        let greatest = comparison == .greater
        func fixed<T: Comparable & BitwiseCopyable & SendableMetatype>(_: T.Type) -> KernelBody {
            { args, rows, _ in
                Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in (greatest ? a >= b : a <= b) ? a : b }
            }
        }
        switch type.physical {
        case .bool: return fixed(UInt8.self)
        case .int8: return fixed(Int8.self)
        case .int16: return fixed(Int16.self)
        case .int32: return fixed(Int32.self)
        case .int64: return fixed(Int64.self)
        case .float: return fixed(Float.self)
        case .double: return fixed(Double.self)
        case .int128: return fixed(Int128.self)
        case .view:
            return { args, rows, _ in
                let a = args[0].text, b = args[1].text
                return rows.text(type) { row, out in
                    let order = TextVector.compare(a, row, b, row)
                    out.append((greatest ? order >= 0 : order <= 0) ? a[row] : b[row])
                }
            }
        case .list, .map, .row, .null: return nil
        }
    }

    /// `||` of strings or of binary values.
    static func registerConcatenation(into registry: inout FunctionRegistry) {
        registry.register("||") { args, _ in
            guard args.count == 2 else { throw Binding.arityError("||", given: args.count, least: 2, most: 2, names: ["left", "right"]) }
            for arg in args where arg.type == .null { throw Binding.bareNull("||") }
            let type: DataType
            switch (args[0].type, args[1].type) {
            case (.char(let n), .char(let m)): type = .char(n + m)
            case (.char(let n), .varchar(let m)), (.varchar(let n), .char(let m)), (.varchar(let n), .varchar(let m)):
                type = .varchar(min(n + m, DataType.maxLength))
            case (.binary(let n), .binary(let m)): type = .binary(n + m)
            case (.binary(let n), .varbinary(let m)), (.varbinary(let n), .binary(let m)), (.varbinary(let n), .varbinary(let m)):
                type = .varbinary(min(n + m, DataType.maxLength))
            default:
                throw Binding.mismatch("||", args, takes: "two strings or two binary values", fix: "write CAST(... AS STRING) around what is no string")
            }
            return Binding.call("||", type, args) { args, rows, _ in
                let a = args[0].text, b = args[1].text
                return rows.text(type) { row, out in
                    out.append(a[row])
                    out.append(b[row])
                }
            }
        }
    }

    /// Operators and conditionals: what the binder needs for the syntax itself.
    static func registerOperators(into registry: inout FunctionRegistry) {
        registerArithmetic(into: &registry)
        registerComparisons(into: &registry)
        registerConcatenation(into: &registry)
        registerPeriods(into: &registry)
    }
}
