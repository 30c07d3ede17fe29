import FileConnectors
import HudiTable
import StreamCore
import StreamRuntime
import StreamSQL
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One measurement, in a process of its own.
enum Case {
    static let names = [
        "read3", "hop3", "hop3x2", "hop3x1", "read4", "filter", "filterx2", "filterx1", "read-keys", "keys", "keysx2", "keysx1", "hudi",
        "hop3-long", "hop3-checkpoints", "keys-long", "keys-checkpoints",
    ]

    /// Prints `rows wall-seconds cpu-seconds peak-bytes`.
    static func run(_ name: String, directory: String) throws {
        let started = Clock.monotonicNanoseconds()
        let rows: Int64 = switch name {
        case "read3": try read("\(directory)/sensors-a.json", ["status", "current_temperature", "event_time"])
        case "read4": try read("\(directory)/sensors-a.json", ["sensor_id", "current_temperature", "status", "event_time"])
        case "read-keys": try read("\(directory)/keys-a.json", ["sensor_id", "current_temperature", "event_time"])
        case "hop3": try sql(hop("status", "\(directory)/sensors-a.json"), workers: 1)
        case "hop3x1": try sql(hop("status", "\(directory)/sensors"), workers: 1)
        case "hop3x2": try sql(hop("status", "\(directory)/sensors"), workers: 2)
        case "filter": try sql(filter("\(directory)/sensors-a.json"), workers: 1)
        case "filterx1": try sql(filter("\(directory)/sensors"), workers: 1)
        case "filterx2": try sql(filter("\(directory)/sensors"), workers: 2)
        case "keys": try sql(hop("sensor_id", "\(directory)/keys-a.json"), workers: 1)
        case "keysx1": try sql(hop("sensor_id", "\(directory)/keys"), workers: 1)
        case "keysx2": try sql(hop("sensor_id", "\(directory)/keys"), workers: 2)
        case "hudi": try hudi(directory)
        case "hop3-long": try long(hop("status", "\(directory)/sensors-a.json"), span: 500_000, checkpoints: nil)
        case "hop3-checkpoints": try long(hop("status", "\(directory)/sensors-a.json"), span: 500_000, checkpoints: "\(directory)/checkpoints")
        case "keys-long": try long(hop("sensor_id", "\(directory)/keys-a.json"), span: 100_000, checkpoints: nil)
        case "keys-checkpoints": try long(hop("sensor_id", "\(directory)/keys-a.json"), span: 100_000, checkpoints: "\(directory)/checkpoints")
        default: throw StreamError(.validate, "there is no case \(name)", fix: "use one of " + names.joined(separator: ", "))
        }
        let wall = Double(Clock.monotonicNanoseconds() - started) / 1e9
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let cpu = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        print(rows, wall, cpu, Int64(usage.ru_maxrss) * 1_024)
    }

    private static let columns = "sensor_id INT, current_temperature DOUBLE, status STRING, event_time TIMESTAMP_LTZ(3)"

    private static func sensors(_ path: String) -> String {
        """
        CREATE TABLE sensors (\(columns), WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND)
        WITH ('connector' = 'filesystem', 'path' = '\(path)', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
        """
    }

    private static func hop(_ key: String, _ path: String) -> String {
        sensors(path) + """
            CREATE TABLE sink (k STRING, n BIGINT, a DOUBLE, e TIMESTAMP(3)) WITH ('connector' = 'blackhole');
            INSERT INTO sink SELECT CAST(\(key) AS STRING), COUNT(*), AVG(current_temperature), window_end
            FROM TABLE(HOP(TABLE sensors, DESCRIPTOR(event_time), INTERVAL '10' SECOND, INTERVAL '1' MINUTE))
            GROUP BY \(key), window_start, window_end;
            """
    }

    private static func filter(_ path: String) -> String {
        sensors(path) + """
            CREATE TABLE sink (\(columns)) WITH ('connector' = 'blackhole');
            INSERT INTO sink SELECT * FROM sensors WHERE current_temperature > 30 AND status <> 'ERROR';
            """
    }

    /// Rows that left the sources.
    private static func sql(_ script: String, workers: Int) throws -> Int64 {
        let session = SQLSession(connectors: [FilesystemConnector(), BlackholeConnector(), HudiConnector()])
        try session.set("parallelism.default", to: "\(workers)")
        var rows: Int64 = 0
        for statement in try SQLParser(text: script, file: nil).parseScript() {
            guard case .insert(let graph) = try session.execute(statement) else { continue }
            let execution = try JobExecution(graph, options: JobOptions(workers: workers))
            try execution.run()
            for (vertex, status) in zip(graph.vertices, execution.status()) {
                if case .source = vertex.kind { rows += status.rowsOut }
            }
        }
        return rows
    }

