import AWSProtocol

/// What an UpdateItem does to an item.
public struct UpdateExpression: Sendable {
    enum Action: Sendable {
        case set(ExpressionOperand)
        case remove
        /// Adds to a number or a set; to a list only in the older `AttributeUpdates`.
        case add(AttributeValue)
        /// Takes elements out of a set.
        case delete(AttributeValue)
    }

    /// One of SET, REMOVE, ADD and DELETE with its actions, in the order of the text.
    var sections: [[(path: DocumentPath, action: Action)]]
    /// Made of `AttributeUpdates`, whose messages differ.
    private(set) var isLegacy = false

    init(legacy actions: [(path: DocumentPath, action: Action)]) {
        sections = [actions]
        isLegacy = true
    }

    /// - Throws: `ValidationException` saying what is wrong with the expression.
    public init(_ text: String, _ context: ExpressionContext) throws {
        let checker = ExpressionChecker(label: "UpdateExpression", context: context)
        let syntax = try checker.parse(text, ExpressionParser.update)
        try Self.checkStructure(syntax, checker)
        try checker.checkOverlaps(try syntax.flatMap { try $0.map { try checker.path($0.path.steps ?? []) } })
        // The service looks for undefined placeholders and wrong types from the last action to the first.
        var sections: [[(path: DocumentPath, action: Action)]] = []
        for section in syntax.reversed() {
            var actions: [(path: DocumentPath, action: Action)] = []
            for action in section.reversed() { actions.append(try Self.resolve(action, checker)) }
            sections.append(actions.reversed())
        }
        self.sections = sections.reversed()
    }

    private static func checkStructure(_ sections: [[UpdateActionSyntax]], _ checker: ExpressionChecker) throws {
        var seen: [String] = []
        for section in sections where !seen.contains(section[0].section) { seen.append(section[0].section) }
        for word in seen {
            let same = sections.filter { $0[0].section == word }
            for action in same.joined() {
                try checker.checkStructure(action.path, .update)
                if let value = action.value { try checker.checkStructure(value, .update) }
            }
            if same.count > 1 { throw checker.problem("The \"\(word)\" section can only be used once in an update expression;") }
        }
    }

    private static func resolve(_ syntax: UpdateActionSyntax, _ checker: ExpressionChecker) throws -> (path: DocumentPath, action: Action) {
        let path = try checker.path(syntax.path.steps ?? [])
        guard let valueSyntax = syntax.value else { return (path, .remove) }
        let operand = try checker.operand(valueSyntax)
        guard syntax.section != "SET", case .value(let value) = operand else { return (path, .set(operand)) }
        let isAdd = syntax.section == "ADD"
        guard value.kind.isSet || (isAdd && value.kind == .n) else {
            throw checker.problem("Incorrect operand type for operator or function; operator: \(syntax.section), "
                + "operand type: \(value.kind.longName), typeSet: ALLOWED_FOR_\(syntax.section)_OPERAND")
        }
        return (path, isAdd ? .add(value) : .delete(value))
    }

    // MARK: Use

    /// What is written, in the order of the text.
    public var paths: [DocumentPath] { sections.joined().map(\.path) }

    /// - Throws: `ValidationException` when the key would change, or a path goes into it.
    public func checkLeavesKeys(_ keys: [String]) throws {
        let read = sections.joined().flatMap { (_, action) -> [DocumentPath] in if case .set(let operand) = action { operand.paths } else { [] } }
        try read.checkKeysAreScalars(keys)
        if let path = paths.first(where: { keys.contains($0.attribute) }) {
            throw AWSError.validation("One or more parameter values were invalid: Cannot update attribute \(path.attribute). "
                + "This attribute is part of the key")
        }
    }

    /// The parts of an item that the update writes: of the old item for UPDATED_OLD, of the new one for UPDATED_NEW.
    public func touched(of item: Item) -> Item { PathTree(paths).project(item) }

    /// The new item. Every operand is taken from the item as it was.
    ///
    /// - Parameter item: the item before the update; for one that is made by it, the attributes of its key.
    /// - Throws: `ValidationException` for operands of a wrong type, attributes that are missing, paths that cannot be written to.
    public func apply(to item: Item) throws -> Item {
        let actions = sections.map { $0 }
        for (path, _) in actions.joined() where try Self.target(path, item) == .otherType { throw Self.invalidPath }
        var failures = [[AWSError?]](repeating: [], count: actions.count)
        var writes: [(path: ArraySlice<DocumentPath.Step>, value: AttributeValue?)] = []
        for (i, section) in actions.enumerated() {
            for (path, action) in section {
                var failure: AWSError?
                switch action {
                case .set(let operand):
                    let value = try Self.value(operand, item)
                    if value == nil { failure = Self.missingAttribute }
                    writes.append((path.steps[...], value))
                case .remove: writes.append((path.steps[...], nil))
                case .add(let value): writes.append((path.steps[...], try add(value, to: path.value(in: item))))
                case .delete(let value):
                    if let old = path.value(in: item) { writes.append((path.steps[...], try take(value, from: old))) }
                }
                failures[i].append(failure)
            }
        }
        for (section, failures) in zip(actions, failures).reversed() {
            for (path, _) in section where try Self.target(path, item) == .missing { throw Self.invalidPath }
            if let failure = failures.compactMap({ $0 }).first { throw failure }
        }
        return Self.write(writes, to: item)
    }

