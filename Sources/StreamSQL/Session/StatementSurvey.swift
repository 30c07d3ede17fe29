import StreamCore
import StreamExpressions
import StreamOperators
import StreamRuntime

/// Which tables a statement reads and writes, and what it would run as. Nothing is run.
public struct StatementSurvey: Sendable {
    public struct Write: Sendable {
        public var table: CatalogTable
        /// Rows that were written are updated or deleted later.
        public var isUpdating: Bool
    }
    /// Each table once, those behind views too.
    public var reads: [CatalogTable] = []
    public var writes: [Write] = []
    /// Of INSERTs.
    public var graph: JobGraph?
    /// Of a SELECT.
    public var query: PlannedQuery?
    /// What any other statement gave: it was executed.
    public var result: StatementResult?
    /// Optimised plans of queries and INSERTs.
    public var plans: [LogicalPlan] = []
    /// What CREATE TABLE made, with what LIKE and AS SELECT gave it.
    public var created: CatalogTable?
    /// What AS SELECT comes to.
    public var inserted: Insert?
}

extension SQLSession {
    /// Plans a SELECT, an INSERT or a statement set; executes anything else.
    ///
    /// - Throws: as ``execute(_:)`` does.
    public func survey(_ statement: Statement) throws -> StatementSurvey {
        let script = ScriptText(of: statement)
        var survey = StatementSurvey()
        func inserts(_ inserts: [Insert]) throws {
            let context = try context(script)
            let bound = try inserts.map { try InsertBinder(context).bind($0) }
            let planned = try planner(script).jobGraph(bound, context)
            survey.graph = planned.graph
            survey.plans = planned.optimized
            survey.reads = planned.plans.flatMap { $0.tables }.unique
            survey.writes = zip(bound, planned.changelogs).map { .init(table: $0.table, isUpdating: !$1.node.modifications.isInsertOnly) }
        }
        try UserAggregates.$current.withValue(userAggregates) {
            try script.locating(statement.span) {
                switch statement.node {
                case .insert(let insert): try inserts([insert])
                case .statementSet(let all): try inserts(all)
                case .query(let query):
                    let planned = try planned(query, script)
                    (survey.query, survey.plans, survey.reads) = (planned, [planned.optimizedPlan], planned.plan.tables.unique)
                case .createTable(let create):
                    let given = try create.asQuery.map { try QueryBinder(try context(script)).bind($0.query, isOutermost: true).uniquelyNamed.columns.map(\.name) }
                    survey.result = try execute(statement)
                    if case .table(let table)? = try catalog.entry(try catalog.path(of: create.name, script)) { survey.created = table }
                    if let (query, _) = create.asQuery {
                        let insert = Insert(target: create.name, columns: given, query: query, span: create.span)
                        try inserts([insert])
                        survey.inserted = insert
                    }
                default: survey.result = try execute(statement)
                }
            }
        }
        return survey
    }
}

extension SQLSession {
    /// What a statement's name stands for; nil = nothing.
    public func entry(named name: QualifiedName, in statement: Statement) throws -> Catalog.Entry? {
        try catalog.entry(try catalog.path(of: name, ScriptText(of: statement)))
    }

    /// The columns that an INSERT's query goes to, in its order, and whether only a cast that may fail makes its values fit.
    public func columns(of insert: Insert, in statement: Statement) throws -> [(name: String, type: DataType, isNarrowed: Bool)] {
        let script = ScriptText(of: statement)
        return try UserAggregates.$current.withValue(userAggregates) { try script.locating(statement.span) { try InsertBinder(try context(script)).columns(insert) } }
    }

    /// The full name that a statement's name stands for.
    public func path(of name: QualifiedName, in statement: Statement) throws -> ObjectPath { try catalog.path(of: name, ScriptText(of: statement)) }
}

extension LogicalPlan {
    /// The tables that it reads, as often as it does.
    fileprivate var tables: [CatalogTable] {
        let own: [CatalogTable] =
            switch self {
            case .scan(let scan): [scan.table]
            case .step(let step, _): (step as? LookupJoin).map { [$0.table] } ?? []
            default: []
            }
        return own + inputs.flatMap(\.tables)
    }
}

extension [CatalogTable] {
    fileprivate var unique: [CatalogTable] {
        var seen = Set<ObjectPath>()
        return filter { seen.insert($0.path).inserted }
    }
}
