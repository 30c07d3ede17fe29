import AWSProtocol
import GRDB
import ShardLog

/// A Kinesis stream that gets the changes of a table.
struct Destination {
    var id: Int64
    var table: Int64
    var tableName: String
    var region: String
    var streamArn: String
    /// ACTIVE, DISABLING or DISABLED
    var status: String
    /// Whether times are in microseconds; nil until it is said.
    var isPrecise: Bool?
    var producer: Int64
    /// The newest change that has gone out.
    var position: Int64
    /// Up to where the changes go out that are under way.
    var pending: Int64?
    /// The last change that it gets.
    var last: Int64?
    /// Changes that were larger than a record of the stream may be.
    var leftOut: Int

    var streamName: String { String(streamArn.split(separator: "/").last ?? "") }

    static func fetch(_ db: Database, sql: String, arguments: StatementArguments = []) throws -> [Destination] {
        try Row.fetchAll(
            db, sql: """
                SELECT id, table_id, table_name, region, stream_arn, status, is_precise, producer, position, pending, last, left_out
                FROM destinations \(sql) ORDER BY id
                """, arguments: arguments
        ).map {
            Destination(id: $0[0], table: $0[1], tableName: $0[2], region: $0[3], streamArn: $0[4], status: $0[5], isPrecise: $0[6],
                        producer: $0[7], position: $0[8], pending: $0[9], last: $0[10], leftOut: $0[11])
        }
    }
}

/// EnableKinesisStreamingDestination and its relatives; inputs are checked against their shapes already.
struct KinesisDestinations: Sendable {
    let store: Store
    let table: TableInfo

    private static func invalidState(_ problem: String) -> AWSError {
        .validation("Table is not in a valid state to enable Kinesis Streaming Destination: \(problem)")
    }

    private static func isPrecise(_ configuration: AWSValue?) -> Bool? {
        configuration?["ApproximateCreationDateTimePrecision"]?.string.map { $0 == "MICROSECOND" }
    }

    private static func precision(_ isPrecise: Bool) -> AWSValue { .string(isPrecise ? "MICROSECOND" : "MILLISECOND") }

    private func arn(_ input: AWSValue) throws -> (arn: String, name: String) {
        let arn = input["StreamArn"]?.string ?? ""
        let parts = arn.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "arn", parts[2] == "kinesis", parts[5].hasPrefix("stream/"), parts[5].utf8.count > 7 else {
            throw AWSError.validation("Invalid StreamArn: \(arn) is no ARN of a Kinesis stream: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME")
        }
        guard parts[3] == table.region else {
            throw AWSError.validation("Invalid StreamArn: \(arn) is in another region than the table, which is in \(table.region)")
        }
        return (arn, String(parts[5].dropFirst(7)))
    }

    private func destination(_ db: Database, _ arn: String) throws -> Destination? {
        try Destination.fetch(db, sql: "WHERE table_id = ? AND stream_arn = ?", arguments: [table.id, arn]).first
    }

    private func answer(_ arn: String, _ status: String, _ more: [String: AWSValue] = [:]) -> AWSValue {
        .map(["TableName": .string(table.name), "StreamArn": .string(arn), "DestinationStatus": .string(status)].merging(more) { $1 })
    }

    func enable(_ input: AWSValue) throws -> AWSValue {
        let (arn, name) = try arn(input)
        guard let log = store.changes.publisher.log, log.exists(name) else {
            throw AWSError.validation("User does not have a permission to use kinesis stream: \(name) does not exist in account "
                + "\(table.account) and region \(table.region)")
        }
        let isPrecise = Self.isPrecise(input["EnableKinesisStreamingConfiguration"])
        let producer = Int64(bitPattern: max(1, store.host.randomBits() >> 1))
        try store.write { db in
            if let known = try destination(db, arn), known.status != "DISABLED" {
                throw Self.invalidState("EnableKinesisStreamingDestination must be DISABLED or ENABLE_FAILED to perform ENABLE operation.")
            }
            try db.execute(sql: "DELETE FROM destinations WHERE table_id = ? AND stream_arn = ?", arguments: [table.id, arn])
            try db.execute(
                sql: """
                    INSERT INTO destinations (table_id, table_name, region, stream_arn, status, is_precise, producer, position)
                    VALUES (?, ?, ?, ?, 'ACTIVE', ?, ?, ?)
                    """,
                arguments: [table.id, table.name, table.region, arn, isPrecise, producer, try ChangeLog.newest(db)])
        }
        return answer(arn, "ENABLING", isPrecise.map {
            ["EnableKinesisStreamingConfiguration": ["ApproximateCreationDateTimePrecision": Self.precision($0)]]
        } ?? [:])
    }

