/// A key that requests are signed with.
public struct AWSCredentials: Hashable, Sendable {
    public var accessKey: String
    public var secret: String
    /// Of temporary credentials; sent as `X-Amz-Security-Token`.
    public var sessionToken: String?

    public init(accessKey: String, secret: String, sessionToken: String? = nil) {
        (self.accessKey, self.secret, self.sessionToken) = (accessKey, secret, sessionToken)
    }
}

/// What a signature covers: the request as it goes over the wire.
public struct SignableRequest: Sendable {
    public var method: String
    /// Path and query as sent: `/`, `/service/x?a=b`
    public var target: String
    /// `Host` must be among them. Names in any case, several of one name in their order.
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    /// The hash of the body in hexadecimal digits, or `UNSIGNED-PAYLOAD` where a service takes that; nil = computed from the body.
    public var payloadHash: String?
    /// S3 has the path as it is sent; all other services without `.` and `..`, and encoded once more.
    public var signsPathAsSent = false

    public init(method: String = "POST", target: String = "/", headers: [(name: String, value: String)], body: [UInt8]) {
        (self.method, self.target, self.headers, self.body) = (method, target, headers, body)
    }
}

/// Signature version 4 of AWS requests, in the form for header authentication (`Authorization: AWS4-HMAC-SHA256 Credential=...`).
public enum SignatureV4 {
    public static let algorithm = "AWS4-HMAC-SHA256"
    /// Proxies change or remove these on the way.
    private static let unsigned: Set<String> = [
        "authorization", "connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id",
    ]

    /// The headers to add to a request: `X-Amz-Date`, `X-Amz-Security-Token` for temporary credentials, and `Authorization`.
    ///
    /// All headers of the request are signed but those that proxies change. A request that is sent again is signed anew, without the
    /// headers of its first signature.
    ///
    /// - Parameters:
    ///   - service: `kinesis`, `dynamodb`, `firehose`, ...
    ///   - seconds: the time of signing, since 1970-01-01 UTC. Services accept five minutes of difference.
    public static func sign(_ request: SignableRequest, _ credentials: AWSCredentials, region: String, service: String, at seconds: Int64)
        -> [(name: String, value: String)]
    {
        let time = basicTime(seconds)
        var added = [(name: "X-Amz-Date", value: time)]
        if let token = credentials.sessionToken { added.append((name: "X-Amz-Security-Token", value: token)) }
        var request = request
        request.headers += added
        let names = Set(request.headers.map { $0.name.lowercased() }).subtracting(unsigned).sorted()
        let scope = "\(time.prefix(8))/\(region)/\(service)/aws4_request"
        let text = stringToSign(canonical(request, signedHeaders: names), time: time, scope: scope)
        let signature = sign(text, with: key(credentials.secret, date: String(time.prefix(8)), region: region, service: service))
        added.append((
            name: "Authorization",
            value: "\(algorithm) Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(names.joined(separator: ";")), Signature=\(signature)"))
        return added
    }

    /// The path and query of a request whose signature stands in its query, as services that have URLs with an expiry take it: whatever holds the request
    /// up on its way, it is not carried out later than `lifetime` seconds after `seconds`.
    ///
    /// - Parameter request: `Host` and the `x-amz-` headers are signed. Its payload hash should be `UNSIGNED-PAYLOAD`.
    public static func presigned(_ request: SignableRequest, _ credentials: AWSCredentials, region: String, service: String, at seconds: Int64, lifetime: Int64) -> String {
        let time = basicTime(seconds), scope = "\(time.prefix(8))/\(region)/\(service)/aws4_request"
        let names = Set(request.headers.map { $0.name.lowercased() }).subtracting(unsigned).sorted()
        var query = [("X-Amz-Algorithm", algorithm), ("X-Amz-Credential", "\(credentials.accessKey)/\(scope)"), ("X-Amz-Date", time), ("X-Amz-Expires", String(lifetime)),
                     ("X-Amz-SignedHeaders", names.joined(separator: ";"))]
        if let token = credentials.sessionToken { query.append(("X-Amz-Security-Token", token)) }
        var request = request
        request.target += (request.target.contains("?") ? "&" : "?") + query.map { "\($0)=\(encode(Array($1.utf8)))" }.joined(separator: "&")
        let text = stringToSign(canonical(request, signedHeaders: names), time: time, scope: scope)
        return request.target + "&X-Amz-Signature=" + sign(text, with: key(credentials.secret, date: String(time.prefix(8)), region: region, service: service))
    }

    // MARK: Steps

