import StreamCore

/// The ARRAY_ functions and SPLIT.
extension FunctionRegistry {
    mutating func registerArrayFunctions() {
        registerArrayElementFunctions()
        registerArraySetFunctions()
        registerArrayOrderFunctions()
        let strings = DataType.array(.string)
        define("ARRAY_JOIN", takes: [Parameter("array", takes: "an ARRAY of strings", example: "ARRAY<STRING>") { arg in
            if case .array(let element) = arg.type, element.isText { arg.type } else { nil }
        }, .text("delimiter"), .text("replacement for nulls")], optional: 1, result: { _ in .string }) { bound, type in
            let replaces = bound.count == 3
            return { args, rows, _ in
                let list = args[0].list, delimiter = args[1].text, replacement = replaces ? args[2].text : nil
                let elements = list.children[0], text = elements.text
                return rows.text(type) { row, out in
                    var first = true
                    for i in list[row] {
                        let isValid = elements.isValid(i)
                        if !isValid && replacement == nil { continue }
                        if !first { out.append(delimiter[row]) }
                        first = false
                        out.append(isValid ? text[i] : replacement![row])
                    }
                }
            }
        }
        define("SPLIT", takes: [.text("string"), .text("delimiter")], returns: strings) { args, rows, _ in
            let text = args[0].text, delimiter = args[1].text
            return rows.build(strings) { row, builder in
                let s = text[row], d = delimiter[row], parts = builder.child(0)
                var at = 0
                if d.isEmpty {
                    while at < s.count {
                        let next = min(at + Utf8Text.width(s[at]), s.count)
                        parts.append(bytes: Utf8Text.slice(s, at, next))
                        at = next
                    }
                } else {
                    while let hit = Utf8Text.find(d, in: s, from: at) {
                        parts.append(bytes: Utf8Text.slice(s, at, hit))
                        at = hit + d.count
                    }
                    parts.append(bytes: Utf8Text.slice(s, at, s.count))
                }
                builder.finishList()
            }
        }
    }

    /// Functions of an array and an element.
    private mutating func registerArrayElementFunctions() {
        register("ARRAY_CONTAINS") { args, _ in
            let (bound, _) = try ArrayBinding.withElement("ARRAY_CONTAINS", args)
            return Binding.callLenient("ARRAY_CONTAINS", .boolean, bound) { args, rows, _ in
                let arrays = args[0], list = args[0].list
                let source = ElementSource([list.children[0], args[1]], type: args[1].type), elements = Elements(source.column)
                return rows.booleansOrNull { row -> Bool? in
                    guard arrays.isValid(row) else { return nil }
                    return list[row].contains { elements.equal($0, Int(source.index(1, row))) }
                }
            }
        }
        register("ARRAY_POSITION") { args, _ in
            let (bound, _) = try ArrayBinding.withElement("ARRAY_POSITION", args)
            return Binding.call("ARRAY_POSITION", .int, bound) { args, rows, _ in
                let list = args[0].list
                let source = ElementSource([list.children[0], args[1]], type: args[1].type), elements = Elements(source.column)
                return rows.fixed(.int) { row -> Int32 in
                    let range = list[row], wanted = Int(source.index(1, row))
                    return range.first { elements.equal($0, wanted) }.map { Int32(truncatingIfNeeded: $0 - range.lowerBound + 1) } ?? 0
                }
            }
        }
        for (name, atStart) in [("ARRAY_APPEND", false), ("ARRAY_PREPEND", true)] {
            register(name) { args, _ in
                let (bound, type) = try ArrayBinding.withElement(name, args)
                return Binding.callLenient(name, type, bound) { args, rows, _ in
                    let arrays = args[0], list = args[0].list
                    let source = ElementSource([list.children[0], args[1]], type: args[1].type)
                    return rows.lists(type, of: source.column) { row, out in
                        guard arrays.isValid(row) else { return false }
                        let added = Int32(truncatingIfNeeded: Int(source.index(1, row)))
                        if atStart { out.append(added) }
                        for i in list[row] { out.append(Int32(truncatingIfNeeded: i)) }
                        if !atStart { out.append(added) }
                        return true
                    }
                }
            }
        }
        register("ARRAY_REMOVE") { args, _ in
            let (bound, type) = try ArrayBinding.withElement("ARRAY_REMOVE", args)
            return Binding.callLenient("ARRAY_REMOVE", type, bound) { args, rows, _ in
                let arrays = args[0], list = args[0].list
                let source = ElementSource([list.children[0], args[1]], type: args[1].type), elements = Elements(source.column)
                return rows.lists(type, of: source.column) { row, out in
                    guard arrays.isValid(row) else { return false }
                    let removed = Int(source.index(1, row))
                    for i in list[row] where !elements.equal(i, removed) { out.append(Int32(truncatingIfNeeded: i)) }
                    return true
                }
            }
        }
    }

