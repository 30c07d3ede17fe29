import CDashboardAssets
import GzipCoding
import HTTPServer
import Synchronization

/// The dashboard's files as HTTP answers: a page that asks the REST API beside it, without a build step of its own.
///
/// Files are known by their exact path; nothing is read from a disk.
public enum DashboardAssets {
    /// Headers that keep the page to its own files and connections; they stand on every answer of ``answer(_:)``.
    public static let securityHeaders: [(String, String)] = [
        ("Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]

    /// Debian's packages that were not installed when the program was built: the page has no charts, no graph or plain text fields for code
    /// then, and says so.
    public static var missingPackages: [String] { Set(assets.values.filter { $0.isMissing }.compactMap(\.package)).sorted() }

    /// Every path that is answered, sorted; `/` is `/index.html`.
    public static var paths: [String] { assets.keys.sorted() }

    /// Answers `GET` and `HEAD` of a file; 304 when the client has it, packed when the client takes gzip.
    ///
    /// - Returns: nil when the path is no file of the dashboard, or the method another one.
    public static func answer(_ request: HTTPRequest) -> HTTPResponse? {
        guard request.method == "GET" || request.method == "HEAD" else { return nil }
        return answer(path: request.path, isPacked: acceptsGzip(request.headers["accept-encoding"]), known: request.headers["if-none-match"])
    }

    /// - Parameters:
    ///   - path: of the request, without query: `/`, `/app.css`
    ///   - isPacked: the client takes `Content-Encoding: gzip`.
    ///   - known: the request's `If-None-Match`.
    /// - Returns: nil when the path is no file of the dashboard.
    public static func answer(path: String, isPacked: Bool = false, known: String? = nil) -> HTTPResponse? {
        guard let asset = assets[path == "/" ? "/index.html" : path] else { return nil }
        let packed = isPacked ? packed(asset) : nil
        let tag = "\"\(asset.digest)\(packed == nil ? "" : "-gz")\""
        // Asked for again each time, and answered by 304: a new version of the program must not meet an old page.
        var headers = [("Content-Type", asset.type), ("ETag", tag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding")] + securityHeaders
        if let known, matches(known, tag) { return HTTPResponse(304, headers: headers) }
        if let packed {
            headers.append(("Content-Encoding", "gzip"))
            return HTTPResponse(200, headers: headers, body: packed)
        }
        return HTTPResponse(200, headers: headers, body: asset.bytes())
    }

    // MARK: Files

    private struct Asset: Sendable {
        var number: Int
        var path: String
        var package: String?
        var type: String
        /// Of the bytes: 16 hex digits.
        var digest: String
        var isMissing: Bool

        func bytes() -> [UInt8] {
            if isMissing, path.hasSuffix(".css") { return Array("/* \(path): \(package ?? "") was not there */\n".utf8) }
            if isMissing { return Array("(self.missingPackages ??= []).push(\"\(package ?? "")\");\n".utf8) }
            guard let asset = sw_dashboard_asset_at(number)?.pointee else { return [] }
            return Array(UnsafeBufferPointer(start: asset.bytes, count: asset.count))
        }
    }

    private static let assets: [String: Asset] = {
        var found: [String: Asset] = [:]
        var number = 0
        while let file = sw_dashboard_asset_at(number)?.pointee {
            let path = String(cString: file.path)
            var asset = Asset(number: number, path: path, package: file.package.map { String(cString: $0) }, type: type(of: path), digest: "",
                              isMissing: file.bytes == nil)
            asset.digest = digest(asset.bytes())
            found[path] = asset
            number += 1
        }
        return found
    }()

    private static func type(of path: String) -> String {
        if path.hasSuffix(".js") { return "text/javascript; charset=utf-8" }
        if path.hasSuffix(".css") { return "text/css; charset=utf-8" }
        if path.hasSuffix(".svg") { return "image/svg+xml" }
        return "text/html; charset=utf-8"
    }

    /// FNV-1a: tells versions of a file apart; nobody but the program makes them.
    private static func digest(_ bytes: [UInt8]) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    // MARK: Conditions

    /// Packed once, when a client first asks for it.
    private static let packedFiles = Mutex<[Int: [UInt8]]>([:])

    /// nil for a file that is sent as it is: small ones gain nothing.
    private static func packed(_ asset: Asset) -> [UInt8]? {
        if let known = packedFiles.withLock({ $0[asset.number] }) { return known }
        let bytes = asset.bytes()
        guard bytes.count > 1024 else { return nil }
        let packed = Gzip.pack(bytes, level: 9)
        packedFiles.withLock { $0[asset.number] = packed }
        return packed
    }

    private static func acceptsGzip(_ header: String?) -> Bool {
        guard let header else { return false }
        return header.split(separator: ",").contains { part in
            let words = part.split(separator: ";").map { $0.filter { $0 != " " }.lowercased() }
            guard words.first == "gzip" || words.first == "*" else { return false }
            return !words.dropFirst().contains { $0.hasPrefix("q=") && Double($0.dropFirst(2)) == 0 }
        }
    }

    /// `If-None-Match` compares weakly: a proxy may have weakened the tag.
    private static func matches(_ header: String, _ tag: String) -> Bool {
        header.split(separator: ",").contains { part in
            var text = part.drop { $0 == " " }
            while text.last == " " { text.removeLast() }
            if text.hasPrefix("W/") { text = text.dropFirst(2) }
            return text == "*" || text == tag
        }
    }
}
