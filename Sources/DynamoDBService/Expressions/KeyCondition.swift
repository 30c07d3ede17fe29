import AWSProtocol

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

    /// One for each hash attribute of the key.
    public var hash: [AttributeValue]
    /// For the first range attributes of the key; all but the last are `equal`. Empty for the whole of a partition.
    public var range: [Range]

    /// Reads `KeyConditionExpression`.
    ///
    /// - Throws: `ValidationException` for what is no condition on exactly this key.
    public static func parse(_ text: String, _ context: ExpressionContext, key: KeySchema) throws -> KeyCondition {
        let checker = ExpressionChecker(label: "KeyConditionExpression", context: context)
        let syntax = try checker.parse(text, ExpressionParser.condition)
        try checker.checkStructure(syntax, .condition)
        let condition = try checker.condition(syntax)
        try checkOperators(syntax)
        var found: [String: Range] = [:]
        try collect(condition, &found)
        return try KeyCondition(found, key: key)
    }

    /// The conditions of a Query by attribute, from an expression or from `KeyConditions`.
    init(_ conditions: [String: Range], key: KeySchema) throws {
        if key.range.isEmpty, key.hash.count == 1, conditions.count > 1, conditions[key.hash[0].name] != nil {
            throw AWSError.validation("Query key condition not supported")
        }
        hash = try key.hash.map { attribute in
            guard let condition = conditions[attribute.name] else { throw Self.missing(attribute) }
            guard case .equal(let value) = condition else { throw AWSError.validation("Query key condition not supported") }
            try Self.check(value, attribute)
            return value
        }
        range = []
        for attribute in key.range {
            guard let condition = conditions[attribute.name] else {
                if hash.count + range.count < conditions.count { throw Self.missing(attribute) }
                break
            }
            // Only the last of several may be anything but an equality.
            if let last = range.last {
                guard case .equal = last else { throw AWSError.validation("Query key condition not supported") }
            }
            for value in condition.values { try Self.check(value, attribute) }
            if case .beginsWith = condition, attribute.type == .n {
                throw AWSError.validation(
                    "One or more parameter values were invalid: ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type")
            }
            range.append(condition)
        }
        guard hash.count + range.count == conditions.count else { throw AWSError.validation("Query key condition not supported") }
    }

    private static func missing(_ attribute: KeyAttribute) -> AWSError {
        .validation("Query condition missed key schema element: \(attribute.name)")
    }

    private static func check(_ value: AttributeValue, _ key: KeyAttribute) throws {
        guard value.kind.rawValue == key.type.rawValue else {
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
            for case .size in [a, b] { throw AWSError.validation("KeyConditionExpressions cannot contain nested operations") }
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

    private static func invalid(_ problem: String) -> AWSError {
        .validation("Invalid KeyConditionExpression: Invalid condition in KeyConditionExpression: \(problem)")
    }

    private static func key(_ operand: ExpressionOperand, _ name: String) throws -> DocumentPath {
        switch operand {
        case .path(let path): return path
        case .size: throw AWSError.validation("KeyConditionExpressions cannot contain nested operations")
        default:
            if name == "=" { throw invalid("No key attribute specified") }
            throw invalid("\(name) operator must have the key attribute as its first operand")
        }
    }

    private static func constant(_ operand: ExpressionOperand) throws -> AttributeValue {
        switch operand {
        case .value(let value): return value
        case .path:
            throw invalid("Multiple attribute names used in one condition")
        default: throw AWSError.validation("KeyConditionExpressions cannot contain nested operations")
        }
    }
}

/// A condition on a key as bytes.
struct KeyBytes {
    var hash: [UInt8]
    var range: ByteRange
}

extension KeyCondition {
    /// `KeyConditionExpression`, or `KeyConditions`.
    static func of(_ input: AWSValue, _ context: ExpressionContext, _ key: KeySchema) throws -> KeyBytes {
        let condition = if let text = input["KeyConditionExpression"]?.string {
            try parse(text, context, key: key)
        } else {
            try legacy(input["KeyConditions"] ?? .map([:]), key: key)
        }
        return condition.bytes(key)
    }

    /// As ``KeyEncoding`` writes keys: all attributes but the last are ended.
    func bytes(_ key: KeySchema) -> KeyBytes {
        var hash: [UInt8] = []
        for (i, value) in self.hash.enumerated() { hash += Self.bytes(value, isLast: i == self.hash.count - 1) }
        var prefix: [UInt8] = []
        for equal in range.dropLast() { prefix += Self.bytes(equal.values[0], isLast: false) }
        guard let last = range.last else { return KeyBytes(hash: hash, range: .all) }
        return KeyBytes(hash: hash, range: last.bytes(after: prefix, isLast: range.count == key.range.count))
    }

    fileprivate static func bytes(_ value: AttributeValue, isLast: Bool) -> [UInt8] {
        let bytes = value.keyBytes ?? []
        return isLast ? bytes : KeyEncoding.ended(bytes)
    }
}

extension KeyCondition.Range {
    /// Keys that it holds for, among those that begin with `prefix`.
    fileprivate func bytes(after prefix: [UInt8], isLast: Bool) -> ByteRange {
        /// The least key of those with this value, and the least of those behind them.
        func first(_ value: AttributeValue) -> [UInt8] { prefix + KeyCondition.bytes(value, isLast: isLast) }
        func next(_ value: AttributeValue) -> [UInt8]? { isLast ? first(value) + [0] : KeyEncoding.after(prefix: first(value)) }
        let end = KeyEncoding.after(prefix: prefix)
        return switch self {
        case .equal(let value): ByteRange(lower: first(value), upper: next(value))
        case .less(let value): ByteRange(lower: prefix, upper: first(value))
        case .lessOrEqual(let value): ByteRange(lower: prefix, upper: next(value))
        case .greater(let value): ByteRange(lower: next(value) ?? first(value), upper: end)
        case .greaterOrEqual(let value): ByteRange(lower: first(value), upper: end)
        case .between(let low, let high): ByteRange(lower: first(low), upper: next(high))
        case .beginsWith(let value):
            // Without its end, which for a value that others follow is the last two bytes.
            ByteRange.prefix(isLast ? first(value) : first(value).dropLast(2))
        }
    }
}
