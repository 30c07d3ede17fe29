import Foundation
import StreamCore
import Testing

private let sensorColumns = """
    sensor_id INTEGER, current_temperature DOUBLE, status VARCHAR(6), event_time TIMESTAMP(3),
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND
    """

private func sensorData(_ harness: Harness, start: String, more: String = "") -> String {
    """
    CREATE TABLE sensor_data (\(sensorColumns))
    PARTITIONED BY (sensor_id)
    WITH ('connector' = 'kinesis', 'stream' = 'my-input-stream', 'aws.region' = 'us-east-1', 'scan.stream.initpos' = '\(start)',
          'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', 'log.directory' = '\(harness.log.directory)'\(more))
    """
}

private func sensorState(_ harness: Harness) -> String {
    """
    CREATE TABLE sensor_state (status VARCHAR(6), num INTEGER, avg_current_temperature DOUBLE, hop_time TIMESTAMP(3))
    WITH ('connector' = 'kinesis', 'stream' = 'my-output-stream', 'aws.region' = 'us-east-1', 'scan.stream.initpos' = 'LATEST',
          'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', 'log.directory' = '\(harness.log.directory)')
    """
}

private let hopInsert = """
    INSERT INTO sensor_state
    SELECT sensor_data.status,
        COUNT(*) AS num,
        AVG(sensor_data.current_temperature) AS avg_current_temperature,
        HOP_ROWTIME(event_time, INTERVAL '10' second, INTERVAL '1' minute) as hop_time
    FROM sensor_data
    GROUP BY HOP(event_time, INTERVAL '10' second, INTERVAL '1' minute), sensor_data.status;
    """

/// The printed records, and one at 11:22:01 that moves the watermark past 11:21:00.
private func printedRecords() throws -> [(key: String, text: String)] {
    try Harness.lines("sensors-printed.json").map { ("printed", $0) }
        + [("printed", #"{"sensor_id": 1, "current_temperature": 20.0, "status": "OK", "event_time": "2021-05-19T11:22:01.000000"}"#)]
}

private struct State: Decodable, Hashable {
    var status: String, num: Int, avg_current_temperature: Double, hop_time: String
}

private func states(_ harness: Harness) throws -> [State] {
    try harness.records("my-output-stream").map { try JSONDecoder().decode(State.self, from: Data($0.utf8)) }
}

/// 6 hop ends from 11:20:10 to 11:21:00 for each of the three statuses.
private func expectHopRows(_ rows: [State]) {
    #expect(rows.count == 18)
    let wanted: [String: (Int, Double)] = ["OK": (2, 111.76), "WARNING": (1, 140.93), "ERROR": (1, 168.32)]
    for (status, (num, average)) in wanted {
        let own = rows.filter { $0.status == status }
        #expect(own.map(\.hop_time).sorted() == [
            "2021-05-19T11:20:09.999", "2021-05-19T11:20:19.999", "2021-05-19T11:20:29.999", "2021-05-19T11:20:39.999",
            "2021-05-19T11:20:49.999", "2021-05-19T11:20:59.999",
        ], "\(status)")
        #expect(own.allSatisfy { $0.num == num && abs($0.avg_current_temperature - average) < 1e-9 }, "\(status): \(own)")
    }
}

@Suite("Sensor scenarios") struct SensorScenarios {
    @Test("1: the printed DDL and INSERT give 18 hop rows in the output stream")
    func hopWindow() throws {
        let harness = try Harness()
        try harness.log.createStream("my-input-stream")
        try harness.log.createStream("my-output-stream")
        try harness.put("my-input-stream", printedRecords())
        try harness.run(sensorData(harness, start: "TRIM_HORIZON") + ";" + sensorState(harness))
        let job = try harness.start(hopInsert)
        try eventually("18 rows in the output stream") { try harness.records("my-output-stream").count >= 18 }
        try job.stop()
        // The stop fires no window: the event at 11:22:01 is in none of the rows.
        expectHopRows(try states(harness))
    }

    @Test("4: a status longer than its VARCHAR(6) comes out whole")
    func longStatus() throws {
        let harness = try Harness()
        try harness.log.createStream("my-input-stream")
        try harness.put("my-input-stream", printedRecords())
        try harness.run(sensorData(harness, start: "TRIM_HORIZON", more: ", 'scan.bounded.mode' = 'latest-offset'"))
        let rows = try harness.query("SELECT status FROM sensor_data WHERE sensor_id = 9")
        #expect(rows == [[.string("WARNING")]])
    }

