import StreamCore

/// JSON_VALUE, JSON_QUERY, JSON_EXISTS and IS JSON.
extension FunctionRegistry {
    mutating func registerJsonQueryFunctions() {
        register("JSON_VALUE") { args, options in try JsonQuery.bindValue(args, options) }
        register("JSON_QUERY") { args, options in try JsonQuery.bindQuery(args, options) }
        register("JSON_EXISTS") { args, options in try JsonQuery.bindExists(args, options) }
        for negated in [false, true] {
            let name = negated ? "IS NOT JSON" : "IS JSON"
            register(name) { args, _ in
                guard args.count == 1 || args.count == 2 else { throw Binding.arityError(name, given: args.count, least: 1, most: 2, names: ["value", "kind"]) }
                let bound = try Binding.arguments(name, [args[0]], [.text("value")])
                let kind = args.count == 2 ? Binding.constantText(args[1]) ?? "VALUE" : "VALUE"
                guard ["VALUE", "SCALAR", "ARRAY", "OBJECT"].contains(kind) else {
                    throw StreamError(.validate, "\(name) knows no kind \(kind)", fix: "use VALUE, SCALAR, ARRAY or OBJECT")
                }
                return Binding.callLenient(name, .boolean, bound) { args, rows, _ in
                    let column = args[0], text = args[0].text
                    var document = JsonDocument()
                    return rows.booleans { row in
                        // NULL is no JSON.
                        guard column.isValid(row), document.parse(text[row]) else { return negated }
                        let isKind = switch kind {
                        case "SCALAR": document.isScalar(0)
                        case "ARRAY": document.nodes[0].kind == .array
                        case "OBJECT": document.nodes[0].kind == .object
                        default: true
                        }
                        return isKind != negated
                    }
                }
            }
        }
    }
}

/// A path argument: compiled when the statement is bound if it is constant. A path that is none is an error of each row, as in Flink.
struct JsonPathSource: Sendable {
    enum Compiled: Sendable {
        case path(JsonPath)
        case invalid(String)

        init(_ text: String) {
            do throws(JsonPath.SyntaxError) { self = .path(try JsonPath(text)) } catch { self = .invalid(error.problem) }
        }
    }

    let constant: Compiled?

    init(_ path: Expr) { constant = Binding.constantText(path).map { Compiled($0) } }
}

/// Documents and paths of two columns, row by row.
struct JsonReader {
    private let documents: Column, paths: Column
    private let text: TextVector, pathText: TextVector
    private var current: JsonPathSource.Compiled?
    private var currentText: [UInt8] = []
    private let isConstant: Bool
    private(set) var document = JsonDocument()
    private(set) var items: [JsonItem] = []

    enum Outcome {
        /// An argument is null.
        case absent
        /// Nothing is there, or JSON's null.
        case empty
        case error(String)
        case node(Int)
        /// The path selects a list: it is in `items`.
        case list
        /// A single item that is no node: it is in `items`.
        case item
    }

    init(_ documents: Column, _ paths: Column, _ source: JsonPathSource) {
        (self.documents, self.paths) = (documents, paths)
        (text, pathText) = (documents.text, paths.text)
        current = source.constant
        isConstant = source.constant != nil
    }

    mutating func find(_ row: Int) -> Outcome {
        guard documents.isValid(row), paths.isValid(row) else { return .absent }
        if !isConstant {
            let path = pathText[row]
            if current == nil || !currentText.withUnsafeBytes({ Utf8Text.equal($0, path) }) {
                currentText = Array(path)
                current = .init(path.string)
            }
        }
        guard case .path(let path) = current! else {
            if case .invalid(let problem) = current! { return .error("the path is wrong: \(problem)") }
            return .empty
        }
        guard document.parse(text[row]) else { return path.isLax ? .empty : .error("the value is not JSON") }
        if path.isSimple {
            guard let node = path.simpleNode(document) else { return path.isLax ? .empty : .error("the path leads nowhere") }
            return document.nodes[node].kind == .null ? .empty : .node(node)
        }
        items.removeAll(keepingCapacity: true)
        do throws(JsonPath.NotFound) { try path.evaluate(document, &items) } catch {
            if !path.isLax { return .error("the path leads nowhere") }
            return path.isDefinite ? .empty : .list
        }
        guard path.isDefinite else { return .list }
        switch items.first {
        case nil: return .empty
        case .node(let node)?: return document.nodes[node].kind == .null ? .empty : .node(node)
        default: return .item
        }
    }

