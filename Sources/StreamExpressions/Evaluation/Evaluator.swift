import StreamCore

/// Computes expressions over batches. Compiled once, then used by one thread.
public final class Evaluator {
    private let nodes: [any Node]
    private let predicate: (any Predicate)?
    private let context: EvaluationContext

    /// Compiles the expressions. Parts that depend on no column are computed now; where that fails, the error appears when a
    /// row needs the value.
    public init(_ exprs: [Expr], context: EvaluationContext) {
        var compiler = Compiler(context: context)
        nodes = exprs.map { compiler.compile($0) }
        predicate = exprs.count == 1 && exprs[0].type == .boolean ? compiler.predicate(exprs[0]) : nil
        self.context = context
    }

    /// One column per expression, of `batch.physicalCount` rows, computed at the selected rows only. A column reference gives
    /// the input column itself.
    /// - Throws: `.runtime` when a value of a selected row makes a function fail, with the value.
    public func evaluate(_ batch: Batch) throws -> [Column] {
        let frame = Frame(columns: batch.columns, count: batch.physicalCount, context: context)
        return try nodes.map { try $0.evaluate(frame, batch.selection) }
    }

    /// The rows for which the one BOOLEAN expression is true (null counts as false). The batch is returned as it is when all
    /// pass; it shares its columns unless fewer than an eighth are left.
    public func filter(_ batch: Batch) throws -> Batch {
        guard let predicate else { preconditionFailure("filter needs exactly one BOOLEAN expression") }
        let frame = Frame(columns: batch.columns, count: batch.physicalCount, context: context)
        guard let passed = try predicate.select(frame, batch.selection) else { return batch }
        var result = batch
        result.selection = passed
        return passed.count * 8 < batch.physicalCount ? result.compacted() : result
    }

    /// The value of an expression without columns.
    public static func evaluateConstant(_ expr: Expr, context: EvaluationContext = EvaluationContext()) throws -> Value {
        if case .literal(let value, _) = expr { return value }
        var compiler = Compiler(context: context, folds: false)
        return try compiler.compile(expr).evaluate(Frame(columns: [], count: 1, context: context), nil).value(at: 0)
    }
}

/// What an evaluation of one batch reads.
struct Frame {
    let columns: [Column]
    let count: Int
    let context: EvaluationContext
}

/// A compiled expression.
protocol Node: AnyObject {
    var type: DataType { get }
    /// A column of `frame.count` rows, computed at `rows`.
    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column
}

/// A compiled BOOLEAN expression of which only the rows where it is true matter.
protocol Predicate: AnyObject {
    /// The rows among `rows` for which it is true; nil when it is true for all of them.
    func select(_ frame: Frame, _ rows: Selection?) throws -> Selection?
}

/// Turns expressions into nodes.
struct Compiler {
    let context: EvaluationContext
    var folds = true

    mutating func compile(_ expr: Expr) -> any Node {
        if case .literal = expr {} else if folds, expr.isFoldable, let value = try? Evaluator.evaluateConstant(expr, context: context) {
            return LiteralNode(value, expr.type)
        }
        switch expr {
        case .column(let index, let type): return ColumnNode(index, type)
        case .literal(let value, let type): return LiteralNode(value, type)
        case .call(let function, let args): return CallNode(function.resultType, function.kernel, args.map { compile($0) })
        case .cast(let operand, let type, let safe):
            if operand.type == type { return compile(operand) }
            return CallNode(type, Casts.kernel(from: operand.type, to: type, safe: safe), [compile(operand)])
        case .caseWhen(let branches, let otherwise, let type):
            return CaseNode(type, branches.map { (predicate($0.condition), compile($0.result, as: type)) }, compile(otherwise, as: type))
        case .and(let operands): return LogicNode(operands.map { compile($0) }, isAnd: true)
        case .or(let operands): return LogicNode(operands.map { compile($0) }, isAnd: false)
        case .not(let operand): return NotNode(compile(operand))
        case .isNull(let operand, let negated): return IsNullNode(compile(operand), negated: negated)
        case .coalesce(let operands, let type): return CoalesceNode(type, operands.map { compile($0, as: type) })
        case .field(let operand, let index, let type): return FieldNode(compile(operand), index, type)
        }
    }

    /// One of several results: a bare NULL takes the type of the others.
    private mutating func compile(_ expr: Expr, as type: DataType) -> any Node {
        expr.type == .null ? LiteralNode(.null, type) : compile(expr)
    }

    mutating func predicate(_ expr: Expr) -> any Predicate {
        switch expr {
        case .and(let operands): return AllPredicate(operands.map { predicate($0) })
        case .or(let operands):
            if let list = membership(operands) { return list }
            return AnyPredicate(operands.map { predicate($0) })
        case .isNull(let operand, let negated): return NullPredicate(compile(operand), negated: negated)
        case .call(let function, let args):
            if args.count == 2, let comparison = Comparison(rawValue: function.name), args[0].type == args[1].type,
               let fused = ComparisonPredicate.make(comparison, compile(args[0]), compile(args[1])) {
                return fused
            }
            return ColumnPredicate(compile(expr))
        default: return ColumnPredicate(compile(expr))
        }
    }

    /// `x = a OR x = b OR ...` over one column, as IN (list) is bound; nil for any other OR.
    private mutating func membership(_ operands: [Expr]) -> MembershipPredicate? {
        var column: Int?, type: DataType?, values: [Value] = []
        for operand in operands {
            guard case .call(let function, let args) = operand, function.name == Comparison.equal.rawValue, args.count == 2,
                  let index = args[0].plainColumn, column == nil || column == index, args[1].isFoldable,
                  let value = try? Evaluator.evaluateConstant(args[1], context: context), value != .null else { return nil }
            column = index
            type = args[0].type
            values.append(value)
        }
        guard let column, let type else { return nil }
        return MembershipPredicate(column: column, type: type, values: values)
    }
}

extension Expr {
    /// The number of the column that this is, perhaps under another text length.
    fileprivate var plainColumn: Int? {
        switch self {
        case .column(let index, _): index
        case .call(let function, let args) where function.name == ComparisonBinder.retype: args[0].plainColumn
        default: nil
        }
    }
}
