import AWSProtocol
import Foundation
import GRDB
import StreamCore

/// The DynamoDB Streams API over the changes that a store keeps.
public final class DynamoDBStreamsService: AWSService {
    public let targetPrefix = "DynamoDBStreams_20120810"
    public let jsonVersion = "1.0"
    private let store: Store

    /// - Parameter store: that of the tables; it stays open until its own service is closed.
    public init(store: Store) { self.store = store }

    public func handle(_ request: AWSRequest) throws -> AWSResponse {
        switch request.operation {
        case "ListStreams": .output(try list(request, try request.input(Self.listInput)))
        case "DescribeStream": .output(try describe(request, try request.input(Self.describeInput)))
        case "GetShardIterator": .output(try iterator(request, try request.input(Self.iteratorInput)))
        case "GetRecords": .output(try records(request, try request.input(Self.recordsInput)))
        default: throw AWSError.unknownOperation()
        }
    }

    // MARK: Inputs

    private static let arn = Shape.string(min: 37, max: 1_024), shardID = Shape.string(min: 28, max: 65)
    private static let listInput = Structure(optional: [
        ("TableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-"))), ("Limit", .integer(min: 1, max: 100)),
        ("ExclusiveStartStreamArn", arn),
    ])
    private static let describeInput = Structure(
        required: [("StreamArn", arn)],
        optional: [
            ("Limit", .integer(min: 1, max: 100)), ("ExclusiveStartShardId", shardID),
            ("ShardFilter", .structure(Structure(optional: [("Type", .string(values: ["CHILD_SHARDS"])), ("ShardId", shardID)]))),
        ])
    private static let iteratorInput = Structure(
        required: [
            ("StreamArn", arn), ("ShardId", shardID),
            ("ShardIteratorType", .string(values: ["TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"])),
        ],
        optional: [("SequenceNumber", .string(min: 21, max: 40)), ("Timestamp", .timestamp)])
    private static let recordsInput = Structure(
        required: [("ShardIterator", .string(min: 1, max: 2_048))], optional: [("Limit", .integer(min: 1, max: 1_000))])

    // MARK: Streams

    private struct Stream {
        var table: Int64, account: String, region: String, tableName: String, arn: String, label: String, view: String, schema: String
        var createdAt: Int64, shard: String
        /// The numbers of its changes; `last` is nil while it is open. Up to `trimmed` they are gone.
        var first: Int64, last: Int64?, trimmed: Int64

        init(_ row: Row) {
            (table, account, region, tableName) = (row[0], row[1], row[2], row[3])
            (arn, label, view, schema) = (row[4], row[5], row[6], row[7])
            (createdAt, shard, first, last, trimmed) = (row[8], row[9], row[10], row[11], row[12])
        }

        static func fetch(_ db: Database, _ sql: String, _ arguments: StatementArguments) throws -> [Stream] {
            try Row.fetchAll(
                db, sql: """
                    SELECT table_id, account, region, table_name, arn, label, view_type, key_schema, created_at, shard, first, last, trimmed
                    FROM change_streams \(sql)
                    """, arguments: arguments
            ).map(Stream.init)
        }
    }

    private static func missing(_ what: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Requested resource not found: \(what) not found")
    }

    private func stream(_ db: Database, _ request: AWSRequest, _ arn: String) throws -> Stream {
        guard let stream = try Stream.fetch(db, "WHERE arn = ? AND account = ?", [arn, request.accountID]).first else {
            throw Self.missing("Stream: \(arn)")
        }
        return stream
    }

    private func list(_ request: AWSRequest, _ input: AWSValue) throws -> AWSValue {
        let limit = input["Limit"]?.integer ?? 100
        let all = try store.read { db in
            try Stream.fetch(
                db, "WHERE account = ?1 AND region = ?2 AND (?3 IS NULL OR table_name = ?3) AND (?4 IS NULL OR arn > ?4) ORDER BY arn LIMIT ?5",
                [request.accountID, request.region, input["TableName"]?.string, input["ExclusiveStartStreamArn"]?.string, limit + 1])
        }
        var out: [String: AWSValue] = ["Streams": .list(all.prefix(limit).map {
            ["StreamArn": .string($0.arn), "TableName": .string($0.tableName), "StreamLabel": .string($0.label)]
        })]
        if all.count > limit { out["LastEvaluatedStreamArn"] = .string(all[limit - 1].arn) }
        return .map(out)
    }

    private func describe(_ request: AWSRequest, _ input: AWSValue) throws -> AWSValue {
        let stream = try store.read { try self.stream($0, request, input["StreamArn"]?.string ?? "") }
        let filter = input["ShardFilter"]
        if filter != nil, filter?["Type"] == nil || filter?["ShardId"] == nil {
            throw AWSError.validation("ShardFilter must have Type and ShardId")
        }
        var range: [String: AWSValue] = ["StartingSequenceNumber": .string(ChangeRecord.text(stream.first))]
        if let last = stream.last { range["EndingSequenceNumber"] = .string(ChangeRecord.text(last)) }
        // A stream has one shard all its life: none of its shards has children.
        let isShown = filter == nil && (input["ExclusiveStartShardId"]?.string ?? "") < stream.shard
        guard let key = try? JSONDecoder().decode(KeySchema.self, from: Data(stream.schema.utf8)) else {
            throw StreamError(.corrupt, "the key schema of stream \(stream.arn) is damaged", fix: "restore the tables' file from a copy")
        }
        return ["StreamDescription": [
            "StreamArn": .string(stream.arn), "StreamLabel": .string(stream.label), "StreamViewType": .string(stream.view),
            "StreamStatus": stream.last == nil ? "ENABLED" : "DISABLED", "TableName": .string(stream.tableName),
            "CreationRequestDateTime": .milliseconds(stream.createdAt), "KeySchema": key.awsValue,
            "Shards": isShown ? [["ShardId": .string(stream.shard), "SequenceNumberRange": .map(range)]] : [],
        ]]
    }

    // MARK: Reading

    private func iterator(_ request: AWSRequest, _ input: AWSValue) throws -> AWSValue {
        let type = input["ShardIteratorType"]?.string ?? ""
        let wantsSequence = type == "AT_SEQUENCE_NUMBER" || type == "AFTER_SEQUENCE_NUMBER"
        let given = input["SequenceNumber"]?.string
        if wantsSequence, given == nil {
            throw AWSError.validation("One or more parameter values were invalid: SequenceNumber must be given with ShardIteratorType \(type)")
        }
        if !wantsSequence, given != nil {
            throw AWSError.validation("One or more parameter values were invalid: SequenceNumber must not be given with ShardIteratorType \(type)")
        }
        if type == "AT_TIMESTAMP", input["Timestamp"] == nil {
            throw AWSError.validation("One or more parameter values were invalid: Timestamp must be given with ShardIteratorType \(type)")
        }
        let shard = input["ShardId"]?.string ?? ""
        return try store.read { db in
            let stream = try stream(db, request, input["StreamArn"]?.string ?? "")
            guard stream.shard == shard else { throw Self.missing("Shard: \(shard) in Stream: \(stream.arn)") }
            let newest = try stream.last ?? ChangeLog.newest(db)
            let horizon = max(stream.first, stream.trimmed + 1)
            let sequence: Int64
            switch type {
            case "TRIM_HORIZON": sequence = horizon
            case "LATEST": sequence = max(newest + 1, horizon)
            case "AT_TIMESTAMP":
                sequence = try Int64.fetchOne(
                    db, sql: "SELECT min(sequence) FROM changes WHERE table_id = ? AND sequence BETWEEN ? AND ? AND microseconds >= ?",
                    arguments: [stream.table, horizon, newest, Int64((input["Timestamp"]?.double ?? 0) * 1_000_000)]) ?? max(newest + 1, horizon)
            default:
                guard let number = ChangeRecord.sequence(given!), number >= stream.first, number <= newest + 1 else {
                    throw AWSError.validation("Invalid SequenceNumber: \(given!) is not in the range of shard \(shard)")
                }
                sequence = type == "AT_SEQUENCE_NUMBER" ? number : number + 1
                if sequence < horizon { throw Self.trimmed(given!) }
            }
            let position = StreamPosition(streamArn: stream.arn, shard: shard, sequence: sequence, issuedAt: store.host.now())
            return ["ShardIterator": .string(position.text)]
        }
    }

    private static func trimmed(_ sequence: String) -> AWSError {
        AWSError("TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard: sequence number "
            + "\(sequence) has been trimmed")
    }

    static let answerBytesMax = 1 << 20

    private func records(_ request: AWSRequest, _ input: AWSValue) throws -> AWSValue {
        var position = try StreamPosition(parsing: input["ShardIterator"]?.string ?? "")
        let now = store.host.now(), limit = input["Limit"]?.integer ?? 1_000
        guard now - position.issuedAt <= StreamPosition.lifetimeMilliseconds else {
            throw AWSError("ExpiredIteratorException", "Iterator expired. The iterator was created at time \(position.issuedAt) "
                + "while right now it is \(now), which is further in the future than the tolerated delay of \(StreamPosition.lifetimeMilliseconds) milliseconds.")
        }
        let salt = store.changes.salt
        return try store.read { db in
            let stream = try stream(db, request, position.streamArn)
            guard stream.shard == position.shard else { throw Self.missing("Shard: \(position.shard)") }
            if position.sequence <= stream.trimmed { throw Self.trimmed(ChangeRecord.text(position.sequence)) }
            let newest = try stream.last ?? ChangeLog.newest(db)
            var records: [AWSValue] = [], bytes = 0, isWhole = true
            let rows = try Row.fetchCursor(
                db.cachedStatement(sql: """
                    SELECT \(ChangeRecord.columns) FROM changes WHERE table_id = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?
                    """), arguments: [stream.table, position.sequence, newest, limit])
            while let row = try rows.next() {
                let change = try ChangeRecord(row)
                let size = change.keys.byteCount + (change.old?.byteCount ?? 0) + (change.new?.byteCount ?? 0)
                if !records.isEmpty, bytes + size > Self.answerBytesMax {
                    isWhole = false
                    break
                }
                bytes += size
                records.append(change.record(view: stream.view, region: stream.region, salt: salt, table: stream.table))
                position.sequence = change.sequence + 1
            }
            // The rest up to the newest number are changes of other tables.
            if isWhole, records.count < limit { position.sequence = max(position.sequence, newest + 1) }
            var out: [String: AWSValue] = ["Records": .list(records)]
            position.issuedAt = now
            // A closed shard that is read to its end has no next iterator.
            if stream.last == nil || position.sequence <= newest { out["NextShardIterator"] = .string(position.text) }
            return .map(out)
        }
    }
}
