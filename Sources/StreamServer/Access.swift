import AWSProtocol
import Foundation
import HTTPServer
import StreamCore
import struct StreamCore.Host

/// What a user may do; each includes the ones before it.
package enum Role: String, Sendable, Comparable, CaseIterable {
    case view, operate, admin

    package static func < (a: Role, b: Role) -> Bool { a.rank < b.rank }
    private var rank: Int {
        switch self {
        case .view: 0
        case .operate: 1
        case .admin: 2
        }
    }
}

/// Who may send requests: bearer tokens with roles, or, without any, this machine alone.
package struct Access: Sendable {
    package struct Caller: Sendable {
        package var name: String
        package var role: Role
    }

    private struct Token: Sendable {
        var name: String
        var role: Role
        /// FIPS 180-4, of the token's text.
        var digest: [UInt8]
    }

    private let tokens: [Token]
    /// Names under which the daemon is reached without tokens, beside those of this machine.
    private let hosts: Set<String>

    package var hasTokens: Bool { !tokens.isEmpty }

    package init(hosts: [String] = []) { (tokens, self.hosts) = ([], Set(hosts.map { $0.lowercased() })) }

    /// Reads a file with a line `NAME ROLE TOKEN` for each user; `#` begins a comment. A token may be written as `sha256:` and the
    /// hexadecimal digest of it.
    ///
    /// - Throws: `.validate` with file and line.
    package init(tokensFile path: String, hosts: [String] = []) throws {
        var status = stat()
        guard stat(path, &status) == 0 else { throw Host.failure("read", path) }
        guard status.st_mode & 0o007 == 0 else {
            throw StreamError(.validate, "\(path) holds tokens, and everybody on this machine can read it", fix: "chmod 600 \(path)")
        }
        let text = String(decoding: try Host.read(path), as: UTF8.self)
        var tokens: [Token] = []
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
            if words.isEmpty { continue }
            let place = "\(path):\(number + 1)"
            guard words.count == 3, let role = Role(rawValue: words[1]) else {
                throw StreamError(.validate, "\(place): a line is NAME ROLE TOKEN, with a role of view, operate or admin", fix: "write for example: grafana view 3bZt0…")
            }
            var digest = Digest.sha256(Array(words[2].utf8))
            if words[2].hasPrefix("sha256:") {
                guard let bytes = Self.bytes(hexadecimal: words[2].dropFirst(7)), bytes.count == 32 else {
                    throw StreamError(.validate, "\(place): sha256: is followed by 64 hexadecimal digits", fix: "printf %s TOKEN | sha256sum")
                }
                digest = bytes
            } else if words[2].utf8.count < 20 {
                throw StreamError(.validate, "\(place): the token of \(words[0]) is shorter than 20 characters", fix: "make one with: openssl rand -base64 32")
            }
            tokens.append(Token(name: words[0], role: role, digest: digest))
        }
        guard !tokens.isEmpty else { throw StreamError(.validate, "\(path) has no tokens", fix: "add a line: NAME ROLE TOKEN") }
        (self.tokens, self.hosts) = (tokens, Set(hosts.map { $0.lowercased() }))
    }

    private static func bytes(hexadecimal text: Substring) -> [UInt8]? {
        let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == text.utf8.count, digits.count % 2 == 0 else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    /// Who sends a request; nil when it must say so and does not, or not rightly.
    package func caller(_ request: HTTPRequest) -> Caller? {
        guard hasTokens else { return Caller(name: "local", role: .admin) }
        guard let header = request.headers["authorization"], header.lowercased().hasPrefix("bearer ") else { return nil }
        let digest = Digest.sha256(Array(header.dropFirst(7).trimmingCharacters(in: .whitespaces).utf8))
        // Digests are compared: what the time tells of them tells nothing of the tokens.
        return tokens.first { $0.digest == digest }.map { Caller(name: $0.name, role: $0.role) }
    }

    /// Called with the head of a request. Without tokens a page in a browser could have it send requests to this machine, under a name
    /// of its own that leads here (DNS rebinding) or across origins.
    package func refusal(_ request: HTTPRequest) -> String? {
        let isChange = !["GET", "HEAD", "OPTIONS"].contains(request.method)
        if !hasTokens {
            if !request.peer.isEmpty, !Loopback.contains(request.peer) { return "requests without a token are accepted from this machine only" }
            if let host = request.headers["host"], !isOurs(Loopback.name(of: host)) { return "this is not known as \(host): use localhost, or start it with --allow-host" }
        }
        if isChange || !hasTokens {
            if let origin = request.headers["origin"], origin != "null" || !hasTokens {
                let name = origin.split(separator: "/", maxSplits: 2).last.map(String.init) ?? origin
                let host = request.headers["host"].map { Loopback.name(of: $0) }
                guard Loopback.name(of: name) == host || (!hasTokens && isOurs(Loopback.name(of: name))) else { return "requests of pages from \(origin) are refused" }
            }
            if request.headers["sec-fetch-site"]?.lowercased() == "cross-site" { return "requests of pages from other sites are refused" }
        }
        return nil
    }

    private func isOurs(_ name: String) -> Bool { Loopback.contains(name) || name.hasSuffix(".localhost") || hosts.contains(name) }
}
