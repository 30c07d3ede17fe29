import AWSProtocol

enum Comparator: String, Sendable {
    case equal = "=", notEqual = "<>", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="

    /// The comparator for the operands the other way round.
    var mirrored: Comparator {
        switch self {
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        case .equal, .notEqual: self
        }
    }

    func holds(_ a: AttributeValue, _ b: AttributeValue) -> Bool {
        switch self {
        case .equal: return a == b
        case .notEqual: return a != b
        default:
            guard let order = a.compare(b) else { return false }
            return switch self {
            case .less: order < 0
            case .lessOrEqual: order <= 0
            case .greater: order > 0
            default: order >= 0
            }
        }
    }
}

indirect enum Condition: Sendable {
    case comparison(Comparator, ExpressionOperand, ExpressionOperand)
    case between(ExpressionOperand, ExpressionOperand, ExpressionOperand)
    case isIn(ExpressionOperand, [ExpressionOperand])
    case exists(DocumentPath)
    case type(DocumentPath, AttributeValue.Kind)
    case beginsWith(ExpressionOperand, ExpressionOperand)
    case contains(ExpressionOperand, ExpressionOperand)
    case and(Condition, Condition)
    case or(Condition, Condition)
    case not(Condition)

    var paths: [DocumentPath] {
        switch self {
        case .comparison(_, let a, let b), .beginsWith(let a, let b), .contains(let a, let b): a.paths + b.paths
        case .between(let a, let b, let c): a.paths + b.paths + c.paths
        case .isIn(let a, let all): a.paths + all.flatMap(\.paths)
        case .exists(let path), .type(let path, _): [path]
        case .and(let a, let b), .or(let a, let b): a.paths + b.paths
        case .not(let a): a.paths
        }
    }

    /// What is missing from the item, or has another type, is unequal to everything and in no order with it.
    func holds(_ item: Item) -> Bool {
        switch self {
        case .comparison(let comparator, let a, let b):
            guard let left = Self.value(a, item), let right = Self.value(b, item) else { return comparator == .notEqual }
            return comparator.holds(left, right)
        case .between(let a, let low, let high):
            guard let value = Self.value(a, item), let low = Self.value(low, item), let high = Self.value(high, item) else { return false }
            return Comparator.greaterOrEqual.holds(value, low) && Comparator.lessOrEqual.holds(value, high)
        case .isIn(let a, let all):
            guard let value = Self.value(a, item) else { return false }
            return all.contains { Self.value($0, item) == value }
        case .exists(let path): return path.value(in: item) != nil
        case .type(let path, let kind): return path.value(in: item)?.kind == kind
        case .beginsWith(let a, let b):
            guard let value = Self.value(a, item), let start = Self.value(b, item) else { return false }
            return value.begins(with: start)
        case .contains(let a, let b):
            guard let value = Self.value(a, item), let part = Self.value(b, item) else { return false }
            return value.contains(part)
        case .and(let a, let b): return a.holds(item) && b.holds(item)
        case .or(let a, let b): return a.holds(item) || b.holds(item)
        case .not(let a): return !a.holds(item)
        }
    }

    private static func value(_ operand: ExpressionOperand, _ item: Item) -> AttributeValue? {
        switch operand {
        case .value(let value): value
        case .path(let path): path.value(in: item)
        case .size(let inner): value(inner, item)?.expressionSize.map { .n(DynamoNumber($0)) }
        // Those of updates are in no condition.
        case .sum, .difference, .ifNotExists, .listAppend: nil
        }
    }
}

/// A condition of a write, or the filter of a Query or Scan.
public struct ConditionExpression: Sendable {
    let root: Condition

    init(_ root: Condition) { self.root = root }

    /// - Parameter label: the parameter's name for messages: `FilterExpression` for filters.
    /// - Throws: `ValidationException` saying what is wrong with the expression.
    public init(_ text: String, _ context: ExpressionContext, label: String = "ConditionExpression") throws {
        let checker = ExpressionChecker(label: label, context: context)
        let syntax = try checker.parse(text, ExpressionParser.condition)
        try checker.checkStructure(syntax, .condition)
        root = try checker.condition(syntax)
    }

    /// Every path that the condition reads.
    public var paths: [DocumentPath] { root.paths }

    /// nil stands for an item that does not exist.
    public func evaluate(item: Item?) throws -> Bool { root.holds(item ?? [:]) }

    /// - Throws: `ValidationException` when a filter of a Query looks at an attribute of the key.
    public func checkReadsNoKey(_ keys: [String]) throws {
        if let path = paths.first(where: { keys.contains($0.attribute) }) {
            throw AWSError.validation(
                "Filter Expression can only contain non-primary key attributes: Primary key attribute: \(path.attribute)")
        }
    }

    /// - Throws: `ValidationException` when a path goes into an attribute of the key.
    public func checkKeysAreScalars(_ keys: [String]) throws { try paths.checkKeysAreScalars(keys) }
}

extension [DocumentPath] {
    func checkKeysAreScalars(_ keys: [String]) throws {
        if let path = first(where: { $0.isNested && keys.contains($0.attribute) }) {
            throw AWSError.validation(
                "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: \(path.attribute)")
        }
    }
}
