import StreamCore
import StreamSQL
import StreamTesting

/// Statements beside what ``SQLWriter`` makes of them: both must be the same to the parser and to the planner.
public struct WrittenAgain {
    /// What is not the same, as text; empty when all is.
    public private(set) var differences: [String] = []
    public private(set) var statements = 0
    /// How many of them were planned, so that their plans were compared.
    public private(set) var plans = 0
    /// Why statements were refused, as given and as written.
    public private(set) var refusals: [String] = []

    private let given: SQLSession, written: SQLSession
    private let writer = SQLWriter()

    /// - Parameter connectors: called twice, for the statements as given and as written.
    public init(connectors: () throws -> [any TableConnector]) rethrows {
        (given, written) = (Self.session(try connectors()), Self.session(try connectors()))
    }

    private static func session(_ connectors: [any TableConnector]) -> SQLSession {
        SQLSession(catalog: Catalog(connectors: connectors), now: { 1_700_000_000_000 })
    }

    /// For statements on tables of any connector: none of them is opened.
    public init(statements: [Statement]) {
        var identifiers: Set<String> = []
        for case .createTable(let table) in statements.map(\.node) {
            for option in table.options where option.key == "connector" { identifiers.insert(option.value) }
        }
        self.init { identifiers.sorted().map(AnyConnector.init) }
    }

    /// Runs definitions and plans queries in both sessions.
    ///
    /// - Returns: false when both refuse the statement, for the same reason.
    @discardableResult
    public mutating func check(_ statement: Statement) -> Bool {
        statements += 1
        let text = writer.text(statement)
        func differ(_ problem: String) { differences.append("\(problem)\ngiven:\n\(statement.text)\nwritten:\n\(text)\n") }
        let again: Statement
        do { again = try SQLParser(text: text).parseStatement() } catch {
            differ("what was written does not parse: \(error)")
            return true
        }
        let second = writer.text(again)
        if second != text { differ("written once more it is another text:\n\(second)") }
        let trees = (SyntaxDump.of(statement.node), SyntaxDump.of(again.node))
        if trees.0 != trees.1 { differ("the trees differ:\n\(trees.0)\n\(trees.1)") }
        let results = (Self.run(statement, given), Self.run(again, written))
        if case .plan = results.0 { plans += 1 }
        if results.0 != results.1 { differ("the results differ:\n\(results.0)\n\(results.1)") }
        if case .refused(_, let problem) = results.0 {
            refusals.append(problem)
            return false
        }
        return true
    }

    private enum Outcome: Equatable { case done, plan(String), refused(StreamError.Code, String) }

    private static func run(_ statement: Statement, _ session: SQLSession) -> Outcome {
        do {
            switch statement.node {
            case .query, .insert, .statementSet:
                let explain = Statement(.explain(statement, details: []), span: statement.span, text: statement.text, source: statement.source)
                guard case .rows(_, let rows) = try session.execute(explain) else { return .done }
                guard case .string(let text)? = rows.first?.first else { return .done }
                // Chains of AND and of OR may have another shape, which the trees' comparison has looked at, and are then simplified otherwise.
                let abstract = text.split(separator: "== Optimized").first ?? ""
                return .plan(abstract.filter { $0 != "(" && $0 != ")" })
            case .createTable(var table):
                // What is known of broken records is a connector's own.
                table.options.removeAll { BadInput.optionKeys.contains($0.key) }
                _ = try session.execute(Statement(.createTable(table), span: statement.span, text: statement.text, source: statement.source))
                return .done
            default:
                _ = try session.execute(statement)
                return .done
            }
        } catch let error as StreamError {
            return .refused(error.code, error.problem)
        } catch {
            return .refused(.runtime, "\(error)")
        }
    }
}

/// Takes every table with every option, and has no rows.
private struct AnyConnector: TableConnector {
    let identifier: String

    func optionKeys(for table: TableDescriptor) -> Set<String> { Set(table.options.keys) }
    func validate(_ table: TableDescriptor) throws {}
    func metadataKeys(for table: TableDescriptor) -> [String: DataType] { Dictionary(table.metadata.map { ($0.key, $0.type) }) { $1 } }
    func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource { Empty() }
    func writableMetadataKeys(for table: TableDescriptor) -> Set<String> { Set(table.metadata.map(\.key)) }
    func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink { CollectingSink() }

    struct Empty: TableSource {
        var isBounded: Bool { true }
        var producesChanges: Bool { false }
        func splits() throws -> [SourceSplit] { [] }
        func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader { throw StreamError(.runtime, "nothing is read here") }
    }
}

/// Syntax trees as text without places and without what the parser keeps of the text; chains of AND and of OR are flat.
public enum SyntaxDump {
    public static func of(_ value: Any) -> String {
        if let expr = value as? SyntaxExpr {
            if case .binary(let op, _, _) = expr.node, op == "AND" || op == "OR" { return "\(op)[\(terms(op, expr).joined(separator: ", "))]" }
            return of(expr.node)
        }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .optional: return mirror.children.first.map { of($0.value) } ?? "nil"
        case .collection: return "[" + mirror.children.map { of($0.value) }.joined(separator: ", ") + "]"
        case .dictionary, .set: return "[" + mirror.children.map { of($0.value) }.sorted().joined(separator: ", ") + "]"
        case .struct: return "(" + members(mirror, leavingOut: ["span", "text", "source", "expressionText", "watermarkText", "frame"]) + ")"
        case .tuple: return "(" + members(mirror, leavingOut: ["span"]) + ")"
        case .enum:
            guard let payload = mirror.children.first else { return "\(value)" }
            if payload.value is SourceSpan { return payload.label ?? "" }
            // The text of a view's query stands beside its tree.
            let inner = Mirror(reflecting: payload.value)
            let isView = payload.label == "alterView"
            let text = inner.displayStyle == .tuple ? "(" + members(inner, leavingOut: isView ? ["span", "text"] : ["span"]) + ")" : of(payload.value)
            return (payload.label ?? "") + text
        default: return "\(value)"
        }
    }

    private static func members(_ mirror: Mirror, leavingOut names: Set<String>) -> String {
        mirror.children.compactMap { child in
            if names.contains(child.label ?? "") || child.value is SourceSpan { return nil }
            if child.label == "asQuery", let query = Mirror(reflecting: child.value).children.first.map({ Mirror(reflecting: $0.value).children.first!.value }) {
                return "asQuery: " + of(query)
            }
            return "\(child.label ?? ""): \(of(child.value))"
        }.joined(separator: ", ")
    }

    private static func terms(_ op: String, _ expr: SyntaxExpr) -> [String] {
        if case .binary(op, let a, let b) = expr.node { terms(op, a) + terms(op, b) } else { [of(expr)] }
    }
}