    /// Functions that put arrays together or compare them as sets; nulls are equal to each other.
    private mutating func registerArraySetFunctions() {
        register("ARRAY_CONCAT") { args, _ in
            guard !args.isEmpty else { throw Binding.arityError("ARRAY_CONCAT", given: 0, least: 1, most: .max, names: ["array", "..."]) }
            let (bound, type) = try ArrayBinding.unified("ARRAY_CONCAT", args)
            return Binding.call("ARRAY_CONCAT", type, bound) { args, rows, _ in
                let lists = args.map(\.list), source = ElementSource(lists.map { $0.children[0] }, type: type.elementType!)
                return rows.lists(type, of: source.column) { row, out in
                    for (k, list) in lists.enumerated() { for i in list[row] { out.append(Int32(truncatingIfNeeded: source.base(k) + i)) } }
                    return true
                }
            }
        }
        define("ARRAY_DISTINCT", takes: [.array("array")], result: { $0[0].type }) { _, type in
            { args, rows, _ in
                let list = args[0].list, elements = Elements(list.children[0])
                return rows.lists(type, of: elements.column) { row, out in
                    let start = out.count
                    for i in list[row] { ArrayBinding.add(i, from: start, elements, &out) }
                    return true
                }
            }
        }
        for name in ["ARRAY_UNION", "ARRAY_EXCEPT", "ARRAY_INTERSECT"] {
            register(name) { args, _ in
                guard args.count == 2 else { throw Binding.arityError(name, given: args.count, least: 2, most: 2, names: ["array", "array"]) }
                let (bound, type) = try ArrayBinding.unified(name, args)
                return Binding.call(name, type, bound) { args, rows, _ in
                    let a = args[0].list, b = args[1].list
                    let source = ElementSource([a.children[0], b.children[0]], type: type.elementType!), elements = Elements(source.column)
                    let base = source.base(1)
                    return rows.lists(type, of: source.column) { row, out in
                        let start = out.count
                        for i in a[row] {
                            let isInOther = name != "ARRAY_UNION" && b[row].contains { elements.equal(i, base + $0) }
                            if name == "ARRAY_UNION" || isInOther == (name == "ARRAY_INTERSECT") { ArrayBinding.add(i, from: start, elements, &out) }
                        }
                        if name == "ARRAY_UNION" { for i in b[row] { ArrayBinding.add(base + i, from: start, elements, &out) } }
                        return true
                    }
                }
            }
        }
    }

