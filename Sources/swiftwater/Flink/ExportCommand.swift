import ArgumentParser
import FlinkExport
import Foundation
import ShardLog
import StreamCore
import struct StreamCore.Host
import StreamSQL

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a topology, script or notebook for another engine: one Flink SQL script.",
        discussion: """
            What has no equal in Flink is named with its reason and what to do instead, and nothing is written unless --partial leaves it out.
            Examples:
              swiftwater export --engine flink Topologies/sensors.yaml --map swiftwater-data=s3://bucket/sensors -o flink
              swiftwater export --engine flink Topologies/orders.yaml --map swiftwater-data=/mnt/shared --kinesis-endpoint http://10.0.0.5:4566
            """)
    @Option(help: "flink.") var engine: OtherEngine
    @Argument(help: "A .yaml topology, a .sql script or a notebook.") var file: String
    @Option(name: .customShort("o"), help: "Folder for NAME.sql and README.md; default: the script goes to standard output.") var directory: String?
    @OptionGroup var targetOptions: FlinkTargetOptions
    @Option(help: "Folder that what streams of the built-in log hold now is written to, for Flink to read in their place.") var files: String?
    @Option(help: "Savepoint or checkpoint of a stopped job: Flink starts reading where it ended.") var fromSavepoint: String?
    @Flag(help: "Leave out what has no equal in Flink, and what reads or writes that.") var partial = false
    @Option(name: .customLong("variable"), help: "NAME=VALUE for ${NAME} in the file; may be repeated.") var variables: [String] = []
    @Option(help: "Cells of a notebook by number, range, title or tag; default all.") var cells: String?
    @Option(name: .customLong("set"), help: "A setting as key=value; may be repeated.") var settings: [String] = []
    @OptionGroup var output: StreamCommand.Output
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory

    func run() throws {
        data.apply()
        let input = try FlinkInput(file, variables: variables, cells: cells, data: data.path)
        let script = try script(input)
        try FlinkReport.require(script, file: file, partial: partial, format: output.format)
        let name = script.name.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? String($0) : "_" }.joined() + ".sql"
        if let directory {
            do {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            } catch {
                throw StreamError(.io, "cannot make folder \(directory): \(error.localizedDescription)", fix: "name one that can be written to, with -o")
            }
            let path = "\(directory)/\(name)"
            try Host.system.replaceFile(path, Array(script.text.utf8))
            if let secret = script.secretOption {
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
                Terminal.error("note: \(path) has the value of '\(secret)' in it, and can be read by you alone: keep it out of version control")
            }
            try Host.system.replaceFile("\(directory)/README.md", Array(script.readme(scriptName: name).utf8))
        }
        if output.format == .json { return print(FlinkReport.json(script, path: directory.map { "\($0)/\(name)" }).text()) }
        FlinkReport.tell(script)
        if let directory {
            Terminal.error("wrote \(directory)/\(name) and \(directory)/README.md")
        } else {
            Terminal.write(script.text)
        }
    }
}

extension ExportCommand {
    private func script(_ input: FlinkInput) throws -> FlinkScript {
        var (survey, session, findings) = try FlinkSurvey.of(input, settings: settings, catalogFile: catalog.path)
        var lost: [String] = []
        let target = try targetOptions.target(), tables = FlinkExporter(survey, session: session, target: target).sourceTables
        var streams: [String: String] = [:], start: [String: [String: String]] = [:]
        if let files { streams = try FlinkFiles.write(tables, into: files) }
        if let fromSavepoint {
            let settings = survey.settings
            func milliseconds(_ key: String) -> Int64? { settings.values[key].flatMap(Durations.parse).map { Int64($0 / .milliseconds(1)) } }
            let positions = try StartPositions(
                savepoint: fromSavepoint, graphs: survey.steps.compactMap(\.survey.graph), tables: tables.filter(\.isRead), stateTTL: settings.stateTTL.map { Int64($0 / .milliseconds(1)) },
                lateness: milliseconds("table.exec.emit.allow-lateness") ?? 0, arrivalTime: FlinkFiles.arrival, findings: &findings)
            (start, lost) = (positions.options, positions.rebuild.map(\.text))
            for table in tables where table.isRead && !positions.covered.contains(table.path) && survey.steps.count(where: { $0.survey.graph != nil }) > 1 {
                findings.refuse("table \(table.name)", reason: "\(fromSavepoint) is of another job of the script, and says nothing of where reading it goes on",
                                instead: "export the jobs one by one, each with its own savepoint", at: table.location)
            }
            for (table, read) in positions.files.sorted(by: { $0.key < $1.key }) where !read.isEmpty {
                findings.note("read to the end already, and to be moved out of the folder before Flink starts: \(read.joined(separator: ", "))", about: "table \(table)")
            }
        }
        var exporter = FlinkExporter(survey, session: session, target: target, findings: findings)
        (exporter.startOptions, exporter.files) = (start, streams)
        var script = try exporter.script(name: input.name, description: input.description)
        script.lostState = lost
        return script
    }
}

