import Foundation
import HTTPServer
import StreamCore
import StreamServer
import TestScripts
import Testing

@Suite("Access to the daemon") struct AccessTests {
    /// Of 32 letters v, by sha256sum.
    private static let digest = "d71af2bc53398568e2aff5639f499ff0add6177253dbabccfe931459470856a7"

    private func request(_ method: String = "GET", _ headers: KeyValuePairs<String, String> = ["Host": "localhost:8081"], peer: String = "127.0.0.1") -> HTTPRequest {
        HTTPRequest(method: method, target: "/v1/overview", headers: HTTPFields(headers.map { (name: $0.key, value: $0.value) }), body: [], peer: peer)
    }

    private func file(_ text: String, mode: Int = 0o600) throws -> String {
        let path = NSTemporaryDirectory() + "tokens-" + UUID().uuidString
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    @Test("without tokens this machine may do all, under its own names")
    func local() {
        let access = Access(hosts: ["Stream.Example"])
        #expect(access.caller(request())?.role == .admin)
        #expect(access.refusal(request()) == nil)
        #expect(access.refusal(request("GET", ["Host": "[::1]:8081"])) == nil)
        #expect(access.refusal(request("GET", ["Host": "stream.example"])) == nil)
        #expect(access.refusal(request("GET", ["Host": "evil.example"]))?.contains("evil.example") == true)
        #expect(access.refusal(request("GET", ["Host": "localhost", "Origin": "https://evil.example"])) != nil)
        #expect(access.refusal(request("GET", ["Host": "localhost:1", "Origin": "http://localhost:1"])) == nil)
        #expect(access.refusal(request("GET", ["Host": "localhost", "Sec-Fetch-Site": "cross-site"])) != nil)
        #expect(access.refusal(request(peer: "10.0.0.7")) != nil)
    }

    @Test("tokens have names and roles; other texts have none")
    func tokens() throws {
        let path = try file("# users\nann admin \(String(repeating: "a", count: 30))\n\nvic view sha256:" + Self.digest + " # digest\n")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let access = try Access(tokensFile: path)
        func role(_ header: String) -> Role? { access.caller(request("GET", ["Host": "x", "Authorization": header]))?.role }
        #expect(role("Bearer " + String(repeating: "a", count: 30)) == .admin)
        #expect(role("bearer  " + String(repeating: "a", count: 30)) == .admin)
        #expect(role("Bearer " + String(repeating: "a", count: 29)) == nil)
        #expect(role("Basic " + String(repeating: "a", count: 30)) == nil)
        #expect(role("Bearer " + String(repeating: "v", count: 32)) == .view)
        #expect(role("Bearer sha256:" + Self.digest) == nil)
        #expect(access.caller(request()) == nil)
        // A page of another origin cannot have a browser send a change, token or not.
        #expect(access.refusal(request("POST", ["Host": "x", "Origin": "https://evil.example"])) != nil)
        #expect(access.refusal(request("GET", ["Host": "x"], peer: "10.0.0.7")) == nil)
        #expect(Role.view < .operate && Role.operate < .admin)
    }

    @Test("what is wrong with a file of tokens is told with its line", arguments: [
        ("ann admin", "line is NAME ROLE TOKEN"), ("\nann boss aaaaaaaaaaaaaaaaaaaaaaaa", ":2: "), ("ann admin short", "shorter than 20"), ("ann admin sha256:zz", "64 hexadecimal"), ("# none", "no tokens"),
    ])
    func mistakes(text: String, said: String) throws {
        let path = try file(text)
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect { try Access(tokensFile: path) } throws: { "\($0)".contains(said) }
    }

    @Test("a file of tokens that everybody can read is refused")
    func readable() throws {
        let path = try file("ann admin " + String(repeating: "a", count: 30), mode: 0o644)
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect { try Access(tokensFile: path) } throws: { "\($0)".contains("chmod 600") }
    }
}
