import StreamCore

/// What is read from the statistics of librdkafka, which come as JSON.
enum KafkaStatistics {
    /// Mean time of an answer, in microseconds, for each broker that was asked lately.
    static func roundTrips(_ statistics: String) -> [(broker: String, microseconds: Int64)] {
        var writer = VariantWriter(), text = statistics
        guard (try? text.withUTF8({ try VariantJSON.parse(UnsafeRawBufferPointer($0), allowsDuplicates: true, into: &writer) })) != nil else { return [] }
        return writer.bytes.withUnsafeBytes { bytes in
            func member(_ value: Variant?, _ name: StaticString) -> Variant? {
                guard let value, value.kind == .object else { return nil }
                return value.member(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
            }
            guard let brokers = member(Variant(bytes), "brokers"), brokers.kind == .object else { return [] }
            return (0..<brokers.count).compactMap { i in
                let broker = brokers.value(i), rtt = member(broker, "rtt")
                guard let id = member(broker, "nodeid")?.number, id >= 0, let count = member(rtt, "cnt")?.number, count > 0,
                      let mean = member(rtt, "avg")?.number else { return nil }
                return (String(decoding: brokers.key(i), as: UTF8.self), Int64(mean))
            }
        }
    }
}
