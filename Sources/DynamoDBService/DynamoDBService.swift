import AWSProtocol
import ShardLog
import StreamCore

/// How ``DynamoDBService`` works.
public struct DynamoDBServiceOptions: Sendable {
    /// Streams that tables may name as Kinesis destinations; without it such destinations are refused.
    public var log: ShardLog?
    public var host = Host.system
    /// Connections that read side by side.
    public var readersMax = 8
    /// Expired items are looked for this often.
    public var sweepSeconds = 10.0
    /// Told of failures beside requests.
    public var report: @Sendable (String) -> Void = { _ in }

    public init() {}
}

/// DynamoDB's API over tables in an SQLite file.
///
/// A write is on the disk when it is answered. Writes that wait at the same time share a commit; reads go on beside them and see
/// what was committed last.
public final class DynamoDBService: AWSService {
    public let targetPrefix = "DynamoDB_20120810"
    public let jsonVersion = "1.0"
    public let store: Store
    /// Streams of the tables' changes.
    public var changes: ChangeLog { store.changes }

    /// Opens the tables in `directory`, which is created when it is missing.
    ///
    /// - Throws: `StreamError` when the file cannot be opened, is damaged, or was written by a newer program.
    public init(directory: String, options: DynamoDBServiceOptions = DynamoDBServiceOptions()) throws {
        store = try Store(directory: directory, options: options)
        store.maintenance.start(store)
    }

    public func close() { store.close() }

    public func handle(_ request: AWSRequest) throws -> AWSResponse {
        guard let shape = Shapes.inputs[request.operation] else { throw Refusals.operation(request.operation) ?? .unknownOperation() }
        let call = Call(store: store, request: request, input: try request.input(shape), now: store.host.now())
        return .output(try answer(call))
    }

    private func answer(_ call: Call) throws -> AWSValue {
        switch call.request.operation {
        case "PutItem": return try ItemOperations.put(call)
        case "GetItem": return try ItemOperations.get(call)
        case "UpdateItem": return try ItemOperations.update(call)
        case "DeleteItem": return try ItemOperations.delete(call)
        case "Query": return try QueryOperations.query(call)
        case "Scan": return try QueryOperations.scan(call)
        case "BatchWriteItem": return try BatchOperations.write(call)
        case "BatchGetItem": return try BatchOperations.get(call)
        case "TransactWriteItems": return try TransactOperations.write(call)
        case "TransactGetItems": return try TransactOperations.get(call)
        case "CreateTable": return try TableOperations.create(call)
        case "DescribeTable": return try TableOperations.describe(call)
        case "ListTables": return try TableOperations.list(call)
        case "UpdateTable": return try TableOperations.update(call)
        case "DeleteTable": return try TableOperations.delete(call)
        case "UpdateTimeToLive": return try SettingsOperations.updateTimeToLive(call)
        case "DescribeTimeToLive": return try SettingsOperations.describeTimeToLive(call)
        case "TagResource": return try SettingsOperations.tag(call)
        case "UntagResource": return try SettingsOperations.untag(call)
        case "ListTagsOfResource": return try SettingsOperations.listTags(call)
        case "DescribeContinuousBackups": return try SettingsOperations.describeContinuousBackups(call)
        case "UpdateContinuousBackups": return try SettingsOperations.updateContinuousBackups(call)
        case "PutResourcePolicy": return try SettingsOperations.putPolicy(call)
        case "GetResourcePolicy": return try SettingsOperations.getPolicy(call)
        case "DeleteResourcePolicy": return try SettingsOperations.deletePolicy(call)
        case "DescribeLimits": return SettingsOperations.limits
        case "DescribeEndpoints": return SettingsOperations.endpoints(call)
        case "DescribeContributorInsights":
            let table = try call.namedTable()
            return ["TableName": .string(table.name), "ContributorInsightsStatus": "DISABLED"]
        case "EnableKinesisStreamingDestination", "DisableKinesisStreamingDestination", "DescribeKinesisStreamingDestination",
            "UpdateKinesisStreamingDestination":
            return try changes.handleDestination(call.request.operation, call.input, table: try call.namedTable(), store: store)
        case let operation:
            guard let nothing = Refusals.empty[operation] else { throw AWSError.unknownOperation() }
            return nothing
        }
    }
}
