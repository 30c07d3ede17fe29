import AWSEndpoint
import AWSProtocol
import Foundation
import Testing
import TestScripts

@testable import DynamoDBService

/// Tables in a directory of their own, removed at the end.
final class TestTables {
    let directory: String
    let service: DynamoDBService

    init(_ change: (inout DynamoDBServiceOptions) -> Void = { _ in }) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "dynamodb-\(UUID().uuidString)").path
        var options = DynamoDBServiceOptions()
        options.sweepSeconds = 0.2
        change(&options)
        service = try DynamoDBService(directory: directory, options: options)
    }

    deinit {
        service.close()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// Asks without HTTP.
    @discardableResult func ask(_ operation: String, _ input: AWSValue) throws -> AWSValue { try service.ask(operation, input) }
}

extension DynamoDBService {
    @discardableResult func ask(_ operation: String, _ input: AWSValue) throws -> AWSValue {
        guard case .output(let output) = try handle(AWSRequest(operation: operation, body: AWSJSON.write(input))) else { return .null }
        return output
    }
}

/// A table with a text as its key.
func plainTable(_ name: String) -> AWSValue {
    [
        "TableName": .string(name), "BillingMode": "PAY_PER_REQUEST", "KeySchema": [["AttributeName": "pk", "KeyType": "HASH"]],
        "AttributeDefinitions": [["AttributeName": "pk", "AttributeType": "S"]],
    ]
}
