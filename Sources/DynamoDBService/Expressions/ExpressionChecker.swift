import AWSProtocol

/// Checks what was read and resolves its placeholders; problems come in the order in which the service finds them.
struct ExpressionChecker {
    /// `UpdateExpression`
    let label: String
    let context: ExpressionContext

    private static let conditionFunctions = [
        "attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2,
    ]
    private static let updateFunctions = ["if_not_exists": 2, "list_append": 2]
    private static let typeNames = "{N,BS,L,B,NULL,M,S,SS,NS,BOOL}"
    private static let anyType =
        "{SS,M,DECIMAL,DOUBLESET,HDS,N,B,DICT,INTSET,BOOL,HD,BS,INT,DECIMALSET,NULL,FLOAT,FS,S,L,NS,DOUBLE}"
    private static let depthMax = 32, operandsOfInMax = 100

    func problem(_ message: String) -> AWSError { .validation("Invalid \(label): \(message)") }

    /// Reads a text, or says what is wrong with it.
    func parse<T>(_ text: String, _ read: (String) throws -> T) throws -> T {
        if text.isEmpty { throw problem("The expression can not be empty;") }
        let size = text.utf8.count
        if size > ExpressionContext.bytesMax {
            throw problem("Expression size has exceeded the maximum allowed size; expression size: \(size)")
        }
        do {
            return try read(text)
        } catch let error as ExpressionSyntaxError {
            throw problem(error.message)
        }
    }

    // MARK: What can be seen without the placeholders

    enum Place { case condition, operand, update }

    /// Reserved words, list indexes, and functions: their names, where they are used, how many operands they have.
    func checkStructure(_ syntax: ExpressionSyntax, _ place: Place) throws {
        let inside = place == .update ? Place.update : .operand
        switch syntax {
        case .value: break
        case .path(let steps): for step in steps { try check(step) }
        case .parentheses(let inner): try checkStructure(inner, place)
        case .and(let a, let b), .or(let a, let b): for each in [a, b] { try checkStructure(each, .condition) }
        case .not(let a): try checkStructure(a, .condition)
        case .comparison(_, let a, let b), .arithmetic(_, let a, let b): for each in [a, b] { try checkStructure(each, inside) }
        case .between(let a, let b, let c): for each in [a, b, c] { try checkStructure(each, inside) }
        case .isIn(let a, let all): for each in [a] + all { try checkStructure(each, inside) }
        case .call(let name, let operands):
            let isCondition = Self.conditionFunctions[name] != nil, isUpdate = Self.updateFunctions[name] != nil
            guard isCondition || isUpdate || name == "size" else { throw problem("Invalid function name; function: \(name)") }
            if place == .update {
                guard isUpdate else { throw problem("The function is not allowed in an update expression; function: \(name)") }
            } else {
                if isUpdate { throw problem("The function is not allowed in a condition expression; function: \(name)") }
                guard isCondition == (place == .condition) else {
                    throw problem("The function is not allowed to be used this way in an expression; function: \(name)")
                }
                try checkCount(name, operands)
            }
            for each in operands { try checkStructure(each, inside) }
        }
    }

    private func check(_ step: ExpressionSyntax.Step) throws {
        switch step {
        case .name(let name):
            if ReservedWords.contains(name) { throw problem("Attribute name is a reserved keyword; reserved keyword: \(name)") }
        case .placeholder: break
        case .index(let digits):
            if Int32(digits) == nil { throw problem("List index is not within the allowable range; index: [\(digits)]") }
        }
    }

    private func checkCount(_ name: String, _ operands: [ExpressionSyntax]) throws {
        guard operands.count == Self.conditionFunctions[name] ?? Self.updateFunctions[name] ?? 1 else {
            throw problem("Incorrect number of operands for operator or function; operator or function: \(name), "
                + "number of operands: \(operands.count)")
        }
    }

    // MARK: Paths

    func path(_ steps: [ExpressionSyntax.Step]) throws -> DocumentPath {
        let path = DocumentPath(try steps.map { step in
            switch step {
            case .name(let name): return .name(name)
            case .index(let digits): return .index(Int(digits) ?? .max)
            case .placeholder(let placeholder):
                guard let name = context.name(placeholder) else {
                    throw problem("An expression attribute name used in the document path is not defined; attribute name: \(placeholder)")
                }
                return .name(name)
            }
        })
        if path.steps.count > Self.depthMax {
            throw problem("The document path has too many nesting levels; nesting levels: \(path.steps.count)")
        }
        return path
    }

    /// No path may be another one or lie inside of it, and none may take for a map what another takes for a list.
    func checkOverlaps(_ paths: [DocumentPath]) throws {
        for (i, second) in paths.enumerated() {
            for first in paths[..<i] {
                let common = zip(first.steps, second.steps).prefix { $0 == $1 }.count
                let what: String
                if common == min(first.steps.count, second.steps.count) {
                    what = "overlap"
                } else {
                    switch (first.steps[common], second.steps[common]) {
                    case (.name, .index), (.index, .name): what = "conflict"
                    default: continue
                    }
                }
                throw problem("Two document paths \(what) with each other; must remove or rewrite one of these paths; "
                    + "path one: \(first.shown), path two: \(second.shown)")
            }
        }
    }

    // MARK: Operands

