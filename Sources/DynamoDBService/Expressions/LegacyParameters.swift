import AWSProtocol

// The parameters that expressions have replaced; they become the same conditions and updates.

extension AWSError {
    fileprivate static func invalidParameter(_ problem: String) -> AWSError {
        .validation("One or more parameter values were invalid: \(problem)")
    }
}

/// `ComparisonOperator` with `AttributeValueList`.
private struct LegacyCondition {
    var comparison: String
    var values: [AttributeValue]

    private static let names = [
        "EQ", "NE", "IN", "LE", "LT", "GE", "GT", "BETWEEN", "NOT_NULL", "NULL", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH",
    ]

    init(_ comparison: String, _ values: [AttributeValue]) throws {
        guard Self.names.contains(comparison) else {
            throw AWSError.validation("1 validation error detected: Value '\(comparison)' at 'comparisonOperator' failed to satisfy constraint: "
                + "Member must satisfy enum value set: [\(Self.names.joined(separator: ", "))]")
        }
        (self.comparison, self.values) = (comparison, values)
        let counts = switch comparison {
        case "NULL", "NOT_NULL": 0...0
        case "BETWEEN": 2...2
        case "IN": 1...Int.max
        default: 1...1
        }
        guard counts.contains(values.count) else {
            throw AWSError.invalidParameter("Invalid number of argument(s) for the \(comparison) ComparisonOperator")
        }
        if let first = values.first, values.contains(where: { $0.kind != first.kind }) {
            throw AWSError.invalidParameter("AttributeValues inside AttributeValueList must be of same type")
        }
        let kinds: [AttributeValue.Kind] = switch comparison {
        case "EQ", "NE": AttributeValue.Kind.allCases
        case "BEGINS_WITH": [.s, .b]
        default: [.s, .n, .b]
        }
        if let value = values.first(where: { !kinds.contains($0.kind) }) {
            throw AWSError.invalidParameter("ComparisonOperator \(comparison) is not valid for \(value.kind.rawValue) AttributeValue type")
        }
        if comparison == "BETWEEN", values[0].compare(values[1]) == 1 {
            throw AWSError.validation("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")
        }
    }

    func condition(on attribute: String) -> Condition {
        let path = DocumentPath(attribute: attribute)
        let operand = ExpressionOperand.path(path)
        let all = values.map { ExpressionOperand.value($0) }
        switch comparison {
        case "EQ": return .comparison(.equal, operand, all[0])
        case "NE": return .comparison(.notEqual, operand, all[0])
        case "LT": return .comparison(.less, operand, all[0])
        case "LE": return .comparison(.lessOrEqual, operand, all[0])
        case "GT": return .comparison(.greater, operand, all[0])
        case "GE": return .comparison(.greaterOrEqual, operand, all[0])
        case "NULL": return .not(.exists(path))
        case "NOT_NULL": return .exists(path)
        case "CONTAINS": return .contains(operand, all[0])
        case "NOT_CONTAINS": return .not(.contains(operand, all[0]))
        case "BEGINS_WITH": return .beginsWith(operand, all[0])
        case "BETWEEN": return .between(operand, all[0], all[1])
        default: return .isIn(operand, all)
        }
    }

    func range() throws -> KeyCondition.Range {
        switch comparison {
        case "EQ": return .equal(values[0])
        case "LT": return .less(values[0])
        case "LE": return .lessOrEqual(values[0])
        case "GT": return .greater(values[0])
        case "GE": return .greaterOrEqual(values[0])
        case "BEGINS_WITH": return .beginsWith(values[0])
        case "BETWEEN": return .between(values[0], values[1])
        default: throw AWSError.validation("Attempted conditional constraint is not an indexable operation")
        }
    }

    /// `{attribute: {ComparisonOperator, AttributeValueList}}` in the order of the attributes.
    static func read(_ given: AWSValue) throws -> [(attribute: String, condition: LegacyCondition)] {
        guard case .map(let members) = given else { throw AWSError.serialization("Unexpected field type") }
        return try members.sorted { $0.key < $1.key }.map { attribute, condition in
            guard let comparison = condition["ComparisonOperator"]?.string else {
                throw AWSError.validation("1 validation error detected: Value null at '\(attribute).comparisonOperator' failed to satisfy "
                    + "constraint: Member must not be null")
            }
            return (attribute, try LegacyCondition(comparison, try (condition["AttributeValueList"]?.list ?? []).map { try AttributeValue($0) }))
        }
    }
}

extension ConditionExpression {
    /// How several conditions of the older parameters go together.
    private static func combined(_ all: [Condition], _ conditionalOperator: String?) throws -> ConditionExpression? {
        if let conditionalOperator, conditionalOperator != "AND", conditionalOperator != "OR" {
            throw AWSError.validation("1 validation error detected: Value '\(conditionalOperator)' at 'conditionalOperator' failed to satisfy "
                + "constraint: Member must satisfy enum value set: [OR, AND]")
        }
        guard let first = all.first else { return nil }
        return ConditionExpression(all.dropFirst().reduce(first) { conditionalOperator == "OR" ? .or($0, $1) : .and($0, $1) })
    }

