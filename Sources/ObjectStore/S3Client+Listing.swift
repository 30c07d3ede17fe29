import Foundation
import StreamCore

extension S3Client {
    /// One answer of a listing.
    struct Page {
        var objects: [ObjectInfo] = []
        /// Keys up to the next delimiter, with it.
        var folders: [String] = []
        /// Where the next page begins; nil when this is the last one.
        var next: String?
    }

    /// Objects whose keys begin with `prefix`, sorted by their bytes; with `byFolder` those that have no further slash, and the folders of the others.
    package func list(_ prefix: String, byFolder: Bool = false) throws -> (objects: [ObjectInfo], folders: [String]) {
        var objects: [ObjectInfo] = [], folders: [String] = [], token: String?
        repeat {
            let page = try page(prefix, byFolder: byFolder, token: token)
            objects += page.objects
            folders += page.folders
            token = page.next
        } while token != nil
        return (objects, folders)
    }

    /// Whether any key begins with `prefix`.
    package func hasAny(_ prefix: String) throws -> Bool { try !page(prefix, byFolder: false, limit: 1).objects.isEmpty }

    /// All objects whose keys begin with `prefix`, folder after folder in one sweep.
    ///
    /// - Parameter skip: for a key, the end of a part of the listing that is not wanted: listing goes on with keys greater than that; nil = wanted.
    ///   What is skipped and fits on a page costs nothing; of what does not, the rest is never asked for.
    package func sweep(_ prefix: String, skip: (String) -> String?, _ body: (ObjectInfo) throws -> Void) throws {
        var token: String?, after: String?
        repeat {
            let page = try page(prefix, byFolder: false, token: token, after: token == nil ? after : nil)
            var skipping: String?
            for object in page.objects {
                if let end = skipping, object.key.utf8.lexicographicallyPrecedes(end.utf8) { continue }
                skipping = skip(object.key)
                if skipping == nil { try body(object) }
            }
            (token, after) = (page.next, skipping)
            // In the middle of what is not wanted the next page begins behind it.
            if token != nil, after != nil { token = nil } else if token == nil { return }
        } while true
    }

    private func page(_ prefix: String, byFolder: Bool, token: String? = nil, after: String? = nil, limit: Int? = nil) throws -> Page {
        var query = [(name: "encoding-type", value: "url"), (name: "list-type", value: "2"), (name: "prefix", value: prefix)]
        if byFolder { query.append((name: "delimiter", value: "/")) }
        if let token { query.append((name: "continuation-token", value: token)) }
        if let after { query.append((name: "start-after", value: after)) }
        if let limit { query.append((name: "max-keys", value: String(limit))) }
        let doing = "list \(place(prefix))", answer: HTTPAnswer
        do { answer = try send(Request(method: "GET", query: query, doing: doing)) } catch let failure as S3Failure { throw error(failure, doing) }
        let text = String(decoding: answer.body, as: UTF8.self)
        guard let result = XMLText.children(of: text[...]).first(where: { $0.name == "ListBucketResult" }) else {
            throw StreamError(.io, "cannot \(doing): the answer is no list of objects: \(text.prefix(100))", fix: "look whether 's3.endpoint' is an S3 server")
        }
        let members = XMLText.children(of: result.content)
        let isEncoded = XMLText.value("EncodingType", in: members) == "url"
        func key(_ text: String) -> String { isEncoded ? Self.decoded(text.replacing("+", with: " ")) : text }
        var page = Page()
        for (name, content) in members {
            if name == "Contents" {
                let parts = XMLText.children(of: content)
                page.objects.append(ObjectInfo(key: key(XMLText.value("Key", in: parts) ?? ""), bytes: XMLText.value("Size", in: parts).flatMap { Int64($0) } ?? 0,
                                               etag: XMLText.value("ETag", in: parts) ?? ""))
            } else if name == "CommonPrefixes" {
                page.folders.append(key(XMLText.value("Prefix", in: XMLText.children(of: content)) ?? ""))
            }
        }
        if XMLText.value("IsTruncated", in: members) == "true" { page.next = XMLText.value("NextContinuationToken", in: members) }
        return page
    }
}
