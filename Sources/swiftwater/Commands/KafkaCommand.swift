import ArgumentParser
import KafkaConnector
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct KafkaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kafka", abstract: "A quick look at a Kafka cluster: topics, records, how far groups have read.",
        discussion: "Example: swiftwater kafka topics --bootstrap localhost:9092", subcommands: [Topics.self, Tail.self, LagCommand.self, Mock.self])

    struct Cluster: ParsableArguments {
        @Option(help: "Brokers, host:port, several with commas.") var bootstrap = "localhost:9092"
        @Option(help: "A property of the client, key=value: sasl.username=alice, security.protocol=SSL ... May be repeated.") var property: [String] = []
        @Option(help: "Seconds to wait for an answer.") var timeout = 15

        func validate() throws {
            if timeout < 1 || timeout > 3_600 { throw ValidationError("--timeout must be 1 to 3600 seconds") }
        }

        func inspection() throws -> KafkaInspection {
            var properties = ["bootstrap.servers": bootstrap]
            for text in property {
                guard let split = text.firstIndex(of: "="), split != text.startIndex else {
                    throw StreamError(.validate, "--property '\(text)' has no value", fix: "write --property key=value")
                }
                properties[String(text[..<split])] = String(text[text.index(after: split)...])
            }
            return try KafkaInspection(properties, prefix: "--property ", options: ["bootstrap.servers": "--bootstrap"], timeout: Int32(timeout * 1_000))
        }
    }

    struct Topics: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List topics; of named ones each partition.",
            discussion: """
                Examples:
                  swiftwater kafka topics --bootstrap localhost:9092
                  swiftwater kafka topics orders --output json

                Records are counted by their offsets: transactions and compaction leave gaps in them.
                """)
        @Argument(help: "Topics whose partitions are shown; left out, all topics are listed.") var names: [String] = []
        @OptionGroup var cluster: Cluster
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            let topics = try cluster.inspection().topics(names)
            switch output.format {
            case .json:
                for topic in topics {
                    let partitions = topic.partitions.map { p in
                        "{\"partition\":\(p.id),\"leader\":\(p.leader),\"replicas\":\(p.replicas),\"in_sync\":\(p.inSync),"
                            + "\"earliest\":\(p.bounds.map { "\($0.low)" } ?? "null"),\"end\":\(p.bounds.map { "\($0.high)" } ?? "null"),"
                            + "\"records\":\(p.bounds.map { "\($0.records)" } ?? "null")}"
                    }
                    print("{\"topic\":\(JSONText.quote(topic.name)),\"records\":\(topic.records),\"partitions\":[\(partitions.joined(separator: ","))]}")
                }
            case .table where names.isEmpty:
                print(TextTable(columns: ["topic", "partitions", "records", "leaders"], alignRight: [false, true, true, false], rows: topics.map { topic in
                    let leaders = Set(topic.partitions.map(\.leader)).sorted()
                    return [KafkaText.shown(topic.name), "\(topic.partitions.count)", grouped(topic.records), leaders.map { $0 < 0 ? "none" : "\($0)" }.joined(separator: " ")]
                }).boxed())
            case .table:
                print(TextTable(columns: ["topic", "partition", "earliest", "end", "records", "leader", "in sync"],
                                alignRight: [false, true, true, true, true, true, true], rows: topics.flatMap { topic in
                    topic.partitions.map { p in
                        [KafkaText.shown(topic.name), "\(p.id)", p.bounds.map { grouped($0.low) } ?? "-", p.bounds.map { grouped($0.high) } ?? "-",
                         p.bounds.map { grouped($0.records) } ?? "-", p.leader < 0 ? "none" : "\(p.leader)", "\(p.inSync) of \(p.replicas)"]
                    }
                }).boxed())
            }
        }
    }

    struct Tail: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the last records of a topic, and with --follow those that come.",
            discussion: """
                Examples:
                  swiftwater kafka tail orders -n 5
                  swiftwater kafka tail orders --follow
                  swiftwater kafka tail orders --partition 2 --from 1500 -n 1 --output json
                  swiftwater kafka tail orders --from 2026-03-01T12:00:00Z

                It joins no group and commits nothing; what transactions have not committed is left out.
                """)
        @Argument(help: "The topic.") var topic: String
        @Option(name: [.customShort("n"), .customLong("limit")], help: "So many records: the last ones, or the first ones from --from. (default: 10; all with --from)")
        var limit: Int?
        @Flag(name: [.customShort("f"), .long], help: "Go on with the records that come, until stopped.") var follow = false
        @Option(help: "One partition; left out, all.") var partition: Int32?
        @Option(help: "Begin at: earliest, latest, an offset, or a time such as 2026-03-01T12:00:00Z.") var from: String?
        @OptionGroup var cluster: Cluster
        @OptionGroup var output: StreamCommand.Output

        func validate() throws {
            if let limit, limit < 0 { throw ValidationError("-n must not be negative") }
        }

        func run() throws {
            let stopped = Flagged()
            Signals.onStop { stopped.set() }
            let start = try from.map(KafkaText.start) ?? .last(limit ?? 10)
            let most = from == nil ? Int.max : limit ?? .max
            if most == 0 { return }
            let inspection = try cluster.inspection()
            try inspection.read(topic, partition: partition, from: start, limit: most, follow: follow, isStopped: { stopped.isSet }) { records in
                var text = ""
                for record in records { text += (output.format == .json ? KafkaText.json(record) : KafkaText.line(record)) + "\n" }
                Terminal.write(text)
            }
        }
    }

    struct LagCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lag", abstract: "Show how far consumer groups have read.",
            discussion: """
                Examples:
                  swiftwater kafka lag
                  swiftwater kafka lag --group billing --max-lag 10000

                With --max-lag the status is 3 when a partition is further behind.
                """)
        @Option(help: "One group; left out, all.") var group: String?
        @Option(help: "The lag of a partition from which on the command fails with status 3.") var maxLag: Int64?
        @OptionGroup var cluster: Cluster
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            let lags = try cluster.inspection().lag(group: group)
            switch output.format {
            case .json:
                for lag in lags {
                    print("{\"group\":\(JSONText.quote(lag.group)),\"topic\":\(JSONText.quote(lag.partition.topic)),\"partition\":\(lag.partition.partition),"
                        + "\"committed\":\(lag.committed),\"end\":\(lag.end.map { "\($0)" } ?? "null"),\"lag\":\(lag.lag.map { "\($0)" } ?? "null")}")
                }
            case .table:
                print(TextTable(columns: ["group", "topic", "partition", "committed", "end", "lag"], alignRight: [false, false, true, true, true, true], rows: lags.map {
                    [KafkaText.shown($0.group), KafkaText.shown($0.partition.topic), "\($0.partition.partition)", grouped($0.committed), $0.end.map { grouped($0) } ?? "-",
                     $0.lag.map { grouped($0) } ?? "-"]
                }).boxed())
            }
            if let maxLag, let worst = lags.max(by: { ($0.lag ?? 0) < ($1.lag ?? 0) }), let lag = worst.lag, lag > maxLag {
                fflush(nil)
                Terminal.error("group \(KafkaText.shown(worst.group)) is \(grouped(lag)) records behind in \(worst.partition), more than \(grouped(maxLag))")
                throw ExitCode(3)
            }
        }
    }
    struct Mock: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run a small Kafka cluster in memory, for trying things out.",
            discussion: """
                Examples:
                  swiftwater kafka mock --topic orders:2 --topic payments
                  swiftwater kafka mock --topic orders --bootstrap-file cluster &

                It is librdkafka's mock cluster: records are kept in memory, only the newest 5 MB or so of a partition, and are gone when it ends. It
                listens on this machine only, and prints where. Topics are those named here: it makes none when asked to, and lists no groups.
                """)
        @Option(help: "A topic, NAME or NAME:PARTITIONS; may be repeated.") var topic: [String]
        @Option(help: "How many brokers.") var brokers = 1
        @Option(help: "A file that gets the brokers, host:port, several with commas, once they answer.") var bootstrapFile: String?

        func run() throws {
            let topics = try topic.map { text -> (name: String, partitions: Int) in
                let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2 else { return (text, 1) }
                guard let partitions = Int(parts[1]) else {
                    throw StreamError(.validate, "--topic '\(text)': '\(parts[1])' is no number of partitions", fix: "write for example --topic orders:2")
                }
                return (String(parts[0]), partitions)
            }
            // Before the cluster's threads start: they inherit the signal mask.
            let stopped = Handover()
            Signals.onStop { stopped.stop() }
            let cluster = try KafkaMockCluster(brokers: brokers, topics: topics)
            if let bootstrapFile { try Host.system.replaceFile(bootstrapFile, Array(cluster.bootstrap.utf8)) }
            Terminal.write(cluster.bootstrap + "\n")
            withExtendedLifetime(cluster) {
                stopped.wait()
                if let bootstrapFile { try? Host.system.remove(bootstrapFile) }
                // Ending its threads takes librdkafka a second or more, and there is nothing to save.
                _exit(0)
            }
        }
    }
}