    /// Functions of the order of elements.
    private mutating func registerArrayOrderFunctions() {
        define("ARRAY_REVERSE", takes: [.array("array")], result: { $0[0].type }) { _, type in
            { args, rows, _ in
                let list = args[0].list
                return rows.lists(type, of: list.children[0]) { row, out in
                    for i in list[row].reversed() { out.append(Int32(truncatingIfNeeded: i)) }
                    return true
                }
            }
        }
        define("ARRAY_SLICE", takes: [.array("array"), .bigint("start"), .bigint("end")], optional: 1, result: { $0[0].type }) { bound, type in
            let hasEnd = bound.count == 3
            return { args, rows, _ in
                let list = args[0].list, start = args[1].vector(Int64.self), end = hasEnd ? args[2].vector(Int64.self) : nil
                return rows.lists(type, of: list.children[0]) { row, out in
                    let range = list[row], n = Int64(range.count)
                    // Counted from 1, from the end when negative; 0 is the start.
                    func place(_ i: Int64) -> Int64 { i == 0 ? 1 : i < 0 ? max(i, -n - 1) + n + 1 : i }
                    let from = max(place(start[row]), 1), to = min(end.map { place($0[row]) } ?? n, n)
                    if from <= to { for i in from...to { out.append(Int32(truncatingIfNeeded: range.lowerBound + Int(i) - 1)) } }
                    return true
                }
            }
        }
        let sortable = Parameter("array", takes: "an ARRAY of numbers, strings or times") { arg in
            if case .array(let element) = arg.type, Elements.areOrdered(element) { arg.type } else { nil }
        }
        define("ARRAY_SORT", takes: [sortable, .boolean("ascending"), .boolean("nulls first")], optional: 2, result: { $0[0].type }) { bound, type in
            let n = bound.count
            return { args, rows, _ in
                let list = args[0].list, elements = Elements(list.children[0])
                let ascending = n > 1 ? args[1].vector(UInt8.self) : nil, nullsFirst = n > 2 ? args[2].vector(UInt8.self) : nil
                return rows.lists(type, of: elements.column) { row, out in
                    let isAscending = ascending.map { $0[row] != 0 } ?? true
                    let isNullFirst = nullsFirst.map { $0[row] != 0 } ?? isAscending
                    let nulls = list[row].filter { !elements.isValid($0) }.map { Int32(truncatingIfNeeded: $0) }
                    if isNullFirst { out += nulls }
                    out += list[row].filter { elements.isValid($0) }
                        .sorted { isAscending ? elements.precedes($0, $1) : elements.precedes($1, $0) }.map { Int32(truncatingIfNeeded: $0) }
                    if !isNullFirst { out += nulls }
                    return true
                }
            }
        }
        for (name, wantsLast) in [("ARRAY_MAX", true), ("ARRAY_MIN", false)] {
            define(name, takes: [sortable], result: { $0[0].type.elementType! }) { _, _ in
                { args, rows, _ in
                    let list = args[0].list, elements = Elements(list.children[0])
                    return rows.picks(elements.column) { row in
                        var best = -1
                        for i in list[row] where elements.isValid(i) {
                            if best < 0 || (wantsLast ? elements.precedes(best, i) : elements.precedes(i, best)) { best = i }
                        }
                        return Int32(truncatingIfNeeded: best)
                    }
                }
            }
        }
    }
}

enum ArrayBinding {
    /// An array and an element, brought to one element type.
    static func withElement(_ name: String, _ args: [Expr]) throws -> ([Expr], DataType) {
        let bound = try Binding.arguments(name, args, [.array("array"), .anyOrNull("element")])
        let element = bound[0].type.elementType!
        guard let common = TypeCoercion.commonType(element, bound[1].type), common.isNumeric == element.isNumeric else {
            throw Binding.mismatch(name, bound, takes: "an ARRAY and an element of its type", fix: "write CAST(... AS \(element)) around the element")
        }
        let type = DataType.array(common)
        return ([try Binding.cast(bound[0], to: type), try Binding.cast(bound[1], to: common)], type)
    }

    static func unified(_ name: String, _ args: [Expr]) throws -> ([Expr], DataType) {
        let bound = try args.map { try Binding.arguments(name, [$0], [.array("array")])[0] }
        return try Binding.unify(name, bound)
    }

    /// Appends `i` unless an equal element stands in `out` from `start` on.
    @inline(__always)
    static func add(_ i: Int, from start: Int, _ elements: Elements, _ out: inout [Int32]) {
        for k in start..<out.count where elements.equal(Int(out[k]), i) { return }
        out.append(Int32(truncatingIfNeeded: i))
    }
}
