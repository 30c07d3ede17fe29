import Foundation
import TestScripts
import Testing

/// `swiftwater serve` as its users have it: boto3, the AWS CLI, a terminal.
@Suite struct ServeTests {
    @Test("the posts' own commands and scripts give their scenarios' results", arguments: ["sensors", "changes", "shards"])
    func scenario(name: String) throws {
        let workspace = try Workspace()
        let result = try PythonScript.run("aws/seed_scenarios.py", [Workspace.binary, workspace.path(name), name], seconds: 240)
        #expect(result.status == 0, "\(result.output)\n\(result.errors)")
    }

    @Test("killed servers lose no acknowledged record and store none twice, while shards are split and merged") func killed() throws {
        let script = PythonScript.root.appending(path: "Tests/Chaos/kinesis_chaos.py").path
        let result = try PythonScript.run(nil, [script, "--binary", Workspace.binary, "--kills", "8"], seconds: 240)
        #expect(result.status == 0, "\(result.output)\n\(result.errors)")
    }

    @Test("killed servers publish every change of a table once, in order for each item") func changesOfKilledServers() throws {
        let workspace = try Workspace()
        let command = [Workspace.binary, "serve", "--data", workspace.path("tables"), "--aws-listen", "127.0.0.1:"]
        let result = try PythonScript.run("aws/dynamodb_kills.py", ["6", String(Int.random(in: 0..<1_000_000))] + command, seconds: 240)
        #expect(result.status == 0, "\(result.output)\n\(result.errors)")
    }

    @Test("it says where it listens, and stops cleanly on Ctrl-C") func starts() throws {
        let workspace = try Workspace()
        let server = try workspace.start(["serve", "--aws-listen", "127.0.0.1:"])
        try eventually("its first line") { server.out.contains("\n") }
        let ready = try #require(try JSONSerialization.jsonObject(with: Data(server.out.utf8)) as? [String: Any])
        let url = try #require(ready["aws"] as? String)
        #expect(ready["event"] as? String == "ready" && url.hasPrefix("http://127.0.0.1:"))
        // A second one on the same port, and a second one on the same directory.
        try workspace.run("serve", "--aws-listen", String(url.dropFirst(7)), "--data", workspace.path("other")).expectOneError(containing: "cannot listen on 127.0.0.1")
        try workspace.run("serve", "--aws-listen", "127.0.0.1:").expectOneError(containing: "another process")
        server.signal(SIGINT)
        let outcome = try server.end()
        #expect(outcome.status == 0 && outcome.errors == "stopping\n", "\(outcome)")
    }

    @Test("what cannot be served is refused before anything is opened") func refusals() throws {
        let workspace = try Workspace()
        try workspace.run("serve").expectOneError(status: 64, containing: "give --listen, --aws-listen or --run")
        try workspace.run("serve", "--aws-listen", "nowhere").expectOneError(status: 64, containing: "nowhere")
        try workspace.run("serve", "--aws-listen", "127.0.0.1:", "--account-id", "12").expectOneError(status: 64, containing: "twelve digits")
        try workspace.run("serve", "--aws-listen", "127.0.0.1:", "--flush", "soon").expectOneError(containing: "--flush 'soon'", "Fix: ")
        try workspace.run("serve", "--aws-listen", "0.0.0.0:0").expectOneError(containing: "0.0.0.0", "credentials")
        try workspace.run("serve", "--run", "missing.yaml").expectOneError(containing: "missing.yaml")
        let keys = try workspace.write("[default]\naws_access_key_id = AKID\n", to: "keys")
        let outcome = try workspace.run("serve", "--aws-listen", "127.0.0.1:", "--credentials", keys)
        outcome.expectOneError(containing: "aws_secret_access_key")
    }
}
