import StreamCore
import StreamSQL

/// A statement of the exported script.
public struct FlinkStatement: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable { case setting, definition, insert, query, other }
    public var kind: Kind
    /// Without the semicolon at its end.
    public var text: String
    /// Such as `CREATE TABLE orders`.
    public var summary: String
    /// Where the user wrote it; nil for what the export adds.
    public var location: SourceLocation?
    /// Tables that INSERTs write.
    public var targets: [ObjectPath]

    public init(_ kind: Kind, _ text: String, summary: String, at location: SourceLocation? = nil, targets: [ObjectPath] = []) {
        self.kind = kind
        self.text = text
        self.summary = summary
        self.location = location
        self.targets = targets
    }
}

/// A script for Flink, with what has to be known about it.
public struct FlinkScript: Sendable {
    public var name: String
    public var description: String?
    public var version: FlinkVersion
    public var statements: [FlinkStatement]
    public var findings: Findings
    /// State that Flink starts without; empty unless the script goes on from a savepoint.
    public var lostState: [String] = []

    /// The whole script; each statement ends with a semicolon.
    public var text: String {
        var out = "-- \(name)" + (description.map { ": \(oneLine($0))" } ?? "") + "\n"
        out += "-- For Apache Flink \(version). Made by: swiftwater export --engine flink\n"
        if !findings.jars.isEmpty { out += "-- The cluster needs: \(findings.jars.map(\.coordinates).joined(separator: ", "))\n" }
        for refusal in findings.refusals { out += "-- Left out: \(refusal.what): \(oneLine(refusal.reason))\n" }
        var last: FlinkStatement.Kind?
        for statement in statements {
            if last != statement.kind || statement.kind != .setting { out += "\n" }
            last = statement.kind
            out += statement.text + ";\n"
        }
        return out
    }

    /// An option of a table that is a secret, if there is one.
    public var secretOption: String? {
        for statement in statements where statement.kind == .definition {
            for line in statement.text.split(separator: "\n") {
                let parts = line.split(separator: "'")
                guard parts.count > 2, parts[1].contains(".") || parts[1].contains("-") || parts[1].contains("password") else { continue }
                let key = parts[1].lowercased()
                if ["password", "secret", "token", "jaas", "credential"].contains(where: { key.contains($0) }) { return String(parts[1]) }
            }
        }
        return nil
    }

    /// What stands beside the script, as Markdown.
    public func readme(scriptName: String) -> String {
        var lines = ["# \(name) on Apache Flink \(version)", ""]
        if let description { lines += [oneLine(description), ""] }
        lines += ["`\(scriptName)` has every table, view and INSERT of it.", "", "    sql-client.sh -f \(scriptName)", ""]
        lines += ["or, through a SQL gateway, from the topology itself: `swiftwater deploy --engine flink --gateway URL FILE`.", "", "## Connectors", ""]
        if findings.jars.isEmpty {
            lines += ["None beside those that Flink comes with.", ""]
        } else {
            lines += ["In the `lib` folder of the cluster and of the SQL client or gateway:", "", "| Maven coordinates | why |", "| --- | --- |"]
            lines += findings.jars.map { "| `\($0.coordinates)` | \(cell($0.reason + ($0.remark.map { ". \($0)" } ?? ""))) |" } + [""]
        }
        if !findings.refusals.isEmpty {
            lines += ["## Left out", "", "| what | why | in its place |", "| --- | --- | --- |"]
            lines += findings.refusals.map { "| \(cell($0.what)) | \(cell($0.reason)) | \(cell($0.instead)) |" } + [""]
        }
        if !findings.notes.isEmpty {
            lines += ["## What is different", ""] + findings.notes.map { "- \($0.about): \(oneLine($0.text))" } + [""]
        }
        if !lostState.isEmpty {
            lines += ["## State that Flink builds anew", ""] + lostState.map { "- \(oneLine($0))" } + [""]
        }
        return lines.joined(separator: "\n")
    }

    private func oneLine(_ text: String) -> String { text.split(whereSeparator: \.isNewline).map { $0.trimming(while: \.isWhitespace) }.joined(separator: " ") }
    private func cell(_ text: String) -> String { oneLine(text).replacing("|", with: "\\|") }
}

extension Substring {
    fileprivate func trimming(while condition: (Character) -> Bool) -> String {
        var part = self
        while let first = part.first, condition(first) { part.removeFirst() }
        while let last = part.last, condition(last) { part.removeLast() }
        return String(part)
    }
}
