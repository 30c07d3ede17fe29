import StreamCore

/// Functions that turn categories and ranges of values into numbers. The place of a value in a list is ARRAY_POSITION.
extension FunctionRegistry {
    mutating func registerCategoryFunctions() {
        let flags = DataType.array(.int)
        // ONE_HOT(value, ARRAY['a', 'b', 'c']): 1 at each place where the array has the value, else 0.
        register("ONE_HOT") { args, _ in
            guard args.count == 2 else { throw Binding.arityError("ONE_HOT", given: args.count, least: 2, most: 2, names: ["value", "array of categories"]) }
            let (bound, _) = try ArrayBinding.withElement("ONE_HOT", [args[1], args[0]])
            return Binding.call("ONE_HOT", flags, bound) { args, rows, _ in
                let list = args[0].list
                let source = ElementSource([list.children[0], args[1]], type: args[1].type), elements = Elements(source.column)
                return rows.build(flags) { row, builder in
                    let wanted = Int(source.index(1, row)), places = builder.child(0)
                    for i in list[row] { places.append(fixed: elements.equal(i, wanted) ? Int32(1) : Int32(0)) }
                    builder.finishList()
                }
            }
        }
        registerWidthBucket()
    }

    /// WIDTH_BUCKET(value, low, high, count) as in SQL:2003, and WIDTH_BUCKET(value, ARRAY[...]) with lower bounds as in PostgreSQL.
    private mutating func registerWidthBucket() {
        let bounds = Parameter("lower bounds", takes: "an ARRAY of numbers", example: "ARRAY<DOUBLE>") { arg in
            if case .array(let element) = arg.type, element.isNumeric { .array(.double) } else { nil }
        }
        register("WIDTH_BUCKET") { args, _ in
            if args.count == 2 {
                let bound = try Binding.arguments("WIDTH_BUCKET", args, [.double("value"), bounds])
                return Binding.call("WIDTH_BUCKET", .int, bound) { args, rows, _ in
                    let values = args[0].flat(), list = args[1].list, edges = list.children[0]
                    let value = values.pointer(as: Double.self), edge = edges.pointer(as: Double.self)
                    return try withExtendedLifetime((values, edges)) {
                        try rows.fixed(.int) { row -> Int32 in
                            let range = list[row]
                            for i in range where !edges.isValid(i) || i > range.lowerBound && edge[i] <= edge[i - 1] {
                                throw StreamError(.runtime, "WIDTH_BUCKET: the bounds do not rise at place \(i - range.lowerBound + 1)", fix: "give lower bounds in ascending order, none of them NULL")
                            }
                            var (low, high) = (range.lowerBound, range.upperBound)
                            while low < high {
                                let middle = (low + high) / 2
                                if edge[middle] <= value[row] { low = middle + 1 } else { high = middle }
                            }
                            return Int32(truncatingIfNeeded: low - range.lowerBound)
                        }
                    }
                }
            }
            let bound = try Binding.arguments("WIDTH_BUCKET", args, [.double("value"), .double("low"), .double("high"), .int("count")])
            return Binding.call("WIDTH_BUCKET", .int, bound) { args, rows, _ in
                let columns = args.map { $0.flat() }
                let (value, low, high) = (columns[0].pointer(as: Double.self), columns[1].pointer(as: Double.self), columns[2].pointer(as: Double.self))
                let count = columns[3].pointer(as: Int32.self)
                return try withExtendedLifetime(columns) {
                    try rows.fixed(.int) { row -> Int32 in
                        let (x, from, to, n) = (value[row], low[row], high[row], count[row])
                        guard n > 0, n < Int32.max, from != to, from.isFinite, to.isFinite, !x.isNaN else {
                            throw StreamError(.runtime, "WIDTH_BUCKET(\(x), \(from), \(to), \(n)) is not defined", fix: "give two different bounds and a count above 0")
                        }
                        // Bounds may be given from high to low.
                        let (at, length) = from < to ? (x - from, to - from) : (from - x, from - to)
                        if at < 0 { return 0 }
                        if at >= length { return n + 1 }
                        return min(Int32(at / length * Double(n)), n - 1) + 1
                    }
                }
            }
        }
    }
}