    /// The request in the form that both sides hash. `signedHeaders` in lower case and sorted.
    static func canonical(_ request: SignableRequest, signedHeaders: [String]) -> String {
        let parts = request.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var text = request.method.uppercased() + "\n" + (request.signsPathAsSent && !parts[0].isEmpty ? String(parts[0]) : path(parts[0])) + "\n" + (parts.count > 1 ? query(parts[1]) : "") + "\n"
        var values: [String: [String]] = [:]
        for (name, value) in request.headers { values[name.lowercased(), default: []].append(trimmed(value)) }
        for name in signedHeaders { text += "\(name):\((values[name] ?? []).joined(separator: ","))\n" }
        return text + "\n" + signedHeaders.joined(separator: ";") + "\n" + (request.payloadHash ?? Digest.hexadecimal(Digest.sha256(request.body)))
    }

    static func stringToSign(_ canonical: String, time: String, scope: String) -> String {
        "\(algorithm)\n\(time)\n\(scope)\n" + Digest.hexadecimal(Digest.sha256(Array(canonical.utf8)))
    }

    static func key(_ secret: String, date: String, region: String, service: String) -> [UInt8] {
        [date, region, service, "aws4_request"].reduce(Array("AWS4\(secret)".utf8)) { Digest.hmacSHA256(key: $0, Array($1.utf8)) }
    }

    static func sign(_ text: String, with key: [UInt8]) -> String { Digest.hexadecimal(Digest.hmacSHA256(key: key, Array(text.utf8))) }

    /// Without `.`, `..` and empty segments, and encoded once more than it is on the wire: that is how all services but S3 have it.
    private static func path(_ path: Substring) -> String {
        guard let last = path.utf8.last else { return "/" }
        var segments: [Substring] = []
        for segment in path.split(separator: "/") where segment != "." {
            if segment == ".." { _ = segments.popLast() } else { segments.append(segment) }
        }
        let isClosed = last == UInt8(ascii: "/") && !segments.isEmpty
        return "/" + segments.map { encode(Array($0.utf8)) }.joined(separator: "/") + (isClosed ? "/" : "")
    }

    /// Sorted by name, then by value, each decoded and encoded in one way.
    private static func query(_ query: Substring) -> String {
        query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (encode(decode(parts[0])), parts.count > 1 ? encode(decode(parts[1])) : "")
        }.sorted { $0 < $1 }.map { "\($0)=\($1)" }.joined(separator: "&")
    }

    private static func decode(_ text: Substring) -> [UInt8] {
        let bytes = Array(text.utf8)
        var out: [UInt8] = [], i = 0
        while i < bytes.count {
            if bytes[i] == UInt8(ascii: "%"), i + 2 < bytes.count, let value = UInt8(String(decoding: bytes[i + 1...i + 2], as: UTF8.self), radix: 16) {
                out.append(value)
                i += 3
            } else {
                out.append(bytes[i])
                i += 1
            }
        }
        return out
    }

    /// Letters, digits and `-._~` stay.
    private static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): out.append(byte)
            default:
                let digits = Array("0123456789ABCDEF".utf8)
                out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func trimmed(_ value: String) -> String { value.split { $0 == " " || $0 == "\t" }.joined(separator: " ") }

    // MARK: Time

    /// `20150830T123600Z`
    static func basicTime(_ seconds: Int64) -> String {
        let day = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let second = seconds - day * 86_400
        // Civil date of a day number, in eras of 400 years that begin on 1 March.
        let z = day + 719_468, era = (z >= 0 ? z : z - 146_096) / 146_097, dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100), m = (5 * dayOfYear + 2) / 153
        let month = m < 10 ? m + 3 : m - 9, year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func padded(_ value: Int64, _ width: Int) -> String { String(repeating: "0", count: max(0, width - String(value).count)) + String(value) }
        return padded(year, 4) + padded(month, 2) + padded(dayOfYear - (153 * m + 2) / 5 + 1, 2) + "T" + padded(second / 3_600, 2)
            + padded(second / 60 % 60, 2) + padded(second % 60, 2) + "Z"
    }

    /// Seconds since 1970-01-01; nil when the text is no time in the form `20150830T123600Z`.
    static func seconds(_ time: String) -> Int64? {
        let bytes = Array(time.utf8)
        guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            guard bytes[range].allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
            return bytes[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        guard let year = number(0..<4), let month = number(4..<6), let dayOfMonth = number(6..<8), let hour = number(9..<11),
              let minute = number(11..<13), let second = number(13..<15), (1...12).contains(month), (1...31).contains(dayOfMonth),
              hour < 24, minute < 60, second < 61 else { return nil }
        let y = month <= 2 ? year - 1 : year, era = y / 400, yearOfEra = y - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + dayOfMonth - 1
        let day = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return day * 86_400 + hour * 3_600 + minute * 60 + second
    }
}