    var isLax: Bool { if case .path(let path)? = current { path.isLax } else { false } }

    func append(_ item: JsonItem, to out: inout TextSink) {
        switch item {
        case .node(let node): document.append(node, to: &out)
        case .members(let keys): document.appendMembers(keys, to: &out)
        case .integer(let n): out.append(string: String(n))
        case .double(let d): out.append(string: NumberText.string(d))
        }
    }

    /// The items as a JSON array.
    func appendList(to out: inout TextSink) {
        out.append(UInt8(ascii: "["))
        for (i, item) in items.enumerated() {
            if i > 0 { out.append(UInt8(ascii: ",")) }
            append(item, to: &out)
        }
        out.append(UInt8(ascii: "]"))
    }
}

enum JsonQuery {
    private static func failure(_ function: String, _ problem: String) -> StreamError {
        StreamError(.runtime, "\(function): \(problem)", fix: "write NULL ON EMPTY NULL ON ERROR if such values may occur")
    }

    // MARK: JSON_EXISTS

    static func bindExists(_ args: [Expr], _ options: FunctionOptions) throws -> Expr {
        let bound = try Binding.arguments("JSON_EXISTS", args, [.text("JSON"), .text("path")])
        let source = JsonPathSource(bound[1]), onError = options.onError ?? .false
        return Binding.callLenient("JSON_EXISTS", .boolean, bound) { args, rows, _ in
            var reader = JsonReader(args[0], args[1], source)
            return try rows.booleansOrNull { row -> Bool? in
                switch reader.find(row) {
                case .absent: return nil
                case .empty: return false
                case .node, .list, .item: return true
                case .error(let problem):
                    switch onError {
                    case .true: return true
                    case .unknown, .null: return nil
                    case .error: throw failure("JSON_EXISTS", problem)
                    default: return false
                    }
                }
            }
        }
    }

    // MARK: JSON_VALUE

