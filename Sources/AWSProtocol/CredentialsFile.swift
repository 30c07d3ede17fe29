import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension AWSCredentials {
    /// The profiles of a file in the form of `~/.aws/credentials`:
    ///
    ///     [default]
    ///     aws_access_key_id = AKIDEXAMPLE
    ///     aws_secret_access_key = ...
    ///     aws_session_token = ...
    ///
    /// Other settings are passed over.
    ///
    /// - Throws: `StreamError` for lines outside of a profile, lines that are no setting, and profiles with one half of a key only.
    public static func profiles(text: String, name: String) throws -> [(profile: String, credentials: AWSCredentials)] {
        var all: [(profile: String, settings: [String: String])] = []
        for (i, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = trimmed(raw)
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), line.hasSuffix("]") {
                all.append((trimmed(line.dropFirst().dropLast()), [:]))
                continue
            }
            let sides = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !all.isEmpty else {
                throw StreamError(
                    .parse, "\(name), line \(i + 1): \(all.isEmpty ? "there is no profile above it" : "this is no setting")",
                    fix: "write [default] and below it aws_access_key_id = ... and aws_secret_access_key = ...")
            }
            all[all.count - 1].settings[trimmed(sides[0]).lowercased()] = trimmed(sides[1])
        }
        return try all.compactMap { profile, settings in
            guard let credentials = try from(settings: settings, keys: ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
                                             place: "profile [\(profile)] of \(name)") else { return nil }
            return (profile, credentials)
        }
    }

    /// The profiles of the file at `path`.
    public static func profiles(path: String) throws -> [(profile: String, credentials: AWSCredentials)] {
        guard let file = fopen(path, "r") else {
            throw StreamError(.io, "cannot read credentials from \(path): \(String(cString: strerror(errno)))", fix: "give the path of a readable file")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = [], part = [UInt8](repeating: 0, count: 4_096)
        while case let n = fread(&part, 1, part.count, file), n > 0 { bytes += part[..<n] }
        return try profiles(text: String(decoding: bytes, as: UTF8.self), name: path)
    }

    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; nil when they are not set.
    public static func environment(_ variables: [String: String]) throws -> AWSCredentials? {
        try from(settings: variables, keys: ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), place: "the environment")
    }

    private static func from(settings: [String: String], keys: (String, String, String), place: String) throws -> AWSCredentials? {
        switch (settings[keys.0] ?? "", settings[keys.1] ?? "") {
        case ("", ""): return nil
        case (let key, let secret) where !key.isEmpty && !secret.isEmpty:
            let token = settings[keys.2] ?? ""
            return AWSCredentials(accessKey: key, secret: secret, sessionToken: token.isEmpty ? nil : token)
        case (let key, _):
            throw StreamError(.validate, "\(place) has \(key.isEmpty ? "\(keys.1) without \(keys.0)" : "\(keys.0) without \(keys.1)")", fix: "set both or neither")
        }
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
        var rest = text.drop(while: isSpace)
        while let last = rest.last, isSpace(last) { rest.removeLast() }
        return String(rest)
    }
}
