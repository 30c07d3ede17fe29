import ShardLog

/// Reads of a stream with enhanced fan-out.
struct Consumer: Hashable {
    var name: String
    /// Milliseconds since 1970-01-01.
    var created: Int64
}

/// What this service keeps with a stream beside its shards, as the log's free attributes.
struct StreamAttributes {
    var all: [String: String]

    init(_ all: [String: String] = [:]) { self.all = all }
    init(_ stream: StreamInfo) { all = stream.attributes }

    private static let tag = "kinesis.tag:", consumer = "kinesis.consumer:", consumerTag = "kinesis.consumer-tag:"
    private static let streamPolicy = "kinesis.policy", consumerPolicy = "kinesis.consumer-policy:"

    var isOnDemand: Bool {
        get { all["kinesis.mode"] == "ON_DEMAND" }
        set { all["kinesis.mode"] = newValue ? "ON_DEMAND" : nil }
    }
    var mode: String { isOnDemand ? "ON_DEMAND" : "PROVISIONED" }

    var warmThroughput: Int? {
        get { all["kinesis.warm-throughput"].flatMap { Int($0) } }
        set { all["kinesis.warm-throughput"] = newValue.map { String($0) } }
    }

    /// Whether records without a partition key are spread over the shards.
    var distributesRecords: Bool {
        get { all["kinesis.distribution"] == "AUTO" }
        set { all["kinesis.distribution"] = newValue ? "AUTO" : nil }
    }

    var metrics: [String] {
        get { all["kinesis.metrics"]?.split(separator: ",").map(String.init) ?? [] }
        set { all["kinesis.metrics"] = newValue.isEmpty ? nil : newValue.joined(separator: ",") }
    }

    // MARK: Consumers

    /// In the order of their names.
    var consumers: [Consumer] {
        all.compactMap { key, value in
            guard key.hasPrefix(Self.consumer), let created = Int64(value) else { return nil }
            return Consumer(name: String(key.dropFirst(Self.consumer.count)), created: created)
        }.sorted { $0.name < $1.name }
    }

    mutating func add(_ consumer: Consumer) { all[Self.consumer + consumer.name] = String(consumer.created) }

    mutating func remove(_ consumer: Consumer) {
        all[Self.consumer + consumer.name] = nil
        all[Self.consumerPolicy + consumer.name] = nil
        all = all.filter { !$0.key.hasPrefix(Self.consumerTag + consumer.name + ":") }
    }

    // MARK: Tags and policies

    private static func prefix(_ resource: Resource) -> String {
        switch resource {
        case .stream: tag
        case .consumer(_, let consumer): consumerTag + consumer.name + ":"
        }
    }

    /// In the order of their keys.
    func tags(_ resource: Resource) -> [(key: String, value: String)] {
        let prefix = Self.prefix(resource)
        return all.filter { $0.key.hasPrefix(prefix) }.map { (key: String($0.key.dropFirst(prefix.count)), value: $0.value) }.sorted { $0.key < $1.key }
    }

    mutating func setTag(_ resource: Resource, _ key: String, _ value: String?) { all[Self.prefix(resource) + key] = value }

    private static func policyKey(_ resource: Resource) -> String {
        switch resource {
        case .stream: streamPolicy
        case .consumer(_, let consumer): consumerPolicy + consumer.name
        }
    }

    func policy(_ resource: Resource) -> String? { all[Self.policyKey(resource)] }
    mutating func setPolicy(_ resource: Resource, _ text: String?) { all[Self.policyKey(resource)] = text }
}

extension Call {
    /// Changes what is kept with a stream, as one step.
    func update(_ stream: StreamInfo, _ change: (inout StreamSettings, inout StreamAttributes) throws -> Void) throws {
        try log.update(stream.name) { settings, all in
            var attributes = StreamAttributes(all)
            try change(&settings, &attributes)
            all = attributes.all
        }
    }
}
