import Synchronization

/// Checks signatures of requests against the credentials that it knows.
public final class SignatureVerifier: Sendable {
    /// Seconds that a request's time may lie before or after the verifier's.
    public static let skewMax: Int64 = 300

    /// Who signed a request, and for where.
    public struct Signer: Hashable, Sendable {
        public var accessKey: String
        public var region: String
    }

    private let credentials: [String: AWSCredentials]
    /// Signing keys last for a day, and are costlier to make than a signature.
    private let keys = Mutex<[String: [UInt8]]>([:])
    private static let keysMax = 1_000

    public init(_ credentials: [AWSCredentials]) {
        self.credentials = Dictionary(credentials.map { ($0.accessKey, $0) }) { $1 }
    }

    /// - Parameters:
    ///   - service: the name that the scope must have: `kinesis`.
    ///   - now: seconds since 1970-01-01 UTC.
    /// - Throws: ``AWSError`` as the services answer: `MissingAuthenticationTokenException`, `IncompleteSignatureException`,
    ///   `UnrecognizedClientException`, `InvalidSignatureException`.
    public func verify(_ request: SignableRequest, service: String, now: Int64) throws -> Signer {
        func header(_ name: String) -> String? { request.headers.first { $0.name.lowercased() == name }?.value }
        guard let authorization = header("authorization"), authorization.hasPrefix("AWS4-") else {
            throw AWSError("MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        let given = try Authorization(authorization, time: header("x-amz-date") ?? header("date"))
        guard let known = credentials[given.accessKey], known.sessionToken == nil || known.sessionToken == header("x-amz-security-token") else {
            throw AWSError("UnrecognizedClientException", "The security token included in the request is invalid.")
        }
        try given.checkScope(service: service)
        try given.checkTime(now: now)
        // Whoever could change these without breaking the signature could send the request elsewhere, or again later.
        guard given.signedHeaders.contains("host") else {
            throw Self.invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
        }
        guard given.signedHeaders.contains("x-amz-date") || given.signedHeaders.contains("date") else {
            throw Self.invalid("'X-Amz-Date' or 'Date' must be a 'SignedHeader' in the AWS Authorization.")
        }
        let canonical = SignatureV4.canonical(request, signedHeaders: given.signedHeaders)
        let text = SignatureV4.stringToSign(canonical, time: given.time, scope: given.scope)
        guard Digest.isEqual(SignatureV4.sign(text, with: key(known, given)), given.signature) else {
            throw Self.invalid(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. "
                    + "Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'\(canonical)'\n\n"
                    + "The String-to-Sign should have been\n'\(text)'\n")
        }
        return Signer(accessKey: given.accessKey, region: given.region)
    }

    private func key(_ known: AWSCredentials, _ given: Authorization) -> [UInt8] {
        let name = "\(known.accessKey)/\(given.scope)"
        if let key = keys.withLock({ $0[name] }) { return key }
        let key = SignatureV4.key(known.secret, date: given.date, region: given.region, service: given.service)
        keys.withLock { all in
            if all.count >= Self.keysMax { all = [:] }
            all[name] = key
        }
        return key
    }

    /// The region in the scope of a request's signature, whether that is right or not; nil without a signature.
    public static func region(authorization: String) -> String? {
        guard let start = authorization.index(behind: "Credential=") else { return nil }
        let scope = authorization[start...].prefix { $0 != "," && $0 != " " }.split(separator: "/", omittingEmptySubsequences: false)
        return scope.count == 5 && !scope[2].isEmpty ? String(scope[2]) : nil
    }

    fileprivate static func invalid(_ message: String) -> AWSError { AWSError("InvalidSignatureException", message) }
    fileprivate static func incomplete(_ message: String) -> AWSError { AWSError("IncompleteSignatureException", message) }
}

/// What an `Authorization` header says.
private struct Authorization {
    var accessKey = "", date = "", region = "", service = "", terminator = ""
    var signedHeaders: [String] = []
    var signature = ""
    /// Of signing, `20150830T123600Z`, and in seconds.
    var time = ""
    var seconds: Int64 = 0

    var scope: String { "\(date)/\(region)/\(service)/\(terminator)" }

    init(_ header: String, time: String?) throws {
        let algorithm = String(header.prefix { $0 != " " })
        guard algorithm == SignatureV4.algorithm else { throw SignatureVerifier.incomplete("Unsupported AWS 'algorithm': '\(algorithm)'.") }
        var parameters: [String: String] = [:]
        for part in header.dropFirst(algorithm.count).split(whereSeparator: { $0 == "," || $0 == " " }) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2 else {
                throw SignatureVerifier.incomplete("'\(part)' not a valid key=value pair (missing equal-sign) in Authorization header: '\(header)'.")
            }
            parameters[String(sides[0])] = String(sides[1])
        }
        let missing = ["Credential", "Signature", "SignedHeaders"].filter { (parameters[$0] ?? "").isEmpty }
        var problems = missing.map { "Authorization header requires '\($0)' parameter." }
        if time == nil { problems.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.") }
        guard problems.isEmpty, let credential = parameters["Credential"], let time else {
            throw SignatureVerifier.incomplete(problems.joined(separator: " ") + " Authorization=\(algorithm)")
        }
        let parts = credential.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5 else {
            throw SignatureVerifier.incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '\(credential)'")
        }
        (accessKey, date, region, service, terminator) = (parts[0], parts[1], parts[2], parts[3], parts[4])
        guard let seconds = SignatureV4.seconds(time) else {
            throw SignatureVerifier.incomplete("Date must be in ISO-8601 'basic format'. Got '\(time)'. See http://en.wikipedia.org/wiki/ISO_8601")
        }
        (self.time, self.seconds) = (time, seconds)
        signedHeaders = parameters["SignedHeaders"]!.lowercased().split(separator: ";").map(String.init)
        signature = parameters["Signature"]!
    }

    func checkScope(service wanted: String) throws {
        if terminator != "aws4_request" {
            throw SignatureVerifier.invalid("Credential should be scoped with a valid terminator: 'aws4_request', not '\(terminator)'.")
        }
        if service != wanted { throw SignatureVerifier.invalid("Credential should be scoped to correct service: '\(wanted)'.") }
        if region.isEmpty { throw SignatureVerifier.invalid("Credential should be scoped to a valid region.") }
        if !time.hasPrefix(date) || date.utf8.count != 8 {
            throw SignatureVerifier.invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '\(date)' != '\(time.prefix(8))', from '\(time)'.")
        }
    }

    func checkTime(now: Int64) throws {
        let skew = SignatureVerifier.skewMax
        if seconds < now - skew {
            throw SignatureVerifier.invalid("Signature expired: \(time) is now earlier than \(SignatureV4.basicTime(now - skew)) "
                + "(\(SignatureV4.basicTime(now)) - \(skew / 60) min.)")
        }
        if seconds > now + skew {
            throw SignatureVerifier.invalid("Signature not yet current: \(time) is still later than \(SignatureV4.basicTime(now + skew)) "
                + "(\(SignatureV4.basicTime(now)) + \(skew / 60) min.)")
        }
    }
}

extension String {
    /// Behind the first place where `text` stands.
    fileprivate func index(behind text: String) -> Index? {
        var from = startIndex
        while let at = self[from...].firstIndex(of: text.first!) {
            if self[at...].hasPrefix(text) { return index(at, offsetBy: text.count) }
            from = index(after: at)
        }
        return nil
    }
}
