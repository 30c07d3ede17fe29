import ArgumentParser
import ShardLog
import StreamCore
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct StreamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream", abstract: "Streams of the built-in shard log: create, list, describe, put, get, tail.",
        discussion: "Example: swiftwater stream create my-input-stream --shards 4",
        subcommands: [Create.self, List.self, Describe.self, Put.self, Get.self, Tail.self, Delete.self])

    struct Output: ParsableArguments {
        @Option(name: .customLong("output"), help: "table or json.")
        var format: Format = .table
        enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }
    }

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a stream.", discussion: "Example: swiftwater stream create my-input-stream --shards 4")
        @Argument(help: "Name of the stream.") var name: String
        @Option(help: "Number of shards.") var shards = 1
        @Option(help: "Hours that records are kept; without it for ever.") var retentionHours: Int?
        @Flag(help: "Do nothing when the stream exists.") var ifNotExists = false
        @OptionGroup var data: DataDirectory

        func run() throws {
            let log = try ShardLog(directory: data.path)
            if ifNotExists, log.exists(name) { return }
            var settings = StreamSettings()
            settings.retentionMilliseconds = retentionHours.map { Int64($0) * 3_600_000 }
            try log.createStream(name, shards: shards, settings: settings)
            Terminal.error("created stream \(name) with \(shards) shard\(shards == 1 ? "" : "s") in \(log.directory)")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a stream and its records.", discussion: "Example: swiftwater stream delete my-input-stream")
        @Argument(help: "Name of the stream.") var name: String
        @OptionGroup var data: DataDirectory

        func run() throws { try ShardLog(directory: data.path).deleteStream(name) }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the streams.", discussion: "Example: swiftwater stream list")
        @OptionGroup var output: Output
        @OptionGroup var data: DataDirectory

        func run() throws {
            let log = try ShardLog(directory: data.path)
            let streams = try log.listStreams().map { try log.describe($0) }
            switch output.format {
            case .json:
                for stream in streams {
                    print("{\"stream\":\(JSONText.quote(stream.name)),\"shards\":\(stream.shards.count),"
                        + "\"records\":\(stream.shards.reduce(0) { $0 + $1.records }),\"bytes\":\(stream.shards.reduce(0) { $0 + $1.bytes })}")
                }
            case .table:
                print(TextTable(columns: ["stream", "shards", "records", "bytes"], alignRight: [false, true, true, true], rows: streams.map { s in
                    [s.name, "\(s.shards.count)", grouped(Int64(s.shards.reduce(0) { $0 + $1.records })),
                     grouped(Int64(s.shards.reduce(0) { $0 + $1.bytes }))]
                }).boxed())
            }
        }
    }

    struct Describe: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a stream's shards.", discussion: "Example: swiftwater stream describe my-input-stream")
        @Argument(help: "Name of the stream.") var name: String
        @OptionGroup var output: Output
        @OptionGroup var data: DataDirectory

        func run() throws {
            let stream = try ShardLog(directory: data.path).describe(name)
            switch output.format {
            case .json:
                let shards = stream.shards.map { s in
                    "{\"shard\":\"\(s.id)\",\"first_hash_key\":\"\(s.range.first)\",\"last_hash_key\":\"\(s.range.last)\",\"records\":\(s.records),"
                        + "\"bytes\":\(s.bytes),\"earliest\":\(s.earliest.map { "\"\($0)\"" } ?? "null"),\"latest\":\(s.latest.map { "\"\($0)\"" } ?? "null"),"
                        + "\"parents\":[\(s.parents.map { "\"\(ShardDescription.id($0))\"" }.joined(separator: ","))],\"closed\":\(s.closedAt.map { "\($0)" } ?? "null")}"
                }
                print("{\"stream\":\(JSONText.quote(stream.name)),\"created\":\(stream.created),\"shards\":[\(shards.joined(separator: ","))]}")
            case .table:
                // A stream that was never split or merged has no use for the columns about it.
                let isResharded = stream.shards.contains { $0.closedAt != nil || !$0.parents.isEmpty }
                print(TextTable(columns: ["shard", "records", "bytes", "first hash key", "last hash key", "latest sequence number"]
                                    + (isResharded ? ["parents", "state"] : []),
                                alignRight: [false, true, true, true, true, true] + (isResharded ? [false, false] : []), rows: stream.shards.map { s in
                    [s.id, grouped(Int64(s.records)), grouped(Int64(s.bytes)), "\(s.range.first)", "\(s.range.last)", s.latest.map { "\($0)" } ?? "-"]
                        + (isResharded ? [s.parents.isEmpty ? "-" : s.parents.map { "\($0)" }.joined(separator: ", "), s.closedAt == nil ? "open" : "closed"] : [])
                }).boxed())
            }
        }
    }

    struct Put: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Append records: the argument, or one per line of standard input.",
            discussion: """
                Examples:
                  swiftwater stream put my-input-stream '{"sensor_id": 1}' --partition-key 1
                  cat readings.jsonl | swiftwater stream put my-input-stream
                """)
        @Argument(help: "Name of the stream.") var name: String
        @Argument(help: "The record; left out, records are read from standard input, one per line.") var record: String?
        @Option(help: "Partition key; left out, each record goes to the shard of its own text.") var partitionKey: String?
        @OptionGroup var data: DataDirectory

        func run() throws {
            let writer = try ShardLog(directory: data.path).writer(name)
            var batch: [Record] = [], bytes = 0, count = 0
            func flush() throws {
                guard !batch.isEmpty else { return }
                _ = try writer.append(batch)
                count += batch.count
                (batch, bytes) = ([], 0)
            }
            if let record {
                batch = [Record(partitionKey: partitionKey ?? String(record.prefix(256)), data: Array(record.utf8))]
            } else {
                var lines = InputLines()
                while let line = lines.next() {
                    guard !line.isEmpty else { continue }
                    batch.append(Record(partitionKey: partitionKey ?? String(line.prefix(256)), data: Array(line.utf8)))
                    bytes += line.utf8.count
                    // Lines that come slowly are appended at once, others in larger pieces.
                    if batch.count == 4_096 || bytes > 1 << 20 || lines.isEmpty { try flush() }
                }
            }
            try flush()
            Terminal.error("\(grouped(Int64(count))) record\(count == 1 ? "" : "s") appended to \(name)")
        }
    }

    struct Reading: ParsableArguments {
        @Argument(help: "Name of the stream.") var name: String
        @Option(help: "Number of one shard; left out, all are read.") var shard: Int?
        @Flag(help: "Show shard, sequence number, partition key and arrival time with each record, as JSON.") var metadata = false
        @OptionGroup var data: DataDirectory

        /// One shard, or all: parents before children.
        enum Source {
            case shard(ShardReader), stream(StreamReader)

            func read() throws -> (shard: Int, records: RecordChunk)? {
                switch self {
                case .shard(let reader): try reader.read().map { (reader.shard, $0) }
                case .stream(let reader): try reader.read()
                }
            }

            var isFinished: Bool {
                if case .shard(let reader) = self { return reader.isFinished }
                return false
            }

            func wait(milliseconds: Int64) throws {
                switch self {
                case .shard(let reader): _ = try reader.waitForRecords(milliseconds: milliseconds)
                case .stream(let reader): _ = try reader.wait(milliseconds: milliseconds)
                }
            }
        }

        func source(fromLatest isLatest: Bool) throws -> Source {
            let log = try ShardLog(directory: data.path)
            if let shard { return .shard(try log.reader(name, shard: shard, position: isLatest ? .latest : .trimHorizon)) }
            return .stream(try log.reader(name, fromLatest: isLatest))
        }

        /// Writes at most `limit` records of the chunk; returns how many.
        func show(_ chunk: RecordChunk, shard: Int, limit: Int) -> Int {
            let n = min(limit, chunk.count)
            var text = ""
            for i in 0..<n {
                let record = String(decoding: chunk.data(i), as: UTF8.self)
                if metadata {
                    text += "{\"shard\":\(shard),\"sequence_number\":\"\(chunk.sequence(i))\",\"partition_key\":\(JSONText.quote(chunk.partitionKey(i))),"
                        + "\"timestamp\":\(chunk.timestamp(i)),\"data\":\(JSONText.quote(record))}\n"
                } else {
                    text += record + "\n"
                }
            }
            Terminal.write(text)
            return n
        }
    }

    struct Get: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the records there are.", discussion: "Example: swiftwater stream get my-output-stream --limit 10")
        @OptionGroup var reading: Reading
        @Option(help: "At most this many records.") var limit = Int.max
        @Option(help: "Only the newest ones: this many of each shard.") var last: Int?

        func validate() throws {
            if limit < 0 || last ?? 1 < 1 { throw ValidationError("--limit must not be negative, and --last must be positive") }
        }

        func run() throws {
            if let last { return try showNewest(last) }
            var left = limit
            let source = try reading.source(fromLatest: false)
            while left > 0, let (shard, chunk) = try source.read() { left -= reading.show(chunk, shard: shard, limit: left) }
        }

        private func showNewest(_ last: Int) throws {
            let log = try ShardLog(directory: reading.data.path)
            var left = limit
            for shard in try log.describe(reading.name).shards where reading.shard.map({ $0 == shard.shard }) ?? true {
                guard let earliest = shard.earliest, var from = shard.latest else { continue }
                from.index = max(earliest.index, from.index - min(from.index, UInt64(last - 1)))
                let reader = try log.reader(reading.name, shard: shard.shard, position: from.index == earliest.index ? .trimHorizon : .at(from))
                while left > 0, let chunk = try reader.read() { left -= reading.show(chunk, shard: shard.shard, limit: left) }
            }
        }
    }

    struct Tail: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print records as they come, until stopped.", discussion: "Example: swiftwater stream tail my-output-stream --from-start")
        @OptionGroup var reading: Reading
        @Flag(help: "Begin with the records there are.") var fromStart = false
        @Option(help: "Stop after this many records.") var limit = Int.max

        func run() throws {
            let stopped = Flagged()
            Signals.onStop { stopped.set() }
            let source = try reading.source(fromLatest: !fromStart)
            var left = limit
            while left > 0, !stopped.isSet {
                if let (shard, chunk) = try source.read() {
                    left -= reading.show(chunk, shard: shard, limit: left)
                } else if source.isFinished {
                    return
                } else {
                    try source.wait(milliseconds: 200)
                }
            }
        }
    }
}

/// A flag that a signal sets.
final class Flagged: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}
