import Foundation
@testable import StreamServer
import StreamCore
import Testing

@Suite("Cells that run") struct StudioRunTests {
    private let book = "/v1/notebooks/sensors.sql"

    private func notebook(_ cells: [String]) -> [String: String] { ["sensors.sql": cells.map { "-- %%\n\($0)\n" }.joined(separator: "\n")] }

    private func isAlive(_ process: Int64) -> Bool { kill(pid_t(process), 0) == 0 }

    private func waitForEnd(_ process: Int64, seconds: Double = 8) -> Bool {
        let limit = Date().addingTimeInterval(seconds)
        while isAlive(process), Date() < limit { usleep(20_000) }
        return !isAlive(process)
    }

    @Test("all cells, one after another; two readers see the same, and a later one the present state")
    func runAll() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let one = try h.follow(), two = try h.follow()
            defer { for reader in [one, two] { reader.close() } }
            try one.wait("no kernel") { $0.kernel["state"]?.string == "none" && $0.order["readers"]?.int == 2 }
            #expect(try h.send("POST", book + "/run", object(["parameters": object(["n": "7"])])).status == 202)
            for reader in [one, two] {
                try reader.wait("all to finish") { r in ["c3", "c4", "c5"].allSatisfy { r.state($0) == "finished" } }
                #expect(reader.kernel["state"]?.string == "ready")
                #expect(reader.shown("c3").first?["text"]?.string == "table sensor_data created")
                let table = reader.shown("c4").first
                #expect(table?["rows"]?.array?.count == 3 && table?["chart"]?["kind"]?.string == "bar" && table?["isFinal"]?.bool == true)
                #expect(reader.shown("c5").map { $0["text"]?.string } == ["n = 7", "hello ${n}\n", "a warning\n"])
                #expect(reader.runs["c4"]?["progress"]?["rowsIn"]?.int == 1000)
            }
            let late = try h.follow()
            defer { late.close() }
            try late.wait("the state") { $0.outputs.count == one.outputs.count && $0.state("c5") == "finished" && $0.kernel["state"]?.string == "ready" }
            #expect(late.isSynced && late.outputs == one.outputs)
        }
    }

    @Test("a cell that fails ends the run of all, with the line in the cell")
    func failure() throws {
        try StudioHarness.with(try StudioHarness(files: notebook(["CREATE TABLE a (x INT)", "SELECT 1;\nSELECT wrong", "SELECT status", "-- @allow-failure\nwrong", "SELECT status"]))) { h in
            let reader = try h.follow()
            defer { reader.close() }
            _ = try h.send("POST", book + "/run", object([:]))
            try reader.wait("the failure") { $0.state("c2") == "failed" && $0.state("c3") == "skipped" }
            #expect(reader.runs["c2"]?["error"]?["line"]?.int == 2 && reader.runs["c2"]?["error"]?["column"]?.int == 8)
            #expect(reader.state("c5") == "skipped")
            _ = try h.send("POST", book + "/run", object(["from": "c4"]))
            try reader.wait("the rest") { $0.state("c5") == "finished" }
            #expect(reader.state("c4") == "failed")
        }
    }

    @Test("a query that goes on lets the next cell run beside it; interrupting stops one cell, or all")
    func interrupt() throws {
        try StudioHarness.with(try StudioHarness(files: notebook(["SELECT live", "SELECT status", "wait", "SELECT status"]))) { h in
            let reader = try h.follow()
            defer { reader.close() }
            _ = try h.send("POST", book + "/run", object([:]))
            try reader.wait("the second beside the first") { $0.state("c1") == "running" && $0.state("c2") == "finished" && $0.state("c3") == "running" }
            #expect(reader.state("c4") == "queued")
            // The table moves on.
            let first = reader.shown("c1").first?["rows"]?.text()
            try reader.wait("other rows") { $0.shown("c1").first?["rows"]?.text() != first }
            #expect(try h.send("POST", book + "/interrupt", object(["cell": "c3"])).status == 200)
            try reader.wait("the next") { $0.state("c3") == "stopped" && $0.state("c4") == "finished" && $0.state("c1") == "running" }
            _ = try h.send("POST", book + "/run", object(["from": "c3"]))
            try reader.wait("waiting again") { $0.state("c3") == "running" && $0.state("c4") == "queued" }
            #expect(try h.send("POST", book + "/interrupt", object([:])).status == 200)
            try reader.wait("all to stop") { $0.state("c1") == "stopped" && $0.state("c3") == "stopped" && $0.state("c4") == "skipped" }
            #expect(reader.shown("c1").first?["isFinal"]?.bool == true)
            // A cell that runs is stopped by running it again.
            _ = try h.send("POST", book + "/run", object(["cell": "c1"]))
            try reader.wait("it to run") { $0.state("c1") == "running" && !$0.shown("c1").isEmpty }
            let run = reader.runs["c1"]?["run"]?.int ?? 0
            _ = try h.send("POST", book + "/run", object(["cell": "c1"]))
            try reader.wait("it to run again") { $0.state("c1") == "running" && ($0.runs["c1"]?["run"]?.int ?? 0) > run && !$0.shown("c1").isEmpty }
        }
    }

    @Test("a kernel that dies is shown with its last words; the next run has another one")
    func death() throws {
        try StudioHarness.with(try StudioHarness(files: notebook(["die now", "SELECT status", "leave\nwait"]))) { h in
            let reader = try h.follow()
            defer { reader.close() }
            _ = try h.send("POST", book + "/run", object([:]))
            try reader.wait("its end") { $0.kernel["state"]?.string == "dead" && $0.state("c1") == "failed" && $0.state("c2") == "skipped" }
            #expect(reader.kernel["log"]?.string?.contains("out of memory") == true && reader.kernel["text"]?.string?.contains("signal 9") == true)
            #expect(reader.runs["c1"]?["error"]?["message"]?.string?.contains("signal 9") == true)
            _ = try h.send("POST", book + "/run", object(["cell": "c2"]))
            try reader.wait("another kernel") { $0.kernel["state"]?.string == "ready" && $0.state("c2") == "finished" }
            // Killed from outside, while it waits.
            _ = try h.send("POST", book + "/run", object(["cell": "c3"]))
            try reader.wait("the wait") { $0.state("c3") == "running" && !$0.shown("c3").isEmpty }
            let process = reader.kernel["process"]?.int ?? 0, program = reader.shown("c3").first?["text"]?.string.flatMap { Int64($0) } ?? 0
            #expect(isAlive(process) && program > 0 && isAlive(program))
            kill(pid_t(process), SIGKILL)
            try reader.wait("its end") { $0.kernel["state"]?.string == "dead" && $0.state("c3") == "failed" }
            // What the cell started goes with it, though it is in a session of its own.
            #expect(waitForEnd(program))
        }
    }

    @Test("restart ends the kernel and starts another; the daemon's end leaves none")
    func restart() throws {
        let h = try StudioHarness(files: notebook(["wait", "SELECT status"]))
        var processes: [Int64] = []
        do {
            defer { h.end() }
            let reader = try h.follow()
            defer { reader.close() }
            _ = try h.send("POST", book + "/run", object(["cell": "c1"]))
            try reader.wait("the wait") { $0.state("c1") == "running" && $0.kernel["state"]?.string == "ready" }
            processes.append(reader.kernel["process"]?.int ?? 0)
            #expect(try h.send("POST", book + "/restart", object([:])).status == 200)
            try reader.wait("the other one") { $0.kernel["state"]?.string == "ready" && $0.kernel["process"]?.int != processes[0] && $0.state("c1") == "failed" }
            #expect(waitForEnd(processes[0]))
            processes.append(reader.kernel["process"]?.int ?? 0)
            _ = try h.send("POST", book + "/run", object(["cell": "c1"]))
            try reader.wait("the wait") { $0.state("c1") == "running" && $0.runs["c1"]?["startedAt"]?.int != nil }
        }
        #expect(processes[1] > 0 && waitForEnd(processes[1]))
    }

    @Test("at most so many kernels: the one that is idle for longest gives way, one that is looked at does not; idle ones end by themselves")
    func limits() throws {
        let one = "-- %%\nSELECT status\n", wait = "-- %%\nwait\n"
        try StudioHarness.with(try StudioHarness(idleSeconds: 0.5, kernelsMax: 2, files: ["a.sql": one, "b.sql": wait, "c.sql": one])) { h in
            func run(_ name: String) throws -> Int { try h.send("POST", "/v1/notebooks/\(name)/run", object([:])).status }
            func kernels() throws -> [String] { try h.get("/v1/notebooks").json["notebooks"]?.array?.compactMap { $0["kernel"]?.string == "none" ? nil : $0["path"]?.string } ?? [] }
            #expect(try run("a.sql") == 202)
            #expect(try run("b.sql") == 202)
            let a = try h.follow("a.sql")
            try a.wait("it to finish") { $0.state("c1") == "finished" }
            #expect(try kernels() == ["a.sql", "b.sql"])
            let refused = try h.send("POST", "/v1/notebooks/c.sql/run", object([:]))
            #expect(refused.status == 409 && refused.json.text().contains("2 kernels run"))
            a.close()
            var status = 0
            let limit = Date().addingTimeInterval(60)
            repeat {
                status = try run("c.sql")
                if status != 202 { usleep(100_000) }
            } while status != 202 && Date() < limit
            #expect(status == 202)
            #expect(try kernels() == ["b.sql", "c.sql"])
            // Nobody looks at c, and nothing runs in it.
            while try kernels() != ["b.sql"], Date() < limit.addingTimeInterval(10) { usleep(100_000) }
            #expect(try kernels() == ["b.sql"])
        }
    }

    @Test("what is kept of a run is bounded: the newest rows, the end of a text")
    func memory() throws {
        try StudioHarness.with(try StudioHarness(files: notebook(["SELECT many 5000", "flood 60000"]))) { h in
            _ = try h.send("POST", book + "/run", object([:]))
            let reader = try h.follow()
            defer { reader.close() }
            try reader.wait("both", seconds: 20) { $0.state("c1") == "finished" && $0.state("c2") == "finished" }
            let table = reader.shown("c1").first
            #expect(table?["rows"]?.array?.count == 1000 && table?["total"]?.int == 5000)
            #expect(table?["rows"]?.array?.last?.array?.first?.string == "row 4999")
            let late = try h.follow()
            defer { late.close() }
            try late.wait("the text") { $0.shown("c2").first?["text"]?.string?.hasSuffix("line 59999 of a long text that fills the page from top to bottom\n") == true }
            let text = late.shown("c2").first
            #expect(text?["isCut"]?.bool == true && (text?["text"]?.string?.utf8.count ?? 0) <= 1_400_000)
            // A reader that saw it grow has its end, too.
            #expect(reader.shown("c2").first?["text"]?.string?.hasSuffix("line 59999 of a long text that fills the page from top to bottom\n") == true)
        }
    }

    @Test("completion asks the kernel, and has nothing to say without one")
    func completion() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let question = object(["source": "SELECT * FROM sen", "at": 17])
            #expect(try h.send("POST", book + "/complete", question).json["kernel"]?.bool == false)
            _ = try h.send("POST", book + "/run", object(["cell": "c3"]))
            let answer = try h.send("POST", book + "/complete", question).json
            #expect(answer["from"]?.int == 14 && answer["items"]?.array?.compactMap { $0["text"]?.string } == ["sensor_data", "sensor_id"], "\(answer.text())")
        }
    }

    @Test("a kernel that cannot be started, and one that is none")
    func noKernel() throws {
        try StudioHarness.with(try StudioHarness(arguments: ["-c", "import sys; sys.stderr.write('no kernel here\\n'); sys.exit(3)"])) { h in
            let reader = try h.follow()
            defer { reader.close() }
            _ = try h.send("POST", book + "/run", object(["cell": "c3"]))
            try reader.wait("its end") { $0.kernel["state"]?.string == "dead" && $0.state("c3") == "failed" }
            #expect(reader.kernel["text"]?.string == "exit status 3" && reader.kernel["log"]?.string?.contains("no kernel here") == true)
        }
    }

    @Test("an event that is too long is passed over, and the kernel goes on", .timeLimit(.minutes(1)))
    func longEvents() throws {
        try StudioHarness.with(try StudioHarness(files: ["sensors.sql": "-- %%\nhuge 40\n\n-- %%\n-- @fails\nenormous\n\n-- %%\nSELECT status\n"])) { h in
            let reader = try h.follow()
            defer { reader.close() }
            for cell in ["c1", "c2", "c3"] { #expect(try h.send("POST", "/v1/notebooks/sensors.sql/run", object(["cell": .string(cell)])).status == 202) }
            try reader.wait("the end", seconds: 30) { $0.state("c3") == "finished" && $0.shown("c3").count == 1 }
            #expect(reader.state("c1") == "finished" && reader.state("c2") == "failed")
            #expect(reader.shown("c1").first?["text"]?.string == "an event of 40 MiB is not shown: 16 MiB is the most")
            #expect(reader.shown("c1").last?["rows"]?.array?.first == .array(["behind it"]))
            #expect(reader.runs["c2"]?["error"]?["message"]?.string?.contains("17 MiB is not shown") == true)
            #expect(reader.kernel["state"]?.string == "ready")
        }
    }

    @Test("readers are told first whether ids and numbers are those that they know")
    func epochs() throws {
        func epoch(_ h: StudioHarness) throws -> String {
            let reader = try h.follow()
            defer { reader.close() }
            try reader.wait("the state") { $0.isSynced }
            #expect(!reader.epoch.isEmpty && reader.order["epoch"]?.string == reader.epoch)
            #expect(try h.get(book).json["epoch"]?.string == reader.epoch)
            return reader.epoch
        }
        let first = try StudioHarness.with(try StudioHarness()) { h in
            let one = try epoch(h)
            #expect(try epoch(h) == one)
            return one
        }
        #expect(try StudioHarness.with(try StudioHarness()) { try epoch($0) } != first)
    }
}
