import AWSProtocol
import Foundation
import StreamCore

/// Where the key comes from that requests are signed with: the options, the environment, or a profile. Shows the secret to nobody.
package struct ObjectCredentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let given: AWSCredentials?
    private let profile: String?
    private let environment: [String: String]

    package var description: String { "credentials" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }

    package init(_ given: AWSCredentials?, profile: String? = nil, environment: [String: String]) {
        (self.given, self.profile, self.environment) = (given, profile, environment)
    }

    /// The key as it is now: files are looked at again, so that keys may be changed under a running job.
    ///
    /// - Throws: a `.validate` error that says where a key was looked for.
    func resolve() throws -> AWSCredentials {
        if let given { return given }
        if profile == nil, let found = try AWSCredentials.environment(environment) { return found }
        let home = environment["HOME"] ?? NSHomeDirectory()
        let file = environment["AWS_SHARED_CREDENTIALS_FILE"] ?? home + "/.aws/credentials"
        let name = profile ?? environment["AWS_PROFILE"] ?? "default"
        if Host.exists(file), let found = try AWSCredentials.profiles(path: file).first(where: { $0.profile == name }) { return found.credentials }
        throw StreamError(
            .validate, "there is no key for object storage: neither options 's3.access-key' and 's3.secret-key', nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
                + "environment, nor a profile '\(name)' in \(file)",
            fix: "give one of these; a server for development takes any key, for example 'test' with secret 'test'")
    }
}
