import StreamCore
import StreamExpressions
import StreamOperators

/// An aggregate over all rows of a group at once, in order of arrival.
struct ReferenceAggregate {
    private let call: AggregateCall
    init(_ call: AggregateCall) { self.call = call }

    func result(_ rows: [[Value]]) throws -> Value {
        var inputs: [[Value]] = []
        for row in rows {
            if let filter = call.filter, row[filter] != .bool(true) { continue }
            let arguments = call.arguments.map { row[$0] }
            if call.distinct, inputs.contains(arguments) { continue }
            inputs.append(arguments)
        }
        if call.function == "COUNT" { return .int(Int64(inputs.count { !$0.contains(.null) })) }
        let values = inputs.filter { $0[0] != .null }
        guard call.function == "COLLECT" || !values.isEmpty else { return .null }
        let first = values.map { $0[0] }, type = call.argumentTypes.first ?? .null
        switch call.function {
        case "SUM": return sum(first, type)
        case "AVG": return average(first, type)
        case "MIN": return first.dropFirst().reduce(first[0]) { Ordering.compare($1, $0) < 0 ? $1 : $0 }
        case "MAX": return first.dropFirst().reduce(first[0]) { Ordering.compare($1, $0) > 0 ? $1 : $0 }
        case "FIRST_VALUE": return first[0]
        case "LAST_VALUE": return first[first.count - 1]
        case "LISTAGG":
            // The separator of a value stands in front of it.
            return .string(values.enumerated().reduce(into: "") { text, entry in
                if entry.offset > 0 { text += entry.element.count > 1 ? entry.element[1].text ?? "," : "," }
                text += entry.element[0].text ?? ""
            })
        case "COLLECT":
            return .map(Groups(first) { [$0] }.map { .init($0[0], .int(Int64($1.count))) })
        case "VAR_POP", "VAR_SAMP", "VARIANCE", "STDDEV_POP", "STDDEV_SAMP", "STDDEV":
            guard type == .double else { throw ReferenceInterpreter.Unsupported("\(call.function) of \(type)") }
            return moment(first.map { Numbers.double($0, type) })
        default: throw ReferenceInterpreter.Unsupported(call.function)
        }
    }

    private func sum(_ values: [Value], _ type: DataType) -> Value {
        switch type {
        case .float: return .float(values.reduce(0) { if case .float(let x) = $1 { $0 + x } else { $0 } })
        case .double: return .double(values.reduce(0) { $0 + Numbers.double($1, type) })
        case .decimal: return Numbers.fitting(exact(values), 38)
        default: return .int(Numbers.wrapped(values.reduce(0) { $0 &+ ($1.integer ?? 0) }, type))
        }
    }

    private func exact(_ values: [Value]) -> Int128? {
        var sum: Int128 = 0
        for case .decimal(let x) in values {
            let (next, overflow) = sum.addingReportingOverflow(x)
            if overflow { return nil }
            sum = next
        }
        return sum
    }

    private func average(_ values: [Value], _ type: DataType) -> Value {
        let n = values.count
        switch type {
        case .float: return .float(Float(values.reduce(0) { $0 + Numbers.double($1, type) } / Double(n)))
        case .double: return .double(values.reduce(0) { $0 + Numbers.double($1, type) } / Double(n))
        case .decimal(_, let scale):
            guard case .decimal(_, let wanted) = call.resultType, let sum = exact(values), Numbers.fitting(sum, 38) != .null,
                  let dividend = Numbers.rescaled(sum, from: scale, to: wanted) else { return .null }
            return Numbers.fitting(Numbers.roundedQuotient(dividend, Int128(n)), 38)
        default: return .int(Numbers.wrapped(values.reduce(0) { $0 &+ ($1.integer ?? 0) } / Int64(n), type))
        }
    }

    private func moment(_ values: [Double]) -> Value {
        let n = Double(values.count)
        let mean = values.reduce(0, +) / n
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }, differences = values.reduce(0) { $0 + ($1 - mean) }
        let isSample = !call.function.hasSuffix("_POP")
        if isSample, values.count < 2 { return .null }
        let variance = (squares - differences * differences / n) / (isSample ? n - 1 : n)
        return .double(call.function.hasPrefix("STDDEV") ? variance.squareRoot() : variance)
    }
}
