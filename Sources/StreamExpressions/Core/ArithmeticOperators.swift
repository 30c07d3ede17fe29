import StreamCore

extension FunctionRegistry {
    /// `+ - * / %`, MOD and the minus sign: numbers, and times with intervals.
    static func registerArithmetic(into registry: inout FunctionRegistry) {
        for operation in ArithmeticOperation.allCases {
            registry.register(operation.rawValue) { args, _ in try ArithmeticBinder.bind(operation, operation.rawValue, args) }
        }
        registry.register("MOD") { args, _ in try ArithmeticBinder.bind(.remainder, "MOD", args) }
        registry.register("NEGATE") { args, _ in
            guard args.count == 1 else { throw Binding.arityError("- (sign)", given: args.count, least: 1, most: 1, names: ["number"]) }
            let type = args[0].type
            if type == .null { throw Binding.bareNull("- (sign)") }
            guard type.isNumeric || type.isInterval else { throw Binding.mismatch("- (sign)", args, takes: "a number or an interval") }
            return Binding.call("NEGATE", type, args, Arithmetic.negation(type))
        }
    }
}

enum ArithmeticBinder {
    static func bind(_ operation: ArithmeticOperation, _ name: String, _ args: [Expr]) throws -> Expr {
        guard args.count == 2 else { throw Binding.arityError(name, given: args.count, least: 2, most: 2, names: ["left", "right"]) }
        var (a, b) = (args[0], args[1])
        if a.type == .null && b.type == .null { throw Binding.bareNull(name) }
        if a.type == .null, b.type.isNumeric || b.type.isInterval { a = .literal(.null, b.type) }
        if b.type == .null, a.type.isNumeric || a.type.isInterval { b = .literal(.null, a.type) }
        if a.type.isNumeric && b.type.isNumeric { return try numeric(operation, name, a, b) }
        if let expr = try temporal(operation, name, a, b) { return expr }
        throw mismatch(operation, name, a, b)
    }

    static func numeric(_ operation: ArithmeticOperation, _ name: String, _ a: Expr, _ b: Expr) throws -> Expr {
        let result = operation.resultType(a.type, b.type)
        if case .decimal(let precision, let scale) = result {
            let x = try asDecimal(a), y = try asDecimal(b)
            let body = Arithmetic.decimal(operation, scales: x.type.decimalShape!.scale, y.type.decimalShape!.scale, precision: precision, scale: scale)
            return Binding.call(name, result, [x, y], body)
        }
        let common = result.isApproximate ? result : TypeCoercion.commonType(a.type, b.type)!
        let call = Binding.call(name, common, [try Binding.cast(a, to: common), try Binding.cast(b, to: common)], Arithmetic.body(operation, common))
        return try Binding.cast(call, to: result)
    }

    private static func asDecimal(_ e: Expr) throws -> Expr {
        let (p, s) = e.type.decimalShape!
        return try Binding.cast(e, to: .decimal(precision: p, scale: s))
    }

    private static func temporal(_ operation: ArithmeticOperation, _ name: String, _ a: Expr, _ b: Expr) throws -> Expr? {
        switch operation {
        case .add where a.type.isInterval && b.type.isTemporal:
            return shift(name, b, a, subtract: false)
        case .add where a.type.isTemporal && b.type.isInterval, .subtract where a.type.isTemporal && b.type.isInterval:
            return shift(name, a, b, subtract: operation == .subtract)
        case .add where a.type.isInterval && a.type == b.type, .subtract where a.type.isInterval && a.type == b.type:
            return Binding.call(name, a.type, [a, b], Arithmetic.body(operation, a.type))
        case .multiply where a.type.isNumeric && b.type.isInterval:
            return try scale(operation, name, b, a)
        case .multiply where a.type.isInterval && b.type.isNumeric, .divide where a.type.isInterval && b.type.isNumeric:
            return try scale(operation, name, a, b)
        default: return nil
        }
    }

    private static func shift(_ name: String, _ time: Expr, _ interval: Expr, subtract: Bool) -> Expr {
        // A date stays a date: of an interval only the whole days count, as in Flink.
        let result = time.type
        return Binding.call(name, result, [time, interval], TemporalArithmetic.shift(time.type, by: interval.type, subtract: subtract, result: result))
    }

    private static func scale(_ operation: ArithmeticOperation, _ name: String, _ interval: Expr, _ factor: Expr) throws -> Expr {
        if factor.type.isInteger {
            // Months are 32 bits wide and milliseconds 64, like the integers that they are multiplied as.
            let width: DataType = interval.type == .intervalYearMonth ? .int : .bigint
            let number = try Binding.cast(factor, to: width)
            return Binding.call(name, interval.type, [interval, number], { args, rows, context in
                let result = try Arithmetic.body(operation, width)([args[0], args[1]], rows, context)
                return result.retyped(interval.type)
            })
        }
        let number = try Binding.cast(factor, to: .double)
        let type = interval.type
        return Binding.call(name, type, [interval, number]) { args, rows, _ in
            let b = args[1].vector(Double.self)
            func value(_ x: Int64, _ row: Int) -> Int64 {
                let product = operation == .multiply ? Double(x) * b[row] : Double(x) / b[row]
                return product.isNaN ? 0 : Int64(exactly: product.rounded(.towardZero)) ?? (product < 0 ? .min : .max)
            }
            if type == .intervalYearMonth {
                let a = args[0].vector(Int32.self)
                return rows.fixed(type) { Int32(clamping: value(Int64(a[$0]), $0)) }
            }
            let a = args[0].vector(Int64.self)
            return rows.fixed(type) { value(a[$0], $0) }
        }
    }

    private static func mismatch(_ operation: ArithmeticOperation, _ name: String, _ a: Expr, _ b: Expr) -> StreamError {
        if a.type.isTemporal && b.type.isTemporal && operation == .subtract {
            return Binding.mismatch(name, [a, b], takes: "a time and an interval", fix: "write TIMESTAMPDIFF(SECOND, earlier, later)")
        }
        if a.type.isText && b.type.isText && operation == .add {
            return Binding.mismatch(name, [a, b], takes: "numbers, or a time and an interval", fix: "write || to join strings")
        }
        let takes = operation == .remainder ? "numbers" : operation == .multiply || operation == .divide ? "numbers, or an interval and a number"
            : "numbers, or a time and an interval"
        let text = [a, b].first { $0.type.isText }
        return Binding.mismatch(name, [a, b], takes: takes, fix: text.map { _ in "write CAST(... AS INT) around the string" })
    }
}
