import Dashboard
import Foundation
import GzipCoding
import HTTPServer
import Testing

@Suite struct DashboardAssetsTests {
    private func header(_ response: HTTPResponse?, _ name: String) -> String? {
        response.flatMap { HTTPFields($0.headers.map { (name: $0.0, value: $0.1) })[name] }
    }

    private func bytes(_ response: HTTPResponse?) -> [UInt8] {
        guard case .bytes(let bytes)? = response?.body else { return [] }
        return bytes
    }

    private func get(_ target: String, _ headers: HTTPFields = [], method: String = "GET") -> HTTPResponse? {
        DashboardAssets.answer(HTTPRequest(method: method, target: target, headers: headers, body: []))
    }

    @Test func everyFileHasItsTypeTagAndPolicy() throws {
        #expect(DashboardAssets.paths.count > 15)
        var tags: Set<String> = []
        for path in DashboardAssets.paths {
            let response = get(path)
            #expect(response?.status == 200, "\(path)")
            #expect(!bytes(response).isEmpty, "\(path)")
            let type = path.hasSuffix(".js") ? "text/javascript; charset=utf-8"
                : path.hasSuffix(".css") ? "text/css; charset=utf-8" : path.hasSuffix(".svg") ? "image/svg+xml" : "text/html; charset=utf-8"
            #expect(header(response, "content-type") == type, "\(path)")
            #expect(header(response, "x-content-type-options") == "nosniff", "\(path)")
            #expect(header(response, "cache-control") == "no-cache", "\(path)")
            let policy = try #require(header(response, "content-security-policy"))
            #expect(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "\(path)")
            let tag = try #require(header(response, "etag"))
            #expect(tag.hasPrefix("\"") && tag.hasSuffix("\"") && tags.insert(tag).inserted, "\(path): \(tag) is a strong tag of its own")
        }
    }

    @Test func theRootIsThePage() {
        let page = String(decoding: bytes(get("/?x=1")), as: UTF8.self)
        #expect(page.contains("<title>Swiftwater</title>"))
        #expect(bytes(get("/")) == bytes(get("/index.html")))
        // What the policy refuses is not there.
        #expect(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick=") && !page.contains("<script>"))
    }

    @Test func everyFileThatThePageNamesIsThere() throws {
        let pattern = try Regex(#"(?:src|href|from|import)(?:=|\s*\(?)["'](\.{0,2}/?[a-z/.]+\.(?:js|css|svg))["']"#)
        for path in DashboardAssets.paths where !path.hasPrefix("/lib/") {
            let text = String(decoding: bytes(get(path)), as: UTF8.self)
            let folder = URL(filePath: path).deletingLastPathComponent()
            for match in text.matches(of: pattern) {
                let name = String(try #require(match.output[1].substring))
                let named = URL(filePath: name, relativeTo: folder).standardizedFileURL.path
                #expect(get(named) != nil, "\(path) names \(name)")
            }
        }
    }

    @Test func noScriptMakesMarkupFromData() {
        for path in DashboardAssets.paths where path.hasSuffix(".js") && !path.hasPrefix("/lib/") {
            let text = String(decoding: bytes(get(path)), as: UTF8.self)
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                #expect(!text.contains(word), "\(path) has \(word)")
            }
        }
    }

    @Test func aClientThatHasTheFileGetsNoBody() throws {
        let tag = try #require(header(get("/app.css"), "etag"))
        for known in [tag, "\"other\", \(tag)", "W/\(tag)", "*"] {
            let again = get("/app.css", [("If-None-Match", known)])
            #expect(again?.status == 304 && bytes(again).isEmpty, "\(known)")
            #expect(header(again, "etag") == tag)
        }
        #expect(get("/app.css", [("If-None-Match", "\"other\"")])?.status == 200)
        // The packed form is another representation.
        #expect(get("/app.css", [("If-None-Match", tag), ("Accept-Encoding", "gzip")])?.status == 200)
    }

    @Test func packedFilesUnpackToTheSameBytes() throws {
        for path in DashboardAssets.paths {
            let plain = bytes(get(path)), response = get(path, [("Accept-Encoding", "br, gzip;q=0.8")])
            guard header(response, "content-encoding") == "gzip" else {
                #expect(plain.count <= 1024, "\(path) is sent packed")
                continue
            }
            #expect(try Gzip.unpack(bytes(response), limit: 4 << 20) == plain, "\(path)")
            #expect(bytes(response).count < plain.count, "\(path)")
        }
        #expect(header(get("/app.css", [("Accept-Encoding", "gzip;q=0, br")]), "content-encoding") == nil)
    }

    @Test(arguments: [
        "/../Package.swift", "/%2e%2e/etc/passwd", "//app.css", "/app.css/", "/pages", "/pages/", "/pages/../app.css", "/pages/..%2fapp.css", "/APP.CSS", "/index.html%00", "",
        "app.css", "/lib/../app.css", "/etc/passwd", "/v1/overview", "/.",
    ])
    func otherPathsAreNoFiles(_ path: String) { #expect(get(path) == nil) }

    @Test func onlyReadingIsAnswered() {
        #expect(get("/", method: "HEAD")?.status == 200)
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] { #expect(get("/", method: method) == nil) }
    }

    @Test func librariesAreThereOrNamed() {
        for (path, package) in [("/lib/chart.min.js", "libjs-chart.js"), ("/lib/dagre.min.js", "node-dagre-layout")] {
            let text = String(decoding: bytes(get(path)), as: UTF8.self)
            if DashboardAssets.missingPackages.contains(package) {
                #expect(text.contains("missingPackages") && text.contains(package))
            } else {
                #expect(text.utf8.count > 50_000, "\(path)")
            }
        }
    }
}
