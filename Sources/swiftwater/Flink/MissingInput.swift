import FlinkExport
import StreamCore
import StreamFormats
import StreamSQL
import Synchronization

/// Stands for a table whose records are not on this machine, so that scripts can be checked and written for another one. It is never read.
struct MissingInput: TableSource {
    let isBounded: Bool
    let changelogMode: ChangelogMode
    private let problem: StreamError

    init(_ table: CatalogTable, _ problem: StreamError) {
        self.problem = problem
        let options = table.descriptor.options
        let end = options["scan.bounded.mode"].map { $0 != "unbounded" }
        isBounded = end ?? (options["connector"] == "filesystem" ? options["source.monitor-interval"] == nil : options["read.streaming.enabled"] != "true" && ["hudi", "delta", "iceberg"].contains(options["connector"] ?? ""))
        changelogMode = (options["value.format"] ?? options["format"]).flatMap { FormatFactory.formats[$0.lowercased()] }?.changelogMode(table.descriptor) ?? .insertOnly
    }

    var producesChanges: Bool { changelogMode != .insertOnly }
    func splits() throws -> [SourceSplit] { throw problem }
    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader { throw problem }
}

/// Checks a script that is not to run here.
enum FlinkSurvey {
    /// - Returns: the checked script, its session, and what was found on the way.
    static func of(_ input: FlinkInput, settings: [String], parallelism: Int? = nil, catalogFile: String?) throws -> (survey: ScriptSurvey, session: SQLSession, findings: Findings) {
        let session = try Engine.session(settings: settings, parallelism: parallelism, catalogFile: catalogFile, scratch: true)
        let missing = Mutex<[(table: String, problem: String)]>([])
        session.catalog.missingInput = { table, error in
            missing.withLock { $0.append((table.name, error.problem)) }
            return MissingInput(table, error)
        }
        let survey = try ScriptSurvey(input.statements, session: session)
        var findings = input.findings
        for (table, problem) in missing.withLock({ $0 }) { findings.note("its input is not here, so the script is checked without it: \(problem)", about: "table \(table)") }
        return (survey, session, findings)
    }
}
