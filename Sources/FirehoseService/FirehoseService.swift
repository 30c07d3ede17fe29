import AWSProtocol
import ShardLog
import StreamCore
import Topology

/// The Firehose API over the delivery streams of a ``DeliveryRunner``.
///
/// PutRecord and PutRecordBatch append to the shard log and answer when the records are on disk; jobs deliver them from there.
public final class FirehoseService: AWSService {
    public var targetPrefix: String { "Firehose_20150804" }

    let runner: DeliveryRunner
    let directPut: DirectPut

    /// - Parameter log: of the same directory as the runner.
    public init(log: ShardLog, runner: DeliveryRunner) {
        self.runner = runner
        directPut = DirectPut(log: log)
    }

    public func close() { directPut.close() }

    public func handle(_ request: AWSRequest) throws -> AWSResponse {
        do {
            switch request.operation {
            case "PutRecord": return try putRecord(request.input(FirehoseShapes.putRecordInput), request)
            case "PutRecordBatch": return try putRecordBatch(request.input(FirehoseShapes.putRecordBatchInput), request)
            case "CreateDeliveryStream": return try create(request.input(FirehoseShapes.createDeliveryStreamInput), request)
            case "DeleteDeliveryStream": return try delete(request.input(FirehoseShapes.deleteDeliveryStreamInput), request)
            case "DescribeDeliveryStream": return try describe(request.input(FirehoseShapes.describeDeliveryStreamInput), request)
            case "ListDeliveryStreams": return try list(request.input(FirehoseShapes.listDeliveryStreamsInput))
            case "UpdateDestination": return try updateDestination(request.input(FirehoseShapes.updateDestinationInput), request)
            case "StartDeliveryStreamEncryption": return try startEncryption(request.input(FirehoseShapes.startDeliveryStreamEncryptionInput), request)
            case "StopDeliveryStreamEncryption": return try stopEncryption(request.input(FirehoseShapes.stopDeliveryStreamEncryptionInput), request)
            case "TagDeliveryStream": return try tag(request.input(FirehoseShapes.tagDeliveryStreamInput), request)
            case "UntagDeliveryStream": return try untag(request.input(FirehoseShapes.untagDeliveryStreamInput), request)
            case "ListTagsForDeliveryStream": return try listTags(request.input(FirehoseShapes.listTagsForDeliveryStreamInput), request)
            default: throw AWSError.unknownOperation()
            }
        } catch let error as StreamError where error.code == .validate || error.code == .parse {
            throw Self.invalid(error.problem + (error.fix.map { " (\($0))" } ?? ""))
        }
    }

    // MARK: Errors

    static func invalid(_ message: String) -> AWSError { AWSError("InvalidArgumentException", message) }

    static func notFound(_ name: String, _ request: AWSRequest) -> AWSError {
        AWSError("ResourceNotFoundException", "Firehose \(name) under account \(request.accountID) not found.")
    }

    func stream(_ input: AWSValue, _ request: AWSRequest) throws -> StoredStream {
        let name = input["DeliveryStreamName"]?.string ?? ""
        guard let stored = runner.stored(name) else { throw Self.notFound(name, request) }
        return stored
    }

    // MARK: Records

    /// Bytes of one record, and of all records of a request.
    static let recordBytesMax = 1_024_000
    static let batchBytesMax = 4 << 20

    private func putTarget(_ input: AWSValue, _ request: AWSRequest) throws -> StoredStream {
        let stored = try stream(input, request)
        guard case .directPut = stored.definition.source else {
            throw Self.invalid("This operation is not permitted on KinesisStreamAsSource delivery stream type.")
        }
        return stored
    }

    private func putRecord(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let stored = try putTarget(input, request)
        do {
            let ids = try directPut.append([input["Record"]?["Data"]?.blob ?? []], to: stored.name)
            return .output(["RecordId": .string(ids[0]), "Encrypted": .bool(stored.encryption != nil)])
        } catch let error as StreamError {
            throw try unavailable(error, stored.name, request)
        }
    }

