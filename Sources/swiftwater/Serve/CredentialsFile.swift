import AWSProtocol
import StreamCore

/// Keys that the endpoint checks requests by, from a file in the form of `~/.aws/credentials`: every section is one key.
enum CredentialsFile {
    /// - Throws: `.io` when the file cannot be read, `.parse` with its line for what is no section, key or comment.
    static func read(_ path: String) throws -> [AWSCredentials] {
        struct Section {
            var name: String, line: Int, values: [String: String] = [:]
        }
        var sections: [Section] = []
        for (i, raw) in try Engine.read(path).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = trimmed(raw)
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), line.hasSuffix("]") {
                sections.append(Section(name: trimmed(line.dropFirst().dropLast()), line: i + 1))
            } else if let equals = line.firstIndex(of: "="), !sections.isEmpty {
                sections[sections.count - 1].values[trimmed(line[..<equals]).lowercased()] = trimmed(line[line.index(after: equals)...])
            } else {
                // The line may be a secret: it is not shown.
                throw StreamError(.parse, "\(path), line \(i + 1): neither a section, a key with its value nor a comment", fix: "write it as in ~/.aws/credentials")
            }
        }
        let found = try sections.map { section -> AWSCredentials in
            guard let key = section.values["aws_access_key_id"], let secret = section.values["aws_secret_access_key"], !key.isEmpty, !secret.isEmpty else {
                throw StreamError(.validate, "\(path), line \(section.line): section [\(section.name)] has no access key with a secret",
                                  fix: "add aws_access_key_id and aws_secret_access_key")
            }
            return AWSCredentials(accessKey: key, secret: secret, sessionToken: section.values["aws_session_token"])
        }
        guard !found.isEmpty else { throw StreamError(.validate, "\(path) has no keys", fix: "add a section with aws_access_key_id and aws_secret_access_key") }
        return found
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var part = text[...]
        while let first = part.first, first.isWhitespace { part.removeFirst() }
        while let last = part.last, last.isWhitespace { part.removeLast() }
        return String(part)
    }
}
