import StreamCore
import StreamTesting

/// `Topologies/sensors.yaml`: a stream, sliding windows, another stream and a Hudi table.
final class SensorsSimulation: SQLTopology, SimulatedTopology {
    init(seed: UInt64, disk: SimulatedDisk) throws {
        var random = SeededRandom(seed ^ 0x5E50)
        let readings = Self.readings(&random)
        super.init(disk: disk, broker: SimulatedBroker(seed: seed), text: try Self.shipped("sensors.yaml"), isYAML: true, expected: Self.model(readings))
        try put("my-input-stream", shards: Int.random(in: 1...3, using: &random), readings.map { ("\($0.sensor)", $0.json) })
    }

    override var variables: [String: String] { ["START": "TRIM_HORIZON", "BOUNDED": "latest-offset", "SHARDS": "2"] }

    func visible() throws -> [String: VisibleOutput] {
        ["my-output-stream": try records("my-output-stream"), "sensor_state_cow": try table("sensor_state_cow")]
    }

    private struct Reading {
        var sensor: Int
        /// In quarters of a degree, so that sums are exact in any order.
        var quarters: Int
        var status: String?
        /// Milliseconds since the epoch.
        var time: Int64

        var json: String {
            let status = status.map { "\"\($0)\"" } ?? "null"
            return "{\"sensor_id\":\(sensor),\"current_temperature\":\(Double(quarters) / 4),\"status\":\(status),\"event_time\":\"\(timeText(time))\"}"
        }
    }

    /// No reading comes more than the delay of the watermark behind another, so none is late in any order of steps.
    private static func readings(_ random: inout SeededRandom) -> [Reading] {
        var time = SimulatedClock.epochMilliseconds
        return (0..<Int.random(in: 20...90, using: &random)).map { _ in
            time += Int64.random(in: 0...4_000, using: &random)
            return Reading(sensor: Int.random(in: 0..<20, using: &random), quarters: Int.random(in: 0..<200, using: &random),
                           status: ["OK", "WARN", "FAIL", nil].randomElement(using: &random)!, time: time - Int64.random(in: 0..<4_500, using: &random))
        }
    }

    private static func model(_ readings: [Reading]) -> [String: VisibleOutput] {
        struct Key: Hashable { var end: Int64, status: String? }
        var groups: [Key: (count: Int, quarters: Int)] = [:]
        for reading in readings {
            let last = reading.time / 10_000 * 10_000 + 60_000
            for end in stride(from: last, to: last - 60_000, by: -10_000) {
                let old = groups[Key(end: end, status: reading.status)] ?? (0, 0)
                groups[Key(end: end, status: reading.status)] = (old.count + 1, old.quarters + reading.quarters)
            }
        }
        var stream: [String] = [], table: [String] = []
        for (key, group) in groups {
            let average = Double(group.quarters) / 4 / Double(group.count)
            let status = key.status.map { "\"\($0)\"" } ?? "null"
            stream.append("{\"status\":\(status),\"num\":\(group.count),\"avg_current_temperature\":\(average),\"hop_time\":\"\(timeText(key.end - 1))\"}")
            // The table keeps microseconds, and refuses rows without a key.
            if let status = key.status { table.append("\(average)|\((key.end - 1) * 1_000)|\(group.count)|\(status)") }
        }
        return ["my-output-stream": VisibleOutput(kind: .log, rows: stream), "sensor_state_cow": VisibleOutput(kind: .table, rows: table)]
    }
}

/// ISO 8601 without a zone, for times within 24 hours after the simulated clock's start.
func timeText(_ milliseconds: Int64) -> String {
    let t = milliseconds - SimulatedClock.epochMilliseconds
    precondition(t >= -86_400_000 && t < 86_400_000)
    let (day, rest) = t < 0 ? ("2023-12-31", t + 86_400_000) : ("2024-01-01", t)
    func two(_ n: Int64) -> String { n < 10 ? "0\(n)" : "\(n)" }
    let fraction = rest % 1_000
    let digits = fraction == 0 ? "" : "." + (fraction < 10 ? "00" : fraction < 100 ? "0" : "") + "\(fraction)"
    return "\(day)T\(two(rest / 3_600_000)):\(two(rest / 60_000 % 60)):\(two(rest / 1_000 % 60))" + digits
}