    @Test("5: LATEST reads the five that come after the start, TRIM_HORIZON all fifteen", arguments: [("LATEST", 5), ("TRIM_HORIZON", 15)])
    func startPosition(start: String, wanted: Int) throws {
        let harness = try Harness()
        try harness.log.createStream("my-input-stream")
        try harness.log.createStream("copies")
        func record(_ i: Int) -> (key: String, text: String) {
            ("k", #"{"sensor_id": \#(i), "current_temperature": 1.5, "status": "OK", "event_time": "2021-05-19T11:20:00.978328"}"#)
        }
        try harness.put("my-input-stream", (0..<10).map(record))
        try harness.run(sensorData(harness, start: start) + ";" + """
            CREATE TABLE copies (sensor_id INT) WITH ('connector' = 'kinesis', 'stream' = 'copies', 'format' = 'json', 'log.directory' = '\(harness.log.directory)')
            """)
        let job = try harness.start("INSERT INTO copies SELECT sensor_id FROM sensor_data")
        try harness.put("my-input-stream", (10..<15).map(record))
        try eventually("\(wanted) copies") { try harness.records("copies").count >= wanted }
        try job.stop()
        let copied = try harness.records("copies")
        #expect(copied == ((15 - wanted)..<15).map { #"{"sensor_id":\#($0)}"# })
    }

    @Test("6: SiteWise values in printed order, 5 s watermark: 5-second windows count 5 and 5, 1-second windows drop 4 late rows")
    func lateValues() throws {
        let harness = try Harness()
        struct Value: Decodable {
            struct Time: Decodable { var timeInSeconds: Int, offsetInNanos: Int }
            var timestamp: Time, quality: String
        }
        struct Message: Decodable {
            struct Outer: Decodable { struct Inner: Decodable { var values: [Value] }; var payload: Inner }
            var payload: Outer
        }
        struct Subscription: Decodable { var messages: [Message] }
        let record = try JSONDecoder().decode(Subscription.self, from: Data(try Harness.lines("sitewise-subscription.json").joined().utf8))
        let values = record.messages[0].payload.payload.values
        #expect(values.count == 10)
        let path = harness.directory + "/values.json"
        try values.map { #"{"ms": \#($0.timestamp.timeInSeconds * 1_000 + $0.timestamp.offsetInNanos / 1_000_000), "quality": "\#($0.quality)"}"# }
            .joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
        try harness.run("""
            CREATE TABLE site (ms BIGINT, quality STRING, ts AS TO_TIMESTAMP_LTZ(ms, 3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
            WITH ('connector' = 'filesystem', 'path' = '\(path)', 'format' = 'json');
            CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole')
            """)
        let five = try harness.query("SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE site, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end")
        #expect(five == [[.int(5)], [.int(5)]])
        for (seconds, late) in [(5, 0), (1, 4)] {
            let status = try harness.run("""
                INSERT INTO nowhere SELECT COUNT(*) FROM TABLE(TUMBLE(TABLE site, DESCRIPTOR(ts), INTERVAL '\(seconds)' SECOND)) GROUP BY window_start, window_end
                """)
            #expect(status.reduce(0) { $0 + $1.lateRows } == late, "\(seconds)-second windows")
        }
    }

    @Test("12: of a 10-shard stream the records of one key keep their order and every shard is read once", arguments: [1, 2])
    func tenShards(parallelism: Int) throws {
        let harness = try Harness()
        try harness.log.createStream("wide", shards: 10)
        for round in 0..<20 { try harness.put("wide", (0..<50).map { ("key-\($0)", #"{"k": "key-\#($0)", "n": \#(round)}"#) }) }
        try harness.session.set("parallelism.default", to: "\(parallelism)")
        try harness.run("""
            CREATE TABLE wide (k STRING, n INT, shard STRING METADATA FROM 'shard-id' VIRTUAL) WITH ('connector' = 'kinesis', 'stream' = 'wide', 'scan.stream.initpos' = 'TRIM_HORIZON',
              'scan.bounded.mode' = 'latest-offset', 'format' = 'json', 'log.directory' = '\(harness.log.directory)')
            """)
        let described = try harness.log.describe("wide").shards
        #expect(described.count == 10 && described.allSatisfy { $0.records > 0 })
        let rows = try harness.query("SELECT k, n, shard FROM wide")
        #expect(rows.count == 1_000)
        for (key, own) in Dictionary(grouping: rows, by: { $0[0] }) {
            #expect(own.map { $0[1] } == (0..<20).map { .int($0) }, "\(key)")
            #expect(Set(own.map { $0[2] }).count == 1, "\(key) is in one shard")
        }
        let byShard = try harness.query("SELECT shard, COUNT(*) FROM wide GROUP BY shard")
        #expect(Set(byShard) == Set(described.map { [.string($0.id), .int(Int64($0.records))] }))
    }
}
