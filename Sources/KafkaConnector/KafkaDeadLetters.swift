import StreamCore

/// `'dead-letter.topic' = 'name'`: messages that cannot be decoded go to a topic of the same cluster as they are, value and key, with
/// the headers `error.reason`, `error.table`, `error.topic`, `error.partition` and `error.offset` (text).
///
/// The topic is written as the table itself would be: with its `properties.*`, `sink.delivery-guarantee` and
/// `sink.transactional-id-prefix` (to which `-dead-letters` is added).
enum KafkaDeadLetters {
    static let topicOption = "dead-letter.topic"

    static func table(for source: TableDescriptor) -> TableDescriptor? {
        guard let topic = source.options[topicOption] else { return nil }
        var options = source.options.filter { $0.key.hasPrefix("properties.") }
        for key in ["sink.delivery-guarantee", "sink.commit.interval"] { options[key] = source.options[key] }
        options["sink.transactional-id-prefix"] = source.options["sink.transactional-id-prefix"].map { $0 + "-dead-letters" }
        options.merge([
            "connector": "kafka", "topic": topic, "key.format": "raw", "key.fields": "key", "value.format": "raw", "value.fields-include": "EXCEPT_KEY",
        ]) { $1 }
        // The columns' names say what goes into them.
        return TableDescriptor(
            name: source.name + " dead letters", schema: [Field("key", .bytes), Field("record", .bytes)],
            metadata: [.init(name: "error_headers", key: "headers", type: KafkaMetadata.headersType)], options: options,
            optionLocations: source.optionLocations)
    }
}