    /// The input several times over, with a checkpoint every second if there is a directory for them.
    ///
    /// - Parameter span: milliseconds of event time in the input.
    private static func long(_ script: String, span: Int64, checkpoints: String?) throws -> Int64 {
        let session = SQLSession(connectors: [FilesystemConnector(), BlackholeConnector()])
        var rows: Int64 = 0
        for statement in try SQLParser(text: script, file: nil).parseScript() {
            guard case .insert(var graph) = try session.execute(statement) else { continue }
            for i in graph.vertices.indices {
                guard case .source(var source) = graph.vertices[i].kind, let watermark = source.watermark else { continue }
                source.source = LoopSource(inner: source.source, turns: 8, timeColumn: watermark.timeColumn, span: span)
                graph.vertices[i].kind = .source(source)
            }
            var options = JobOptions(workers: 1)
            options.checkpoints.interval = checkpoints == nil ? nil : .seconds(1)
            let runner = try JobRunner(graph, options: options, recovery: checkpoints.map { RecoveryOptions(directory: $0, jobID: "bench") })
            runner.onEvent { event in
                guard case .checkpointCompleted(let manifest, let bytes) = event else { return }
                note("checkpoint \(manifest.checkpoint): \(manifest.completedAt - manifest.startedAt) ms, \(bytes) bytes")
            }
            try runner.run()
            for (vertex, status) in zip(graph.vertices, runner.status()) {
                if case .source = vertex.kind { rows += status.rowsOut }
            }
        }
        return rows
    }

    /// Only decodes the named columns.
    private static func read(_ path: String, _ wanted: [String]) throws -> Int64 {
        let schema = [Field("sensor_id", .int), Field("current_temperature", .double), Field("status", .string), Field("event_time", .timestampLTZ(3))]
        let table = TableDescriptor(name: "sensors", schema: schema, options: [
            "connector": "filesystem", "path": path, "format": "json", "json.timestamp-format.standard": "ISO-8601",
        ])
        let source = try FilesystemConnector().source(for: table, scan: ScanRequest(projection: wanted.map { name in schema.firstIndex { $0.name == name }! }))
        var rows: Int64 = 0
        for split in try source.splits() {
            let reader = try source.reader(for: split, metrics: OperatorMetrics())
            reading: while true {
                switch try reader.next(maxRows: Batch.targetRows) {
                case .batch(let batch): rows += Int64(batch.count)
                case .waiting: continue
                case .endOfSplit: break reading
                }
            }
            reader.close()
        }
        return rows
    }

    /// Five columns from memory into a new table, one commit.
    private static func hudi(_ directory: String) throws -> Int64 {
        let schema = [Field("id", .bigint), Field("name", .string), Field("amount", .double), Field("city", .string), Field("ts", .timestamp(3))]
        let path = "\(directory)/hudi-table"
        let table = TableDescriptor(name: "bench", schema: schema, primaryKey: ["id"], options: [
            "connector": "hudi", "path": path, "write.operation": "insert", "precombine.field": "ts",
        ])
        let sink = try HudiConnector().sink(for: table, timeZone: "UTC")
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let committer = try sink.committer(SinkContext())
        let total = 5_000_000
        let cities = ["Oslo", "Rome", "Lima", "Cairo", "Quito"]
        var row = 0
        while row < total {
            let n = min(Batch.targetRows, total - row)
            let ids = Buffer(capacity: n * 8), amounts = Buffer(capacity: n * 8), times = Buffer(capacity: n * 8)
            let names = ColumnBuilder(type: .string, capacity: n), places = ColumnBuilder(type: .string, capacity: n)
            for i in 0..<n {
                let id = row + i
                ids.pointer(as: Int64.self)[i] = Int64(id)
                amounts.pointer(as: Double.self)[i] = Double(id &* 7_919 % 100_000) / 100
                times.pointer(as: Int64.self)[i] = 1_704_067_200_000 + Int64(id)
                names.append(string: "customer-\(id % 100_003)")
                places.append(string: cities[id % 5])
            }
            try writer.write(Batch(columns: [
                Column(type: .bigint, count: n, values: ids), names.finish(), Column(type: .double, count: n, values: amounts), places.finish(),
                Column(type: .timestamp(3), count: n, values: times),
            ], physicalCount: n))
            row += n
        }
        let parts = try writer.prepareCommit(1)
        try committer?.commit(1, parts)
        try writer.close()
        committer?.close()
        return Int64(total)
    }
}
