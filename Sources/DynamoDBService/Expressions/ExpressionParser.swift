/// An expression as it is written, placeholders unresolved.
indirect enum ExpressionSyntax {
    case path([Step])
    case value(String)
    case call(String, [ExpressionSyntax])
    case parentheses(ExpressionSyntax)
    case comparison(String, ExpressionSyntax, ExpressionSyntax)
    case between(ExpressionSyntax, ExpressionSyntax, ExpressionSyntax)
    case isIn(ExpressionSyntax, [ExpressionSyntax])
    case and(ExpressionSyntax, ExpressionSyntax)
    case or(ExpressionSyntax, ExpressionSyntax)
    case not(ExpressionSyntax)
    /// `+` or `-` of an update.
    case arithmetic(String, ExpressionSyntax, ExpressionSyntax)

    enum Step {
        case name(String)
        case placeholder(String)
        /// Digits.
        case index(String)
    }

    /// Without parentheses around it.
    var inner: ExpressionSyntax { if case .parentheses(let inner) = self { inner.inner } else { self } }

    var steps: [Step]? { if case .path(let steps) = inner { steps } else { nil } }
}

/// One action of an update expression as it is written.
struct UpdateActionSyntax {
    var section: String
    var path: ExpressionSyntax
    /// nil for REMOVE.
    var value: ExpressionSyntax?
}

/// Why an expression cannot be read, in the service's words but without the expression's name.
struct ExpressionSyntaxError: Error {
    var message: String
    /// The token at which reading stopped; nil for what is no matter of tokens.
    var token: Int?
}

/// Recursive descent over the tokens of one expression.
struct ExpressionParser {
    private let tokens: ExpressionTokens
    private var at = 0
    private var depth = 0

    /// Parentheses, negations and calls inside of each other.
    static let depthMax = 150

    init(_ text: String) { tokens = ExpressionTokens(text) }

    static func condition(_ text: String) throws -> ExpressionSyntax {
        var parser = ExpressionParser(text)
        let condition = try parser.disjunction()
        try parser.expectEnd()
        return condition
    }

    static func projection(_ text: String) throws -> [ExpressionSyntax] {
        var parser = ExpressionParser(text)
        var paths = [try parser.path()]
        while parser.take(",") { paths.append(try parser.path()) }
        try parser.expectEnd()
        return paths
    }

    /// The actions of each section, in the order of the text.
    static func update(_ text: String) throws -> [[UpdateActionSyntax]] {
        var parser = ExpressionParser(text)
        var sections: [[UpdateActionSyntax]] = []
        repeat { sections.append(try parser.section()) } while parser.tokens.all[parser.at].kind != .end
        return sections
    }

    // MARK: Tokens

    private var kind: ExpressionToken.Kind { tokens.all[at].kind }

    private func fail(_ index: Int? = nil) -> ExpressionSyntaxError {
        ExpressionSyntaxError(message: tokens.problem(at: index ?? at), token: index ?? at)
    }

    private func expectEnd() throws { if kind != .end { throw fail() } }

    private mutating func take(_ sign: String) -> Bool {
        guard kind == .sign(sign) else { return false }
        at += 1
        return true
    }

    private mutating func takeKeyword(_ word: String) -> Bool {
        guard kind == .keyword(word) else { return false }
        at += 1
        return true
    }

    private mutating func expect(_ sign: String) throws { if !take(sign) { throw fail() } }

    private mutating func takeText() -> String {
        defer { at += 1 }
        return tokens.text(tokens.all[at].range)
    }

    private mutating func nested<T>(_ body: (inout Self) throws -> T) throws -> T {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else {
            throw ExpressionSyntaxError(message: "The expression is nested too deeply; levels: more than \(Self.depthMax)", token: nil)
        }
        return try body(&self)
    }

    // MARK: Conditions

    private mutating func disjunction() throws -> ExpressionSyntax {
        var left = try conjunction()
        while takeKeyword("OR") { left = .or(left, try conjunction()) }
        return left
    }

    private mutating func conjunction() throws -> ExpressionSyntax {
        var left = try negation()
        while takeKeyword("AND") { left = .and(left, try negation()) }
        return left
    }

