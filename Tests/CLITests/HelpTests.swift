import Foundation
import Testing

@Suite("Help, version, completions") struct HelpTests {
    @Test("the help of every command has an example", arguments: [
        "", "run", "validate", "plan", "sql", "stream", "stream create", "stream list", "stream describe", "stream put", "stream get", "stream tail",
        "stream delete", "table", "table show", "table timeline", "table query", "table files", "table diff", "generate", "generate sensors", "generate orders", "topology",
        "topology schema",
    ])
    func examples(command: String) throws {
        let outcome = try Workspace().start(command.split(separator: " ").map(String.init) + ["--help"]).end()
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
        #expect(outcome.out.contains("Example") && outcome.out.contains("USAGE: swiftwater"), "\(outcome.out)")
        // The example is of this very command.
        let example = outcome.out.components(separatedBy: "Example").last ?? ""
        #expect(example.contains("swiftwater" + (command.isEmpty ? "" : " " + command)), "\(example)")
    }

    @Test("--version is the version and nothing else")
    func version() throws {
        let outcome = try Workspace().ok("--version")
        #expect(outcome.out.wholeMatch(of: /\d+\.\d+\.\d+\n/) != nil, "\(outcome.out)")
    }

    @Test("completion scripts", arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) throws {
        let script = try Workspace().ok("--generate-completion-script", shell).out
        for word in ["validate", "timeline", "partition-key"] { #expect(script.contains(word), "\(word)") }
    }

    @Test("nothing is left behind by looking")
    func noTraces() throws {
        let workspace = try Workspace()
        try workspace.ok("validate", Workspace.topologies + "/sensors.yaml")
        try workspace.ok("plan", Workspace.topologies + "/sensors.yaml")
        try workspace.ok("stream", "list")
        #expect(!FileManager.default.fileExists(atPath: workspace.path("data")))
    }
}
