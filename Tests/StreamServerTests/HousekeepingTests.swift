import Foundation
import JobControl
import StreamCore
import StreamRuntime
import StreamServer
import Synchronization
import TestScripts
import Testing

@Suite("What processes of the service do beside their work") struct HousekeepingTests {
    @Test("memory is given back after the start, and then by idle processes that hold more than they need")
    func keeper() {
        var keeper = MemoryKeeper(at: 100, processor: 1)
        let much = MemoryKeeper.idleBytes + 1
        func isTime(now: Double, processor: Double, ofFiles: Int) -> Bool { keeper.isTime(now: now, processor: processor, ofFiles: ofFiles) }
        #expect(!isTime(now: 104, processor: 3, ofFiles: much))
        // However busy the start has been.
        #expect(isTime(now: 105, processor: 4, ofFiles: 1))
        #expect(!isTime(now: 110, processor: 4, ofFiles: much))
        #expect(isTime(now: 115, processor: 10, ofFiles: 1))
        #expect(isTime(now: 140, processor: 10, ofFiles: 1))
        #expect(!isTime(now: 199, processor: 10, ofFiles: much))
        #expect(isTime(now: 200, processor: 11, ofFiles: much))
        // Little is held; then it is busy; then it is idle again.
        #expect(!isTime(now: 260, processor: 11, ofFiles: MemoryKeeper.idleBytes))
        #expect(!isTime(now: 320, processor: 13, ofFiles: much))
        #expect(!isTime(now: 379, processor: 13, ofFiles: much))
        #expect(isTime(now: 380, processor: 13.5, ofFiles: much))
    }

    #if os(Linux)
    @Test("what is given back comes back when it is used")
    func giveBack() throws {
        func work() -> Int { (try? JSONSerialization.data(withJSONObject: ["a": [1, 2, 3]]))?.count ?? 0 }
        #expect(work() == 13)
        // Other suites use the same process, and take back what they need at any time.
        var tries: [String] = []
        let isGivenBack = try (0..<50).contains { _ in
            let before = try #require(ProcessMemory.now())
            ProcessMemory.giveBack()
            let after = try #require(ProcessMemory.now())
            tries.append("\(before) \(after)")
            return after.ofFiles < before.ofFiles
        }
        #expect(isGivenBack, "\(tries)")
        #expect(work() == 13)
    }
    #endif

    private func point(_ at: Int64, vertices: Int) -> JobHistory.Point {
        var report = JobReport(name: "a", id: "b", state: .running, startedAt: 0)
        report.takenAt = at
        report.vertices = (0..<vertices).map { id in
            var subtasks = [JobReport.Subtask(index: 0), JobReport.Subtask(index: 1)]
            (subtasks[0].rowsIn, subtasks[1].rowsIn, subtasks[1].lag) = (at, 2 * at, 5)
            (subtasks[0].watermark, subtasks[1].watermark) = (9, 7)
            return .init(id: id, operatorID: "\(id)", name: "\(id)", kind: .transform, parallelism: 2, subtasks: subtasks)
        }
        return .init(report)
    }

    @Test("a history keeps the newest points in order, and fewer of large jobs")
    func ring() {
        let one = point(3, vertices: 1).vertices[0]
        #expect(one.rowsIn == 9 && one.lag == 5 && one.watermark == 7 && one.subtasks == 2)
        var ring = HistoryRing()
        #expect(ring.newest(since: 0).isEmpty)
        for at in 1...500 { ring.add(point(Int64(at), vertices: 1)) }
        #expect(ring.newest(since: 0).map(\.at) == Array(Int64(500 - HistoryRing.pointsMax + 1)...500))
        // And the one at which the first interval begins.
        #expect(ring.newest(since: 499).map(\.at) == [498, 499, 500])
        #expect(ring.newest(since: 501).map(\.at) == [500])
        var large = HistoryRing()
        for at in 1...50 { large.add(point(Int64(at), vertices: HistoryRing.verticesMax / 10)) }
        #expect(large.newest(since: 0).map(\.at) == Array(41...50))
        // The room grows and shrinks with the job.
        for at in 51...55 { large.add(point(Int64(at), vertices: 1)) }
        #expect(large.newest(since: 0).map(\.at) == Array(41...55))
        for at in 56...58 { large.add(point(Int64(at), vertices: HistoryRing.verticesMax / 6)) }
        #expect(large.newest(since: 0).map(\.at) == Array(53...58))
    }

    /// A directory with a socket that takes connections and never answers, as that of a stopped process.
    private func silent(_ root: String, _ name: String) throws -> (job: JobFinder.Job, socket: Int32) {
        let directory = root + "/" + name
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return (.init(name: name, directory: directory), try LocalSocket.listen(at: try LocalSocket.path(in: directory, creating: true)))
    }

