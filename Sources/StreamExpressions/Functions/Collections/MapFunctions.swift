import StreamCore

/// MAP_KEYS, MAP_VALUES, MAP_ENTRIES, MAP_FROM_ARRAYS and MAP_UNION.
extension FunctionRegistry {
    mutating func registerMapFunctions() {
        for (name, part) in [("MAP_KEYS", 0), ("MAP_VALUES", 1)] {
            register(name) { args, _ in
                let bound = try Binding.arguments(name, args, [.map("map")])
                let (key, value) = bound[0].type.mapTypes!
                let type = DataType.array(part == 0 ? key : value)
                return Binding.call(name, type, bound) { args, rows, _ in
                    let map = args[0].flat()
                    return Column(type: type, count: rows.count, validity: map.validity, values: map.values, children: [map.children[part]])
                }
            }
        }
        register("MAP_ENTRIES") { args, _ in
            let bound = try Binding.arguments("MAP_ENTRIES", args, [.map("map")])
            let (key, value) = bound[0].type.mapTypes!
            let entry = DataType.row([Field("key", key), Field("value", value)]), type = DataType.array(entry)
            return Binding.call("MAP_ENTRIES", type, bound) { args, rows, _ in
                let map = args[0].flat()
                let entries = Column(type: entry, count: map.children[0].count, values: .empty, children: map.children.map { $0.flat() })
                return Column(type: type, count: rows.count, validity: map.validity, values: map.values, children: [entries])
            }
        }
        register("MAP_FROM_ARRAYS") { args, _ in
            let bound = try Binding.arguments("MAP_FROM_ARRAYS", args, [.array("keys"), .array("values")])
            let type = DataType.map(key: bound[0].type.elementType!, value: bound[1].type.elementType!)
            return Binding.call("MAP_FROM_ARRAYS", type, bound) { args, rows, _ in
                let keys = args[0].list, values = args[1].list, elements = Elements(keys.children[0])
                return try MapBuild.maps(type, rows, elements.column, values.children[0]) { row, entries in
                    let (k, v) = (keys[row], values[row])
                    guard k.count == v.count else {
                        throw StreamError(.runtime, "MAP_FROM_ARRAYS was given \(k.count) keys and \(v.count) values", fix: "give arrays of one length")
                    }
                    for i in 0..<k.count { entries.set(Int32(k.lowerBound + i), Int32(v.lowerBound + i), elements) }
                    return true
                }
            }
        }
        register("MAP_UNION") { args, _ in
            guard !args.isEmpty else { throw Binding.arityError("MAP_UNION", given: 0, least: 1, most: .max, names: ["map", "..."]) }
            let (bound, type) = try Binding.unify("MAP_UNION", try args.map { try Binding.arguments("MAP_UNION", [$0], [.map("map")])[0] })
            let (key, value) = type.mapTypes!
            return Binding.call("MAP_UNION", type, bound) { args, rows, _ in
                let maps = args.map(\.list)
                let keys = ElementSource(maps.map { $0.children[0] }, type: key), values = ElementSource(maps.map { $0.children[1] }, type: value)
                let elements = Elements(keys.column)
                return MapBuild.maps(type, rows, keys.column, values.column) { row, entries in
                    for (k, map) in maps.enumerated() {
                        for i in map[row] { entries.set(Int32(keys.base(k) + i), Int32(values.base(k) + i), elements) }
                    }
                    return true
                }
            }
        }
    }
}

extension DataType {
    /// Key and value type of a MAP; nil for other types.
    var mapTypes: (key: DataType, value: DataType)? { if case .map(let key, let value) = self { (key, value) } else { nil } }
}
