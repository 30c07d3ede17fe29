import AWSProtocol
import Foundation
import StreamCore

/// What is known of an object without its content.
package struct ObjectInfo: Hashable, Sendable {
    package var key: String
    package var bytes: Int64
    /// With its quotation marks, as S3 has it.
    package var etag: String
}

/// When an object may be written.
package enum PutCondition: Sendable {
    case always
    /// Only if there is none of that key. The token is kept with the object and must be used for no other write: by it a write whose answer was
    /// lost is recognised as our own.
    case absent(token: String)
    /// Only if the object is still the one with this ETag.
    case unchanged(etag: String, token: String)

    static let tokenHeader = "x-amz-meta-swiftwater-write"

    var token: String? {
        switch self {
        case .always: nil
        case .absent(let token), .unchanged(_, let token): token
        }
    }

    var headers: [(name: String, value: String)] {
        switch self {
        case .always: []
        case .absent: [(name: "If-None-Match", value: "*")]
        case .unchanged(let etag, _): [(name: "If-Match", value: etag)]
        }
    }

    var metadata: [(name: String, value: String)] { token.map { [(name: Self.tokenHeader, value: $0)] } ?? [] }
}

extension S3Client {
    // MARK: Reading

    /// - Returns: nil when there is no such object.
    package func get(_ key: String) throws -> [UInt8]? {
        do { return try send(Request(method: "GET", key: key, doing: "read \(place(key))")).body } catch let failure as S3Failure {
            return try missing(failure, "read \(place(key))")
        }
    }

    /// The object with its ETag; nil when there is none.
    package func getWithETag(_ key: String) throws -> (bytes: [UInt8], etag: String)? {
        do {
            let answer = try send(Request(method: "GET", key: key, doing: "read \(place(key))"))
            return (answer.body, answer.headers["etag"] ?? "")
        } catch let failure as S3Failure { return try missing(failure, "read \(place(key))") }
    }

    func rangeRequest(_ key: String, _ range: Range<Int64>) -> Request {
        Request(method: "GET", key: key, headers: [(name: "Range", value: "bytes=\(range.lowerBound)-\(range.upperBound - 1)")], doing: "read \(place(key))")
    }

    /// Bytes of an object; `range` lies inside it.
    package func get(_ key: String, _ range: Range<Int64>) throws -> [UInt8] { try ranged(key, range, start(rangeRequest(key, range))) }

    func ranged(_ key: String, _ range: Range<Int64>, _ call: Call) throws -> [UInt8] {
        guard !range.isEmpty else { return [] }
        do {
            let body = try finish(call).body
            guard body.count == range.count else {
                throw StreamError(.io, "cannot read \(place(key)): \(body.count) bytes came instead of bytes \(range.lowerBound) to \(range.upperBound - 1)",
                                  fix: "look whether the object was replaced, and whether the store has ranged reads")
            }
            return body
        } catch let failure as S3Failure { throw gone(failure, key) }
    }

    /// The last bytes of an object, and how many it has in all; all of them when it is no larger.
    package func tail(_ key: String, _ bytes: Int) throws -> (tail: [UInt8], bytes: Int64) {
        let request = Request(method: "GET", key: key, headers: [(name: "Range", value: "bytes=-\(bytes)")], doing: "read \(place(key))")
        do {
            let answer = try send(request)
            guard answer.status == 206, let range = answer.headers["content-range"], let slash = range.lastIndex(of: "/"), let all = Int64(range[range.index(after: slash)...]) else {
                return (answer.body, Int64(answer.body.count))
            }
            return (answer.body, all)
        } catch let failure as S3Failure { throw gone(failure, key) }
    }

    /// - Returns: nil when there is no such object.
    package func head(_ key: String) throws -> ObjectInfo? {
        guard let answer = try headAnswer(key) else { return nil }
        return ObjectInfo(key: key, bytes: answer.headers["content-length"].flatMap { Int64($0) } ?? 0, etag: answer.headers["etag"] ?? "")
    }

    private func headAnswer(_ key: String) throws -> HTTPAnswer? {
        do { return try send(Request(method: "HEAD", key: key, doing: "look at \(place(key))")) } catch let failure as S3Failure {
            return try missing(failure, "look at \(place(key))")
        }
    }

