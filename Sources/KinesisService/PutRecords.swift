import AWSProtocol
import ShardLog
import StreamCore

/// PutRecords by the short way: from the bytes of the request into a batch, and from the log's answer into bytes.
enum PutRecords {
    /// nil when the request has to go the general way, which also words its errors.
    static func answer(_ request: AWSRequest, _ service: KinesisService) throws -> AWSResponse? {
        guard request.operation == "PutRecords", service.rates == nil, let found = RecordsReader.read(request.body, request.encoding) else { return nil }
        guard found.count <= RecordsReader.countMax else {
            throw AWSError.validation("1 validation error detected: Value at 'records' failed to satisfy constraint: "
                + "Member must have length less than or equal to \(RecordsReader.countMax)")
        }
        guard found.streamName.map(isName) ?? true, found.streamARN.map({ StreamARN($0) != nil }) ?? true else { return nil }
        var names: [String: AWSValue] = [:]
        names["StreamName"] = found.streamName.map { .string($0) }
        names["StreamARN"] = found.streamARN.map { .string($0) }
        let call = Call(service, request, .map(names))
        let stream = try call.stream()
        guard found.largest <= stream.settings.recordBytesMax, found.batch.byteCount <= service.options.requestBytesMax else { return nil }
        return try call.append(found.batch, to: stream)
    }

    private static let name = Shape.Pattern.letters("", and: "_.-")

    private static func isName(_ text: String) -> Bool { text.utf8.count <= 128 && name.matches(text) }
}

extension Call {
    /// Records of a request, and those of them that are refused because their shard takes no more now.
    struct Intake {
        var batch = RecordBatch()
        /// The shard that refused a record; nil for records in the batch. Empty when none was refused.
        var refusedBy: [Int?] = []
    }

    func putRecords() throws -> AWSResponse {
        let stream = try stream()
        let records = input["Records"]?.list ?? []
        let sizes = records.map { ($0["Data"]?.blob?.count ?? 0) + ($0["PartitionKey"]?.string?.utf8.count ?? 0) }
        guard sizes.reduce(0, +) <= options.requestBytesMax else {
            throw AWSError.invalidArgument("Records size exceeds \(options.requestBytesMax >> 20) MB limit")
        }
        for (i, size) in sizes.enumerated() where size > stream.settings.recordBytesMax {
            throw AWSError.validation("1 validation error detected: Value at 'records.\(i + 1).member.data' failed to satisfy constraint: "
                + "Member must have length less than or equal to \(stream.settings.recordBytesMax)")
        }
        let hashKeys = try records.enumerated().map { try hashKey($1, stream, at: "records.\($0 + 1).member.partitionKey") }
        try refuseDryRun()
        var intake = Intake()
        for (i, record) in records.enumerated() { try add(record, hashKeys[i], to: &intake, stream) }
        return try append(intake.batch, to: stream, refusedBy: intake.refusedBy)
    }

