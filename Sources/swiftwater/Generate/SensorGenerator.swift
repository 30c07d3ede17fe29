import StreamCore

/// Sensor readings: temperature 10 to 180; above 160 an ERROR, above 140 or by chance a WARNING or ERROR, else OK.
struct SensorGenerator: LoadGenerator {
    private var random: GeneratorRandom
    private var remaining: Int?
    /// Event time of the next record and the step to the one after, microseconds.
    private var time: Int64
    private let step: Int64

    init(seed: UInt64, count: Int?, startMicroseconds: Int64, stepMicroseconds: Int64) {
        random = GeneratorRandom(seed: seed)
        remaining = count
        time = startMicroseconds
        step = stepMicroseconds
    }

    mutating func next() -> GeneratedRecord? {
        if let left = remaining {
            guard left > 0 else { return nil }
            remaining = left - 1
        }
        let hundredths = 1_000 + Int.random(in: 0...17_000, using: &random)
        let draw = Int.random(in: 1...99, using: &random)
        let status = if hundredths > 16_000 {
            "ERROR"
        } else if hundredths > 14_000 || draw > 80 {
            Bool.random(using: &random) ? "WARNING" : "ERROR"
        } else {
            "OK"
        }
        let sensor = Int.random(in: 1...99, using: &random)
        defer { time += step }
        let cents = hundredths % 100
        return GeneratedRecord(partitionKey: "\(sensor)", fields: [
            ("sensor_id", "\(sensor)"),
            ("current_temperature", "\(hundredths / 100)." + (cents < 10 ? "0\(cents)" : "\(cents)")),
            ("status", "\"\(status)\""),
            ("event_time", "\"\(GeneratorTime.iso(time))\""),
        ])
    }
}
