import StreamCore
import StreamSQL

/// A script whose statements have been checked one after another: names, types, options, plans. Nothing of it has run.
public struct ScriptSurvey: Sendable {
    public struct Step: Sendable {
        /// INSERTs that run as one job are one statement set.
        public var statement: Statement
        public var survey: StatementSurvey
        /// Where its names are looked for.
        public var namespace: Namespace
        /// It is to run as a batch.
        public var isBatch: Bool
        /// Of each INSERT, and of the one that AS SELECT comes to.
        public var inserts: [InsertFacts] = []
        /// The query's ORDER BY begins with its time attribute.
        public var isOrderedByTime = false
        /// Tables and views that it names and that an earlier session has left in the catalog, in the order in which they need each other.
        public var found: [Catalog.Entry] = []
    }
    /// What an INSERT was found to do where it stands.
    public struct InsertFacts: Sendable {
        public var columns: [(name: String, type: DataType, isNarrowed: Bool)]
        public var isOrderedByTime: Bool
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
        var inserts: [Insert] = [], first: Statement?, known = Set<ObjectPath>(), reads = Set<ObjectPath>()
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
            let namespace = session.catalog.current
            let isBatch = session.settings.values["execution.runtime-mode"]?.lowercased() == "batch"
            // What views and EXPLAIN name is needed, whoever reads it.
            switch statement.node {
            case .createView, .explain, .catalog(.alterView):
                for name in SyntaxWalk.tables(in: statement) { if case .table(let table)? = try? session.entry(named: name, in: statement) { reads.insert(table.path) } }
            default: break
            }
            var step = Step(statement: statement, survey: try session.survey(statement), namespace: namespace, isBatch: isBatch, found: found)
            func ordered(_ query: Query) throws -> Bool {
                guard !query.orderBy.isEmpty, query.limit == nil else { return false }
                return try session.survey(Statement(.query(query), span: query.span, text: statement.text, source: statement.source)).query?.isOrderedByTime == true
            }
            func facts(_ insert: Insert) throws -> InsertFacts { InsertFacts(columns: try session.columns(of: insert, in: statement), isOrderedByTime: try ordered(insert.query)) }
            switch statement.node {
            case .insert(let insert): step.inserts = [try facts(insert)]
            case .statementSet(let inserts): step.inserts = try inserts.map(facts)
            case .createTable: step.inserts = try step.survey.inserted.map { [try facts($0)] } ?? []
            case .query(let query): step.isOrderedByTime = try ordered(query)
            default: break
            }
            if let table = step.survey.created { known.insert(table.path) }
            if case .createView(let view) = statement.node { known.insert(step.path(of: view.name)) }
            steps.append(step)
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
        self.reads = reads
        for step in steps {
            self.reads.formUnion(step.survey.reads.map(\.path))
            for write in step.survey.writes { writes[write.table.path] = writes[write.table.path] == true || write.isUpdating }
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

extension ScriptSurvey.Step {
    /// The full name that a name of the statement stands for.
    public func path(of name: QualifiedName) -> ObjectPath {
        let parts = name.parts, last = parts.last ?? ""
        return switch parts.count {
        case 0, 1: ObjectPath(namespace, last)
        case 2: ObjectPath(catalog: namespace.catalog, database: parts[0], name: last)
        default: ObjectPath(catalog: parts[0], database: parts[1], name: last)
        }
    }
}
