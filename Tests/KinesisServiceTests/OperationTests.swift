import Foundation
import KinesisService
import TestScripts
import Testing

@Suite struct OperationTests {
    @Test func everyOperationThroughBoto3() throws {
        try TestServer.run { server in
            for (test, failure) in try server.failures("kinesis_operations.py") { Issue.record("\(test): \(failure)") }
        }
    }
}
