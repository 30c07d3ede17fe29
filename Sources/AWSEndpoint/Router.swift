import AWSProtocol
import HTTPServer
import StreamCore
import Synchronization

/// Finds the service of a request and puts its answer into the wire's form.
struct Router: Sendable {
    let services: [any AWSService]
    let options: AWSEndpoint.Options
    let access: AccessRules

    /// Service and operation, and the form in which both sides write.
    private struct Destination {
        var service: any AWSService
        var operation: String
        var form: Wire.Form
    }

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        let id = Self.requestID()
        guard request.method == "POST" else { return other(request) }
        let destination: Destination
        switch find(request) {
        case .success(let found): destination = found
        case .failure(let error): return Wire.error(error, isCBOR(request) ? .cbor : .json("1.1"), id)
        }
        let form = destination.form
        do {
            let region = try access.region(request, service: destination.service.signingName)
            var asked = AWSRequest(operation: destination.operation, encoding: form.encoding, body: try form.received(request.body), region: region,
                                   accountID: options.accountID, requestID: id)
            asked.invocation = request.headers["amz-sdk-invocation-id"]
            asked.attempt = Self.attempt(request.headers["amz-sdk-request"])
            return try Wire.response(destination.service.handle(asked), form, id, hasChecksum: destination.service.targetPrefix.hasPrefix("DynamoDB"))
        } catch let error as AWSError {
            if error.status >= 500 { options.log("\(destination.operation) (request \(id)): \(error.type): \(error.message)") }
            return Wire.error(error, form, id)
        } catch {
            options.log("\(destination.operation) (request \(id)): \(error)")
            return Wire.error(AWSError("InternalFailure", "\(error)", status: 500), form, id)
        }
    }

    /// Of `attempt=2; max=5`.
    private static func attempt(_ text: String?) -> Int {
        guard let text, let part = text.split(separator: ";").first(where: { $0.drop { $0 == " " }.hasPrefix("attempt=") }) else { return 1 }
        return Int(part.drop { $0 == " " }.dropFirst(8)) ?? 1
    }

    private func isCBOR(_ request: HTTPRequest) -> Bool { request.headers["content-type"]?.hasPrefix("application/x-amz-cbor") == true }

    private func find(_ request: HTTPRequest) -> Result<Destination, AWSError> {
        if let target = request.headers["x-amz-target"] {
            let parts = target.split(separator: ".", maxSplits: 1)
            guard parts.count == 2, let service = services.first(where: { $0.targetPrefix == parts[0] }) else { return .failure(.unknownOperation()) }
            return .success(Destination(service: service, operation: String(parts[1]), form: isCBOR(request) ? .cbor : .json(service.jsonVersion)))
        }
        let path = request.path.split(separator: "/")
        guard request.headers["smithy-protocol"] == "rpc-v2-cbor", path.count == 4, path[0] == "service", path[2] == "operation" else {
            return .failure(AWSError("MissingAction", "the request has no header X-Amz-Target"))
        }
        guard let service = services.first(where: { $0.targetPrefix == path[1] }) else { return .failure(.unknownOperation()) }
        return .success(Destination(service: service, operation: String(path[3]), form: .rpc(service.signingName)))
    }

    /// What is no request to a service.
    func other(_ request: HTTPRequest) -> HTTPResponse {
        switch (request.method, request.path) {
        case ("GET", "/healthz"), ("HEAD", "/healthz"): return .text(200, "ok\n")
        case ("GET", _), ("HEAD", _):
            return .text(
                404, "this is an AWS endpoint of Swiftwater: point an AWS SDK or `aws --endpoint-url http://\(request.headers["host"] ?? "...")` at it\n")
        default: return .text(405, "requests to an AWS service are POSTs\n")
        }
    }

    private static let seed = UInt64.random(in: 0...UInt64.max)
    private static let count = Atomic<UInt64>(0)

    /// A UUID that tells this request from others in the log; nobody has to be unable to guess it, so it costs no system call.
    private static func requestID() -> String {
        let number = count.add(1, ordering: .relaxed).newValue
        func mixed(_ value: UInt64) -> UInt64 {
            var z = value &* 0x9E37_79B9_7F4A_7C15
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        let high = mixed(seed &+ 2 &* number) & ~0xF000 | 0x4000, low = mixed(seed &+ 2 &* number &+ 1) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return String(unsafeUninitializedCapacity: 36) { text in
            var at = 0
            for i in 0..<32 {
                if i == 8 || i == 12 || i == 16 || i == 20 {
                    text[at] = 0x2D
                    at += 1
                }
                let nibble = UInt8(truncatingIfNeeded: (i < 16 ? high : low) >> UInt64(60 - 4 * (i % 16)) & 15)
                text[at] = nibble < 10 ? 0x30 + nibble : 0x57 + nibble
                at += 1
            }
            return 36
        }
    }
}
