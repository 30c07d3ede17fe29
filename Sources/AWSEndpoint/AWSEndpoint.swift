import AWSProtocol
import HTTPServer
import StreamCore

/// Several AWS services on one port, as their SDKs and the AWS CLI expect them: `--endpoint-url http://127.0.0.1:4566`.
///
/// A request is a POST to `/` whose header `X-Amz-Target` names service and operation, with a body in JSON or CBOR; or, as Smithy's RPC
/// protocol has it, a POST to `/service/Kinesis_20131202/operation/PutRecords` in CBOR.
///
/// With credentials every request must be signed with one of them. Without, any signature and none is accepted: then the endpoint
/// listens on the loopback interface only, and refuses requests that a browser sends on behalf of some page.
public final class AWSEndpoint: Sendable {
    public struct Options: Sendable {
        /// Keys that requests are signed with; none = requests are accepted as they come.
        public var credentials: [AWSCredentials] = []
        /// Regions that requests may name; none = all.
        public var regions: [String] = []
        /// Region of requests without a signature.
        public var region = AWSRequest.defaultRegion
        /// Twelve digits, part of every ARN.
        public var accountID = AWSRequest.defaultAccountID
        /// Names under which the endpoint is reached without credentials, beside loopback addresses, `localhost`, `*.localhost` and
        /// `*.localhost.localstack.cloud`.
        public var hosts: [String] = []
        /// The largest PutRecords request of Kinesis has 10 MiB of records, in Base64.
        public var bodyBytesMax = 24 << 20
        /// Of all requests together that are being read or answered.
        public var bytesInFlightMax = 256 << 20
        /// Requests that are answered at the same time.
        public var threads = 64
        public var connectionsMax = 4_096
        /// Subscriptions to shards and other streams of events at the same time.
        public var streamsMax = 1_024
        /// Told of failures that are the server's own.
        public var log: @Sendable (String) -> Void = { _ in }
        /// The clock that signatures are checked by.
        public var clock = Host.system

        public init() {}
    }

    private let server: HTTPServer
    private let services: [any AWSService]
    public var host: String { server.host }
    public var port: Int { server.port }

    /// Answers from here on.
    ///
    /// - Throws: `StreamError` when it would listen beyond the loopback interface without credentials, or cannot listen at all.
    public init(host: String = "127.0.0.1", port: Int = 0, services: [any AWSService], options: Options = Options()) throws {
        self.services = services
        guard !options.credentials.isEmpty || Loopback.contains(host) else {
            throw StreamError(
                .validate, "the AWS endpoint would listen on \(host), where other machines reach it, and has no credentials to check requests by",
                fix: "give it credentials (a file in the form of ~/.aws/credentials), or let it listen on 127.0.0.1")
        }
        var httpOptions = HTTPServer.Options()
        httpOptions.bodyBytesMax = options.bodyBytesMax
        httpOptions.bytesInFlightMax = options.bytesInFlightMax
        httpOptions.threads = options.threads
        httpOptions.connectionsMax = options.connectionsMax
        httpOptions.streamsMax = options.streamsMax
        let access = AccessRules(options)
        let router = Router(services: services, options: options, access: access)
        httpOptions.admit = { access.refusal($0) }
        // Health must be told while all threads are busy.
        httpOptions.answerAtOnce = { $0.method == "POST" ? nil : router.other($0) }
        do {
            server = try HTTPServer(host: host, port: port, options: httpOptions) { router.answer($0) }
        } catch {
            throw StreamError(.io, "the AWS endpoint cannot listen on \(host):\(port): \(error)", fix: "choose another port, or end what listens there")
        }
    }

    /// Ends requests and streams, then the services.
    public func stop() {
        server.stop()
        for service in services { service.close() }
    }
}
