import Alerts
import Foundation
import StreamCore
import StreamSQL

/// What a job does, from one file: a YAML topology, or a script of SQL statements.
///
/// Both come down to the same list of statements, to be run in order by one session. All that a YAML pipeline writes is in
/// its last statement, so that it runs as one job.
public struct Topology: Sendable {
    public var name: String
    public var description: String?
    public var file: String?
    /// Errors found later in these statements name the line and column of the file.
    public var statements: [Statement]
    /// Those of `delivery-streams:`; what ``statements`` write is theirs too.
    public var deliveryStreams: [DeliveryStream]
    /// ``statements`` without what delivery streams do, for where those run as jobs of their own; empty without a pipeline.
    public var pipelineStatements: [Statement]
    /// Those of `replications:`; each table of theirs is a job of its own. ``statements`` are settings only then.
    public var replications: [Replication] = []
    /// Those of `alerts:`. Rules over queries are among ``statements``; for rules over metrics there is `AlertEvaluator`.
    public var alerts: [AlertRule] = []

    /// - Parameter pipelineStatements: nil = `statements`.
    public init(name: String, description: String? = nil, file: String? = nil, statements: [Statement], deliveryStreams: [DeliveryStream] = [],
                pipelineStatements: [Statement]? = nil) {
        self.name = name
        self.description = description
        self.file = file
        self.statements = statements
        self.deliveryStreams = deliveryStreams
        self.pipelineStatements = pipelineStatements ?? statements
    }

    /// Reads `*.yaml`, `*.yml` or `*.sql`.
    ///
    /// - Parameter variables: what `${NAME}` in the file stands for.
    /// - Throws: `.io` when the file cannot be read; otherwise ``StreamError`` with its place in the file.
    public static func load(path: String, variables: [String: String] = ProcessInfo.processInfo.environment) throws -> Topology {
        let url = URL(fileURLWithPath: path)
        let kind = url.pathExtension.lowercased()
        guard ["yaml", "yml", "sql"].contains(kind) else {
            throw StreamError(.validate, "\(path) is not a topology", fix: "name a file that ends in .yaml, .yml or .sql")
        }
        let data: Data
        do {
            data = try Data(contentsOf: url)
        } catch {
            let exists = FileManager.default.fileExists(atPath: path)
            throw StreamError(
                .io, exists ? "\(path) cannot be read: \(error.localizedDescription)" : "there is no file \(path)",
                fix: exists ? "check that it is a file with read permission" : "check the path")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw StreamError(.validate, "\(path) is not UTF-8 text", fix: "save it as UTF-8")
        }
        return kind == "sql"
            ? try parse(sql: text, file: path, variables: variables) : try parse(yaml: text, file: path, variables: variables)
    }

    public static func parse(sql text: String, file: String?, variables: [String: String]) throws -> Topology {
        let source = try Substitution.apply(to: text, file: file, variables: variables, commentMark: "--")
        let statements = try SQLParser(source: source).parseScript()
        return Topology(name: stem(of: file) ?? "script", file: file, statements: statements)
    }

    public static func parse(yaml text: String, file: String?, variables: [String: String]) throws -> Topology {
        let source = try Substitution.apply(to: text, file: file, variables: variables, commentMark: "#")
        return try TopologyCompiler(YAMLDocument(source)).topology(file: file, fallbackName: stem(of: file) ?? "topology")
    }

    private static func stem(of file: String?) -> String? {
        file.map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent }
    }

    /// The statements as one SQL script, each ended by ";".
    public var script: String { statements.map { $0.text + ";\n" }.joined() }
}
