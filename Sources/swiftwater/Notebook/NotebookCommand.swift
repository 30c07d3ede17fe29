import ArgumentParser
import Foundation
import JobControl
import Notebook
import StreamCore
import struct StreamCore.Host

struct NotebookCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "notebook", abstract: "Run notebooks: percent scripts (.sql), .ipynb and Zeppelin's .zpln.",
        discussion: """
            Examples:
              swiftwater notebook run Examples/sensors.sql
              swiftwater notebook run Examples/sensors.sql --for 30s --output html
              swiftwater notebook convert Examples/sensors.sql sensors.ipynb
              swiftwater notebook deploy Examples/sensors.sql --cells insert
            """,
        subcommands: [NotebookRunCommand.self, NotebookConvertCommand.self, NotebookDeployCommand.self, NotebookKernelCommand.self])
}

/// Options of what runs a notebook.
struct NotebookOptions: ParsableArguments {
    @Option(name: .customShort("p"), help: "NAME=VALUE of a parameter; may be repeated.") var parameters: [String] = []
    @Option(name: .customLong("set"), help: "A setting as key=value; may be repeated.") var settings: [String] = []
    @Option(help: "Worker threads; default the number of cores.") var workers: Int?

    func validate() throws { if let workers, workers < 1 { throw ValidationError("--workers must be at least 1") } }
}

struct NotebookRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run a notebook's cells in order.",
        discussion: """
            A query without an end runs until --for or --rows is reached, until its cell's own -- @for or -- @rows, or until Ctrl-C, which ends the cell
            under way and the notebook. The exit status is 1 when a cell failed.
            Example: swiftwater notebook run Examples/sensors.sql --for 30s --output html
            """)
    @Argument(help: "The notebook.") var file: String
    @Option(name: .customLong("for"), help: "Queries without an end stop after this long, for example 30s.") var time: String?
    @Option(help: "Queries without an end stop when so many rows are there.") var rows: Int?
    @Option(help: "html, ipynb, markdown, json, or svg or png for the charts, written beside the current directory's files under the notebook's name, or FORMAT=FILE; '-' is the standard output. May be repeated.") var output: [String] = []
    @Flag(help: "Run in a data directory of its own, which is removed at the end.") var scratch = false
    @Flag(name: .shortAndLong, help: "Show nothing but errors.") var quiet = false
    @OptionGroup var options: NotebookOptions
    @OptionGroup var catalog: CatalogFile
    @OptionGroup var data: DataDirectory

    func validate() throws {
        if let rows, rows < 1 { throw ValidationError("--rows must be at least 1") }
        if scratch, data.directory != nil { throw ValidationError("--scratch and --data exclude each other") }
    }

    func run() throws {
        let outputs = try output.map { try NotebookOutput($0, notebook: file) }
        let limit = try time.map { text -> Duration in
            guard let duration = CellDirectives.duration(text) else { throw StreamError(.validate, "--for '\(text)' is not a time", fix: "write for example --for 30s") }
            return duration
        }
        let directory: String
        if scratch {
            directory = NSTemporaryDirectory() + "swiftwater-notebook-data-" + Host.system.uuid()
            try Host.system.createDirectories(directory)
            setenv("SWIFTWATER_DATA", directory, 1)
        } else {
            data.apply()
            directory = data.path
        }
        defer { if scratch { try? FileManager.default.removeItem(atPath: directory) } }
        let plan = try NotebookPlan(path: file, overrides: try NotebookPlan.overrides(options.parameters), data: directory)
        var kernelOptions = NotebookKernel.Options()
        (kernelOptions.data, kernelOptions.catalogFile, kernelOptions.settings, kernelOptions.workers) = (directory, catalog.path, options.settings, options.workers)
        let writesToOutput = outputs.contains { $0.file == "-" }
        let runner: NotebookRunner
        // Before any thread starts: they inherit the signal mask.
        let interrupted = Handover(), again = Handover()
        Signals.mask([SIGHUP])
        let stop: @Sendable () -> Void = {
            guard !interrupted.isStopped else { return again.stop() }
            interrupted.stop()
            // The second ends what does not end when it is asked; the third ends this process at once.
            Signals.onStop { again.stop() }
        }
        Signals.onStop(stop)
        Signals.onHangUp(stop)
        let kernel = try NotebookKernel(kernelOptions)
        defer { kernel.close() }
        runner = NotebookRunner(kernel, NotebookScreen(quiet || writesToOutput ? .silent : Terminal.outputIsTerminal ? .live : .plain))
        for signal in [interrupted, again] {
            Background.run {
                signal.wait()
                runner.interrupt()
            }
        }
        let results = runner.run(plan, time: limit, rows: rows)
        for output in outputs { try output.write(plan, results) }
        let failed = results.filter { $0.state == .failed && plan.requests[$0.cell]?.mayFail == false }
        guard let first = failed.first else {
            if interrupted.isStopped { throw ExitCode(130) }
            return
        }
        let cell = plan.notebook.cells[first.cell]
        let place = "\(file):\(first.error?.line ?? cell.line)"
        // Its message has been shown; where nothing is shown, it says all.
        let text = quiet || writesToOutput ? ": \(first.error?.message ?? "")" : ""
        Terminal.error("error: \(place): \(cell.name(first.cell)) failed\(text)")
        throw ExitCode(1)
    }
}

/// A file that a run's results are written to.
struct NotebookOutput {
    enum Format: String, CaseIterable { case html, ipynb, markdown, json, svg, png }
    let format: Format
    /// A directory for pictures of charts.
    let file: String

