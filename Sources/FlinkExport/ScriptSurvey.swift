import StreamCore
import StreamSQL

/// A script whose statements have been checked one after another: names, types, options, plans. Nothing of it has run.
public struct ScriptSurvey: Sendable {
    public struct Step: Sendable {
        /// INSERTs that run as one job are one statement set.
        public var statement: Statement
        public var survey: StatementSurvey
        /// Tables and views that it names and that an earlier session has left in the catalog, in the order in which they need each other.
        public var found: [Catalog.Entry] = []
    }
    public private(set) var steps: [Step] = []
    public private(set) var reads: Set<ObjectPath> = []
    /// Tables that are written, and whether rows in them are updated or deleted.
    public private(set) var writes: [ObjectPath: Bool] = [:]
    /// The settings at the end.
    public private(set) var settings: SessionSettings
    /// What was set before the script began, such as on the command line.
    public let given: [String: String]

    /// - Throws: the first error of the script, with its place.
    public init(_ statements: [Statement], session: SQLSession) throws {
        settings = session.settings
        given = session.settings.values
        var inserts: [Insert] = [], first: Statement?, known = Set<ObjectPath>()
        func flush(_ steps: inout [Step]) throws {
            guard var statement = first else { return }
            if inserts.count > 1 { statement.node = .statementSet(inserts) }
            (inserts, first) = ([], nil)
            try take(statement, &steps)
        }
        func take(_ statement: Statement, _ steps: inout [Step]) throws {
            var found: [Catalog.Entry] = []
            switch statement.node {
            case .insert, .statementSet, .query, .createView, .createTable: try Self.definitions(of: statement, session, &known, &found)
            default: break
            }
            let survey = try session.survey(statement)
            if let table = survey.created { known.insert(table.path) }
            if case .createView(let view) = statement.node { known.insert(try session.path(of: view.name, in: statement)) }
            steps.append(Step(statement: statement, survey: survey, found: found))
        }
        var steps: [Step] = []
        for statement in statements {
            if case .insert(let insert) = statement.node, !insert.overwrite, session.settings.values["table.dml-sync"] != "true" {
                inserts.append(insert)
                first = first ?? statement
                continue
            }
            try flush(&steps)
            if case .quit = statement.node { break }
            try take(statement, &steps)
        }
        try flush(&steps)
        for step in steps {
            reads.formUnion(step.survey.reads.map(\.path))
            for write in step.survey.writes { writes[write.table.path] = writes[write.table.path] == true || write.isUpdating }
            if let table = step.survey.created, case .createTable(let create) = step.statement.node, create.asQuery != nil { writes[table.path] = writes[table.path] ?? false }
        }
        self.steps = steps
        settings = session.settings
    }

    /// What a statement names and no statement before has made, the innermost first.
    private static func definitions(of statement: Statement, _ session: SQLSession, _ known: inout Set<ObjectPath>, _ found: inout [Catalog.Entry]) throws {
        var names = SyntaxWalk.tables(in: statement)
        switch statement.node {
        case .insert(let insert): names.append(insert.target)
        case .statementSet(let inserts): names += inserts.map(\.target)
        case .createTable(let create): names += create.like.map { [$0.source] } ?? []
        default: break
        }
        for name in names {
            guard let path = try? session.path(of: name, in: statement), !known.contains(path), let entry = try session.entry(named: name, in: statement) else { continue }
            known.insert(path)
            if case .view(let view) = entry {
                let inner = Statement(.query(view.query), span: view.query.span, text: view.declaration.query, source: nil)
                try definitions(of: inner, session, &known, &found)
            }
            found.append(entry)
        }
    }
}
