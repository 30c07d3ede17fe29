import AWSProtocol
import ShardLog
import StreamCore

/// Reads a shard for GetRecords and SubscribeToShard.
struct ShardTail {
    let reader: ShardReader
    let stream: StreamInfo

    /// Records that retention has removed are passed over, as the service does.
    init(_ log: ShardLog, _ stream: StreamInfo, _ shard: ShardInfo, _ position: ShardPosition) throws {
        self.stream = stream
        // A shard's starting number is the one before its first record.
        let start: ShardPosition = switch position {
        case .at(let sequence) where sequence == shard.starting, .after(let sequence) where sequence == shard.starting: .trimHorizon
        default: position
        }
        do {
            reader = try log.reader(stream.name, shard: shard.id, position: start)
        } catch let error as StreamError where error.code == .runtime {
            reader = try log.reader(stream.name, shard: shard.id, position: .trimHorizon)
        }
    }
}

extension Call {
    // MARK: Iterators

    func shard(_ text: String, _ stream: StreamInfo) throws -> ShardInfo {
        guard let id = ShardName.parse(text), let shard = stream.shards.first(where: { $0.id == id }) else {
            throw AWSError.notFound("Shard \(text) in stream \(stream.name) under account \(account) does not exist")
        }
        return shard
    }

    func getShardIterator() throws -> AWSResponse {
        let stream = try stream()
        let shard = try shard(text("ShardId") ?? "", stream)
        let position = try position(type: text("ShardIteratorType") ?? "", sequence: text("StartingSequenceNumber"), time: input["Timestamp"],
                                    stream, shard, operation: "GetShardIterator")
        try refuseDryRun()
        let iterator = ShardIterator(stream: stream.name, created: stream.created, shard: shard.id, position: try fixed(position, stream, shard))
        return .output(["ShardIterator": .string(try iterator.text(service.seal))])
    }

    /// The latest position is where the shard ends now, not where it ends when the iterator is used.
    private func fixed(_ position: ShardPosition, _ stream: StreamInfo, _ shard: ShardInfo) throws -> ShardPosition {
        guard case .latest = position else { return position }
        return try log.reader(stream.name, shard: shard.id, position: .latest).lastSequence.map { .after($0) } ?? .trimHorizon
    }

