import Foundation
import TestScripts
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite("Devices that post their logs") struct DevicesCommandTests {
    /// A port that was free a moment ago.
    private func freePort() throws -> Int {
        #if canImport(Glibc)
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
        let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        defer { close(descriptor) }
        var address = sockaddr_in(), size = socklen_t(MemoryLayout<sockaddr_in>.size)
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1 }
        }
        try #require(code == 0)
        return Int(UInt16(bigEndian: address.sin_port))
    }

    @Test("killed again and again while devices post, the table has every acknowledged line once")
    func kills() throws {
        let workspace = try Workspace(), port = try freePort(), topology = Workspace.topologies + "/devices.yaml"
        let environment = ["LISTEN": "127.0.0.1:\(port)", "COMMIT_INTERVAL": "100 ms", "EARLY": "50 ms"]
        let devices = try workspace.start(
            [Workspace.root + "/Examples/devices.py", "--url", "http://127.0.0.1:\(port)", "--devices", "6", "--files", "25", "--lines", "20", "--pause", "0.2"],
            program: PythonScript.python)
        let checkpoints = workspace.path("data/checkpoints/devices")
        func newest() -> Int {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoints)) ?? []
            return names.compactMap { $0.hasPrefix("chk-") && FileManager.default.fileExists(atPath: "\(checkpoints)/\($0)/manifest.json") ? Int($0.dropFirst(4)) : nil }.max() ?? 0
        }
        for round in 1...3 {
            let before = newest(), job = try workspace.start(["run", topology], environment: environment)
            try eventually("two checkpoints in round \(round)") { newest() > before + 1 }
            try job.crash()
        }
        let job = try workspace.start(["run", topology], environment: environment)
        let outcome = try devices.end()
        try #require(outcome.status == 0, "\(outcome)")
        let sent = try #require(try outcome.objects().last as? [String: [String: Any]])
        let wanted = sent.values.reduce(into: (lines: 0, errors: 0)) { $0 = ($0.lines + ($1["lines"] as! Int), $0.errors + ($1["errors"] as! Int)) }
        let table = workspace.path("data/tables/device_errors")
        let before = newest()
        try eventually("what came last is covered by a checkpoint") { newest() > before + 2 }
        job.signal(SIGINT)
        _ = try job.end()
        let row = try workspace.ok("table", "query", table, "SELECT SUM(num_lines) AS l, SUM(errors) AS e FROM t", "--output", "json").objects().first
        #expect(row?["l"] as? Int == wanted.lines && row?["e"] as? Int == wanted.errors, "\(String(describing: row)), \(wanted)")
        for (device, what) in sent {
            let newest = try workspace.ok("table", "query", table, "SELECT last_error FROM t WHERE device = '\(device)' AND last_error IS NOT NULL ORDER BY quarter DESC LIMIT 1", "--output", "json")
                .objects().first
            #expect(newest?["last_error"] as? String == what["last_error"] as? String, "\(device)")
        }
    }
}