/// What the built-in log knows of its streams, for an engine that does not read it.
enum FlinkFiles {
    /// Writes the records of all streams of the log that are read, a line each.
    ///
    /// - Returns: the file of each table.
    static func write(_ tables: [SourceTable], into folder: String) throws -> [String: String] {
        var files: [String: String] = [:]
        for table in tables where table.connector == "kinesis" && table.isRead && !table.isWritten && table.declaration.options["aws.endpoint"] == nil {
            guard let log = try log(of: table), let stream = stream(of: table) else { continue }
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let path = "\(folder)/\(table.name).\(table.declaration.options["format"] ?? "json")"
            var lines: [UInt8] = []
            for shard in try log.info(stream).shards {
                let reader = try log.reader(stream, shard: shard.id, position: .trimHorizon)
                while let chunk = try reader.read() {
                    for i in 0..<chunk.count {
                        guard !chunk.data(i).contains(0x0A) else {
                            throw StreamError(.validate, "record \(chunk.sequence(i)) of stream \(stream) has more than one line, and a file of records has one for each", fix: "let Flink read the stream, with --kinesis-endpoint")
                        }
                        lines += chunk.data(i)
                        lines.append(0x0A)
                    }
                }
            }
            try Host.system.replaceFile(path, lines)
            files[table.name] = path
        }
        return files
    }

    /// When a record arrived; nil when the log is not here any more, or the record is not in it.
    static func arrival(_ table: SourceTable, _ shard: String, _ sequence: String) -> Int64? {
        guard let number = try? SequenceNumber(parsing: sequence), let log = try? log(of: table), let stream = stream(of: table),
            let reader = try? log.reader(stream, shard: number.shard, position: .at(number)), let chunk = try? reader.read(), chunk.count > 0 else { return nil }
        return chunk.sequence(0) == number ? chunk.timestamp(0) : nil
    }

    private static func stream(of table: SourceTable) -> String? {
        let options = table.declaration.options
        return options["stream"] ?? options["stream.arn"].flatMap { $0.split(separator: "/").last.map(String.init) }
    }

    private static func log(of table: SourceTable) throws -> ShardLog? {
        let directory = table.declaration.options["log.directory"] ?? ProcessInfo.processInfo.environment["SWIFTWATER_DATA"] ?? "swiftwater-data"
        return Host.exists(directory) ? try ShardLog(directory: directory) : nil
    }
}

/// Says what came of an export.
enum FlinkReport {
    /// Ends the command when something is refused.
    static func require(_ script: FlinkScript, file: String, partial: Bool, format: StreamCommand.Output.Format) throws {
        let refusals = script.findings.refusals
        if partial || refusals.isEmpty { return }
        if format == .json { print(json(script, path: nil).text()) }
        for refusal in refusals.dropLast() { Terminal.error("error: \(error(refusal))") }
        throw error(refusals.last!, more: refusals.count > 1 ? "\(refusals.count) parts of \(file) have no equal in Flink; --partial leaves them out" : "--partial leaves it out")
    }

    static func error(_ refusal: Refusal, more: String? = nil) -> StreamError {
        var error = StreamError(.plan, "\(refusal.what): \(refusal.reason)", fix: refusal.instead + (more.map { ". \($0)" } ?? ""))
        error.location = refusal.location
        return error
    }

    static func tell(_ script: FlinkScript) {
        for refusal in script.findings.refusals { Terminal.error("left out: \(refusal.location.map { "\($0): " } ?? "")\(refusal.what): \(refusal.reason). Instead: \(refusal.instead)") }
        for note in script.findings.notes { Terminal.error("note: \(note.about): \(note.text)") }
        for jar in script.findings.jars { Terminal.error("needs: \(jar.coordinates) (\(jar.reason))" + (jar.remark.map { ": \($0)" } ?? "")) }
        for state in script.lostState { Terminal.error("state: \(state)") }
    }

    static func json(_ script: FlinkScript, path: String?) -> JSON {
        func text(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
        return .object([
            .init("name", .string(script.name)), .init("flinkVersion", .string("\(script.version)")), .init("file", text(path)),
            .init("script", .string(script.text)),
            .init("statements", .array(script.statements.map { .object([.init("kind", .string($0.kind.rawValue)), .init("summary", .string($0.summary)), .init("text", .string($0.text)), .init("location", text($0.location.map { "\($0)" }))]) })),
            .init("refusals", .array(script.findings.refusals.map { .object([.init("what", .string($0.what)), .init("reason", .string($0.reason)), .init("instead", .string($0.instead)), .init("location", text($0.location.map { "\($0)" }))]) })),
            .init("notes", .array(script.findings.notes.map { .object([.init("about", .string($0.about)), .init("text", .string($0.text))]) })),
            .init("jars", .array(script.findings.jars.map { .object([.init("coordinates", .string($0.coordinates)), .init("reason", .string($0.reason)), .init("remark", text($0.remark))]) })),
            .init("lostState", .array(script.lostState.map(JSON.string))),
        ])
    }
}