    /// What has changed until now still goes out.
    func disable(_ input: AWSValue) throws -> AWSValue {
        let (arn, _) = try arn(input)
        try store.write { db in
            guard let known = try destination(db, arn), known.status == "ACTIVE" else {
                throw Self.invalidState("KinesisStreamingDestination must be ACTIVE to perform DISABLE operation.")
            }
            try db.execute(sql: "UPDATE destinations SET status = 'DISABLING', last = ? WHERE id = ?",
                           arguments: [try ChangeLog.newest(db), known.id])
        }
        store.changes.publisher.wake()
        return answer(arn, "DISABLING")
    }

    func update(_ input: AWSValue) throws -> AWSValue {
        let (arn, _) = try arn(input)
        guard let isPrecise = Self.isPrecise(input["UpdateKinesisStreamingConfiguration"]) else {
            throw AWSError.validation("Streaming destination cannot be updated with given parameters: UpdateKinesisStreamingConfiguration "
                + "cannot be null or contain only null values")
        }
        try store.write { db in
            guard let known = try destination(db, arn), known.status == "ACTIVE" else {
                throw Self.invalidState("Kinesis streaming is not in ACTIVE state. Updates are only allowed in ACTIVE state")
            }
            guard known.isPrecise ?? false != isPrecise else {
                throw AWSError.validation("Invalid Request: Precision is already set to the desired value of "
                    + "\(isPrecise ? "MICROSECOND" : "MILLISECOND") for tableId: \(table.definition.uuid), kdsArn: \(arn)")
            }
            try db.execute(sql: "UPDATE destinations SET is_precise = ? WHERE id = ?", arguments: [isPrecise, known.id])
        }
        return answer(arn, "UPDATING", [
            "UpdateKinesisStreamingConfiguration": ["ApproximateCreationDateTimePrecision": Self.precision(isPrecise)],
        ])
    }

    func describe() throws -> AWSValue {
        let all = try store.read { try Destination.fetch($0, sql: "WHERE table_id = ?", arguments: [table.id]) }
        return ["TableName": .string(table.name), "KinesisDataStreamDestinations": .list(all.map { destination in
            var out: [String: AWSValue] = ["StreamArn": .string(destination.streamArn), "DestinationStatus": .string(destination.status)]
            out["ApproximateCreationDateTimePrecision"] = destination.isPrecise.map(Self.precision)
            var problems = store.changes.publisher.problem(destination.id).map { [$0] } ?? []
            if destination.leftOut > 0 {
                problems.append("changes that are larger than a record of the stream may be and were left out: \(destination.leftOut)")
            }
            if !problems.isEmpty { out["DestinationStatusDescription"] = .string(problems.joined(separator: "; ")) }
            return .map(out)
        })]
    }
}

extension ChangeLog {
    /// The four operations on destinations.
    func handleDestination(_ operation: String, _ input: AWSValue, table: TableInfo, store: Store) throws -> AWSValue {
        let destinations = KinesisDestinations(store: store, table: table)
        return switch operation {
        case "EnableKinesisStreamingDestination": try destinations.enable(input)
        case "DisableKinesisStreamingDestination": try destinations.disable(input)
        case "UpdateKinesisStreamingDestination": try destinations.update(input)
        default: try destinations.describe()
        }
    }
}