    private func putRecordBatch(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let stored = try putTarget(input, request)
        let records = (input["Records"]?.list ?? []).map { $0["Data"]?.blob ?? [] }
        guard records.reduce(0, { $0 + $1.count }) <= Self.batchBytesMax else {
            throw Self.invalid("Records size exceeds 4 MB limit")
        }
        let answers: [AWSValue]
        var failed = 0
        do {
            answers = try directPut.append(records, to: stored.name).map { ["RecordId": .string($0)] }
        } catch let error as StreamError {
            let refusal = try unavailable(error, stored.name, request)
            // The log takes all of a batch, or none.
            failed = records.count
            answers = records.map { _ in ["ErrorCode": .string(refusal.type), "ErrorMessage": .string(refusal.message)] }
        }
        return .output([
            "FailedPutCount": .integer(Int64(failed)), "Encrypted": .bool(stored.encryption != nil), "RequestResponses": .list(answers),
        ])
    }

    /// What a client is to try again; a stream that was deleted meanwhile is not there any more.
    private func unavailable(_ error: StreamError, _ name: String, _ request: AWSRequest) throws -> AWSError {
        directPut.forget(name)
        guard runner.stored(name) != nil else { throw Self.notFound(name, request) }
        return AWSError("ServiceUnavailableException", "The records cannot be kept now: \(error.problem)", status: 503)
    }

    // MARK: Streams

    private func create(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let name = input["DeliveryStreamName"]!.string!
        if runner.stored(name) != nil { throw exists(name, request) }
        var stored = try FirehoseConfiguration(data: runner.data).stream(input, region: request.region, accountID: request.accountID, host: runner.host)
        stored.tags = try Self.tags(input["Tags"])
        // Checked before anything is made.
        _ = try stored.definition.statements(log: runner.data)
        if case .directPut = stored.definition.source { try directPut.create(name, key: stored.encryption?.alias) }
        do {
            try runner.create(stored)
        } catch DeliveryRunner.Refusal.exists {
            throw exists(name, request)
        } catch DeliveryRunner.Refusal.tooMany(let names) {
            throw AWSError("LimitExceededException", "You have already consumed your firehose quota of \(names.count) hoses. Firehose names: [\(names.joined(separator: ", "))]")
        }
        return .output(["DeliveryStreamARN": .string(stored.arn)])
    }

    private func exists(_ name: String, _ request: AWSRequest) -> AWSError {
        AWSError("ResourceInUseException", "Firehose \(name) under accountId \(request.accountID) already exists")
    }

    private func delete(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let stored = try stream(input, request)
        guard stored.origin == .api else { throw inTopology(stored.name) }
        directPut.forget(stored.name)
        do {
            try runner.delete(stored.name)
        } catch DeliveryRunner.Refusal.missing {
            throw Self.notFound(stored.name, request)
        }
        return .empty
    }

    func inTopology(_ name: String) -> AWSError {
        AWSError("ResourceInUseException", "Firehose \(name) is defined in a topology file: change or remove it there, and start the service again")
    }

    private func list(_ input: AWSValue) throws -> AWSResponse {
        var names = runner.names()
        if let type = input["DeliveryStreamType"]?.string { names = names.filter { runner.stored($0)?.type == type } }
        if let start = input["ExclusiveStartDeliveryStreamName"]?.string { names = names.filter { $0 > start } }
        let limit = input["Limit"]?.integer ?? 10
        return .output([
            "DeliveryStreamNames": .list(names.prefix(limit).map { .string($0) }), "HasMoreDeliveryStreams": .bool(names.count > limit),
        ])
    }

    private func updateDestination(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let name = input["DeliveryStreamName"]?.string ?? ""
        guard let stored = runner.stored(name) else {
            // As moto has it from the service: worded otherwise here.
            throw AWSError("ResourceNotFoundException", "Firehose \(name) under accountId \(request.accountID) not found.")
        }
        guard stored.origin == .api else { throw inTopology(stored.name) }
        guard input["DestinationId"]?.string == StoredStream.destinationID else {
            throw Self.invalid("Destination Id \(input["DestinationId"]?.string ?? "") not found")
        }
        let configuration = FirehoseConfiguration(data: runner.data), now = runner.host.now()
        do {
            try runner.update(stored.name) { stored in
                let given = input["CurrentDeliveryStreamVersionId"]?.string ?? ""
                guard given == String(stored.definition.version) else {
                    throw AWSError("ConcurrentModificationException", "Cannot update firehose: \(stored.name) since the current version id: \(stored.definition.version) and specified version id: \(given) do not match")
                }
                try configuration.update(&stored, with: input)
                stored.definition.version += 1
                stored.updated = now
            }
        } catch DeliveryRunner.Refusal.missing {
            throw Self.notFound(stored.name, request)
        }
        return .empty
    }

