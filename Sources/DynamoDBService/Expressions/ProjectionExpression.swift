import AWSProtocol

/// Which parts of an item are answered.
public struct ProjectionExpression: Sendable {
    public let paths: [DocumentPath]

    /// - Throws: `ValidationException` saying what is wrong with the expression.
    public init(_ text: String, _ context: ExpressionContext) throws {
        let checker = ExpressionChecker(label: "ProjectionExpression", context: context)
        let syntax = try checker.parse(text, ExpressionParser.projection)
        for each in syntax { try checker.checkStructure(each, .operand) }
        let paths = try syntax.map { try checker.path($0.steps ?? []) }
        try checker.checkOverlaps(paths)
        self.paths = paths
    }

    /// The older parameter `AttributesToGet`.
    ///
    /// - Throws: `ValidationException` for a name given twice.
    public init(attributesToGet: AWSValue) throws {
        var seen: Set<String> = []
        guard case .list(let names) = attributesToGet else { throw AWSError.serialization("Unexpected field type") }
        paths = try names.map { name in
            guard case .string(let name) = name else { throw AWSError.serialization("Unexpected field type") }
            guard seen.insert(name).inserted else {
                throw AWSError.validation("One or more parameter values were invalid: Duplicate value in attribute name: \(name)")
            }
            return DocumentPath(attribute: name)
        }
    }

    /// Elements of lists that are left keep their order and move together.
    public func project(_ item: Item) -> Item { PathTree(paths).project(item) }

    /// - Throws: `ValidationException` when a path goes into an attribute of the key.
    public func checkKeysAreScalars(_ keys: [String]) throws { try paths.checkKeysAreScalars(keys) }
}
