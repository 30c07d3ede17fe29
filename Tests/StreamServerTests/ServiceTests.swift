import Foundation
import TestScripts
import Testing

/// The real binary as a daemon, driven over HTTP by programs of `Tests/Support/service`.
@Suite("The daemon") struct ServiceTests {
    /// The program, which is built next to the test bundle.
    private static let binary: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? Bundle.main.bundlePath
        var url = URL(filePath: bundle)
        while url.pathExtension != "xctest", url.pathComponents.count > 1 { url.deleteLastPathComponent() }
        return url.deletingLastPathComponent().appending(path: "swiftwater").path
    }()

    private func run(_ name: String, _ arguments: [String] = [], seconds: Double) throws -> [String: Any] {
        let directory = NSTemporaryDirectory() + "swiftwater-service-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let answer = try PythonScript.answer("service/\(name).py", [Self.binary, directory + "/data"] + arguments, seconds: seconds)
        return try #require(answer as? [String: Any])
    }

    @Test("kill -9 of the daemon and of jobs under ten running jobs: all go on by themselves, with exact results")
    func kills() throws {
        let seed = UInt32.random(in: 0...999_999)
        print("kills of the daemon: seed \(seed)")
        let answer = try run("kills", ["\(seed)"], seconds: 400)
        #expect(answer["kills"] as? Int == 5 && answer["rows"] as? Int == 20_000)
    }

    @Test("new versions start from a savepoint, and are put back when they do not come up; a daemon is replaced under its jobs")
    func upgrades() throws {
        let rows = try #require(try run("upgrades", seconds: 300)["rows"] as? [String: Int])
        #expect(rows == ["a": 175, "b": 30, "c": 10])
    }

    @Test("the README's section, typed as it stands there, with a real browser looking on")
    func newcomer() throws {
        let screenshots = ProcessInfo.processInfo.environment["SWIFTWATER_SCREENSHOTS"].map { [$0] } ?? []
        let answer = try run("newcomer", screenshots, seconds: 400)
        #expect((answer["checks"] as? Int ?? 0) > 90 && (answer["firstPaintMilliseconds"] as? Double ?? 99_999) < 30_000, "\(answer)")
    }

    @Test("roles, TLS, pages of others, paths that lead away, secrets")
    func access() throws { #expect(try run("access", seconds: 200)["ok"] as? Bool == true) }

    @Test("histories, bounds of streams, tables that are not known any more, files of all tables, memory, the unit for systemd")
    func operations() throws { #expect(try run("operations", seconds: 200)["ok"] as? Bool == true) }

    @Test("clients that were written for Flink's REST API find what they look for")
    func flinkTools() throws { #expect((try run("flink_tools", seconds: 200)["checks"] as? Int ?? 0) > 60) }

    @Test("malformed and hostile requests give no 5xx, and end nothing")
    func hostile() throws {
        let seed = UInt32.random(in: 0...999_999)
        print("hostile requests: seed \(seed)")
        let answer = try run("fuzz", ["1", "1500", "\(seed)"], seconds: 400)
        #expect((answer["generated"] as? Int ?? 0) > 100 && (answer["requests"] as? Int ?? 0) > 1_600)
        let statuses = try #require(answer["statuses"] as? [String: Int])
        #expect(statuses.keys.contains { $0.hasPrefix("4") } && !statuses.keys.contains { $0.hasPrefix("5") }, "\(statuses)")
    }
}