    private mutating func negation() throws -> ExpressionSyntax {
        guard takeKeyword("NOT") else { return try primary() }
        return .not(try nested { try $0.negation() })
    }

    /// A parenthesis may hold a condition or an operand; the reading that comes further tells the error.
    private mutating func primary() throws -> ExpressionSyntax {
        guard kind == .sign("(") else { return try comparison() }
        let start = at
        do {
            at += 1
            let inner = try nested { try $0.disjunction() }
            try expect(")")
            return try Self.parentheses(inner)
        } catch let first as ExpressionSyntaxError {
            guard let reached = first.token else { throw first }
            at = start
            do {
                return try comparison()
            } catch let second as ExpressionSyntaxError {
                guard let other = second.token else { throw second }
                throw other > reached ? second : first
            }
        }
    }

    private static func parentheses(_ inner: ExpressionSyntax) throws -> ExpressionSyntax {
        if case .parentheses = inner { throw ExpressionSyntaxError(message: "The expression has redundant parentheses;", token: nil) }
        return .parentheses(inner)
    }

    private mutating func comparison() throws -> ExpressionSyntax {
        let first = try operand()
        switch kind {
        case .sign(let sign) where ["=", "<>", "<", "<=", ">", ">="].contains(sign):
            at += 1
            return .comparison(sign, first, try operand())
        case .keyword("BETWEEN"):
            at += 1
            let low = try operand()
            guard takeKeyword("AND") else { throw fail() }
            return .between(first, low, try operand())
        case .keyword("IN"):
            at += 1
            try expect("(")
            let all = try operands()
            return .isIn(first, all)
        default:
            guard case .call = first else { throw fail() }
            return first
        }
    }

    /// Up to the closing parenthesis.
    private mutating func operands() throws -> [ExpressionSyntax] {
        var all = [try nested { try $0.operand() }]
        while take(",") { all.append(try nested { try $0.operand() }) }
        try expect(")")
        return all
    }

    private mutating func operand() throws -> ExpressionSyntax {
        switch kind {
        case .valuePlaceholder: return .value(takeText())
        case .sign("("):
            at += 1
            let inner = try nested { try $0.operand() }
            try expect(")")
            return try Self.parentheses(inner)
        case .name where tokens.all[at + 1].kind == .sign("("):
            let name = takeText()
            at += 1
            return .call(name, try operands())
        default: return try path()
        }
    }

    private mutating func path() throws -> ExpressionSyntax {
        var steps = [try name()]
        while true {
            if take(".") {
                steps.append(try name())
            } else if take("[") {
                guard kind == .integer else { throw fail() }
                steps.append(.index(takeText()))
                try expect("]")
            } else {
                return .path(steps)
            }
        }
    }

    private mutating func name() throws -> ExpressionSyntax.Step {
        switch kind {
        case .name: .name(takeText())
        case .namePlaceholder: .placeholder(takeText())
        default: throw fail()
        }
    }

    // MARK: Updates

    private mutating func section() throws -> [UpdateActionSyntax] {
        guard case .keyword(let word) = kind, ["SET", "REMOVE", "ADD", "DELETE"].contains(word) else { throw fail() }
        at += 1
        var actions = [try action(word)]
        while take(",") { actions.append(try action(word)) }
        return actions
    }

    private mutating func action(_ section: String) throws -> UpdateActionSyntax {
        let path = try path()
        var value: ExpressionSyntax?
        switch section {
        case "SET":
            try expect("=")
            value = try assigned()
        case "REMOVE": break
        default:
            guard kind == .valuePlaceholder else { throw fail() }
            value = .value(takeText())
        }
        return UpdateActionSyntax(section: section, path: path, value: value)
    }

    private mutating func assigned() throws -> ExpressionSyntax {
        let start = at
        let left: ExpressionSyntax
        do {
            left = try operand()
        } catch let first as ExpressionSyntaxError {
            // A sum may stand in parentheses as a whole.
            at = start
            guard let reached = first.token, take("(") else { throw first }
            do {
                let sum = try nested { try $0.assigned() }
                try expect(")")
                return sum
            } catch let second as ExpressionSyntaxError { throw (second.token ?? .max) > reached ? second : first }
        }
        for sign in ["+", "-"] where take(sign) { return .arithmetic(sign, left, try operand()) }
        return left
    }
}
