import StreamCore

extension FunctionRegistry {
    /// Registers a function that is null when an argument is null, under one or more names.
    ///
    /// - Parameters:
    ///   - result: the type of the result for the checked arguments.
    ///   - body: makes the kernel's body for the checked arguments and the result type; may prepare what constant arguments say.
    mutating func define(_ names: String..., takes parameters: [Parameter], optional: Int = 0, variadic: Bool = false,
                         isDeterministic: Bool = true, result: @escaping @Sendable ([Expr]) -> DataType,
                         body: @escaping @Sendable (_ args: [Expr], _ type: DataType) throws -> KernelBody) {
        for name in names {
            register(name) { args, _ in
                let bound = try Binding.arguments(name, args, parameters, optional: optional, variadic: variadic)
                let type = result(bound)
                return Binding.call(name, type, bound, isDeterministic: isDeterministic, try body(bound, type))
            }
        }
    }

    /// As above, for a fixed result type and a body that needs nothing but the columns.
    mutating func define(_ names: String..., takes parameters: [Parameter], optional: Int = 0, variadic: Bool = false, returns type: DataType,
                         _ body: @escaping KernelBody) {
        for name in names {
            define(name, takes: parameters, optional: optional, variadic: variadic, result: { _ in type }) { _, _ in body }
        }
    }
}

extension DataType {
    /// VARCHAR of the length of a text type, for parts of a text.
    var unpadded: DataType {
        switch self {
        case .char(let n): .varchar(n)
        case .binary(let n): .varbinary(n)
        default: self
        }
    }

    /// The declared length of a text or binary type.
    var declaredLength: Int? {
        switch self {
        case .char(let n), .varchar(let n), .binary(let n), .varbinary(let n): n
        default: nil
        }
    }
}

extension RowSet {
    /// A text or binary column whose values are parts of `column`'s, sharing its memory; nil makes the row null.
    @inline(__always)
    func slices(_ type: DataType, of column: Column, _ part: (Int, UnsafeRawBufferPointer) throws -> Range<Int>?) rethrows -> Column {
        let text = column.text
        let values = Buffer(zeroed: count * MemoryLayout<StringView>.stride)
        let out = values.pointer(as: StringView.self)
        var nulls = NullMask(validity: validity, count: count)
        try forEach { row in
            let view = text.views + row &* text.step
            let whole = text[row]
            guard let range = try part(row, whole) else {
                nulls.setNull(row)
                return
            }
            if range.isEmpty { return }
            out[row] = StringView.make(whole.baseAddress! + range.lowerBound, range.count, heapIndex: Int(view.pointee.heapIndex),
                                       offset: Int(view.pointee.offset) + range.lowerBound)
        }
        return Column(type: type, count: count, validity: nulls.buffer, values: values, heaps: (column.dictionary ?? column).heaps)
    }
}
