import AWSProtocol
import HTTPServer
import StreamCore

/// Decides who may send requests.
struct AccessRules: Sendable {
    private let verifier: SignatureVerifier?
    private let regions: [String]
    private let defaultRegion: String
    private let hosts: [String]
    private let clock: Host

    init(_ options: AWSEndpoint.Options) {
        verifier = options.credentials.isEmpty ? nil : SignatureVerifier(options.credentials)
        regions = options.regions
        defaultRegion = options.region
        hosts = options.hosts.map { $0.lowercased() }
        clock = options.clock
    }

    /// Called with the head of a request. A page in a browser can have it send requests to this machine, under a name of its own that
    /// leads here (DNS rebinding) or across origins. Where a signature is asked for it could not give one.
    func refusal(_ request: HTTPRequest) -> HTTPResponse? {
        guard verifier == nil else { return nil }
        if !request.peer.isEmpty, !Loopback.contains(request.peer) {
            return Self.forbidden("requests without credentials are accepted from this machine only, not from \(request.peer)")
        }
        if let host = request.headers["host"], !isOurs(Loopback.name(of: host)) {
            return Self.forbidden("the endpoint is not known as \(host): use localhost, or tell it that name")
        }
        if let origin = request.headers["origin"] {
            let name = origin.split(separator: "/", maxSplits: 2).last.map(String.init) ?? origin
            guard origin.hasPrefix("http"), isOurs(Loopback.name(of: name)) else {
                return Self.forbidden("requests of pages from \(origin) are refused")
            }
        }
        if request.headers["sec-fetch-site"]?.lowercased() == "cross-site" { return Self.forbidden("requests of pages from other sites are refused") }
        return nil
    }

    private func isOurs(_ name: String) -> Bool {
        Loopback.contains(name) || name.hasSuffix(".localhost") || name == "localhost.localstack.cloud" || name.hasSuffix(".localhost.localstack.cloud")
            || hosts.contains(name)
    }

    private static func forbidden(_ message: String) -> HTTPResponse { Wire.error(AWSError("AccessDeniedException", message, status: 403), .json("1.1"), "") }

    /// The region that a request is for.
    ///
    /// - Throws: ``AWSError`` when it is not signed as it must be.
    func region(_ request: HTTPRequest, service: String) throws -> String {
        let region: String
        if let verifier {
            let signable = SignableRequest(method: request.method, target: request.target, headers: request.headers.all, body: request.body)
            region = try verifier.verify(signable, service: service, now: clock.now() / 1_000).region
        } else {
            region = request.headers["authorization"].flatMap { SignatureVerifier.region(authorization: $0) } ?? defaultRegion
        }
        guard regions.isEmpty || regions.contains(region) else {
            throw AWSError("InvalidSignatureException", "Credential should be scoped to a valid region, not '\(region)'.")
        }
        return region
    }
}