    private func missing<T>(_ failure: S3Failure, _ doing: String) throws -> T? {
        if failure.isMissing { return nil }
        throw error(failure, doing)
    }

    private func gone(_ failure: S3Failure, _ key: String) -> StreamError {
        guard failure.isMissing else { return error(failure, "read \(place(key))") }
        return StreamError(.io, "cannot read \(place(key)): there is no such object", fix: "look whether the table was cleaned or replaced while it was read; read it again")
    }

    func error(_ failure: S3Failure, _ doing: String) -> StreamError {
        failure.error(doing, endpoint: options.endpoint, region: options.region, attempts: 1)
    }

    // MARK: Writing

    /// Writes an object as a whole.
    ///
    /// - Parameter deadline: milliseconds since 1970-01-01 by the store's clock; the store itself refuses what comes later.
    /// - Returns: its ETag; nil when the condition does not hold. A write whose answer was lost and that is repeated counts as the one write that it is.
    package func put(_ key: String, _ bytes: [UInt8], _ condition: PutCondition = .always, before deadline: Int64? = nil) throws -> String? {
        var request = putRequest(key, bytes, condition)
        request.deadline = deadline
        return try putResult(key, condition, start(request))
    }

    func putRequest(_ key: String, _ bytes: [UInt8], _ condition: PutCondition) -> Request {
        Request(method: "PUT", key: key, headers: condition.metadata + condition.headers, body: bytes, doing: "write \(place(key))")
    }

    func putResult(_ key: String, _ condition: PutCondition, _ call: Call) throws -> String? {
        do { return try finish(call).headers["etag"] ?? "" } catch let failure as S3Failure {
            // If-Match of an object that is gone gives 404.
            if failure.isPreconditionFailed || failure.isMissing, condition.token != nil { return try ownWrite(key, condition) }
            throw error(failure, "write \(place(key))")
        }
    }

    /// The ETag of the object if it is the one that a conditional write made; nil when somebody else's is there, or none.
    func ownWrite(_ key: String, _ condition: PutCondition) throws -> String? {
        guard let token = condition.token, let answer = try headAnswer(key), answer.headers[PutCondition.tokenHeader] == token else { return nil }
        return answer.headers["etag"] ?? ""
    }

    /// Deletes an object; one that is missing counts as deleted.
    package func delete(_ key: String) throws {
        do { _ = try send(Request(method: "DELETE", key: key, doing: "delete \(place(key))")) } catch let failure as S3Failure {
            let _: Bool? = try missing(failure, "delete \(place(key))")
        }
    }

    /// Deletes objects, a thousand in a request; those that are missing count as deleted.
    package func delete(_ keys: [String]) throws {
        if keys.count == 1 { return try delete(keys[0]) }
        var rest = keys[...]
        while !rest.isEmpty {
            let some = rest.prefix(1_000)
            rest = rest.dropFirst(1_000)
            let objects = some.map { "<Object><Key>\(XMLText.escaped($0))</Key></Object>" }.joined()
            let body = Array("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>\(objects)</Delete>".utf8)
            let digest = Data(Digest.md5(body)).base64EncodedString(), doing = "delete \(some.count) objects like \(place(some.first!))"
            let request = Request(method: "POST", query: [(name: "delete", value: "")], headers: [(name: "Content-MD5", value: digest)], body: body, doing: doing)
            let answer: HTTPAnswer
            do { answer = try send(request) } catch let failure as S3Failure { throw error(failure, doing) }
            let text = String(decoding: answer.body, as: UTF8.self)
            let members = XMLText.children(of: text[...]).first { $0.name == "DeleteResult" }.map { XMLText.children(of: $0.content) } ?? []
            for failed in members where failed.name == "Error" {
                let parts = XMLText.children(of: failed.content)
                let code = XMLText.value("Code", in: parts) ?? ""
                if code == "NoSuchKey" { continue }
                throw StreamError(.io, "cannot delete \(place(XMLText.value("Key", in: parts) ?? "")): \(code) \(XMLText.value("Message", in: parts) ?? "")",
                                  fix: "look at what the key is allowed to do in this bucket")
            }
        }
    }
}
