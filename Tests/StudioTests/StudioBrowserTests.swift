import Foundation
import StreamCore
import TestScripts
import Testing

private let hasChromium: Bool = {
    let environment = ProcessInfo.processInfo.environment
    if let path = environment["SWIFTWATER_CHROMIUM"] { return FileManager.default.isExecutableFile(atPath: path) }
    return (environment["PATH"] ?? "").split(separator: ":").contains { folder in
        ["chromium", "chromium-browser", "google-chrome"].contains { FileManager.default.isExecutableFile(atPath: "\(folder)/\($0)") }
    }
}()

enum Program {
    /// The program, which is built next to the test bundle; $SWIFTWATER_PROGRAM names another one.
    static let path: String = {
        if let path = ProcessInfo.processInfo.environment["SWIFTWATER_PROGRAM"] { return path }
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? Bundle.main.bundlePath
        var url = URL(filePath: bundle)
        while url.pathExtension != "xctest", url.pathComponents.count > 1 { url.deleteLastPathComponent() }
        return url.deletingLastPathComponent().appending(path: "swiftwater").path
    }()
    static let isBuilt = FileManager.default.isExecutableFile(atPath: path)
}

@Suite("Kernels of a daemon", .enabled(if: Program.isBuilt, "swiftwater is not built")) struct StudioDaemonTests {
    @Test("kernels, and what their cells started, end with the daemon: killed, stopped or replaced")
    func ends() throws {
        let directory = NSTemporaryDirectory() + "swiftwater-studio-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let answer = try PythonScript.answer("studio/daemon.py", [Program.path, directory + "/data"], seconds: 200)
        #expect((answer as? [String: Any])?["ok"] as? Bool == true)
    }

    @Test("the real kernel: rows, an error at its column in a commented cell, an interrupt, and its end with what its cell started")
    func realKernel() throws {
        let book = "/v1/notebooks/sensors.sql"
        let text = """
            -- %% language="sh"
            -- # @background
            -- echo $$; exec sleep 1000

            -- %%
            CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '50', 'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000000');

            -- %%
            SELECT n FROM numbers WHERE n >= ${least=1};

            -- %% language="sh"
            -- # @fro 1s
            -- echo never

            """
        try StudioHarness.with(try StudioHarness(executable: Program.path, arguments: ["notebook", "kernel"], files: ["sensors.sql": text])) { h in
            let reader = try h.follow()
            defer { reader.close() }
            _ = try h.send("POST", book + "/run", object(["parameters": object(["least": "7"])]))
            try reader.wait("rows beside the program", seconds: 60) { ($0.shown("c3").first?["rows"]?.array?.count ?? 0) > 3 && !$0.shown("c1").isEmpty && $0.state("c4") == "failed" }
            #expect(reader.shown("c3").first?["rows"]?.array?.first == .array([.int(7)]))
            #expect(reader.runs["c4"]?["error"]?["line"]?.int == 1 && reader.runs["c4"]?["error"]?["column"]?.int == 3, "\(reader.runs["c4"]?.text() ?? "")")
            _ = try h.send("POST", book + "/interrupt", object(["cell": "c3"]))
            try reader.wait("its stop") { $0.state("c3") == "stopped" }
            let program = pid_t(reader.shown("c1").first?["text"]?.string?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "") ?? 0
            #expect(program > 0 && kill(program, 0) == 0)
            kill(pid_t(reader.kernel["process"]?.int ?? 0), SIGKILL)
            try reader.wait("its end") { $0.kernel["state"]?.string == "dead" }
            let limit = Date().addingTimeInterval(8)
            while kill(program, 0) == 0, Date() < limit { usleep(20_000) }
            #expect(kill(program, 0) != 0)
        }
    }
}

/// $SWIFTWATER_SCREENSHOTS names a folder that gets pictures.
@Suite("The Studio page in a browser", .enabled(if: hasChromium, "no chromium is installed (apt-get install chromium)"))
struct StudioBrowserTests {
    private static let files = [
        "sensors.sql": StudioHarness.sensors + "\n-- %%\nSELECT status FROM sensor_data\n",
        "live.sql": "-- %% [markdown]\n-- # Live\n\n-- %%\nSELECT live\n\n-- %%\nSELECT status\n".replacingOccurrences(of: "-- %% [markdown]\n-- # Live\n\n", with: ""),
        "shared.sql": "-- %% [markdown]\n-- # Shared\n\n-- %%\nSELECT status\n\n-- %%\nSELECT 3\n",
        "programs.sql": "-- %% language=\"sh\"\n-- echo hello\n\n-- %% language=\"python\"\n-- picture\n\n-- %% language=\"python\"\n-- markup\n\n-- %% language=\"sh\"\n-- flood 3000\n",
        "keys.sql": "-- %% [markdown]\n-- # Keys\n\n-- %%\nSELECT 1\n\n-- %%\nSELECT 2\n",
    ]

    @Test("the sensors' example in the browser, with the real kernel; every example opens", .enabled(if: Program.isBuilt, "swiftwater is not built"))
    func example() throws {
        let folder = PythonScript.root.appending(path: "Examples").path
        var files: [String: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name.hasSuffix(".sql") { files[name] = try String(contentsOfFile: folder + "/" + name, encoding: .utf8) }
        try StudioHarness.with(try StudioHarness(executable: Program.path, arguments: ["notebook", "kernel"], files: files)) { h in
            var arguments = ["--url", h.url, "--kernel", "real"]
            if let screenshots = ProcessInfo.processInfo.environment["SWIFTWATER_SCREENSHOTS"] { arguments += ["--screenshots", screenshots] }
            let result = try PythonScript.run("studio/browse.py", arguments, seconds: 300)
            #expect(result.status == 0, "\(result.output)\n\(result.errors)")
            print("studio: \(result.output.split(separator: "\n").last ?? "")")
        }
    }

    @Test("two pages edit and run notebooks with the stand-in kernel")
    func page() throws {
        let environment = ProcessInfo.processInfo.environment
        try StudioHarness.with(try StudioHarness(files: Self.files)) { h in
            var arguments = ["--url", h.url]
            if let screenshots = environment["SWIFTWATER_SCREENSHOTS"] { arguments += ["--screenshots", screenshots] }
            if let only = environment["SWIFTWATER_STUDIO_PARTS"] { arguments += ["--only"] + only.split(separator: ",").map(String.init) }
            let result = try PythonScript.run("studio/browse.py", arguments, seconds: 240)
            #expect(result.status == 0, "\(result.output)\n\(result.errors)")
            let line = result.output.split(separator: "\n").last.map(String.init) ?? ""
            let answer = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(result.output)\n\(result.errors)")
            #expect(answer["failures"] as? [String] == [] && ((answer["checks"] as? Int ?? 0) > 80 || environment["SWIFTWATER_STUDIO_PARTS"] != nil), "\(line)")
            print("studio: \(line)")
        }
    }
}
