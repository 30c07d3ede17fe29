import ArgumentParser
import FlinkExport
import JobControl
import Foundation
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamSQL

struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Run a topology, script or notebook here and on Flink over the same files, and compare the rows.",
        discussion: """
            DIR has a file (or a folder) named like each table that is read, with records in the table's own format: sensor_data.json. What is
            written, and what queries give, goes to files on both engines; the tables at the end are compared. Status 1 when they differ.
            Flink is one that is installed here (--flink-home, or $FLINK_HOME), alone or as client of the cluster at --rest.
            Examples:
              swiftwater generate sensors --count 1000 --file inputs/sensor_data.json
              swiftwater compare --engine flink Topologies/sensors.yaml --input inputs --flink-home ~/flink-2.2.0
            """)
    @Option(help: "flink.") var engine: OtherEngine
    @Argument(help: "A .yaml topology, a .sql script or a notebook.") var file: String
    @Option(help: "Folder with the records of the tables that are read.") var input: String
    @Flag(help: "Compare the changes too, not only what the tables hold at the end; updates of the same row that come together may be one change here and several on Flink.") var changelog = false
    @Option(help: "Folder of a Flink distribution, or site-packages/pyflink; default $FLINK_HOME.") var flinkHome: String?
    @Option(help: "URL of the JobManager of a cluster that sees this machine's folders; default: Flink runs here, for this comparison alone.") var rest: String?
    @Option(help: "Version of Flink: \(FlinkVersion.all.map(\.description).joined(separator: ", ")).") var flinkVersion = "\(FlinkVersion.all.last!)"
    @Option(help: "How long Flink may take, for example 5min.") var timeout = "10min"
    @Flag(help: "Leave out what has no equal in Flink or no bounded form, and what reads or writes that.") var partial = false
    @Option(help: "Folder for the results and the scripts of both engines; default: they are removed at the end.") var keep: String?
    @Option(name: .customLong("variable"), help: "NAME=VALUE for ${NAME} in the file; may be repeated.") var variables: [String] = []
    @Option(help: "Cells of a notebook by number, range, title or tag; default all.") var cells: String?
    @Option(name: .customLong("set"), help: "A setting as key=value; may be repeated.") var settings: [String] = []
    @OptionGroup var output: StreamCommand.Output
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory

    func run() throws {
        data.apply()
        guard let version = FlinkVersion(flinkVersion) else {
            throw StreamError(.validate, "--flink-version '\(flinkVersion)' is none that scripts are written for", fix: "give one of \(FlinkVersion.all.map(\.description).joined(separator: ", "))")
        }
        guard let limit = Durations.parse(timeout) else { throw StreamError(.validate, "--timeout '\(timeout)' is not a length of time", fix: "write for example 5min") }
        guard let home = flinkHome ?? ProcessInfo.processInfo.environment["FLINK_HOME"] else {
            throw StreamError(.validate, "no Flink is named", fix: "install one (pip install apache-flink-libraries py4j) and give --flink-home DIR, the folder pyflink in its site-packages")
        }
        let runner = try FlinkRunner(home: home, rest: rest, timeout: limit)
        let source = try FlinkInput(file, variables: variables, cells: cells, data: data.path)
        let folder = URL(fileURLWithPath: keep ?? NSTemporaryDirectory() + "swiftwater-compare-\(getpid())").path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: input, isDirectory: &isFolder), isFolder.boolValue else {
            throw StreamError(.validate, "there is no folder \(input)", fix: "make it, with a file of records for each table that is read")
        }
        do {
            // What an earlier comparison left there would be counted with this one's.
            for part in ["swiftwater", "flink", "inputs", "work"] where Host.exists("\(folder)/\(part)") { try FileManager.default.removeItem(atPath: "\(folder)/\(part)") }
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw StreamError(.io, "cannot make folder \(folder): \(error.localizedDescription)", fix: "name one that can be written to")
        }
        defer { if keep == nil { try? FileManager.default.removeItem(atPath: folder) } }

        let form = try boundedForm(source, folder: folder)
        let name = URL(fileURLWithPath: file).lastPathComponent
        try require(form.findings.refusals)
        let theirs = try flinkScript(form, source, version: version, folder: folder)
        let missing = form.findings.refusals + theirs.findings.refusals
        try require(missing)
        for refusal in missing { Terminal.error("left out: \(refusal.what): \(refusal.reason)") }
        let kept = form.results.filter { result in theirs.statements.contains { $0.targets.contains(result.path) } }
        guard !kept.isEmpty else { throw StreamError(.validate, "nothing of \(name) is left to compare", fix: "give it a query or an INSERT that both engines can run") }

        Terminal.error("running \(name) here")
        let began = Clock.monotonicNanoseconds()
        try runHere(form, folder: folder, name: source.name, only: theirs)
        let seconds = Double(Clock.monotonicNanoseconds() - began) / 1e9
        Terminal.error("running \(name) on Flink")
        let flinkSeconds = try runner.run(theirs, scratch: folder)

        let comparisons = try kept.map { result in
            ResultComparison(result, ours: try changes(result, in: folder + "/swiftwater"), theirs: try changes(result, in: folder + "/flink"), comparesChanges: changelog)
        }
        tell(comparisons, seconds: (seconds, flinkSeconds))
        for c in comparisons where c.ours.changes + c.theirs.changes == 0 { Terminal.error("warning: \(c.result.title): neither engine wrote a row, which compares nothing") }
        if comparisons.contains(where: { !$0.isEqual }) { throw ExitCode(1) }
    }

    private func require(_ refusals: [Refusal]) throws {
        guard !partial, let last = refusals.last else { return }
        for refusal in refusals.dropLast() { Terminal.error("error: \(FlinkReport.error(refusal))") }
        throw FlinkReport.error(last, more: "--partial compares without \(refusals.count == 1 ? "it" : "what cannot be compared")")
    }

    // MARK: Scripts

    private func boundedForm(_ source: FlinkInput, folder: String) throws -> BoundedForm {
        let (survey, _, _) = try FlinkSurvey.of(source, settings: settings, catalogFile: catalog.path)
        return try BoundedForm(survey) { table, hasHeader in
            guard let path = try records(of: table) else { return nil }
            let name = URL(fileURLWithPath: path).lastPathComponent
            // Flink leaves out files whose names begin so.
            guard hasHeader || name.hasPrefix("_") || name.hasPrefix(".") else { return path }
            return try copied(path, to: "\(folder)/inputs/\(table)", dropsHeader: hasHeader)
        }
    }

    /// The file or folder of a table.
    private func records(of table: String) throws -> String? {
        let folder = URL(fileURLWithPath: input).path
        let found = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0 == table || $0.hasPrefix(table + ".") && !$0.dropFirst(table.count + 1).contains(".") || $0 == table + ".debezium-json" }.sorted()
        guard found.count < 2 else {
            throw StreamError(.validate, "\(input) has \(found.joined(separator: " and ")) for table \(table)", fix: "leave one of them there")
        }
        return found.first.map { folder + "/" + $0 }
    }

    /// Copies of files that both engines read.
    private func copied(_ path: String, to folder: String, dropsHeader: Bool) throws -> String {
        let manager = FileManager.default
        try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var isFolder: ObjCBool = false
        let files = manager.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
            ? try manager.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") && !$0.hasPrefix("_") }.sorted().map { "\(path)/\($0)" } : [path]
        for file in files {
            let bytes = try Host.read(file), rest = dropsHeader ? bytes.firstIndex(of: 0x0A).map { bytes[($0 + 1)...] } ?? [] : bytes[...]
            try Host.system.replaceFile("\(folder)/in-\(URL(fileURLWithPath: file).lastPathComponent)", Array(rest))
        }
        return folder
    }

    private func flinkScript(_ form: BoundedForm, _ source: FlinkInput, version: FlinkVersion, folder: String) throws -> FlinkScript {
        let statements = try SQLParser(text: form.script(results: folder + "/flink"), file: "the form over files of " + URL(fileURLWithPath: file).lastPathComponent).parseScript()
        let session = try Engine.session(settings: settings)
        // What one statement writes and the next reads is not there yet.
        session.catalog.missingInput = { table, error in MissingInput(table, error) }
        let survey = try ScriptSurvey(statements, session: session)
        // Everybody is on this machine, or sees its folders.
        let target = FlinkTarget(version: version, maps: [(from: "/", to: "file:///")], workingDirectory: FileManager.default.currentDirectoryPath)
        var script = try FlinkExporter(survey, session: session, target: target, findings: source.findings).script(name: source.name)
        // At each row, so that which rows are late does not depend on the clock.
        script.statements.insert(FlinkStatement(.setting, "SET 'pipeline.auto-watermark-interval' = '0 ms'", summary: "SET 'pipeline.auto-watermark-interval'"), at: 0)
        return script
    }

    // MARK: Running

    private func runHere(_ form: BoundedForm, folder: String, name: String, only theirs: FlinkScript) throws {
        let statements = try SQLParser(text: form.script(results: folder + "/swiftwater"), file: "the form over files of " + URL(fileURLWithPath: file).lastPathComponent).parseScript()
        let runner = ScriptRunner(session: try Engine.session(settings: settings))
        runner.placement = JobPlacement(data: folder + "/work", checkpoints: nil, startFrom: nil, allowsNonRestoredState: false, startsAnew: true)
        try runner.run(statements, name: name)
    }

    /// What an engine wrote, read with the types of the columns.
    private func changes(_ result: BoundedForm.Result, in folder: String) throws -> ResultComparison.Changes {
        let columns = result.columns.map { "\(SQLWriter.identifier($0.name)) \(SQLWriter.type($0.type))" }.joined(separator: ", ")
        let collector = ChangeCollector()
        for path in try Self.files(in: "\(folder)/\(result.name)") {
            let text = """
                CREATE TABLE changes (\(columns)) WITH ('connector' = 'filesystem', 'path' = \(SQLWriter.quoted(path)), 'format' = 'debezium-json');
                SELECT * FROM changes;
                """
            let session = try Engine.session()
            for statement in try SQLParser(text: text, file: nil).parseScript() {
                guard case .query(let query) = try session.execute(statement) else { continue }
                var options = JobOptions(workers: 1)
                options.workDirectory = folder + "/reading"
                _ = try JobRunner(try query.jobGraph(into: collector), options: options, recovery: nil).run()
            }
        }
        return collector.changes
    }

    /// The files that jobs made visible in a folder, older ones first: Flink's names have a random part, so that names do not say which of two jobs wrote first.
    private static func files(in folder: String) throws -> [String] {
        guard Host.exists(folder) else { return [] }
        let entries = try FileManager.default.contentsOfDirectory(at: URL(fileURLWithPath: folder), includingPropertiesForKeys: [.contentModificationDateKey, .isRegularFileKey])
        return try entries.filter { !$0.lastPathComponent.hasPrefix(".") && !$0.lastPathComponent.hasPrefix("_") }.compactMap { url -> (Date, String)? in
            let values = try url.resourceValues(forKeys: [.contentModificationDateKey, .isRegularFileKey])
            return values.isRegularFile == true ? (values.contentModificationDate ?? .distantPast, url.path) : nil
        }.sorted { $0 < $1 }.map(\.1)
    }

    // MARK: Result

    private func tell(_ comparisons: [ResultComparison], seconds: (here: Double, flink: Double)) {
        if output.format == .json {
            let results = comparisons.map { c in
                JSON.object([
                    .init("name", .string(c.result.name)), .init("title", .string(c.result.title)), .init("equal", .bool(c.isEqual)),
                    .init("rows", .int(Int64(c.ours.rows))), .init("flinkRows", .int(Int64(c.theirs.rows))),
                    .init("changes", .int(Int64(c.ours.changes))), .init("flinkChanges", .int(Int64(c.theirs.changes))),
                    .init("changelog", c.changelog.map { .string($0.rawValue) } ?? .null), .init("differing", .int(Int64(c.differing))),
                    .init("onlyHere", .array(c.onlyOurs.map(JSON.string))), .init("onlyFlink", .array(c.onlyTheirs.map(JSON.string))),
                ])
            }
            return print(JSON.object([
                .init("equal", .bool(comparisons.allSatisfy(\.isEqual))), .init("seconds", .double(seconds.here)), .init("flinkSeconds", .double(seconds.flink)), .init("results", .array(results)),
            ]).text())
        }
        let columns = ["result", "rows here", "rows on Flink", "differing"] + (changelog ? ["changelog"] : [])
        print(TextTable(columns: columns, alignRight: [false, true, true, true, false], rows: comparisons.map { c in
            [c.result.title, grouped(Int64(c.ours.rows)), grouped(Int64(c.theirs.rows)), grouped(Int64(c.differing))] + (c.changelog.map { [$0.rawValue] } ?? [])
        }).boxed())
        for c in comparisons where c.differing > 0 {
            print("\(c.result.title):")
            for row in c.onlyOurs { print("  only here      \(row)") }
            for row in c.onlyTheirs { print("  only on Flink  \(row)") }
            let shown = c.onlyOurs.count + c.onlyTheirs.count
            if shown < c.differing { print("  and more: \(grouped(Int64(c.differing))) rows differ") }
        }
        Terminal.error(String(format: "%.1f s here, %.1f s on Flink", seconds.here, seconds.flink))
    }
}