    func position(type: String, sequence: String?, time: AWSValue?, _ stream: StreamInfo, _ shard: ShardInfo, operation: String) throws -> ShardPosition {
        switch type {
        case "TRIM_HORIZON": return .trimHorizon
        case "LATEST": return .latest
        case "AT_TIMESTAMP":
            guard let seconds = time?.double else {
                throw AWSError.invalidArgument("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current value: null")
            }
            guard seconds.isFinite, abs(seconds) < 1e12 else { throw AWSError.invalidArgument("Timestamp \(seconds) is no point in time.") }
            let milliseconds = Int64((seconds * 1_000).rounded())
            // Clocks of clients differ a little.
            guard milliseconds <= now + 5_000 else {
                throw AWSError.invalidArgument("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                    + "timestampInMillis: \(milliseconds), currentTimestampInMillis: \(now)")
            }
            return .atTimestamp(max(0, milliseconds))
        default:
            guard let sequence else {
                throw AWSError.invalidArgument("Must specify startingSequenceNumber parameter for iterator of type \(type). Current value: null")
            }
            guard let number = try? SequenceNumber(parsing: sequence), number.created == stream.created, number.shard == shard.id else {
                throw AWSError.invalidArgument("StartingSequenceNumber \(sequence) used in \(operation) on shard \(ShardName.text(shard.id)) in stream "
                    + "\(stream.name) under account \(account) is invalid because it did not come from this stream.")
            }
            return type == "AT_SEQUENCE_NUMBER" ? .at(number) : .after(number)
        }
    }

    // MARK: Records

    func getRecords() throws -> AWSResponse {
        let token = text("ShardIterator") ?? ""
        guard let (iterator, issued) = try ShardIterator.parse(token, service.seal) else { throw AWSError.invalidArgument("Invalid ShardIterator.") }
        if let arn = text("StreamARN"), try streamName(ofARN: arn) != iterator.stream {
            throw AWSError.invalidArgument("StreamARN \(arn) is not the one of the ShardIterator.")
        }
        let now = now
        guard now - issued <= Int64(options.iteratorSeconds) * 1_000 else {
            throw AWSError("ExpiredIteratorException", "Iterator expired. The iterator was created at time \(Self.date(issued)) while right now it is "
                + "\(Self.date(now)) which is further in the future than the tolerated delay of \(options.iteratorSeconds * 1_000) milliseconds.")
        }
        let stream = try stream(named: iterator.stream)
        guard stream.created == iterator.created, let shard = stream.shards.first(where: { $0.id == iterator.shard }) else {
            throw AWSError.notFound("Shard \(ShardName.text(iterator.shard)) in stream \(stream.name) under account \(account) does not exist")
        }
        try refuseDryRun()
        if let rates = service.rates, !rates.admitsRead(stream.name, shard.id) {
            throw AWSError("ProvisionedThroughputExceededException",
                           "Rate exceeded for shard \(ShardName.text(shard.id)) in stream \(stream.name) under account \(account).")
        }
        var tail = try ShardTail(log, stream, shard, iterator.position)
        var page = Page(limit: number("Limit") ?? 10_000, bytesMax: options.answerBytesMax, isEncrypted: stream.settings.encryptionKey != nil)
        var out = OutputWriter(request.encoding, capacity: 4_096)
        out.beginMap()
        out.key("Records")
        out.beginList()
        let isAtEnd: Bool
        do {
            isAtEnd = try page.fill(&out, tail.reader)
        } catch let error as StreamError where error.code == .runtime && page.count == 0 {
            // Retention has removed what was to be read next.
            tail = try ShardTail(log, stream, shard, .trimHorizon)
            isAtEnd = try page.fill(&out, tail.reader)
        }
        out.endList()
        out.key("MillisBehindLatest")
        out.number(isAtEnd ? 0 : max(1, now - page.lastTime))
        if isAtEnd, tail.reader.isFinished {
            out.key("ChildShards")
            out.beginList()
            for child in try log.info(stream.name).children(of: shard.id) { Self.write(child, &out) }
            out.endList()
        } else {
            var next = iterator
            if let last = page.last { next.position = .after(last) }
            out.key("NextShardIterator")
            out.string(try next.text(service.seal))
        }
        out.endMap()
        service.rates?.read(stream.name, shard.id, bytes: page.bytes)
        return .encoded(out.out)
    }

    /// The records of one answer.
    struct Page {
        let limit: Int, bytesMax: Int, isEncrypted: Bool
        private(set) var count = 0, bytes = 0
        private(set) var last: SequenceNumber?
        private(set) var lastTime: Int64 = 0

        init(limit: Int, bytesMax: Int, isEncrypted: Bool) { (self.limit, self.bytesMax, self.isEncrypted) = (limit, bytesMax, isEncrypted) }

        /// Writes what there is, as much as fits. Returns whether that was all.
        mutating func fill(_ out: inout OutputWriter, _ reader: ShardReader) throws -> Bool {
            while let chunk = try reader.read(maxBytes: min(1 << 20, bytesMax)) {
                for run in 0..<chunk.runs.count {
                    let from = chunk.runs[run].start
                    let to = run + 1 < chunk.runs.count ? chunk.runs[run + 1].start : chunk.count
                    for i in from..<to {
                        let data = chunk.data(i), key = Self.key(chunk, i)
                        guard count < limit, count == 0 || bytes + data.count + key.count <= bytesMax else { return false }
                        count += 1
                        bytes += data.count + key.count
                        last = chunk.sequence(i)
                        lastTime = chunk.runs[run].timestamp
                        out.beginMap()
                        out.key("SequenceNumber")
                        out.sequence(last!)
                        out.key("ApproximateArrivalTimestamp")
                        out.time(milliseconds: lastTime)
                        out.key("Data")
                        out.blob(data)
                        // Records that came without one have no key.
                        if !key.isEmpty {
                            out.key("PartitionKey")
                            out.string(utf8: key)
                        }
                        if isEncrypted {
                            out.key("EncryptionType")
                            out.string("KMS")
                        }
                        out.endMap()
                    }
                }
                if count == limit || bytes >= bytesMax { return try reader.recordsBehind() == 0 }
            }
            return true
        }

        private static func key(_ chunk: RecordChunk, _ i: Int) -> UnsafeRawBufferPointer {
            let offsets = chunk.offsets + 4 * i
            return UnsafeRawBufferPointer(start: chunk.buffer.base + Int(offsets[2]), count: Int(offsets[3] - offsets[2]))
        }
    }

    // MARK: Children


    private static func write(_ child: ShardInfo, _ out: inout OutputWriter) {
        out.beginMap()
        out.key("ShardId")
        out.shard(child.id)
        out.key("ParentShards")
        out.beginList()
        for parent in child.parents { out.shard(parent) }
        out.endList()
        out.key("HashKeyRange")
        out.beginMap()
        out.key("StartingHashKey")
        out.string(String(child.range.first))
        out.key("EndingHashKey")
        out.string(String(child.range.last))
        out.endMap()
        out.endMap()
    }

    /// `Thu Jan 22 22:22:02 UTC 2015`
    static func date(_ milliseconds: Int64) -> String {
        let seconds = milliseconds / 1_000, days = Int(seconds / 86_400), second = Int(seconds % 86_400)
        // Days since 0000-03-01, in years that start with March.
        let shifted = days + 719_468, era = shifted / 146_097, day = shifted % 146_097
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365, dayOfYear = day - (365 * year + year / 4 - year / 100)
        let march = (5 * dayOfYear + 2) / 153, dayOfMonth = dayOfYear - (153 * march + 2) / 5 + 1, month = march < 10 ? march + 3 : march - 9
        func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(weekdays[days % 7]) \(months[month - 1]) \(two(dayOfMonth)) \(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60)) UTC "
            + "\(year + era * 400 + (month <= 2 ? 1 : 0))"
    }
}