    /// The hash key that a record says; nil when its partition key has to be hashed.
    private func hashKey(_ record: AWSValue, _ stream: StreamInfo, at path: String) throws -> UInt128? {
        if let text = record["ExplicitHashKey"]?.string {
            guard let key = UInt128(text) else {
                throw AWSError.invalidArgument(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \(text)")
            }
            return key
        }
        if record["PartitionKey"] != nil { return nil }
        guard StreamAttributes(stream).distributesRecords else {
            throw AWSError.validation("1 validation error detected: Value null at '\(path)' failed to satisfy constraint: Member must not be null")
        }
        return UInt128(log.host.randomBits()) << 64 | UInt128(log.host.randomBits())
    }

    private func add(_ record: AWSValue, _ hashKey: UInt128?, to intake: inout Intake, _ stream: StreamInfo) throws {
        let data = record["Data"]?.blob ?? []
        var key = record["PartitionKey"]?.string ?? ""
        if let rates = service.rates {
            let hash = hashKey ?? HashKey.of(key)
            let shard = stream.shards.first { $0.closedAt == nil && $0.range.contains(hash) }?.id ?? 0
            guard rates.admitsPut(stream.name, shard, bytes: data.count + key.utf8.count) else {
                while intake.refusedBy.count < intake.batch.count { intake.refusedBy.append(nil) }
                intake.refusedBy.append(shard)
                return
            }
            if !intake.refusedBy.isEmpty { intake.refusedBy.append(nil) }
        }
        key.withUTF8 { key in
            data.withUnsafeBytes { intake.batch.append(data: $0, partitionKey: UnsafeRawBufferPointer(key), explicitHashKey: hashKey) }
        }
    }

    private func rateExceeded(_ shard: Int, _ stream: StreamInfo) -> String {
        "Rate exceeded for shard \(ShardName.text(shard)) in stream \(stream.name) under account \(account)."
    }

    /// Appends, and answers for each record; what fails is said for each record too.
    func append(_ batch: RecordBatch, to stream: StreamInfo, refusedBy: [Int?] = []) throws -> AWSResponse {
        let count = max(batch.count, refusedBy.count)
        let result = Result { try service.writers.append(batch, to: stream, request) }
        if case .failure = result, !log.exists(stream.name) { throw AWSError.noStream(stream.name, account) }
        var out = OutputWriter(request.encoding, capacity: 64 + count * 130)
        var next = 0, failed = 0
        out.beginMap()
        out.key("EncryptionType")
        out.string(Self.encryptionType(stream))
        out.key("Records")
        out.beginList()
        for i in 0..<count {
            out.beginMap()
            if i < refusedBy.count, let shard = refusedBy[i] {
                failed += 1
                Self.writeFailure(&out, "ProvisionedThroughputExceededException", rateExceeded(shard, stream))
            } else {
                switch result {
                case .success(let placed):
                    let placement = placed[next]
                    next += 1
                    out.key("SequenceNumber")
                    out.sequence(placement.sequence!)
                    out.key("ShardId")
                    out.shard(placement.shard)
                case .failure(let error):
                    failed += 1
                    let (code, text) = Self.failure(error)
                    Self.writeFailure(&out, code, text)
                }
            }
            out.endMap()
        }
        out.endList()
        out.key("FailedRecordCount")
        out.number(Int64(failed))
        out.endMap()
        return .encoded(out.out)
    }

    private static func writeFailure(_ out: inout OutputWriter, _ code: String, _ text: String) {
        out.key("ErrorCode")
        out.string(code)
        out.key("ErrorMessage")
        out.string(text)
    }

    /// A full disk is something to wait for, as too high a rate is.
    private static func failure(_ error: any Error) -> (String, String) {
        if ShardLog.isDiskFull(error) { return ("ProvisionedThroughputExceededException", "\(error)") }
        return ("InternalFailure", "\(error)")
    }

    func putRecord() throws -> AWSResponse {
        let stream = try stream()
        let size = (input["Data"]?.blob?.count ?? 0) + (text("PartitionKey")?.utf8.count ?? 0)
        guard size <= stream.settings.recordBytesMax else {
            throw AWSError.validation("1 validation error detected: Value at 'data' failed to satisfy constraint: "
                + "Member must have length less than or equal to \(stream.settings.recordBytesMax)")
        }
        let hashKey = try hashKey(input, stream, at: "partitionKey")
        if let text = text("SequenceNumberForOrdering") {
            guard let sequence = try? SequenceNumber(parsing: text), sequence.created == stream.created,
                  stream.shards.contains(where: { $0.id == sequence.shard }) else {
                throw AWSError.invalidArgument(
                    "ExclusiveMinimumSequenceNumber \(text) used in PutRecord on stream \(stream.name) under account \(account) is invalid.")
            }
        }
        try refuseDryRun()
        var intake = Intake()
        try add(input, hashKey, to: &intake, stream)
        if let shard = intake.refusedBy.first ?? nil { throw AWSError("ProvisionedThroughputExceededException", rateExceeded(shard, stream)) }
        let placement = try service.writers.append(intake.batch, to: stream, request)[0]
        var out = OutputWriter(request.encoding)
        out.beginMap()
        out.key("EncryptionType")
        out.string(Self.encryptionType(stream))
        out.key("SequenceNumber")
        out.sequence(placement.sequence!)
        out.key("ShardId")
        out.shard(placement.shard)
        out.endMap()
        return .encoded(out.out)
    }
}
