import KafkaConnector
import ShardLog
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The topics or streams that the options of a source lead to.
enum SourceNames {
    /// nil for connectors that have none.
    static func of(_ options: [String: String]) throws -> [String]? {
        switch options["connector"] {
        case "kafka":
            try KafkaInspection(
                Dictionary(uniqueKeysWithValues: options.compactMap { key, value in key.hasPrefix("properties.") ? (String(key.dropFirst(11)), value) : nil }),
                prefix: "properties.", options: [:], timeout: 15_000
            ).topics().map(\.name)
        case "kinesis", "kinesis-legacy":
            try ShardLog(directory: options["log.directory"] ?? getenv("SWIFTWATER_DATA").map { String(cString: $0) } ?? "swiftwater-data").listStreams()
        default: nil
        }
    }
}