    static func bindValue(_ args: [Expr], _ options: FunctionOptions) throws -> Expr {
        let defaults = (options.onEmpty == .defaultArgument ? 1 : 0) + (options.onError == .defaultArgument ? 1 : 0)
        guard args.count == 2 + defaults else { throw Binding.arityError("JSON_VALUE", given: args.count - defaults, least: 2, most: 2, names: ["JSON", "path"]) }
        var bound = try Binding.arguments("JSON_VALUE", Array(args[0..<2]), [.text("JSON"), .text("path")])
        let type = options.returning ?? .string
        guard type.isText || type == .boolean || type == .int || type == .bigint || type == .double else {
            throw StreamError(.validate, "JSON_VALUE cannot return \(type)", fix: "write RETURNING STRING, INTEGER, DOUBLE or BOOLEAN, and a CAST around it")
        }
        for value in args.dropFirst(2) { bound.append(try Binding.cast(value, to: type)) }
        let source = JsonPathSource(bound[1])
        let emptyIndex = options.onEmpty == .defaultArgument ? 2 : nil
        let errorIndex = options.onError == .defaultArgument ? 2 + (emptyIndex == nil ? 0 : 1) : nil
        let (emptyFails, errorFails) = (options.onEmpty == .error, options.onError == .error)

        /// What a row becomes: a node, a value that a function in the path computed, or the default in an argument.
        @Sendable func locate(_ reader: inout JsonReader, _ row: Int, convertible: (JsonDocument, Int) -> Bool) throws -> Located {
            let problem: String
            switch reader.find(row) {
            case .absent: return .null
            case .node(let node) where reader.document.isScalar(node):
                if convertible(reader.document, node) { return .node(node) }
                problem = "\(reader.document.bytes(reader.document.nodes[node]).string) is no \(type)"
            case .item:
                switch reader.items[0] {
                case .integer(let n): return .number(Double(n), text: String(n))
                case .double(let d): return .number(d, text: NumberText.string(d))
                default: problem = "the path leads to an object"
                }
                if reader.isLax { fallthrough }
            case .empty:
                if emptyFails { throw failure("JSON_VALUE", "the path leads to nothing") }
                return emptyIndex.map { .argument($0) } ?? .null
            case .node, .list:
                if reader.isLax {
                    if emptyFails { throw failure("JSON_VALUE", "the path leads to no scalar value") }
                    return emptyIndex.map { .argument($0) } ?? .null
                }
                problem = "the path leads to an array or object"
            case .error(let text): problem = text
            }
            if errorFails { throw failure("JSON_VALUE", problem) }
            return errorIndex.map { .argument($0) } ?? .null
        }

        return Binding.callLenient("JSON_VALUE", type, bound) { args, rows, _ in
            var reader = JsonReader(args[0], args[1], source)
            switch type {
            case .boolean:
                return try rows.booleansOrNull { row -> Bool? in
                    switch try locate(&reader, row, convertible: { Self.boolean($0, $1) != nil }) {
                    case .node(let node): Self.boolean(reader.document, node)
                    case .argument(let i): args[i].isValid(row) ? args[i].vector(UInt8.self)[row] != 0 : nil
                    case .null, .number: nil
                    }
                }
            case .int, .bigint:
                let limit: ClosedRange<Int64> = type == .int ? Int64(Int32.min)...Int64(Int32.max) : .min ... .max
                func value(_ row: Int) throws -> Int64? {
                    switch try locateNumber(&reader, row, limit) {
                    case .node(let node): Self.integer(reader.document, node)
                    case .number(let d, _): Int64(exactly: d)
                    case .argument(let i):
                        args[i].isValid(row) ? (type == .int ? Int64(args[i].vector(Int32.self)[row]) : args[i].vector(Int64.self)[row]) : nil
                    case .null: nil
                    }
                }
                func locateNumber(_ reader: inout JsonReader, _ row: Int, _ limit: ClosedRange<Int64>) throws -> Located {
                    try locate(&reader, row, convertible: { Self.integer($0, $1).map(limit.contains) ?? false })
                }
                return type == .int
                    ? try rows.fixedOrNull(type) { row -> Int32? in try value(row).map { Int32(truncatingIfNeeded: $0) } }
                    : try rows.fixedOrNull(type) { row -> Int64? in try value(row) }
            case .double:
                return try rows.fixedOrNull(type) { row -> Double? in
                    switch try locate(&reader, row, convertible: { Self.double($0, $1) != nil }) {
                    case .node(let node): Self.double(reader.document, node)
                    case .number(let d, _): d
                    case .argument(let i): args[i].isValid(row) ? args[i].vector(Double.self)[row] : nil
                    case .null: nil
                    }
                }
            default:
                let texts = args.enumerated().map { i, arg in i < 2 ? nil : arg.text }
                return try rows.text(type) { row, out in
                    switch try locate(&reader, row, convertible: { _, _ in true }) {
                    case .node(let node): reader.document.appendScalar(node, to: &out)
                    case .number(_, let text): out.append(string: text)
                    case .argument(let i): if args[i].isValid(row) { out.append(texts[i]![row]) } else { out.setNull() }
                    case .null: out.setNull()
                    }
                }
            }
        }
    }

    private enum Located {
        case node(Int), number(Double, text: String), argument(Int), null
    }

    private static func boolean(_ document: JsonDocument, _ node: Int) -> Bool? {
        switch document.nodes[node].kind {
        case .true: true
        case .false: false
        case .string:
            switch document.string(node).map({ String(decoding: $0, as: UTF8.self).lowercased() }) {
            case "true": true
            case "false": false
            default: nil
            }
        default: nil
        }
    }

    private static func integer(_ document: JsonDocument, _ node: Int) -> Int64? {
        switch document.nodes[node].kind {
        case .integer, .string: NumberText.parseInt64(document.bytes(document.nodes[node]))
        default: nil
        }
    }

    private static func double(_ document: JsonDocument, _ node: Int) -> Double? {
        switch document.nodes[node].kind {
        case .integer, .decimal, .string: NumberText.parseDouble(document.bytes(document.nodes[node]))
        default: nil
        }
    }

    // MARK: JSON_QUERY

