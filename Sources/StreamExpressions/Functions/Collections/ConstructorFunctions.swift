import StreamCore

/// ARRAY[..], MAP[..], ROW(..), access by index or key, CARDINALITY, ELEMENT.
extension FunctionRegistry {
    mutating func registerConstructorFunctions() {
        register("ARRAY") { args, _ in
            guard !args.isEmpty else {
                throw StreamError(.validate, "ARRAY[] has no elements that tell its type", fix: "write CAST(NULL AS ARRAY<type>) or give an element")
            }
            let (items, element) = try Binding.unify("ARRAY", args)
            let type = DataType.array(element)
            return Binding.callLenient("ARRAY", type, items) { args, rows, _ in
                let source = ElementSource(args, type: element)
                return rows.lists(type, of: source.column) { row, out in
                    for i in 0..<args.count { out.append(source.index(i, row)) }
                    return true
                }
            }
        }
        register("MAP") { args, _ in
            guard !args.isEmpty, args.count % 2 == 0 else {
                throw StreamError(.validate, "MAP takes pairs of key and value, \(args.count) arguments given", fix: "write MAP['key', value, ...]")
            }
            let (keys, key) = try Binding.unify("MAP", stride(from: 0, to: args.count, by: 2).map { args[$0] })
            let (values, value) = try Binding.unify("MAP", stride(from: 1, to: args.count, by: 2).map { args[$0] })
            let type = DataType.map(key: key, value: value), n = keys.count
            return Binding.callLenient("MAP", type, keys + values) { args, rows, _ in
                let keySource = ElementSource(Array(args[0..<n]), type: key), valueSource = ElementSource(Array(args[n...]), type: value)
                let keys = Elements(keySource.column)
                return MapBuild.maps(type, rows, keySource.column, valueSource.column) { row, entries in
                    for i in 0..<n { entries.set(keySource.index(i, row), valueSource.index(i, row), keys) }
                    return true
                }
            }
        }
        register("ROW") { args, _ in
            let type = DataType.row(args.enumerated().map { Field("EXPR$\($0)", $1.type) })
            return Binding.callLenient("ROW", type, args) { args, rows, _ in
                Column(type: type, count: rows.count, values: .empty, children: args.map { $0.flat() })
            }
        }
        register("ITEM") { args, _ in
            guard args.count == 2 else { throw Binding.arityError("[ ]", given: args.count, least: 2, most: 2, names: ["array or map", "index or key"]) }
            switch args[0].type {
            case .array(let element):
                let bound = try Binding.arguments("[ ]", args, [.array("array"), .bigint("index")])
                if case .int(let index)? = Binding.constant(bound[1]), index < 1 {
                    throw StreamError(.validate, "the index of an array starts at 1, but is \(index)", fix: "write an index of 1 or more")
                }
                return Binding.call("ITEM", element, bound) { args, rows, _ in
                    let list = args[0].list, index = args[1].vector(Int64.self)
                    return rows.picks(list.children[0]) { row in
                        let range = list[row]
                        guard index[row] >= 1, index[row] <= range.count else { return -1 }
                        return Int32(truncatingIfNeeded: range.lowerBound + Int(index[row]) - 1)
                    }
                }
            case .map(let key, let value):
                if args[1].type == .null { throw Binding.bareNull("[ ]", "key") }
                guard let common = TypeCoercion.commonType(key, args[1].type) else {
                    throw Binding.mismatch("[ ]", args, takes: "a key of type \(key)")
                }
                let map = common == key ? args[0] : try Binding.cast(args[0], to: .map(key: common, value: value))
                return Binding.call("ITEM", value, [map, try Binding.cast(args[1], to: common)]) { args, rows, _ in
                    let list = args[0].list
                    let source = ElementSource([list.children[0], args[1]], type: common), keys = Elements(source.column)
                    return rows.picks(list.children[1]) { row in
                        let wanted = Int(source.index(1, row))
                        for i in list[row] where keys.equal(i, wanted) { return Int32(truncatingIfNeeded: i) }
                        return -1
                    }
                }
            case .variant: return try VariantAccess.item(args[0], args[1], isStrict: true)
            case .null: throw Binding.bareNull("[ ]")
            default: throw Binding.mismatch("[ ]", args, takes: "an ARRAY and an index, a MAP and a key, or a VARIANT and either")
            }
        }
        define("CARDINALITY", takes: [Parameter("array or map", takes: "an ARRAY or a MAP") {
            switch $0.type {
            case .array, .map: $0.type
            default: nil
            }
        }], returns: .int) { args, rows, _ in
            let list = args[0].list
            return rows.fixed(.int) { Int32(truncatingIfNeeded: list[$0].count) }
        }
        register("ELEMENT") { args, _ in
            let bound = try Binding.arguments("ELEMENT", args, [.array("array")])
            return Binding.call("ELEMENT", bound[0].type.elementType!, bound) { args, rows, _ in
                let list = args[0].list
                return try rows.picks(list.children[0]) { row in
                    let range = list[row]
                    guard range.count <= 1 else {
                        throw StreamError(.runtime, "ELEMENT was given an array of \(range.count) elements; it takes one at most", fix: "choose an element with [index]")
                    }
                    return range.isEmpty ? -1 : Int32(truncatingIfNeeded: range.lowerBound)
                }
            }
        }
        register("TYPEOF") { args, _ in
            guard args.count == 1 || args.count == 2 else { throw Binding.arityError("TYPEOF", given: args.count, least: 1, most: 2, names: ["value", "force"]) }
            var text = args[0].type.description
            if case .literal(let value, _) = args[0], value != .null { text += " NOT NULL" }
            return .literal(.string(text), .string)
        }
    }
}

extension DataType {
    /// The type of an ARRAY's elements; nil for other types.
    var elementType: DataType? { if case .array(let element) = self { element } else { nil } }
}

/// The entries of one map while it is put together, as row numbers of a key and a value column.
struct MapEntries {
    private(set) var keys: [Int32] = [], values: [Int32] = []
    private var start = 0

    mutating func begin() { start = keys.count }

    /// A key that was set before keeps its place and gets the new value.
    mutating func set(_ key: Int32, _ value: Int32, _ elements: Elements) {
        for i in start..<keys.count where elements.equal(Int(keys[i]), Int(key)) {
            values[i] = value
            return
        }
        keys.append(key)
        values.append(value)
    }
}

enum MapBuild {
    /// A MAP column; `append` sets the entries of a row, and gives false for a null.
    static func maps(_ type: DataType, _ rows: RowSet, _ keys: Column, _ values: Column, _ append: (Int, inout MapEntries) throws -> Bool) rethrows -> Column {
        var entries = MapEntries()
        let (offsets, _, validity) = try rows.ranges { row, picked in
            entries.begin()
            let isSet = try append(row, &entries)
            // The offsets count entries, whatever numbers they have.
            while picked.count < entries.keys.count { picked.append(0) }
            return isSet
        }
        return Column(type: type, count: rows.count, validity: validity, values: offsets, children: [keys.picking(entries.keys), values.picking(entries.values)])
    }
}
