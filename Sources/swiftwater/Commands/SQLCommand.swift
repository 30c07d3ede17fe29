import ArgumentParser
@preconcurrency import CLibEdit
import StreamCore
import StreamSQL
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension OutputFormat: ExpressibleByArgument {}

struct SQLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sql", abstract: "Run Flink SQL: statements, a script, or an interactive shell.",
        discussion: """
            Examples:
              swiftwater sql -e "SELECT status, COUNT(*) FROM t GROUP BY status"
              swiftwater sql -f script.sql --output csv
              swiftwater sql
              swiftwater sql --catalog lake.catalog -e "SHOW TABLES"
            """)

    @Option(name: [.customShort("e"), .customLong("execute")], help: "Statements to run.") var statements: String?
    @Option(name: [.customShort("f"), .customLong("file")], help: "A script to run.") var file: String?
    @Option(name: .customLong("output"), help: "table, csv or json.") var output: OutputFormat = .table
    @Option(name: .customLong("set"), help: "A setting as key=value; may be repeated.") var settings: [String] = []
    @Option(help: "Worker threads; default the number of cores.") var workers: Int?
    /// For programs: a line with the columns before the rows of each query.
    @Flag(help: .hidden) var schemaLine = false
    /// For programs: a script to run first, whose places no error of the statements counts.
    @Option(help: .hidden) var prelude: String?
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory

    func validate() throws {
        if statements != nil && file != nil { throw ValidationError("-e and -f exclude each other") }
        if let workers, workers < 1 { throw ValidationError("--workers must be at least 1") }
    }

    func run() throws {
        data.apply()
        let runner = ScriptRunner(session: try Engine.session(settings: settings, catalogFile: catalog.path))
        runner.resultFormat = output
        runner.workers = workers
        if let prelude { try runner.run(try SQLParser(text: try Engine.read(prelude), file: nil).parseScript(), name: nil) }
        runner.writesSchema = schemaLine
        runner.footer = output == .table && Terminal.outputIsTerminal
        runner.showsMessages = Terminal.outputIsTerminal
        if let statements {
            try runner.run(try SQLParser(text: statements, file: nil).parseScript(), name: nil)
        } else if let file {
            try runner.run(try SQLParser(text: try Engine.read(file), file: file).parseScript(), name: nil)
        } else if Terminal.inputIsTerminal {
            try Shell(runner).run()
        } else {
            var text = ""
            while let line = readLine(strippingNewline: false) { text += line }
            try runner.run(try SQLParser(text: text, file: nil).parseScript(), name: nil)
        }
    }
}

/// The interactive shell: statements end with a semicolon; history is kept in the home directory.
struct Shell {
    private let runner: ScriptRunner
    private let historyFile: String?

    init(_ runner: ScriptRunner) {
        self.runner = runner
        historyFile = getenv("HOME").map { String(cString: $0) + "/.swiftwater_history" }
    }

    func run() throws {
        using_history()
        if let historyFile { read_history(historyFile) }
        print("Swiftwater \(swiftwaterVersion). Statements end with ; HELP; shows what there is, QUIT; leaves.")
        var pending = ""
        while true {
            let line: String
            switch Prompt.read(pending.isEmpty ? "sql> " : "  -> ") {
            case .line(let text): line = text
            case .interrupted:
                pending = ""
                continue
            case .end:
                print("")
                return
            }
            pending += (pending.isEmpty ? "" : "\n") + line
            guard !pending.allSatisfy(\.isWhitespace) else {
                pending = ""
                continue
            }
            guard SQLParser.isComplete(pending) else { continue }
            add_history(pending.replacing("\n", with: " "))
            if let historyFile { write_history(historyFile) }
            let text = pending
            pending = ""
            do {
                for statement in try SQLParser(text: text, file: nil).parseScript() {
                    if case .quit = statement.node { return }
                    try runner.run([statement], name: nil)
                }
            } catch let error as StreamError {
                Terminal.error("error: \(error)")
            }
        }
    }
}

/// Reads a line with editing and history. Ctrl-C gives the line up instead of ending the process.
private enum Prompt {
    enum Input { case line(String), interrupted, end }

    private static let wasInterrupted = Atomic<Bool>(false)
    private static let controlC: Int32 = 3

    static func read(_ prompt: String) -> Input {
        rl_initialize()
        // While a line is edited Ctrl-C is a key like any other; while a job runs it is a signal.
        rl_pre_input_hook = {
            _ = rl_parse_and_bind("setty -d -isig")
            return 0
        }
        rl_add_defun("swiftwater-interrupt", { _, _ in
            Prompt.wasInterrupted.store(true, ordering: .relaxed)
            rl_done = 1
            return 0
        }, controlC)
        let raw = readline(prompt)
        defer { free(raw) }
        if wasInterrupted.exchange(false, ordering: .relaxed) {
            print("^C")
            return .interrupted
        }
        return raw.map { .line(String(cString: $0)) } ?? .end
    }
}
