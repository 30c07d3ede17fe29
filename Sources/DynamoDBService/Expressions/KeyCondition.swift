import AWSProtocol

/// An attribute of a key schema.
public struct KeyAttribute: Hashable, Sendable {
    public var name: String
    /// S, N or B.
    public var kind: AttributeValue.Kind
    public init(_ name: String, _ kind: AttributeValue.Kind) { (self.name, self.kind) = (name, kind) }
}

/// Which items of a table or index a Query reads.
public struct KeyCondition: Hashable, Sendable {
    public enum Range: Hashable, Sendable {
        case equal(AttributeValue)
        case less(AttributeValue)
        case lessOrEqual(AttributeValue)
        case greater(AttributeValue)
        case greaterOrEqual(AttributeValue)
        case between(AttributeValue, AttributeValue)
        case beginsWith(AttributeValue)

        var values: [AttributeValue] {
            switch self {
            case .equal(let value), .less(let value), .lessOrEqual(let value), .greater(let value), .greaterOrEqual(let value),
                .beginsWith(let value): [value]
            case .between(let low, let high): [low, high]
            }
        }
    }

    public var hash: AttributeValue
    /// nil for the whole of a partition.
    public var range: Range?

    /// Reads `KeyConditionExpression`.
    ///
    /// - Throws: `ValidationException` for what is no condition on exactly this key.
    public static func parse(_ text: String, _ context: ExpressionContext, hashKey: KeyAttribute, rangeKey: KeyAttribute?) throws -> KeyCondition {
        let checker = ExpressionChecker(label: "KeyConditionExpression", context: context)
        let syntax = try checker.parse(text, ExpressionParser.condition)
        try checker.checkStructure(syntax, .condition)
        let condition = try checker.condition(syntax)
        try checkOperators(syntax)
        var found: [String: Range] = [:]
        try collect(condition, &found)
        return try KeyCondition(found, hashKey: hashKey, rangeKey: rangeKey)
    }

    /// The conditions of a Query by attribute, from an expression or from `KeyConditions`.
    init(_ conditions: [String: Range], hashKey: KeyAttribute, rangeKey: KeyAttribute?) throws {
        guard let hash = conditions[hashKey.name] else {
            throw AWSError.validation("Query condition missed key schema element: \(hashKey.name)")
        }
        if conditions.count > 1 {
            guard let rangeKey, conditions.count == 2 else { throw AWSError.validation("Query key condition not supported") }
            guard conditions[rangeKey.name] != nil else {
                throw AWSError.validation("Query condition missed key schema element: \(rangeKey.name)")
            }
        }
        guard case .equal(let value) = hash else { throw AWSError.validation("Query key condition not supported") }
        self.hash = value
        range = rangeKey.flatMap { conditions[$0.name] }
        try Self.check(value, hashKey)
        for value in range?.values ?? [] { try Self.check(value, rangeKey!) }
        if case .beginsWith = range, rangeKey?.kind == .n {
            throw AWSError.validation("One or more parameter values were invalid: ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type")
        }
    }

    private static func check(_ value: AttributeValue, _ key: KeyAttribute) throws {
        guard value.kind == key.kind else {
            throw AWSError.validation("One or more parameter values were invalid: Condition parameter type does not match schema type")
        }
        if value.keyBytes?.isEmpty == true {
            throw AWSError.validation("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
                + "empty \(value.kind == .s ? "string" : "binary") value. Key: \(key.name)")
        }
    }

    private static func invalidOperator(_ name: String) -> AWSError {
        .validation("Invalid operator used in KeyConditionExpression: \(name)")
    }

    private static func checkOperators(_ syntax: ExpressionSyntax) throws {
        switch syntax.inner {
        case .and(let a, let b):
            try checkOperators(a)
            try checkOperators(b)
        case .or: throw invalidOperator("OR")
        case .not: throw invalidOperator("NOT")
        case .isIn: throw invalidOperator("IN")
        case .comparison("<>", _, _): throw invalidOperator("<>")
        case .call(let name, _) where name != "begins_with": throw invalidOperator(name)
        default: break
        }
    }

    private static func collect(_ condition: Condition, _ found: inout [String: Range]) throws {
        let path: DocumentPath, range: Range
        switch condition {
        case .and(let a, let b):
            try collect(a, &found)
            return try collect(b, &found)
        case .comparison(let comparator, let a, let b):
            let isMirrored = a.path == nil
            let value: AttributeValue
            (path, value) = isMirrored ? (try key(b, "="), try constant(a)) : (try key(a, "="), try constant(b))
            range = switch isMirrored ? comparator.mirrored : comparator {
            case .less: .less(value)
            case .lessOrEqual: .lessOrEqual(value)
            case .greater: .greater(value)
            case .greaterOrEqual: .greaterOrEqual(value)
            case .equal, .notEqual: .equal(value)
            }
        case .between(let a, let low, let high):
            (path, range) = (try key(a, "BETWEEN"), .between(try constant(low), try constant(high)))
        case .beginsWith(let a, let b): (path, range) = (try key(a, "begins_with"), .beginsWith(try constant(b)))
        default: throw invalidOperator("\(condition)")
        }
        if path.isNested { throw AWSError.validation("KeyConditionExpressions cannot have conditions on nested attributes") }
        guard found[path.attribute] == nil else {
            throw AWSError.validation("KeyConditionExpressions must only contain one condition per key")
        }
        found[path.attribute] = range
    }

    private static func key(_ operand: ExpressionOperand, _ name: String) throws -> DocumentPath {
        switch operand {
        case .path(let path): return path
        case .size: throw AWSError.validation("KeyConditionExpressions cannot contain nested operations")
        default:
            if name == "=" { throw AWSError.validation("Invalid condition in KeyConditionExpression: No key attribute specified") }
            throw AWSError.validation(
                "Invalid condition in KeyConditionExpression: \(name) operator must have the key attribute as its first operand")
        }
    }

    private static func constant(_ operand: ExpressionOperand) throws -> AttributeValue {
        switch operand {
        case .value(let value): return value
        case .path:
            throw AWSError.validation("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
        default: throw AWSError.validation("KeyConditionExpressions cannot contain nested operations")
        }
    }
}