    static func bindQuery(_ args: [Expr], _ options: FunctionOptions) throws -> Expr {
        let bound = try Binding.arguments("JSON_QUERY", args, [.text("JSON"), .text("path")])
        let type = options.returning ?? .string
        let asArray = type == .array(.string)
        guard type.isText || asArray else {
            throw StreamError(.validate, "JSON_QUERY cannot return \(type)", fix: "write RETURNING STRING or RETURNING ARRAY<STRING>")
        }
        if asArray, options.onEmpty == .emptyObject || options.onError == .emptyObject {
            throw StreamError(.validate, "JSON_QUERY cannot return an empty object as \(type)", fix: "write EMPTY ARRAY or NULL")
        }
        let source = JsonPathSource(bound[1]), wrapper = options.wrapper ?? .without
        let (onEmpty, onError) = (options.onEmpty ?? .null, options.onError ?? .null)

        /// Finds the value, or the fallback that takes its place.
        @Sendable func locate(_ reader: inout JsonReader, _ row: Int) throws -> Queried {
            let outcome = reader.find(row)
            func fallback(_ choice: FunctionOptions.Fallback, _ problem: String) throws -> Queried {
                if choice == .error { throw failure("JSON_QUERY", problem) }
                return .fallback(choice)
            }
            switch outcome {
            case .absent: return .fallback(.null)
            case .empty: return try fallback(onEmpty, "the path leads to nothing")
            case .error(let problem): return try fallback(onError, problem)
            case .node(let node):
                let isArray = reader.document.nodes[node].kind == .array
                if wrapper == .unconditional || (wrapper == .conditional && !isArray) { return .wrapped(outcome) }
                guard reader.document.isScalar(node) else { return asArray && !isArray ? try fallback(onError, "the path leads to no array") : .plain(outcome) }
                return reader.isLax ? try fallback(onEmpty, "the path leads to a scalar value") : try fallback(onError, "the path leads to a scalar value")
            case .list: return wrapper == .unconditional ? .wrapped(outcome) : .plain(outcome)
            case .item:
                if wrapper != .without { return .wrapped(outcome) }
                if case .members = reader.items[0], !asArray { return .plain(outcome) }
                return reader.isLax ? try fallback(onEmpty, "the path leads to a scalar value") : try fallback(onError, "the path leads to a scalar value")
            }
        }
        @Sendable func append(_ reader: JsonReader, _ outcome: JsonReader.Outcome, _ out: inout TextSink) {
            switch outcome {
            case .node(let node): reader.document.append(node, to: &out)
            case .list: reader.appendList(to: &out)
            case .item: reader.append(reader.items[0], to: &out)
            case .absent, .empty, .error: break
            }
        }
        if asArray { return bindArrayQuery(bound, type, source, locate) }
        return Binding.callLenient("JSON_QUERY", type, bound) { args, rows, _ in
            var reader = JsonReader(args[0], args[1], source)
            return try rows.text(type) { row, out in
                switch try locate(&reader, row) {
                case .fallback(.emptyArray): out.append("[]")
                case .fallback(.emptyObject): out.append("{}")
                case .fallback: out.setNull()
                case .plain(let outcome): append(reader, outcome, &out)
                case .wrapped(let outcome):
                    out.append(UInt8(ascii: "["))
                    append(reader, outcome, &out)
                    out.append(UInt8(ascii: "]"))
                }
            }
        }
    }

    private enum Queried {
        case plain(JsonReader.Outcome), wrapped(JsonReader.Outcome)
        case fallback(FunctionOptions.Fallback)
    }

    /// RETURNING ARRAY<STRING>: scalar elements as their text, others as JSON.
    private static func bindArrayQuery(_ bound: [Expr], _ type: DataType, _ source: JsonPathSource,
                                       _ locate: @escaping @Sendable (inout JsonReader, Int) throws -> Queried) -> Expr {
        Binding.callLenient("JSON_QUERY", type, bound) { args, rows, _ in
            var reader = JsonReader(args[0], args[1], source)
            return try rows.build(type) { row, builder in
                var items: [JsonItem] = []
                switch try locate(&reader, row) {
                case .fallback(.emptyArray): break
                case .fallback: return builder.appendNull()
                case .wrapped(.node(let node)): items = [.node(node)]
                case .plain(.node(let node)): items = reader.document.children(node).map { .node($0) }
                case .plain, .wrapped: items = reader.items
                }
                let texts = RowSet(nil, count: items.count).text(.string) { i, out in
                    guard case .node(let node) = items[i] else { return reader.append(items[i], to: &out) }
                    if reader.document.nodes[node].kind == .null { return out.setNull() }
                    if reader.document.isScalar(node) { reader.document.appendScalar(node, to: &out) } else { reader.document.append(node, to: &out) }
                }
                let child = builder.child(0)
                for i in 0..<items.count { if texts.isValid(i) { child.append(bytes: texts.bytes(at: i)) } else { child.appendNull() } }
                builder.finishList()
            }
        }
    }
}