    private static let wrongType = AWSError.validation("An operand in the update expression has an incorrect data type")
    private static let missingAttribute = AWSError.validation(
        "The provided expression refers to an attribute that does not exist in the item")
    private static let invalidPath = AWSError.validation("The document path provided in the update expression is invalid for update")

    private var mismatch: AWSError { isLegacy ? .validation("Type mismatch for attribute to update") : Self.wrongType }

    private enum Target { case writable, missing, otherType }

    /// Whether there is a map or list that can take what the path ends with.
    private static func target(_ path: DocumentPath, _ item: Item) throws -> Target {
        guard path.isNested else { return .writable }
        let parent = DocumentPath(path.steps.dropLast()).value(in: item)
        return switch (path.steps.last!, parent) {
        case (.name, .m), (.index, .l): .writable
        case (_, nil): .missing
        default: .otherType
        }
    }

    /// nil when an attribute is missing.
    private static func value(_ operand: ExpressionOperand, _ item: Item) throws -> AttributeValue? {
        switch operand {
        case .value(let value): return value
        case .path(let path): return path.value(in: item)
        case .ifNotExists(let path, let other): return try path.value(in: item) ?? value(other, item)
        case .sum(let a, let b), .difference(let a, let b):
            let left = try number(value(a, item)), right = try number(value(b, item))
            guard let left, let right else { return nil }
            if case .sum = operand { return .n(try left.adding(right)) }
            return .n(try left.subtracting(right))
        case .listAppend(let a, let b):
            let left = try list(value(a, item)), right = try list(value(b, item))
            guard let left, let right else { return nil }
            return .l(left + right)
        case .size: return nil
        }
    }

    private static func number(_ value: AttributeValue?) throws -> DynamoNumber? {
        guard let value else { return nil }
        guard case .n(let number) = value else { throw wrongType }
        return number
    }

    private static func list(_ value: AttributeValue?) throws -> [AttributeValue]? {
        guard let value else { return nil }
        guard case .l(let all) = value else { throw wrongType }
        return all
    }

    private func add(_ value: AttributeValue, to old: AttributeValue?) throws -> AttributeValue {
        guard let old else { return value }
        switch (old, value) {
        case (.n(let a), .n(let b)): return .n(try a.adding(b))
        case (.ss(let a), .ss(let b)):
            let known = Set(a.map { Array($0.utf8) })
            return .ss(a + b.filter { !known.contains(Array($0.utf8)) })
        case (.ns(let a), .ns(let b)): return .ns(a + b.filter { !a.contains($0) })
        case (.bs(let a), .bs(let b)): return .bs(a + b.filter { !a.contains($0) })
        case (.l(let a), .l(let b)) where isLegacy: return .l(a + b)
        default: throw mismatch
        }
    }

    /// nil when nothing is left: there are no empty sets.
    private func take(_ value: AttributeValue, from old: AttributeValue) throws -> AttributeValue? {
        switch (old, value) {
        case (.ss(let a), .ss(let b)):
            let taken = Set(b.map { Array($0.utf8) })
            let left = a.filter { !taken.contains(Array($0.utf8)) }
            return left.isEmpty ? nil : .ss(left)
        case (.ns(let a), .ns(let b)):
            let left = a.filter { !b.contains($0) }
            return left.isEmpty ? nil : .ns(left)
        case (.bs(let a), .bs(let b)):
            let left = a.filter { !b.contains($0) }
            return left.isEmpty ? nil : .bs(left)
        default: throw mismatch
        }
    }

    // MARK: Writing

    private typealias Writes = [(path: ArraySlice<DocumentPath.Step>, value: AttributeValue?)]

    private static func write(_ writes: Writes, to item: Item) -> Item {
        var out = item
        for (step, inside) in grouped(writes) {
            guard case .name(let name) = step else { continue }
            out[name] = write(inside, to: item[name])
        }
        return out
    }

    /// Paths do not overlap: the writes of one step are one that ends there, or several that go on.
    private static func write(_ writes: Writes, to old: AttributeValue?) -> AttributeValue? {
        if writes[0].path.isEmpty { return writes[0].value }
        switch old {
        case .m(let members): return .m(write(writes, to: members))
        case .l(let all):
            // Positions are those before the update; what is set beyond the end is appended in their order.
            var elements: [AttributeValue?] = all
            for (step, inside) in grouped(writes) {
                guard case .index(let index) = step else { continue }
                if index < all.count {
                    elements[index] = write(inside, to: all[index])
                } else {
                    elements.append(write(inside, to: nil))
                }
            }
            return .l(elements.compactMap { $0 })
        default: return old
        }
    }

    /// The writes below each first step, in the order of indexes.
    private static func grouped(_ writes: Writes) -> [(DocumentPath.Step, Writes)] {
        var order: [DocumentPath.Step] = []
        var groups: [DocumentPath.Step: Writes] = [:]
        for (path, value) in writes {
            if groups[path.first!] == nil { order.append(path.first!) }
            groups[path.first!, default: []].append((path.dropFirst(), value))
        }
        order.sort { if case .index(let a) = $0, case .index(let b) = $1 { a < b } else { false } }
        return order.map { ($0, groups[$0]!) }
    }
}