    func operand(_ syntax: ExpressionSyntax) throws -> ExpressionOperand {
        switch syntax {
        case .parentheses(let inner): return try operand(inner)
        case .path(let steps): return .path(try path(steps))
        case .value(let placeholder):
            guard let value = context.value(placeholder) else {
                throw problem("An expression attribute value used in expression is not defined; attribute value: \(placeholder)")
            }
            return .value(value)
        case .arithmetic(let sign, let a, let b):
            let left = try operand(a), right = try operand(b)
            for each in [left, right] { try checkKind(sign, each) { $0 == .n } }
            return sign == "+" ? .sum(left, right) : .difference(left, right)
        case .call(let name, let operands):
            try checkCount(name, operands)
            let all = try operands.map(operand)
            switch name {
            case "size":
                try checkKind(name, all[0]) { $0 != .n && $0 != .bool && $0 != .null }
                return .size(all[0])
            case "if_not_exists":
                guard let path = all[0].path else { throw needsPath(name) }
                try checkDistinct(name, all)
                return .ifNotExists(path, all[1])
            default:
                for each in all { try checkKind(name, each) { $0 == .l } }
                return .listAppend(all[0], all[1])
            }
        default: throw problem("The function is not allowed to be used this way in an expression; function: \(syntax)")
        }
    }

    private func needsPath(_ name: String) -> AWSError {
        problem("Operator or function requires a document path; operator or function: \(name)")
    }

    private func wrongKind(_ name: String, _ kind: String) -> AWSError {
        problem("Incorrect operand type for operator or function; operator or function: \(name), operand type: \(kind)")
    }

    private func checkKind(_ name: String, _ operand: ExpressionOperand, _ isAllowed: (AttributeValue.Kind) -> Bool) throws {
        if let kind = operand.kind, !isAllowed(kind) { throw wrongKind(name, kind.rawValue) }
    }

    private func checkDistinct(_ name: String, _ operands: [ExpressionOperand]) throws {
        guard let first = operands[0].path, operands.dropFirst().contains(where: { $0.path == first }) else { return }
        throw problem("The first operand must be distinct from the remaining operands for this operator or function; "
            + "operator: \(name), first operand: \(first.shown)")
    }

    // MARK: Conditions

    func condition(_ syntax: ExpressionSyntax) throws -> Condition {
        let isOrdered: (AttributeValue.Kind) -> Bool = { $0 == .s || $0 == .n || $0 == .b }
        switch syntax {
        case .parentheses(let inner): return try condition(inner)
        case .and(let a, let b):
            let left = try condition(a)
            return .and(left, try condition(b))
        case .or(let a, let b):
            let left = try condition(a)
            return .or(left, try condition(b))
        case .not(let a): return .not(try condition(a))
        case .comparison(let sign, let a, let b):
            let left = try operand(a), right = try operand(b)
            try checkDistinct(sign, [left, right])
            let comparator = Comparator(rawValue: sign)!
            if comparator != .equal, comparator != .notEqual { for each in [left, right] { try checkKind(sign, each, isOrdered) } }
            return .comparison(comparator, left, right)
        case .between(let a, let b, let c):
            let all = try [a, b, c].map(operand)
            try checkDistinct("BETWEEN", all)
            for each in all { try checkKind("BETWEEN", each, isOrdered) }
            try checkBounds(all[1], all[2])
            return .between(all[0], all[1], all[2])
        case .isIn(let a, let list):
            let first = try operand(a), all = try list.map(operand)
            if all.count > Self.operandsOfInMax {
                throw problem("The IN operator is provided with too many operands; number of operands: \(all.count)")
            }
            try checkDistinct("IN", [first] + all)
            return .isIn(first, all)
        case .call(let name, let operands): return try function(name, try operands.map(operand))
        case .path, .value, .arithmetic: throw problem("Syntax error; an operand stands where a condition is due")
        }
    }

    private func function(_ name: String, _ operands: [ExpressionOperand]) throws -> Condition {
        if name.hasPrefix("attribute_"), operands[0].path == nil { throw needsPath(name) }
        try checkDistinct(name, operands)
        switch name {
        case "attribute_exists": return .exists(operands[0].path!)
        case "attribute_not_exists": return .not(.exists(operands[0].path!))
        case "attribute_type":
            guard case .value(let value) = operands[1] else { throw wrongKind(name, operands[1].kind?.rawValue ?? Self.anyType) }
            guard case .s(let type) = value else { throw wrongKind(name, value.kind.rawValue) }
            guard let kind = AttributeValue.Kind(rawValue: type) else {
                throw problem("Invalid attribute type name found; type: \(type), valid types: \(Self.typeNames)")
            }
            return .type(operands[0].path!, kind)
        case "begins_with":
            for each in operands { try checkKind(name, each) { $0 == .s || $0 == .b } }
            return .beginsWith(operands[0], operands[1])
        default: return .contains(operands[0], operands[1])
        }
    }

    private func checkBounds(_ low: ExpressionOperand, _ high: ExpressionOperand) throws {
        guard case .value(let low) = low, case .value(let high) = high else { return }
        func shown(_ value: AttributeValue) -> String {
            let content = switch value {
            case .s(let text): text
            case .n(let number): number.description
            case .b(let bytes): "java.nio.HeapByteBuffer[pos=0 lim=\(bytes.count) cap=\(bytes.count)]"
            default: ""
            }
            return "AttributeValue: {\(value.kind.rawValue):\(content)}"
        }
        let bounds = "lower bound operand: \(shown(low)), upper bound operand: \(shown(high))"
        guard low.kind == high.kind else {
            throw problem("The BETWEEN operator requires same data type for lower and upper bounds; \(bounds)")
        }
        if low.compare(high) == 1 {
            throw problem("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \(bounds)")
        }
    }
}
