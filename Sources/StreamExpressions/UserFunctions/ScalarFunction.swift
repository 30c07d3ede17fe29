import StreamCore

/// A scalar function written in Swift, to be registered on a session or a ``FunctionRegistry``.
///
///     ScalarFunction("SCORE") { (name: String, points: Int64?) in name.count + Int(points ?? 0) }
public struct ScalarFunction: Sendable {
    public let name: String
    public let signature: FunctionSignature
    public let resultType: DataType
    /// False: it is called for each row, and never while planning.
    public let isDeterministic: Bool
    let kernel: Kernel

    /// A function of single values. Types are those of ``SQLValue``; a null argument gives null without a call, unless the
    /// parameter is Optional. The closure may run on several threads.
    public init<each Argument: SQLValue, Result: SQLValue>(
        _ name: String, isDeterministic: Bool = true, _ body: @escaping @Sendable (repeat each Argument) throws -> Result
    ) {
        let signature = FunctionSignature(of: repeat (each Argument).self)
        let upper = name.uppercased(), type = Result.sqlType
        self.name = upper
        self.signature = signature
        self.isDeterministic = isDeterministic
        resultType = type
        kernel = Kernels.lenient { args, rows, _ in
            let columns = args.map { $0.flat() }
            return try signature.rows(rows, columns).build(type) { row, builder in
                var next = 0
                func argument<T: SQLValue>(_: T.Type) -> T {
                    defer { next += 1 }
                    return T.read(columns[next], row)
                }
                do {
                    Result.write(try body(repeat argument((each Argument).self)), to: builder)
                } catch {
                    throw FunctionSignature.failure(upper, error, columns, row)
                }
            }
        }
    }

    /// A vectorised function: it computes a whole batch at once.
    ///
    /// - Parameters:
    ///   - types: what arguments are cast to.
    ///   - body: gets plain columns and the rows to compute, none of which has a null argument; makes a column of `rows.count` rows, null where
    ///     `rows.validity` says so (``RowSet/fixed(_:_:)``, ``RowSet/text(_:_:)`` and ``RowSet/build(_:_:)`` do that).
    public init(
        _ name: String, takes types: [DataType], returns result: DataType, isDeterministic: Bool = true,
        vectorized body: @escaping @Sendable (_ arguments: [Column], _ rows: RowSet, _ context: EvaluationContext) throws -> Column
    ) {
        let signature = FunctionSignature(types: types), upper = name.uppercased()
        self.name = upper
        self.signature = signature
        self.isDeterministic = isDeterministic
        resultType = result
        kernel = Kernels.lenient { args, rows, context in
            let columns = args.map { $0.flat() }
            let made = try body(columns, signature.rows(rows, columns), context)
            guard made.count == rows.count, made.type.physical == result.physical else {
                throw StreamError(.runtime, "\(upper) made \(made.count) rows of \(made.type) for \(rows.count) rows of \(result)",
                                  fix: "make a column of rows.count rows of the declared type")
            }
            return made.type == result ? made : made.retyped(result)
        }
    }

    func call(_ args: [Expr]) throws -> Expr {
        .call(BoundFunction(name: name, resultType: resultType, isDeterministic: isDeterministic, kernel: kernel), try signature.bind(name, args))
    }
}

extension FunctionRegistry {
    /// Makes a function known under its name, in place of an earlier one.
    public mutating func register(_ function: ScalarFunction) {
        register(function.name) { args, _ in try function.call(args) }
    }
}
