import Foundation
import TestScripts
import Testing

/// Delivery streams of `swiftwater serve`.
@Suite struct DeliveryTests {
    @Test("no record that was acknowledged is lost or delivered twice, however often the process is killed") func kills() throws {
        let workspace = try Workspace()
        let result = try PythonScript.run("aws/firehose_kill.py", [Workspace.binary, workspace.path("killed"), "5"], seconds: 240)
        #expect(result.status == 0, "\(result.output)\n\(result.errors)")
    }
}