    // MARK: Encryption

    private func startEncryption(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let stored = try stream(input, request)
        try requireDirectPut(stored)
        let key = try FirehoseConfiguration.encryption(input["DeliveryStreamEncryptionConfigurationInput"] ?? ["KeyType": "AWS_OWNED_CMK"])
        return try encrypt(stored.name, key, request)
    }

    private func stopEncryption(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let stored = try stream(input, request)
        try requireDirectPut(stored)
        return try encrypt(stored.name, nil, request)
    }

    /// Records put from now on are encrypted with a key of the log, or are not; those before stay as they are.
    private func encrypt(_ name: String, _ key: StoredStream.Encryption?, _ request: AWSRequest) throws -> AWSResponse {
        do {
            try runner.update(name) { stored in
                try directPut.encrypt(name, key?.alias)
                stored.encryption = key
            }
        } catch DeliveryRunner.Refusal.missing {
            throw Self.notFound(name, request)
        }
        return .empty
    }

    private func requireDirectPut(_ stored: StoredStream) throws {
        guard case .directPut = stored.definition.source else {
            throw Self.invalid("This operation is not permitted on KinesisStreamAsSource delivery stream type.")
        }
    }

    // MARK: Tags

    static let tagsMax = 50

    static func tags(_ given: AWSValue?) throws -> [StoredStream.Tag] {
        let tags = (given?.list ?? []).map { StoredStream.Tag(key: $0["Key"]?.string ?? "", value: $0["Value"]?.string) }
        if let twice = tags.first(where: { tag in tags.filter { $0.key == tag.key }.count > 1 }) {
            throw AWSError.validation("Tag keys must be unique: \(twice.key) is given more than once")
        }
        return tags
    }

    private func tag(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let name = try stream(input, request).name, given = try Self.tags(input["Tags"])
        return try changeTags(name, request) { tags in
            for tag in given {
                if let i = tags.firstIndex(where: { $0.key == tag.key }) { tags[i] = tag } else { tags.append(tag) }
            }
            guard tags.count <= Self.tagsMax else {
                throw AWSError("LimitExceededException", "Failed to add tags to the resource: it would have \(tags.count), and \(Self.tagsMax) is the limit")
            }
        }
    }

    private func untag(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        let name = try stream(input, request).name, keys = Set((input["TagKeys"]?.list ?? []).compactMap(\.string))
        return try changeTags(name, request) { tags in tags.removeAll { keys.contains($0.key) } }
    }

    private func changeTags(_ name: String, _ request: AWSRequest, _ change: (inout [StoredStream.Tag]) throws -> Void) throws -> AWSResponse {
        do {
            try runner.update(name) { try change(&$0.tags) }
        } catch DeliveryRunner.Refusal.missing {
            throw Self.notFound(name, request)
        }
        return .empty
    }

    private func listTags(_ input: AWSValue, _ request: AWSRequest) throws -> AWSResponse {
        var tags = try stream(input, request).tags
        if let start = input["ExclusiveStartTagKey"]?.string {
            // As the service: a key that is not there begins with the first.
            tags = tags.firstIndex { $0.key == start }.map { Array(tags[($0 + 1)...]) } ?? tags
        }
        let limit = input["Limit"]?.integer ?? 50
        return .output([
            "Tags": .list(tags.prefix(limit).map { tag in
                .map(["Key": .string(tag.key)].merging(tag.value.map { ["Value": .string($0)] } ?? [:]) { $1 })
            }), "HasMoreTags": .bool(tags.count > limit),
        ])
    }
}
