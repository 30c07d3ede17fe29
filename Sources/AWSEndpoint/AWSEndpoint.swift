import AWSProtocol
import HTTPServer
import StreamCore
import Synchronization

/// Several AWS services on one port, as their SDKs and the AWS CLI expect them: `--endpoint-url http://127.0.0.1:4566`.
///
/// A request is a POST to `/` whose header `X-Amz-Target` names service and operation, with a body in JSON or CBOR.
public final class AWSEndpoint: Sendable {
    public struct Options: Sendable {
        /// The largest PutRecords request of Kinesis has 10 MiB of records, in Base64.
        public var bodyBytesMax = 24 << 20
        public var threads = 64
        /// Decides who a request comes from; the default lets everyone in.
        public var authenticate: @Sendable (HTTPRequest) throws -> Caller = { _ in Caller() }
        /// Told of failures that are the server's own.
        public var log: @Sendable (String) -> Void = { _ in }

        public init() {}
    }

    /// Who makes a request, and where to.
    public struct Caller: Sendable {
        public var region: String, accountID: String
        public init(region: String = AWSRequest.defaultRegion, accountID: String = AWSRequest.defaultAccountID) {
            (self.region, self.accountID) = (region, accountID)
        }
    }

    private let server: HTTPServer
    private let services: [any AWSService]
    public var host: String { server.host }
    public var port: Int { server.port }

    /// Answers from here on.
    public init(host: String = "127.0.0.1", port: Int = 0, services: [any AWSService], options: Options = Options()) throws {
        self.services = services
        var httpOptions = HTTPServer.Options()
        httpOptions.bodyBytesMax = options.bodyBytesMax
        httpOptions.threads = options.threads
        let router = Router(services: services, options: options)
        server = try HTTPServer(host: host, port: port, options: httpOptions) { router.answer($0) }
    }

    /// Ends requests and streams, then the services.
    public func stop() {
        server.stop()
        for service in services { service.close() }
    }
}

/// Finds the service of a request and puts its answer into the wire's form.
private struct Router: Sendable {
    let services: [any AWSService]
    let options: AWSEndpoint.Options

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        let id = Host.system.uuid()
        guard request.method == "POST", let target = request.headers["x-amz-target"] else { return other(request, id) }
        let encoding: AWSEncoding = request.headers["content-type"]?.hasPrefix("application/x-amz-cbor") == true ? .cbor : .json
        let parts = target.split(separator: ".", maxSplits: 1)
        guard parts.count == 2, let service = services.first(where: { $0.targetPrefix == parts[0] }) else {
            return Wire.error(.unknownOperation(), encoding, "1.1", id)
        }
        do {
            let caller = try options.authenticate(request)
            let response = try service.handle(AWSRequest(operation: String(parts[1]), encoding: encoding, body: request.body, region: caller.region,
                                                         accountID: caller.accountID, requestID: id))
            return Wire.response(response, encoding, service.jsonVersion, id)
        } catch let error as AWSError {
            if error.status >= 500 { options.log("\(target) (request \(id)): \(error.type): \(error.message)") }
            return Wire.error(error, encoding, service.jsonVersion, id)
        } catch {
            options.log("\(target) (request \(id)): \(error)")
            return Wire.error(AWSError("InternalFailure", "\(error)", status: 500), encoding, service.jsonVersion, id)
        }
    }

    private func other(_ request: HTTPRequest, _ id: String) -> HTTPResponse {
        switch (request.method, request.path) {
        case ("GET", "/healthz"): return .text(200, "ok\n")
        case ("GET", _), ("HEAD", _):
            return .text(404, "this is an AWS endpoint of Swiftwater: point an AWS SDK or `aws --endpoint-url http://\(request.headers["host"] ?? "...")` at it\n")
        default: return Wire.error(AWSError("MissingAction", "the request has no header X-Amz-Target"), .json, "1.1", id)
        }
    }
}

/// The form of answers on the wire.
enum Wire {
    private static func contentType(_ encoding: AWSEncoding, _ version: String) -> String {
        encoding == .json ? "application/x-amz-json-\(version)" : "application/x-amz-cbor-1.1"
    }

    private static func headers(_ encoding: AWSEncoding, _ version: String, _ id: String, body: [UInt8]) -> [(String, String)] {
        [("Content-Type", contentType(encoding, version)), ("x-amzn-RequestId", id), ("x-amz-crc32", String(CRC32.of(body)))]
    }

    static func encode(_ value: AWSValue, _ encoding: AWSEncoding) -> [UInt8] { encoding == .json ? AWSJSON.write(value) : CBOR.write(value) }

    static func response(_ response: AWSResponse, _ encoding: AWSEncoding, _ version: String, _ id: String) -> HTTPResponse {
        switch response {
        case .output(.map(let members)) where members.isEmpty && encoding == .json && version == "1.1":
            return HTTPResponse(200, headers: headers(encoding, version, id, body: []))
        case .output(let value):
            let body = encode(value, encoding)
            return HTTPResponse(200, headers: headers(encoding, version, id, body: body), body: body)
        case .encoded(let body): return HTTPResponse(200, headers: headers(encoding, version, id, body: body), body: body)
        case .events(let run):
            return HTTPResponse(200, headers: [("Content-Type", "application/vnd.amazon.eventstream"), ("x-amzn-RequestId", id)]) { writer in
                // The client is gone or the stream has ended; there is nobody to tell.
                try? run(EventWriter(writer: writer, encoding: encoding, contentType: contentType(encoding, version)))
            }
        }
    }

    static func error(_ error: AWSError, _ encoding: AWSEncoding, _ version: String, _ id: String) -> HTTPResponse {
        var members = error.members
        members["__type"] = .string(error.type)
        if !error.message.isEmpty { members["message"] = .string(error.message) }
        let body = encode(.map(members), encoding)
        return HTTPResponse(error.status, headers: headers(encoding, version, id, body: body) + [("x-amzn-ErrorType", error.type)], body: body)
    }
}

private struct EventWriter: EventSender {
    let writer: any HTTPBodyWriter
    let encoding: AWSEncoding
    let contentType: String

    var isClosed: Bool { writer.isClosed }

    func send(type: String, payload: AWSValue) throws {
        try writer.write(EventStreamMessage(headers: [(":message-type", "event"), (":event-type", type), (":content-type", contentType)],
                                            payload: Wire.encode(payload, encoding)).bytes())
    }

    func fail(_ error: AWSError) throws {
        try writer.write(EventStreamMessage(
            headers: [(":message-type", "exception"), (":exception-type", error.type), (":content-type", contentType)],
            payload: Wire.encode(["message": .string(error.message)], encoding)).bytes())
    }
}