    private static let known = "html, ipynb, markdown, json, svg or png"

    init(_ option: String, notebook: String) throws {
        let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
        let named = parts.count == 2 ? parts[1] : nil
        let ending = (option as NSString).pathExtension.lowercased()
        if let format = Format(rawValue: parts[0] == "md" ? "markdown" : parts[0]) {
            self.format = format
            let stem = ((notebook as NSString).lastPathComponent as NSString).deletingPathExtension
            file = named ?? stem + (format == .svg || format == .png ? "-charts" : "." + (format == .markdown ? "md" : format.rawValue))
        } else if named == nil, let format = Format(rawValue: ["md": "markdown", "htm": "html"][ending] ?? ending), format != .svg, format != .png {
            (self.format, file) = (format, option)
        } else {
            throw StreamError(.validate, "--output '\(option)' is no format", fix: "write \(Self.known), or FORMAT=FILE")
        }
        if URL(fileURLWithPath: file).standardizedFileURL == URL(fileURLWithPath: notebook).standardizedFileURL {
            throw StreamError(.validate, "--output \(option) would replace the notebook itself", fix: "name another file: \(parts[0])=FILE")
        }
    }

    func write(_ plan: NotebookPlan, _ results: [CellResult]) throws {
        let title = plan.title
        switch format {
        case .html: try write(HTMLPage.text(notebook: plan.notebook, results: results, title: title, parameters: plan.shownParameters))
        case .markdown:
            let directory = file == "-" ? nil : (file as NSString).deletingPathExtension + "-files"
            let (text, files) = MarkdownPage.text(
                notebook: plan.notebook, results: results, title: title, parameters: plan.shownParameters, pictures: directory.map { ($0 as NSString).lastPathComponent })
            if let directory, !files.isEmpty {
                try Host.system.createDirectories(directory)
                for picture in files { try Host.system.replaceFile(directory + "/" + (picture.path as NSString).lastPathComponent, picture.bytes) }
            }
            try write(text)
        case .json: try write(JSONPage.text(notebook: plan.notebook, results: results, title: title, parameters: plan.shownParameters))
        case .svg, .png: try writeCharts(plan, results)
        case .ipynb: try write(JupyterNotebook.text(plan.notebook, results: results) { try? ChartSVG.text($0, $1, theme: .light) })
        }
    }

    /// A file for each chart, named after its cell.
    private func writeCharts(_ plan: NotebookPlan, _ results: [CellResult]) throws {
        guard file != "-" else { throw StreamError(.validate, "--output \(format.rawValue)=- has no place for several pictures", fix: "name a directory: --output \(format.rawValue)=charts") }
        var count = 0
        for result in results {
            for (i, output) in result.outputs.enumerated() {
                guard case .table(let table, let chart?) = output, chart.kind != .table else { continue }
                if count == 0 { try Host.system.createDirectories(file) }
                let path = "\(file)/cell-\(result.cell + 1)" + (i == 0 || result.outputs.count == 1 ? "" : "-\(i + 1)") + "." + format.rawValue
                try Host.system.replaceFile(path, format == .svg ? Array(try ChartSVG.text(table, chart, theme: .light).utf8) : try ChartPNG.bytes(table, chart))
                count += 1
            }
        }
        Terminal.error(count == 0 ? "the notebook has no chart: a comment -- @chart makes one" : "wrote \(count) chart\(count == 1 ? "" : "s") to \(file)")
    }

    private func write(_ text: String) throws {
        if file == "-" { return Terminal.write(text.hasSuffix("\n") ? text : text + "\n") }
        try Host.system.replaceFile(file, Array(text.utf8))
        Terminal.error("wrote \(file)")
    }
}

extension NotebookPlan {
    /// The first heading, else the file's name.
    var title: String {
        for cell in notebook.cells where cell.kind == .markdown {
            if let line = cell.source.split(whereSeparator: \.isNewline).first(where: { $0.hasPrefix("#") }) { return line.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces) }
        }
        return ((path as NSString).lastPathComponent as NSString).deletingPathExtension
    }

    /// But for those that every notebook has.
    var shownParameters: [(name: String, value: String)] {
        let given = Self.given(data: "", path: "")
        return parameters.forms.filter { given[$0.name] == nil }.map { ($0.label ?? $0.name, $0.value ?? "") }
    }
}

struct NotebookConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", abstract: "Write a notebook in another form.",
        discussion: """
            The forms follow from the files' endings: .sql (percent script), .ipynb (Jupyter), .zpln or .json (Zeppelin).
            Example: swiftwater notebook convert note.zpln sensors.sql
            """)
    @Argument(help: "The notebook.") var file: String
    @Argument(help: "The file to write; '-' with --to is the standard output.") var target: String
    @Option(help: "sql, ipynb or zpln; default by the ending of the file.") var to: String?
    @Flag(help: "Replace a file that is there.") var force = false

    func run() throws {
        let notebook = try NotebookFile.parse(Array(try Engine.read(file).utf8), path: file)
        if target == "-", to == nil { throw StreamError(.validate, "the standard output has no ending that says a form", fix: "add --to sql, --to ipynb or --to zpln") }
        let text = try NotebookFile.text(of: notebook, as: try NotebookFile.format(of: to.map { "x." + $0 } ?? target), name: URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent)
        if target == "-" { return Terminal.write(text) }
        guard force || !FileManager.default.fileExists(atPath: target) else {
            throw StreamError(.conflict, "\(target) is there already", fix: "add --force to replace it, or name another file")
        }
        try Host.system.replaceFile(target, Array(text.utf8))
    }
}