    /// `QueryFilter` or `ScanFilter`; nil when there are no conditions in it.
    public static func legacyFilter(_ given: AWSValue, conditionalOperator: String?) throws -> ConditionExpression? {
        try combined(try LegacyCondition.read(given).map { $0.condition.condition(on: $0.attribute) }, conditionalOperator)
    }

    /// `Expected`; nil when there are no conditions in it.
    public static func expected(_ given: AWSValue, conditionalOperator: String?) throws -> ConditionExpression? {
        guard case .map(let members) = given else { throw AWSError.serialization("Unexpected field type") }
        return try combined(try members.sorted { $0.key < $1.key }.map { try expected($0.key, $0.value) }, conditionalOperator)
    }

    private static func expected(_ attribute: String, _ given: AWSValue) throws -> Condition {
        let list = given["AttributeValueList"]?.list, value = try given["Value"].map { try AttributeValue($0) }
        let exists = given["Exists"]?.bool
        if list != nil, value != nil {
            throw AWSError.invalidParameter("Value and AttributeValueList cannot be used together for Attribute: \(attribute)")
        }
        if let comparison = given["ComparisonOperator"]?.string {
            if exists != nil {
                throw AWSError.invalidParameter("Exists and ComparisonOperator cannot be used together for Attribute: \(attribute)")
            }
            if comparison != "NULL", comparison != "NOT_NULL", list == nil, value == nil {
                throw AWSError.invalidParameter("Value or AttributeValueList must be used with ComparisonOperator: \(comparison) "
                    + "for Attribute: \(attribute)")
            }
            let values = try list?.map { try AttributeValue($0) } ?? value.map { [$0] } ?? []
            return try LegacyCondition(comparison, values).condition(on: attribute)
        }
        if list != nil {
            throw AWSError.invalidParameter("AttributeValueList can only be used with a ComparisonOperator for Attribute: \(attribute)")
        }
        let path = DocumentPath(attribute: attribute)
        guard exists != false else {
            if value != nil {
                throw AWSError.invalidParameter("Value cannot be used when Exists is false for Attribute: \(attribute)")
            }
            return .not(.exists(path))
        }
        guard let value else {
            throw AWSError.invalidParameter("Value must be provided when Exists is \(exists.map { "\($0)" } ?? "null") for Attribute: \(attribute)")
        }
        return .comparison(.equal, .path(path), .value(value))
    }
}

extension KeyCondition {
    /// `KeyConditions`.
    public static func legacy(_ given: AWSValue, key: KeySchema) throws -> KeyCondition {
        let all = try LegacyCondition.read(given)
        guard (1...max(2, key.attributes.count)).contains(all.count) else { throw AWSError.validation("Conditions can be of length 1 or 2 only") }
        let ranges = try all.map { ($0.attribute, try $0.condition.range()) }
        return try KeyCondition(Dictionary(uniqueKeysWithValues: ranges), key: key)
    }
}

extension UpdateExpression {
    /// `AttributeUpdates`.
    ///
    /// - Throws: `ValidationException` for actions that do not go with their values.
    public init(attributeUpdates given: AWSValue) throws {
        guard case .map(let members) = given else { throw AWSError.serialization("Unexpected field type") }
        self.init(legacy: try members.sorted { $0.key < $1.key }.map { attribute, update in
            (DocumentPath(attribute: attribute), try Self.action(update))
        })
    }

    private static func action(_ update: AWSValue) throws -> Action {
        let value = try update["Value"].map { try AttributeValue($0) }
        let name = update["Action"]?.string ?? "PUT"
        guard ["PUT", "ADD", "DELETE"].contains(name) else {
            throw AWSError.validation("1 validation error detected: Value '\(name)' at 'attributeUpdates.action' failed to satisfy constraint: "
                + "Member must satisfy enum value set: [ADD, DELETE, PUT]")
        }
        guard let value else {
            guard name == "DELETE" else {
                throw AWSError.invalidParameter("Only DELETE action is allowed when no attribute value is specified")
            }
            return .remove
        }
        switch name {
        case "PUT": return .set(.value(value))
        case "DELETE":
            guard value.kind.isSet else {
                throw AWSError.invalidParameter("DELETE action with value is not supported for the type \(value.kind.rawValue)")
            }
            return .delete(value)
        default:
            guard value.kind.isSet || value.kind == .n || value.kind == .l else {
                throw AWSError.invalidParameter("ADD action is not supported for the type \(value.kind.rawValue)")
            }
            return .add(value)
        }
    }
}
