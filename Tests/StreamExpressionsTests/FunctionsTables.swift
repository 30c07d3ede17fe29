import StreamCore
import Testing
@testable import StreamExpressions

/// A table of expressions and the text of their values, one a line: `expression  =>  'text'` or `NULL`.
struct FunctionTable {
    struct Line: CustomTestStringConvertible, Sendable {
        var expression: String
        /// As CAST AS STRING shows the value.
        var expected: String?
        var testDescription: String { expression }
    }

    let lines: [Line]

    init(_ text: String) {
        lines = text.split(separator: "\n").map { line in
            let parts = String(line).components(separatedBy: "  =>  ")
            precondition(parts.count == 2, "no value in: \(line)")
            return Line(expression: parts[0], expected: parts[1] == "NULL" ? nil : String(parts[1].dropFirst().dropLast()))
        }
    }

    /// Checks every line: as a constant, and with its literals as columns of each encoding, with nulls and a selection between.
    func check(sourceLocation: Testing.SourceLocation = #_sourceLocation) {
        for line in lines { check(line, sourceLocation) }
    }

    private func check(_ line: Line, _ location: Testing.SourceLocation) {
        do {
            let bound = try ExpressionReader.bind(line.expression)
            #expect(try SQL.show(bound) == line.expected, "\(line.expression) as a constant", sourceLocation: location)
            for encoding in [Encoding.plain, .dictionary, .constant] {
                for selects in [false, true] {
                    let shown = try Lifted(bound).evaluate(encoding, selects: selects)
                    #expect(shown == [line.expected, line.expected], "\(line.expression), \(encoding) columns, selection \(selects)", sourceLocation: location)
                }
            }
        } catch {
            Issue.record("\(line.expression): \(error)", sourceLocation: location)
        }
    }
}

extension String {
    fileprivate func components(separatedBy separator: String) -> [String] {
        guard let range = firstRange(of: separator) else { return [self] }
        return [String(self[..<range.lowerBound]), String(self[range.upperBound...])]
    }
}

/// An expression whose literals have become columns.
struct Lifted {
    private var columns: [(value: Value, type: DataType)] = []
    private var expr: Expr = .literal(.null, .null)

    init(_ bound: Expr) { expr = lift(bound) }

    private mutating func lift(_ e: Expr) -> Expr {
        switch e {
        case .literal(let value, let type):
            guard value != .null, type != .null else { return e }
            columns.append((value, type))
            return .column(columns.count - 1, type)
        case .call(let function, let args): return .call(function, args.map { lift($0) })
        case .cast(let inner, let type, let safe): return .cast(lift(inner), to: type, safe: safe)
        case .not(let inner): return .not(lift(inner))
        default: return e
        }
    }

    /// The values at the rows that hold the literals.
    func evaluate(_ encoding: Encoding, selects: Bool) throws -> [String?] {
        let rows = encoding == .constant ? 4 : 5
        let made = columns.map { value, type in
            let values: [Value] = encoding == .constant ? Array(repeating: value, count: rows) : [.null, value, .null, value, .null]
            return Column.make(values, type, encoding)
        }
        let selection = selects ? Selection([1, 3]) : nil
        let batch = Batch(columns: made, physicalCount: rows, selection: selection)
        let evaluator = Evaluator([.cast(expr, to: .string, safe: false)], context: EvaluationContext(timeZone: "UTC", now: { 0 }))
        let result = try evaluator.evaluate(batch)[0]
        return [1, 3].map { if case .string(let s) = result.value(at: $0) { s } else { nil } }
    }
}
