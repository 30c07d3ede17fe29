/// One measured value with its name and labels, as monitoring systems keep it.
public struct MetricSample: Codable, Hashable, Sendable {
    /// As Flink calls it where Flink has it: `numRecordsIn`, `currentInputWatermark`, `lastCheckpointDuration`.
    public var name: String
    /// `job`, `operator`, `subtask`, `split` and the like.
    public var labels: [String: String]
    public var value: Double

    public init(name: String, labels: [String: String] = [:], value: Double) {
        (self.name, self.labels, self.value) = (name, labels, value)
    }
}
