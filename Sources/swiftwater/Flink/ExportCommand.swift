import ArgumentParser
import FlinkExport
import Foundation
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
        let session = try Engine.session(settings: settings, catalogFile: catalog.path, scratch: true)
        let survey = try ScriptSurvey(input.statements, session: session)
        let exporter = FlinkExporter(survey, session: session, target: try targetOptions.target(), findings: input.findings)
        let script = try exporter.script(name: input.name, description: input.description)
        try FlinkReport.require(script, file: file, partial: partial, format: output.format)
        let name = script.name.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? String($0) : "_" }.joined() + ".sql"
        if let directory {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try Host.system.replaceFile("\(directory)/\(name)", Array(script.text.utf8))
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
