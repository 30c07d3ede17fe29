import Foundation
import GzipCoding
import StreamCore

/// How records stand in the body of a request.
public enum EndpointForm: String, Sendable, CaseIterable {
    /// One record in a line.
    case ndjson
    /// Records, which are JSON, as an array.
    case jsonArray = "json-array"
    /// Amazon Data Firehose's request to an HTTP endpoint: `{"requestId", "timestamp", "records": [{"data": base64}]}`.
    case firehose
}

/// POSTs batches of records to an HTTP endpoint. One thread at a time.
public final class HTTPEndpointClient {
    public struct Options: Sendable {
        public var url: String
        public var form = EndpointForm.ndjson
        /// `X-Amz-Firehose-Access-Key`.
        public var accessKey: String?
        /// `X-Amz-Firehose-Source-Arn`.
        public var sourceARN: String?
        /// Sent as `X-Amz-Firehose-Common-Attributes`.
        public var commonAttributes: [(String, String)] = []
        public var headers: [(String, String)] = []
        /// Bodies are packed.
        public var isGzip = false
        /// Seconds for one request.
        public var timeout = 35.0
        public var retry = RetryPolicy()

        public init(url: String) { self.url = url }
    }

    private let options: Options
    private let client: EndpointClient
    private let path: String
    /// Requests made.
    public private(set) var requests = 0

    /// - Throws: `.validate` when the URL is none of HTTP.
    public init(_ options: Options) throws {
        self.options = options
        guard let url = URL(string: options.url), url.scheme == "http" || url.scheme == "https", url.host != nil,
              let slashes = options.url.range(of: "://") else {
            throw StreamError(.validate, "\(options.url) is no HTTP address", fix: "write it as in 'http://host:port/path'")
        }
        let rest = options.url[slashes.upperBound...], slash = rest.firstIndex { "/?".contains($0) } ?? rest.endIndex
        path = String(rest[slash...])
        var headers = options.headers
        if !headers.contains(where: { $0.0.lowercased() == "content-type" }) {
            headers.append(("Content-Type", options.form == .ndjson ? "application/x-ndjson" : "application/json"))
        }
        if options.isGzip { headers.append(("Content-Encoding", "gzip")) }
        if options.form == .firehose {
            headers.append(("X-Amz-Firehose-Protocol-Version", "1.0"))
            if let key = options.accessKey { headers.append(("X-Amz-Firehose-Access-Key", key)) }
            if let arn = options.sourceARN { headers.append(("X-Amz-Firehose-Source-Arn", arn)) }
            if !options.commonAttributes.isEmpty {
                var text = Array("{\"commonAttributes\":{".utf8)
                for (i, (name, value)) in options.commonAttributes.enumerated() {
                    if i > 0 { text.append(UInt8(ascii: ",")) }
                    JSONText.append(name, to: &text)
                    text.append(UInt8(ascii: ":"))
                    JSONText.append(value, to: &text)
                }
                headers.append(("X-Amz-Firehose-Common-Attributes", String(decoding: text, as: UTF8.self) + "}}"))
            }
        }
        client = EndpointClient(servers: [String(options.url[..<slash])], headers: headers, timeout: options.timeout)
    }

    /// Sends records as one request, and again as the retry policy says.
    ///
    /// - Parameters:
    ///   - requestID: the same each time that these records are sent, so that the other side can tell.
    ///   - timestamp: of the request, milliseconds since 1970-01-01.
    /// - Returns: nil when the endpoint took them, else why it did not.
    public func send(_ records: [[UInt8]], requestID: String, timestamp: Int64) throws -> BulkFailure? {
        var body = Self.body(records, form: options.form, requestID: requestID, timestamp: timestamp)
        if options.isGzip { body = Gzip.pack(body) }
        let began = Clock.monotonicNanoseconds()
        var attempt = 1
        while true {
            let id = options.form == .firehose ? "X-Amz-Firehose-Request-Id" : "X-Request-Id"
            let answer = try client.post(path, body, headers: [(id, requestID)])
            requests += 1
            guard var failure = failure(answer, requestID) else { return nil }
            failure.attempts = attempt
            let elapsed = Int64((Clock.monotonicNanoseconds() - began) / 1_000_000)
            // Of a Firehose endpoint every answer but its own kind of 200 may pass; elsewhere 4xx is for good.
            let passes = options.form == .firehose ? answer.status != 413 : answer.status == 0 || [408, 425, 429].contains(answer.status) || answer.status >= 500
            guard passes, let pause = options.retry.pause(after: attempt, elapsed: elapsed) else { return failure }
            Thread.sleep(forTimeInterval: Double(pause) / 1_000)
            attempt += 1
        }
    }

    private func failure(_ answer: EndpointAnswer, _ requestID: String) -> BulkFailure? {
        func failed(_ type: String, _ reason: String) -> BulkFailure { BulkFailure(status: answer.status, type: type, reason: reason, attempts: 1) }
        let said = String(decoding: answer.body.prefix(300), as: UTF8.self)
        guard options.form == .firehose else {
            if (200..<300).contains(answer.status) { return nil }
            return failed(answer.status == 0 ? "connection" : "http_\(answer.status)", answer.problem + (said.isEmpty ? "" : ": " + said))
        }
        let content = (try? JSONSerialization.jsonObject(with: Data(answer.body))) as? [String: Any]
        guard answer.status == 200 else {
            let message = content?["errorMessage"] as? String ?? said
            return failed(answer.status == 0 ? "HttpEndpoint.ConnectionFailed" : "HttpEndpoint.StatusCode\(answer.status)",
                          answer.problem + (message.isEmpty ? "" : ": " + message))
        }
        guard let content else { return failed("HttpEndpoint.InvalidResponseFormat", "the answer is no JSON object: \(said)") }
        guard content["requestId"] as? String == requestID else {
            return failed("HttpEndpoint.RequestIdMismatch", "the answer is not for request \(requestID): \(said)")
        }
        return nil
    }

    static func body(_ records: [[UInt8]], form: EndpointForm, requestID: String, timestamp: Int64) -> [UInt8] {
        var out: [UInt8] = []
        switch form {
        case .ndjson:
            for record in records {
                out += record
                out.append(10)
            }
        case .jsonArray:
            out.append(UInt8(ascii: "["))
            for (i, record) in records.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                out += record
            }
            out.append(UInt8(ascii: "]"))
        case .firehose:
            out += "{\"requestId\":".utf8
            JSONText.append(requestID, to: &out)
            out += ",\"timestamp\":\(timestamp),\"records\":[".utf8
            for (i, record) in records.enumerated() {
                out += "\(i > 0 ? "," : ""){\"data\":\"\(Data(record).base64EncodedString())\"}".utf8
            }
            out += "]}".utf8
        }
        return out
    }
}
