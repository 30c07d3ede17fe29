import StreamCore

/// What the body of a kernel gets: arguments that are plain or constant columns, and the rows to compute.
public typealias KernelBody = @Sendable (_ args: [Column], _ rows: RowSet, _ context: EvaluationContext) throws -> Column

/// Makers of kernels: a function's author writes the loop, these take care of nulls and encodings.
public enum Kernels {
    /// A function that is null when any argument is null, and depends on nothing but its arguments (and the session's settings).
    ///
    /// The body sees only rows whose arguments are all valid. Constant arguments give a constant, computed once; when one
    /// argument is dictionary-coded and the rest are constants, the body runs over the dictionary's entries and the codes are kept.
    public static func strict(_ body: @escaping KernelBody) -> Kernel {
        { args, rows, count, context in
            if count > 0, let first = args.first, let shared = try overDictionary(args, first: first, rows, count, context, body) {
                return shared
            }
            let plain = args.map(\.plainOrConstant)
            return try body(plain, RowSet(rows, count: count, validity: validity(of: plain, count: count)), context)
        }
    }

    /// A function that wants to see null arguments, or that gives another result for each row (RAND): `rows.validity` is nil.
    public static func lenient(_ body: @escaping KernelBody) -> Kernel {
        { args, rows, count, context in
            try body(args.map(\.plainOrConstant), RowSet(rows, count: count), context)
        }
    }

    /// Valid where all of them are.
    static func validity(of args: [Column], count: Int) -> Buffer? {
        args.reduce(nil) { Bitmap.and($0, $1.validity, count: count) }
    }

    private static func overDictionary(_ args: [Column], first: Column, _ rows: Selection?, _ count: Int, _ context: EvaluationContext,
                                       _ body: KernelBody) throws -> Column? {
        var coded: Int?
        for (i, arg) in args.enumerated() {
            if arg.isConstant { continue }
            guard arg.dictionary != nil, coded == nil else { return nil }
            coded = i
        }
        guard rows?.count != 0 else { return nil }
        guard let coded else {
            let result = try body(args.map { one($0) }, RowSet(nil, count: 1), context)
            return Column.repeating(result.flat(), count: count)
        }
        let dictionary = args[coded].dictionary!
        guard dictionary.count <= rows?.count ?? count else { return nil }
        let entries = args.enumerated().map { i, arg in
            i == coded ? dictionary : Column.repeating(one(arg), count: dictionary.count)
        }
        // An entry that no computed row refers to must not fail the job: fall back to the rows themselves.
        guard let result = try? body(entries, RowSet(nil, count: dictionary.count, validity: dictionary.validity), context) else { return nil }
        return result.coded(by: args[coded])
    }

    /// The single value of a constant column, as a plain column of one row.
    private static func one(_ constant: Column) -> Column { constant.dictionary! }
}

extension Column {
    /// These values, one per entry of `original`'s dictionary, under `original`'s codes.
    func coded(by original: Column) -> Column {
        let entries = flat()
        guard let entryBits = entries.validity?.base else {
            return Column(type: type, count: original.count, validity: original.validity, values: original.values, dictionary: entries)
        }
        // Nulls belong to the outer column.
        let bits = Bitmap.make(original.count, valid: false)
        let codes = original.codes
        for row in 0..<original.count where original.isValid(row) && Bitmap.get(entryBits, Int(codes[row])) { Bitmap.set(bits.base, row) }
        let valid = Column(type: type, count: entries.count, values: entries.values, heaps: entries.heaps, children: entries.children)
        return Column(type: type, count: original.count, validity: bits, values: original.values, dictionary: valid)
    }
}
