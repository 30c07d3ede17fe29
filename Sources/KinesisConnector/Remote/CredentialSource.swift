import AWSProtocol
import Foundation
import StreamCore

/// Where the key comes from that requests are signed with. Holds the secret, and shows it to nobody.
struct CredentialSource: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    private enum Kind: Sendable {
        case options(AWSCredentials)
        case environment
        case profile(path: String?, name: String?)
        /// The first of these that has a key.
        case automatic(AWSCredentials?)
    }

    private let kind: Kind
    private let table: String

    var description: String { "credentials of table \(table)" }
    var debugDescription: String { description }

    private static let provider = "aws.credentials.provider"
    private static let accessKeys = ["aws.credentials.basic.accesskeyid", "aws.credentials.provider.basic.accesskeyid"]
    private static let secrets = ["aws.credentials.basic.secretkey", "aws.credentials.provider.basic.secretkey"]
    private static let tokens = ["aws.credentials.basic.sessiontoken", "aws.credentials.provider.basic.sessiontoken"]
    private static let paths = ["aws.credentials.profile.path", "aws.credentials.provider.profile.path"]
    private static let names = ["aws.credentials.profile.name", "aws.credentials.provider.profile.name"]
    static let keys = Set([provider] + accessKeys + secrets + tokens + paths + names)

    init(_ options: TableOptions) throws {
        table = options.table.name
        func value(_ keys: [String]) -> String? { keys.lazy.compactMap { options.string($0) }.first }
        let basic: AWSCredentials?
        switch (value(Self.accessKeys), value(Self.secrets)) {
        case (let key?, let secret?):
            guard !key.isEmpty, !secret.isEmpty else {
                throw StreamError(.validate, "table \(table): the access key or its secret is empty", fix: "give both '\(Self.accessKeys[0])' and '\(Self.secrets[0])'")
            }
            basic = AWSCredentials(accessKey: key, secret: secret, sessionToken: value(Self.tokens))
        case (nil, nil): basic = nil
        case (let key, _):
            throw StreamError(.validate, "table \(table): option '\(key == nil ? Self.secrets[0] : Self.accessKeys[0])' stands alone",
                              fix: "add '\(key == nil ? Self.accessKeys[0] : Self.secrets[0])'")
        }
        switch try options.choice(Self.provider, ["AUTO", "BASIC", "ENV_VAR", "PROFILE", "SYS_PROP", "ASSUME_ROLE", "WEB_IDENTITY_TOKEN", "CUSTOM"]) {
        case "BASIC":
            guard let basic else {
                throw StreamError(.validate, "table \(table): '\(Self.provider)' = 'BASIC' needs options '\(Self.accessKeys[0])' and '\(Self.secrets[0])'",
                                  at: options.table.optionLocations[Self.provider])
            }
            kind = .options(basic)
        case "ENV_VAR": kind = .environment
        case "PROFILE": kind = .profile(path: value(Self.paths), name: value(Self.names))
        case nil, "AUTO": kind = value(Self.names) != nil || value(Self.paths) != nil ? .profile(path: value(Self.paths), name: value(Self.names)) : .automatic(basic)
        default:
            throw options.error(Self.provider, "is not supported here", fix: "choose AUTO, BASIC, ENV_VAR or PROFILE")
        }
    }

    /// The key as it is now: files and environment are looked at again, so that keys may be changed under a running job.
    ///
    /// - Throws: a `.validate` error that says where a key was looked for.
    func resolve(_ environment: [String: String] = ProcessInfo.processInfo.environment) throws -> AWSCredentials {
        switch kind {
        case .options(let credentials): return credentials
        case .environment:
            guard let found = Self.from(environment) else {
                throw StreamError(.validate, "table \(table): there is no AWS_ACCESS_KEY_ID or no AWS_SECRET_ACCESS_KEY in the environment",
                                  fix: "export both, or choose another '\(Self.provider)'")
            }
            return found
        case .profile(let path, let name):
            let (file, profile) = Self.place(path, name, environment)
            guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw StreamError(.validate, "table \(table): cannot read the credentials file \(file)", fix: "create it with `aws configure`, or set '\(Self.paths[0])'")
            }
            guard let found = Self.parse(text, profile: profile) else {
                throw StreamError(.validate, "table \(table): \(file) has no access key with a secret for profile '\(profile)'",
                                  fix: "add aws_access_key_id and aws_secret_access_key below [\(profile)], or set '\(Self.names[0])'")
            }
            return found
        case .automatic(let basic):
            if let found = basic ?? Self.from(environment) { return found }
            let (file, profile) = Self.place(nil, nil, environment)
            if let text = try? String(contentsOfFile: file, encoding: .utf8), let found = Self.parse(text, profile: profile) { return found }
            throw StreamError(
                .validate, "table \(table): there are no AWS credentials: neither options '\(Self.accessKeys[0])' and '\(Self.secrets[0])', nor AWS_ACCESS_KEY_ID and "
                    + "AWS_SECRET_ACCESS_KEY in the environment, nor a profile '\(profile)' in \(file)",
                fix: "give one of these; an endpoint for development takes any key, for example 'test' with secret 'test'")
        }
    }

    private static func from(_ environment: [String: String]) -> AWSCredentials? {
        guard let key = environment["AWS_ACCESS_KEY_ID"], let secret = environment["AWS_SECRET_ACCESS_KEY"], !key.isEmpty, !secret.isEmpty else { return nil }
        return AWSCredentials(accessKey: key, secret: secret, sessionToken: environment["AWS_SESSION_TOKEN"].flatMap { $0.isEmpty ? nil : $0 })
    }

    private static func place(_ path: String?, _ name: String?, _ environment: [String: String]) -> (file: String, profile: String) {
        let home = environment["HOME"] ?? NSHomeDirectory()
        var file = path ?? environment["AWS_SHARED_CREDENTIALS_FILE"] ?? home + "/.aws/credentials"
        if file.hasPrefix("~/") { file = home + file.dropFirst() }
        return (file, name ?? environment["AWS_PROFILE"] ?? "default")
    }

    /// The key of a profile in a credentials file: `[name]`, then `aws_access_key_id = ...` and so on.
    static func parse(_ text: String, profile: String) -> AWSCredentials? {
        var values: [String: String] = [:], isInside = false
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.trimmingCharacters(in: .whitespaces)
            if line.hasPrefix("#") || line.hasPrefix(";") { continue }
            if line.hasPrefix("["), let end = line.firstIndex(of: "]") {
                let name = line[line.index(after: line.startIndex)..<end].trimmingCharacters(in: .whitespaces)
                isInside = name == profile || name == "profile \(profile)"
            } else if isInside, let equals = line.firstIndex(of: "=") {
                values[line[..<equals].trimmingCharacters(in: .whitespaces).lowercased()] = line[line.index(after: equals)...].trimmingCharacters(in: .whitespaces)
            }
        }
        guard let key = values["aws_access_key_id"], let secret = values["aws_secret_access_key"], !key.isEmpty, !secret.isEmpty else { return nil }
        return AWSCredentials(accessKey: key, secret: secret, sessionToken: values["aws_session_token"])
    }
}
