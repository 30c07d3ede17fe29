import StreamCore

/// What is read from the statistics of librdkafka, which come as JSON.
enum KafkaStatistics {
    /// Members of a client, under the names of gauges.
    private static let ofClient: KeyValuePairs<StaticString, String> = [
        "msg_size": "queued-bytes", "txmsgs": "sent-messages", "txmsg_bytes": "sent-bytes", "rxmsgs": "received-messages", "rxmsg_bytes": "received-bytes",
    ]
    /// Members of a broker; the broker's name comes behind that of the gauge.
    private static let ofBroker: KeyValuePairs<StaticString, String> = [
        "outbuf_cnt": "requests-waiting", "waitresp_cnt": "requests-in-flight", "txerrs": "request-errors", "req_timeouts": "request-timeouts",
    ]
    /// Mean lengths of time of a broker, in microseconds, where there were any: the answer to a request, and the wait of messages for their request.
    private static let meansOfBroker: KeyValuePairs<StaticString, String> = ["rtt": "rtt-microseconds", "int_latency": "request-latency-microseconds"]
    /// Members of a partition; -1 = unknown.
    private static let ofPartition: KeyValuePairs<StaticString, String> = ["consumer_lag": "consumer-lag", "fetchq_cnt": "fetched-messages"]

    static func gauges(_ statistics: String) -> [String: Int64] {
        var writer = VariantWriter(), text = statistics
        guard (try? text.withUTF8({ try VariantJSON.parse(UnsafeRawBufferPointer($0), allowsDuplicates: true, into: &writer) })) != nil else { return [:] }
        return writer.bytes.withUnsafeBytes { bytes in
            let client = Variant(bytes)
            var all: [String: Int64] = [:]
            for (name, gauge) in ofClient { all[gauge] = count(client, name) }
            forEach(member(client, "brokers")) { broker, value in
                // Others are addresses to ask for the brokers.
                guard let id = count(value, "nodeid"), id >= 0 else { return }
                for (name, gauge) in ofBroker { all["\(gauge).\(broker)"] = count(value, name) }
                for (name, gauge) in meansOfBroker {
                    let window = member(value, name)
                    if let n = count(window, "cnt"), n > 0 { all["\(gauge).\(broker)"] = count(window, "avg") }
                }
            }
            forEach(member(client, "topics")) { topic, value in
                forEach(member(value, "partitions")) { partition, value in
                    guard let number = Int32(partition), number >= 0 else { return }
                    for (name, gauge) in ofPartition {
                        if let n = count(value, name), n >= 0 { all["\(gauge).\(topic)-\(number)"] = n }
                    }
                }
            }
            return all
        }
    }

    private static func member(_ value: Variant?, _ name: StaticString) -> Variant? {
        guard let value, value.kind == .object else { return nil }
        return value.member(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    private static func count(_ value: Variant?, _ name: StaticString) -> Int64? { member(value, name)?.number.flatMap { Int64(exactly: $0.rounded()) } }

    private static func forEach(_ value: Variant?, _ body: (String, Variant) -> Void) {
        guard let value, value.kind == .object else { return }
        for i in 0..<value.count { body(String(decoding: value.key(i), as: UTF8.self), value.value(i)) }
    }
}
