import Foundation
import HTTPConnector
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Synchronization
import TestScripts
import Testing
import Topology

/// Jobs over what devices post.
@Suite("device logs over HTTP") struct DeviceJobTests {
    private static func session(_ sinks: [any TableConnector]) -> SQLSession { SQLSession(connectors: [HTTPConnector()] + sinks) }

    private static func graph(_ session: SQLSession, _ statements: [Statement]) throws -> JobGraph {
        var last: JobGraph?
        for statement in statements { if case .insert(let graph) = try session.execute(statement) { last = graph } }
        return try #require(last)
    }

    private func temporary(_ body: (String) throws -> Void) throws {
        let directory = NSTemporaryDirectory() + "devices-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    @Test("a job that is killed in the middle and goes on has every acknowledged line once")
    func restarts() throws {
        try temporary { directory in
            let port = try freePort(), sink = CollectingSink(maxParallelism: 1, commitInterval: .milliseconds(50))
            func start() throws -> RunningJob {
                let script = """
                    CREATE TABLE logs (`at` STRING, level STRING, model STRING, sent BIGINT, received BIGINT, message STRING, device STRING METADATA FROM 'path.device')
                    WITH ('connector' = 'http', 'listen' = '127.0.0.1:\(port)', 'path' = '/devices/{device}/logs', 'format' = 'csv', 'log.directory' = '\(directory)', 'max-backlog' = '20 kb');
                    CREATE TABLE seen (device STRING, level STRING, message STRING) WITH ('connector' = 'collect');
                    INSERT INTO seen SELECT device, level, message FROM logs;
                    """
                return try RunningJob(try Self.graph(Self.session([Collector(identifier: "collect", sink: sink)]), try SQLParser(text: script).parseScript()), checkpoints: directory + "/checkpoints")
            }
            let answer = Mutex<Result<PythonScript.Result, any Error>?>(nil)
            let example = PythonScript.root.appending(path: "Examples/devices.py").path
            var job: RunningJob? = try start()
            Thread.detachNewThread {
                let result = Result { try PythonScript.run(nil, [example, "--url", "http://127.0.0.1:\(port)", "--devices", "8", "--files", "30", "--lines", "30", "--pause", "0.02"]) }
                answer.withLock { $0 = result }
            }
            var kills = 0
            while answer.withLock({ $0 == nil }), kills < 6 {
                let rows = sink.rows.count, checkpoints = job?.checkpoints ?? 0
                try eventually("rows and a checkpoint") { answer.withLock { $0 != nil } || (sink.rows.count > rows + 50 && job?.checkpoints ?? 0 > checkpoints) }
                try job?.kill()
                job = nil
                kills += 1
                // The ended job lets go of its checkpoints when the last of its threads does.
                try eventually("the next start") {
                    do { job = try start() } catch let error as StreamError where error.code == .conflict {}
                    return job != nil
                }
            }
            try eventually("the devices' end", seconds: 100) { answer.withLock { $0 != nil } }
            let result = try #require(try answer.withLock { try $0?.get() })
            try #require(result.status == 0, "\(result.errors)")
            let sent = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: [String: Any]])
            let total = sent.values.reduce(0) { $0 + ($1["lines"] as! Int) }
            try eventually("all rows") { sink.rows.count >= total }
            try job?.stop()
            #expect(sink.rows.count == total && kills > 1, "\(sink.rows.count) of \(total), after \(kills) kills")
            for (device, what) in sent {
                let errors = sink.rows.filter { $0.values[0] == .string(device) && $0.values[1] == .string("ERROR") }
                #expect(errors.count == what["errors"] as! Int, "\(device)")
                #expect(errors.last.map { Device.text($0.values[2]) } == what["last_error"] as? String, "\(device): its lines are in order")
            }
        }
    }

    @Test("scenario 13: the error count and the last error of a device are visible within five seconds of the POST")
    func insight() throws {
        try temporary { directory in
            let port = try freePort(), sink = CollectingSink(maxParallelism: 1, commitInterval: .seconds(1)), broken = CollectingSink(maxParallelism: 1, commitInterval: .seconds(1))
            let topology = try Topology.load(path: PythonScript.root.appending(path: "Topologies/devices.yaml").path, variables: [
                "SWIFTWATER_DATA": directory, "LISTEN": "127.0.0.1:\(port)",
            ])
            let session = Self.session([Collector(identifier: "hudi", sink: sink), Collector(identifier: "kinesis", sink: broken)])
            let job = try RunningJob(try Self.graph(session, topology.statements), checkpoints: directory + "/checkpoints")
            try eventually("the receiver") { (try? HTTP.send("POST", "http://127.0.0.1:\(port)/devices/r0/logs", [])) != nil || job.failure != nil }
            if let failure = job.failure { throw failure }
            func now() -> String { Date.now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)).replacingOccurrences(of: "T", with: " ").replacingOccurrences(of: "Z", with: "") }
            var latencies: [Double] = [], errors: [String: Int] = [:]
            for round in 0..<12 {
                let device = "router-\(round % 4)", message = "WAN link down, \"try\" \(round)", quoted = message.replacingOccurrences(of: "\"", with: "\"\"")
                let lines = "\(now()),INFO,R1,1,2,\"ok\"\n\(now()),ERROR,R1,1,2,\"an earlier one\"\n\(now()),ERROR,R1,1,2,\"\(quoted)\"\n\(now()),INFO,R1,1,2,\"ok\"\n" + (round == 5 ? "no log line\n" : "")
                errors[device, default: 0] += 2
                #expect(try HTTP.send("PUT", "http://127.0.0.1:\(port)/devices/\(device)/logs", Array(lines.utf8)).status == 200)
                let acknowledged = Date()
                try eventually("the error of round \(round)", seconds: 30) {
                    // Should a quarter of an hour end meanwhile, its counts begin anew.
                    sink.rows.contains { $0.kind.isAdd && $0.values[0] == .string(device) && $0.values[4] == .string(message) } || job.failure != nil
                }
                latencies.append(Date().timeIntervalSince(acknowledged))
            }
            if let failure = job.failure { throw failure }
            #expect(latencies.max()! < 5, "\(latencies)")
            for (device, count) in errors {
                // The newest of each quarter.
                var newest: [Value: Int64] = [:]
                for row in sink.rows where row.kind.isAdd && row.values[0] == .string(device) { if case .int(let n) = row.values[3] { newest[row.values[1]] = n } }
                #expect(newest.values.reduce(0, +) == Int64(count), "\(device)")
            }
            try eventually("the broken line") { broken.rows.count == 1 }
            #expect(broken.rows[0].values[1] == .string("/devices/router-1/logs") && broken.rows[0].values[2] == .int(5) && broken.rows[0].values[4] == .string("no log line"))
            try job.stop()
            print("scenario 13: visible after at most \(latencies.max()!) s, \(latencies.reduce(0, +) / Double(latencies.count)) s on average")
        }
    }

    @Test("requests, a common Python client, is served: keep-alive, streams, files")
    func pythonClient() throws {
        let device = Device(["token": "t"])
        try device.start()
        let code = """
            import io, requests, sys
            url = sys.argv[1]
            with requests.Session() as session:
                session.headers["Authorization"] = "Bearer t"
                for i in range(5):
                    assert session.post(url, json=[{"id": i}]).json() == {"records": 1, "bytes": 9}
                # A generator is sent in chunks.
                assert session.put(url, data=(b'{"id":%d}\\n' % i for i in range(5, 8))).json()["records"] == 3
                assert session.post(url, data=io.BytesIO(b'{"id":8}\\n')).status_code == 200
                refused = session.post(url, data=b"x" * (9 << 20))
                assert refused.status_code == 413, refused.status_code
                assert session.post(url, json={"id": 9}).status_code == 200
            assert requests.post(url, json={}).status_code == 401
            """
        let result = try PythonScript.run(nil, ["-c", code, "http://127.0.0.1:\(device.port)/devices/r/logs"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(try device.texts() == (0..<10).map { "\($0) NULL" })
    }
}
