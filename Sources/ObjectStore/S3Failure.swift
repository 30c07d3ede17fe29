import Foundation
import StreamCore

/// Why S3 did not do what was asked of it.
struct S3Failure: Error {
    /// 0 when no answer came.
    var status: Int
    /// `NoSuchBucket`, `SlowDown`, ...; empty when no answer came.
    var code: String
    var message: String
    /// The region that the answer names instead of ours.
    var region: String?

    init(_ answer: HTTPAnswer) {
        status = answer.status
        guard status != 0 else {
            (code, message) = ("", answer.problem)
            return
        }
        let text = String(decoding: answer.body.prefix(16_384), as: UTF8.self)
        let members = XMLText.children(of: text[...]).first { $0.name == "Error" }.map { XMLText.children(of: $0.content) } ?? []
        code = XMLText.value("Code", in: members) ?? Self.code(answer.status)
        message = XMLText.value("Message", in: members) ?? (answer.body.isEmpty ? "" : String(text.prefix(200)))
        region = answer.headers["x-amz-bucket-region"] ?? XMLText.value("Region", in: members)
    }

    /// Answers to HEAD have no body.
    private static func code(_ status: Int) -> String {
        switch status {
        case 403: "AccessDenied"
        case 404: "NotFound"
        case 412: "PreconditionFailed"
        case 429, 503: "SlowDown"
        default: "HTTP status \(status)"
        }
    }

    /// Trying again may do.
    var isTransient: Bool {
        if status == 0 || status == 408 || status == 429 || status >= 500 && status != 501 { return true }
        return ["ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "RequestTimeTooSkewed", "InternalError", "SlowDown"].contains(code)
    }

    var isMissing: Bool { status == 404 && code != "NoSuchBucket" }
    var isPreconditionFailed: Bool { status == 412 }

    /// The failure as a user is to see it.
    func error(_ doing: String, endpoint: URL, region asked: String, attempts: Int) -> StreamError {
        let place = endpoint.absoluteString
        if status == 0 {
            return StreamError(.io, "cannot \(doing): \(place) does not answer: \(message) (\(attempts) attempts)", fix: "look whether the server runs there, and at 's3.endpoint'")
        }
        var problem = "cannot \(doing): \(place) refuses it with \(code)" + (message.isEmpty ? "" : ": \(message)")
        if isTransient, attempts > 1 { problem += " (\(attempts) attempts)" }
        if let region, region != asked { return StreamError(.validate, problem, fix: "set 's3.region' = '\(region)'") }
        switch code {
        case "NoSuchBucket": return StreamError(.validate, problem, fix: "create the bucket, or correct 'path' and 's3.endpoint'")
        case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
            return StreamError(.validate, problem, fix: "set 's3.region' to the region of the bucket")
        case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken", "AllAccessDisabled", "AccountProblem", "RequestTimeTooSkewed":
            return StreamError(.validate, problem, fix: "look at 's3.access-key' and 's3.secret-key' or at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, at what the key is allowed to do, "
                + "at 's3.region', and at this machine's clock")
        case "NotImplemented": return StreamError(.validate, problem, fix: "use a store that has conditional writes (If-None-Match and If-Match of PutObject)")
        default: return StreamError(isTransient ? .io : .runtime, problem, fix: isTransient ? "try again later" : nil)
        }
    }
}
