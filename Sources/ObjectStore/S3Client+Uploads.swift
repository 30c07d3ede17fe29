import Foundation
import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension S3Client {
    /// S3 takes no more parts in one upload.
    private static let partsMax: Int64 = 10_000

    /// Writes a local file as an object: in one request when it is no larger than a part, else in parts, some of them at a time. The object is there
    /// as a whole or not at all.
    ///
    /// - Returns: its ETag; nil when the condition does not hold.
    package func upload(_ key: String, file: String, _ condition: PutCondition = .always, before deadline: () throws -> Int64? = { nil }) throws -> String? {
        guard let size = Host.size(of: file).map(Int64.init) else { throw Host.failure("open", file) }
        if size <= Int64(options.partBytes) { return try put(key, Host.read(file), condition, before: deadline()) }
        let partBytes = max(Int64(options.partBytes), (size + Self.partsMax - 1) / Self.partsMax)
        let upload = try begin(key, condition)
        do {
            let parts = try putParts(key, upload, file, size, partBytes)
            return try complete(key, upload, parts, condition, deadline)
        } catch {
            // What was uploaded costs money until it is given up.
            _ = try? send(Request(method: "DELETE", key: key, query: [(name: "uploadId", value: upload)], doing: "give up the upload of \(place(key))"))
            throw error
        }
    }

    private func begin(_ key: String, _ condition: PutCondition) throws -> String {
        let doing = "begin the upload of \(place(key))", answer: HTTPAnswer
        let request = Request(method: "POST", key: key, query: [(name: "uploads", value: "")], headers: condition.metadata, body: [], doing: doing)
        do { answer = try send(request) } catch let failure as S3Failure { throw error(failure, doing) }
        let text = String(decoding: answer.body, as: UTF8.self)
        let members = XMLText.children(of: text[...]).first.map { XMLText.children(of: $0.content) } ?? []
        guard let upload = XMLText.value("UploadId", in: members) else { throw StreamError(.io, "cannot \(doing): the answer names no upload") }
        return upload
    }

    /// - Returns: the ETags of the parts.
    private func putParts(_ key: String, _ upload: String, _ file: String, _ size: Int64, _ partBytes: Int64) throws -> [String] {
        var tags: [String] = [], calls: [Call] = []
        func collect() throws {
            do { tags.append(try finish(calls.removeFirst()).headers["etag"] ?? "") } catch let failure as S3Failure {
                throw error(failure, "upload part \(tags.count + 1) of \(place(key))")
            }
        }
        // What is under way ends before anybody is told: nothing may arrive after the upload was given up.
        defer { for call in calls { _ = call.exchange.wait() } }
        for (i, offset) in stride(from: 0, to: size, by: Int64.Stride(partBytes)).enumerated() {
            if calls.count >= options.parallelParts { try collect() }
            let bytes = try Host.read(file, offset: Int(offset), count: Int(min(partBytes, size - offset)))
            calls.append(try start(Request(method: "PUT", key: key, query: [(name: "partNumber", value: String(i + 1)), (name: "uploadId", value: upload)], body: bytes,
                                           doing: "upload part \(i + 1) of \(place(key))")))
        }
        while !calls.isEmpty { try collect() }
        return tags
    }

    private func complete(_ key: String, _ upload: String, _ tags: [String], _ condition: PutCondition, _ deadline: () throws -> Int64?) throws -> String? {
        let parts = tags.enumerated().map { "<Part><PartNumber>\($0 + 1)</PartNumber><ETag>\(XMLText.escaped($1))</ETag></Part>" }.joined()
        let body = Array("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(parts)</CompleteMultipartUpload>".utf8)
        let doing = "end the upload of \(place(key))"
        var request = Request(method: "POST", key: key, query: [(name: "uploadId", value: upload)], headers: condition.headers, body: body, doing: doing)
        for attempt in 1... {
            request.deadline = try deadline()
            do {
                let answer = try send(request), text = String(decoding: answer.body, as: UTF8.self)
                let root = XMLText.children(of: text[...]).first
                // S3 may say 200 before it knows: then the body tells of the failure.
                guard root?.name == "Error" else { return root.flatMap { XMLText.value("ETag", in: XMLText.children(of: $0.content)) } ?? "" }
                var failed = answer
                failed.status = 500
                let failure = S3Failure(failed)
                if failure.code == "PreconditionFailed" { return try ownWrite(key, condition) }
                guard attempt < options.attempts else { throw error(failure, doing) }
                Thread.sleep(forTimeInterval: Self.pause(after: attempt))
            } catch let failure as S3Failure {
                // The upload is gone, or the object is there: it may have been us, the answer being lost.
                if condition.token != nil, let own = try ownWrite(key, condition) { return own }
                if failure.isPreconditionFailed { return nil }
                throw error(failure, doing)
            }
        }
        return nil
    }

    /// Copies an object into a local file that is there and empty, some parts at a time.
    package func download(_ key: String, bytes: Int64, to file: String) throws {
        let fd = open(file, O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { throw Host.failure("open", file) }
        defer { close(fd) }
        var calls: [(range: Range<Int64>, call: Call)] = []
        defer { for call in calls { _ = call.call.exchange.wait() } }
        func collect() throws {
            let (range, call) = calls.removeFirst()
            let part = try ranged(key, range, call)
            try part.withUnsafeBytes { part in
                var done = 0
                while done < part.count {
                    let n = pwrite(fd, part.baseAddress! + done, part.count - done, off_t(range.lowerBound) + off_t(done))
                    if n < 0, errno == EINTR { continue }
                    guard n > 0 else { throw Host.failure("write", file) }
                    done += n
                }
            }
        }
        for offset in stride(from: Int64(0), to: bytes, by: options.partBytes) {
            if calls.count >= options.parallelParts { try collect() }
            let range = offset..<min(offset + Int64(options.partBytes), bytes)
            calls.append((range, try start(rangeRequest(key, range))))
        }
        while !calls.isEmpty { try collect() }
    }
}
