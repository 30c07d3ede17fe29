import AWSProtocol
import Synchronization

/// Stands in front of a service, and refuses what a test says.
final class FaultyService: AWSService {
    let targetPrefix = "Kinesis_20131202"
    private let inner: any AWSService
    /// Throws for a request that is to fail: operation, and its number among those of that operation, from 1.
    private let refuse: @Sendable (String, Int) throws -> Void
    /// Whether a record of PutRecords fails: the number of the request and its place in it.
    private let refuseRecord: @Sendable (Int, Int) -> Bool
    private let counts = Mutex<[String: Int]>([:])

    init(_ inner: any AWSService, refuse: @escaping @Sendable (String, Int) throws -> Void = { _, _ in }, refuseRecord: @escaping @Sendable (Int, Int) -> Bool = { _, _ in false }) {
        (self.inner, self.refuse, self.refuseRecord) = (inner, refuse, refuseRecord)
    }

    func handle(_ request: AWSRequest) throws -> AWSResponse {
        let number = counts.withLock { counts in
            counts[request.operation, default: 0] += 1
            return counts[request.operation]!
        }
        try refuse(request.operation, number)
        guard request.operation == "PutRecords" else { return try inner.handle(request) }
        var input = try request.rawInput().map!
        let records = input["Records"]!.list!, refused = records.indices.filter { refuseRecord(number, $0) }
        guard !refused.isEmpty else { return try inner.handle(request) }
        let failure: AWSValue = ["ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for shard"]
        var results: [AWSValue] = []
        let taken = records.indices.filter { !refused.contains($0) }
        if !taken.isEmpty {
            input["Records"] = .list(taken.map { records[$0] })
            var part = request
            part.body = AWSJSON.write(.map(input))
            let answer: AWSValue = switch try inner.handle(part) {
            case .output(let value): value
            case .encoded(let bytes): try AWSJSON.parse(bytes)
            case .events: .null
            }
            results = answer["Records"]!.list!
        }
        var all: [AWSValue] = [], next = 0
        for i in records.indices {
            if refused.contains(i) { all.append(failure) } else {
                all.append(results[next])
                next += 1
            }
        }
        return .output(["FailedRecordCount": .integer(Int64(refused.count)), "Records": .list(all)])
    }

    func close() { inner.close() }
}
