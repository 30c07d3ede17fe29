import Foundation
import StreamCore
import Testing

@testable import ObjectStore

@Suite("Where objects are and how they are reached") struct OptionTests {
    private func options(_ given: [String: String], _ environment: [String: String] = [:]) throws -> ObjectStoreOptions {
        try ObjectStoreOptions(TableDescriptor(name: "t", schema: [], options: given), environment: environment)
    }

    @Test("URLs name a bucket and a prefix")
    func locations() throws {
        #expect(try ObjectLocation("s3://lake/a/b/") == ObjectLocation(bucket: "lake", prefix: "a/b"))
        #expect(try ObjectLocation("S3A://lake") == ObjectLocation(bucket: "lake", prefix: ""))
        #expect(try ObjectLocation("/data/lake") == nil)
        #expect(try ObjectLocation("gs://lake/a") == nil)
        #expect(try ObjectLocation("s3://lake/a")?.key("x/y") == "a/x/y")
        for bad in ["s3://", "s3:///a", "s3://a b/c", "s3://lake/../x"] { #expect(throws: StreamError.self, "\(bad)") { try ObjectLocation(bad) } }
    }

    @Test("options come first, then the environment, then what Amazon has")
    func order() throws {
        let plain = try options([:])
        #expect(plain.endpoint.absoluteString == "https://s3.us-east-1.amazonaws.com" && !plain.isPathStyle)
        #expect(try options(["s3.region": "eu-west-1"]).endpoint.absoluteString == "https://s3.eu-west-1.amazonaws.com")
        let environment = ["AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2/", "AWS_REGION": "eu-north-1"]
        let from = try options([:], environment)
        #expect(from.endpoint.absoluteString == "http://b:2" && from.region == "eu-north-1" && from.isPathStyle)
        #expect(try options(["s3.endpoint": "c:9000", "s3.path-style-access": "false"], environment).endpoint.absoluteString == "https://c:9000")
        #expect(try options(["s3.endpoint": "http://c:9000", "s3.path.style.access": "false"], environment).isPathStyle == false)
        #expect(throws: StreamError.self) { try options(["s3.endpoint": "http://c:9000/path"]) }
        #expect(throws: StreamError.self) { try options(["s3.access-key": "alone"]) }
        #expect(throws: StreamError.self) { try options(["s3.multipart.size": "1 mb"]) }
    }

    @Test("a key comes from the options, the environment or a profile")
    func keys() throws {
        let home = NSTemporaryDirectory() + "/swiftwater-test-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: home) }
        try FileManager.default.createDirectory(atPath: home + "/.aws", withIntermediateDirectories: true)
        try Data("[default]\naws_access_key_id = A\naws_secret_access_key = B\n[lake]\naws_access_key_id = C\naws_secret_access_key = D\n".utf8)
            .write(to: URL(filePath: home + "/.aws/credentials"))
        func key(_ given: [String: String], _ environment: [String: String] = [:]) throws -> String {
            try options(given, environment.merging(["HOME": home]) { $1 }).credentials.resolve().accessKey
        }
        let variables = ["AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "F"]
        #expect(try key([:]) == "A")
        #expect(try key(["s3.profile": "lake"], variables) == "C")
        #expect(try key([:], ["AWS_PROFILE": "lake"]) == "C")
        #expect(try key([:], variables) == "E")
        #expect(try key(["s3.access-key": "G", "s3.secret-key": "H"], variables) == "G")
        let missing = #expect(throws: StreamError.self) { try key(["s3.profile": "other"]) }
        #expect(missing!.problem.contains("profile 'other'"))
    }

    @Test("XML of answers is read")
    func xml() {
        let text = "<?xml version=\"1.0\"?>\n<L xmlns=\"x\"><A>1</A><B/><A><A>in</A>&lt;&amp;&#65;&#x42;</A></L>"
        let members = XMLText.children(of: XMLText.children(of: text[...])[0].content)
        #expect(members.map { String($0.name) } == ["A", "B", "A"])
        #expect(XMLText.value("A", in: members) == "1" && XMLText.unescaped("&lt;&amp;&#65;&#x42;&none;") == "<&AB&none;")
        #expect(XMLText.children(of: members[2].content)[0].content == "in")
    }
}