    @Test("jobs that do not answer cost one time limit, however many they are, and others answer beside them; long answers arrive whole")
    func silentJobs() throws {
        let root = "/tmp/swiftwater-silent-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: root) }
        let stopped = try (0..<12).map { try silent(root, "s\($0)") }
        defer { for one in stopped { close(one.socket) } }
        let directory = root + "/lively"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let long = String(repeating: "x", count: 5 << 20)
        let server = try ControlServer(directory: directory) { ControlAnswer(path: long, end: "\($0.request)") }
        defer { server.close() }
        let lively = JobFinder.Job(name: "lively", directory: directory)
        let began = Clock.monotonicNanoseconds()
        let outcomes = JobFinder.ask(stopped.map(\.job) + [lively, .init(name: "none", directory: root + "/none")], ControlRequest(request: .report))
        let seconds = Double(Clock.monotonicNanoseconds() - began) / 1e9
        #expect(seconds > 2.5 && seconds < 10, "\(seconds)")
        var kinds: [String] = []
        for outcome in outcomes {
            switch outcome {
            case .answer(let answer):
                kinds.append("answer")
                #expect(answer.path?.utf8.count == long.utf8.count && answer.end == "report")
            case .notRunning: kinds.append("none")
            case .silent: kinds.append("silent")
            case .notUnderstood: kinds.append("?")
            }
        }
        #expect(kinds == Array(repeating: "silent", count: 12) + ["answer", "none"])
        // The ones that change something are waited for.
        #expect(try JobFinder.ask(lively, ControlRequest(request: .savepoint)).path?.utf8.count == long.utf8.count)
    }

    @Test("changes from many threads are all kept, and share transactions")
    func store() throws {
        let path = NSTemporaryDirectory() + "swiftwater-store-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try ServiceStore(path: path + "/service.sqlite")
        let failures = Mutex([String]())
        DispatchQueue.concurrentPerform(iterations: 400) { n in
            do {
                if n % 2 == 0 {
                    try store.note(ServiceEvent(at: Int64(n), topology: "t\(n % 5)", kind: "k", text: "x"))
                } else {
                    try store.note(AuditEntry(at: Int64(n), who: "w", peer: "p", action: "a", target: "\(n)", status: 200))
                }
            } catch { failures.withLock { $0.append("\(error)") } }
        }
        let failed = failures.withLock { $0 }
        #expect(failed == [])
        #expect(Set(try store.events(of: nil, limit: 1_000).map(\.at)) == Set(stride(from: 0, to: 400, by: 2)))
        #expect(try store.events(of: "t2", limit: 1_000).count == 40)
        #expect(Set(try store.audit(limit: 1_000).map(\.at)) == Set(stride(from: 1, to: 400, by: 2)))
    }

    #if os(Linux)
    /// The files of a control group are stood in for by plain ones: what is written to them is what the kernel would be told.
    @Test("processes of topologies go into control groups of their own where the daemon's group was handed over")
    func controlGroups() throws {
        let own = NSTemporaryDirectory() + "swiftwater-group-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: own) }
        func text(_ name: String) -> String? { try? String(contentsOfFile: own + "/" + name, encoding: .utf8) }
        try "cpuset cpu io memory pids\n".write(toFile: own + "/cgroup.controllers", atomically: true, encoding: .utf8)
        #expect(ControlGroups(own: own) == nil, "nobody has handed it over")
        #expect(text("cgroup.subtree_control") == nil)
        let marked = try PythonScript.run(nil, ["-c", "import os, sys; os.setxattr(sys.argv[1], 'user.delegate', b'1')", own])
        // Some file systems keep no such marks.
        if marked.errors.contains("Errno \(ENOTSUP)]") { return }
        try #require(marked.status == 0, "\(marked.errors)")
        let groups = try #require(ControlGroups(own: own))
        #expect(text("daemon/cgroup.procs") == "\(getpid())" && text("cgroup.subtree_control") == "+memory +cpu")
        // One that replaces a daemon is in the group below.
        #expect(ControlGroups(own: own + "/daemon") != nil && !FileManager.default.fileExists(atPath: own + "/daemon/daemon"))
        try groups.prepare("a", memory: 1 << 30, weight: nil)
        try groups.prepare("b", memory: nil, weight: 500)
        #expect(text("topology-a/memory.max") == "1073741824" && text("topology-a/cpu.weight") == "100")
        #expect(text("topology-b/memory.max") == "max" && text("topology-b/cpu.weight") == "500")
        try groups.add(4_711, to: "a")
        #expect(text("topology-a/cgroup.procs") == "4711")
        #expect(groups.holds(4_711, in: "a") && !groups.holds(471, in: "a") && !groups.holds(4_711, in: "none"))
        #expect(groups.memoryKills("a") == 0)
        try "low 0\noom 3\noom_kill 2\noom_group_kill 0\n".write(toFile: own + "/topology-a/memory.events", atomically: true, encoding: .utf8)
        #expect(groups.memoryKills("a") == 2)
        // Without the controllers there is nothing to share out.
        try "cpu\n".write(toFile: own + "/cgroup.controllers", atomically: true, encoding: .utf8)
        #expect(ControlGroups(own: own) == nil)
    }
    #endif
}
