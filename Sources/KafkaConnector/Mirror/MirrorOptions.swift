import StreamCore

/// What a mirror's tables say, checked. Its source and its sink have the same options.
struct MirrorOptions: Sendable {
    enum Start: Sendable { case earliest, latest }

    let from: KafkaConfiguration
    let to: KafkaConfiguration
    let names: MirrorNames
    let groups: NamePatterns
    let excludeGroups: NamePatterns
    let start: Start
    /// Ends with the records that there are when it starts.
    let isBounded: Bool
    let syncsTopics: Bool
    let syncsSettings: Bool
    let syncInterval: Duration
    let syncsOffsets: Bool
    let offsetsInterval: Duration
    let replicationFactor: Int32
    let isExactlyOnce: Bool
    /// Names of the clusters in the marks that records carry; nil = no marks.
    let marks: (from: String, to: String)?

    static let keys: Set<String> = [
        "connector", "from.", "to.", "topics", "exclude", "naming", "prefix", "start", "until", "groups", "exclude-groups", "sync.topics", "sync.configs", "sync.interval",
        "sync.offsets", "sync.offsets.interval", "replication.factor", "delivery",
    ]

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        func cluster(_ side: String) throws -> (KafkaConfiguration, alias: String?) {
            let prefix = side + "."
            var given: [String: String] = [:]
            for (key, value) in table.options where key.hasPrefix(prefix) { given[String(key.dropFirst(prefix.count))] = value }
            let alias = given.removeValue(forKey: "alias")
            if let alias, alias.isEmpty || !NamePatterns.isName(alias) {
                throw options.error(prefix + "alias", "is not a name of letters, digits, '-' and '_'", fix: "name the cluster as in dc1")
            }
            guard let servers = given["bootstrap.servers"] ?? given["metadata.broker.list"], !servers.isEmpty else {
                throw StreamError(.validate, "table \(table.name): a mirror needs '\(prefix)bootstrap.servers'", fix: "add bootstrap.servers: host:9092 below \(side):")
            }
            do { return (try KafkaConfiguration(given, prefix: prefix), alias) } catch let error as StreamError {
                throw StreamError(error.code, "table \(table.name): \(error.problem)", fix: error.fix)
            }
        }
        let (from, fromAlias) = try cluster("from"), (to, toAlias) = try cluster("to")
        (self.from, self.to) = (from, to)
        if let fromAlias, fromAlias == toAlias { throw options.error("to.alias", "is the name of both clusters", fix: "give each its own") }

        func patterns(_ key: String, _ absent: [String]) throws -> NamePatterns {
            let entries = options.string(key).map { $0.split(separator: ";").map { String($0).trimmed }.filter { !$0.isEmpty } } ?? absent
            if entries.isEmpty, options.has(key) { throw options.error(key, "is empty", fix: "name at least one, or leave the option out") }
            do { return try NamePatterns(entries) } catch {
                throw options.error(key, "has an entry that is neither a name nor a regular expression: \(error.text)")
            }
        }
        let policy: MirrorNames.Policy
        if try options.choice("naming", ["identity", "prefix"]) == "prefix" {
            guard let prefix = options.string("prefix") ?? fromAlias.map({ $0 + "." }) else {
                throw options.error("naming", "needs the prefix", fix: "add alias: dc1 below from:, or prefix: \"dc1.\"")
            }
            guard !prefix.isEmpty, NamePatterns.isName(prefix) else { throw options.error("prefix", "cannot stand in a topic's name", fix: "use letters, digits, '.', '-' and '_'") }
            policy = .prefix(prefix)
            marks = nil
        } else {
            if options.has("prefix") { throw options.error("prefix", "has no meaning with identity naming", fix: "add naming: prefix") }
            policy = .identity
            if let fromAlias, let toAlias {
                marks = (fromAlias, toAlias)
            } else {
                marks = nil
                if let alias = fromAlias ?? toAlias {
                    throw options.error(fromAlias == nil ? "to.alias" : "from.alias", "is given for one cluster only",
                                        fix: "name the other too, so that records of a two-way mirror are told apart, or leave out alias: \(alias)")
                }
            }
            if from.servers == to.servers {
                throw StreamError(.validate, "table \(table.name): both clusters are \(from.servers), and topics keep their names: records would be copied for ever",
                                  fix: "name another cluster in 'to.bootstrap.servers', or use naming: prefix")
            }
        }
        names = MirrorNames(topics: try patterns("topics", [".*"]), exclude: try patterns("exclude", []), policy: policy, backPrefix: toAlias.map { $0 + "." },
                            isOneCluster: from.servers == to.servers)
        groups = try patterns("groups", [".*"])
        excludeGroups = try patterns("exclude-groups", ["console-consumer-.*", "connect-.*", "__.*"])
        start = try options.choice("start", ["earliest", "latest"]) == "latest" ? .latest : .earliest
        isBounded = try options.choice("until", ["latest", "never"]) == "latest"
        syncsTopics = try options.bool("sync.topics") ?? true
        syncsSettings = try options.bool("sync.configs") ?? true
        syncInterval = try options.duration("sync.interval") ?? .seconds(10)
        syncsOffsets = try options.bool("sync.offsets") ?? true
        offsetsInterval = try options.duration("sync.offsets.interval") ?? .seconds(10)
        for (key, value) in [("sync.interval", syncInterval), ("sync.offsets.interval", offsetsInterval)] where value < .milliseconds(100) {
            throw options.error(key, "is shorter than 100 ms")
        }
        replicationFactor = Int32(try options.int("replication.factor", in: -1...32_767) ?? -1)
        if replicationFactor == 0 { throw options.error("replication.factor", "is neither -1, for the target's default, nor above 0") }
        isExactlyOnce = try options.choice("delivery", ["at-least-once", "exactly-once"]) == "exactly-once"
    }

    func isMirrored(group: String) -> Bool { groups.match(group) && !excludeGroups.match(group) }
}
