import Dashboard
import Foundation
import HTTPServer
import TestScripts
import Testing

private let hasChromium: Bool = {
    let environment = ProcessInfo.processInfo.environment
    if let path = environment["SWIFTWATER_CHROMIUM"] { return FileManager.default.isExecutableFile(atPath: path) }
    return (environment["PATH"] ?? "").split(separator: ":").contains { folder in
        ["chromium", "chromium-browser", "google-chrome"].contains { FileManager.default.isExecutableFile(atPath: "\(folder)/\($0)") }
    }
}()

/// The page in a headless Chromium, against a stand-in of the REST API, or against the service at $SWIFTWATER_DASHBOARD_URL.
/// $SWIFTWATER_SCREENSHOTS names a folder that gets pictures of each page.
@Suite(.enabled(if: hasChromium, "no chromium is installed (apt-get install chromium)"))
struct BrowserTests {
    /// The embedded files and their headers, laid out for the stand-in to serve.
    private func unpacked() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "swiftwater-dashboard-\(UUID().uuidString)")
        for path in DashboardAssets.paths {
            guard case .bytes(let bytes)? = DashboardAssets.answer(path: path)?.body else { continue }
            let file = folder.appending(path: String(path.dropFirst()))
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(bytes).write(to: file)
        }
        let headers = Dictionary(DashboardAssets.securityHeaders) { $1 }
        try JSONSerialization.data(withJSONObject: headers).write(to: folder.appending(path: "headers.json"))
        return folder
    }

    @Test func thePageShowsWhatTheServiceSays() throws {
        let environment = ProcessInfo.processInfo.environment
        let folder = try unpacked()
        defer { try? FileManager.default.removeItem(at: folder) }
        var arguments = ["--assets", folder.path]
        if let url = environment["SWIFTWATER_DASHBOARD_URL"] { arguments += ["--url", url] }
        if let screenshots = environment["SWIFTWATER_SCREENSHOTS"] { arguments += ["--screenshots", screenshots] }
        let result = try PythonScript.run("dashboard/browse.py", arguments, seconds: 240)
        #expect(result.status == 0, "\(result.output)\n\(result.errors)")
        let line = result.output.split(separator: "\n").last.map(String.init) ?? ""
        let answer = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(result.output)\n\(result.errors)")
        #expect(answer["failures"] as? [String] == [])
        #expect((answer["checks"] as? Int ?? 0) > 100, "\(line)")
    }
}
