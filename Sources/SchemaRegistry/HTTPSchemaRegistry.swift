import Foundation
import StreamCore
import StreamFormats
import Synchronization

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Adds the formats that need a schema registry: `avro-confluent` and `debezium-avro-confluent`.
public enum SchemaRegistryFormats {
    /// Call it once before tables are made; again does no harm.
    public static func register() {
        FormatFactory.register([
            ConfluentAvroFormat { HTTPSchemaRegistry.shared($0) }, ConfluentDebeziumFormat { HTTPSchemaRegistry.shared($0) },
        ])
    }
}

/// A client of a schema registry with Confluent's HTTP interface. Keeps what it learned; blocks its caller while it asks.
public final class HTTPSchemaRegistry: SchemaRegistryAccess {
    private let options: SchemaRegistryOptions
    private let session: URLSession
    private let known = Mutex(Known())

    private struct Known {
        var schemas: [Int32: String] = [:]
        var numbers: [Subject: Int32] = [:]
        /// Numbers that the registry did not know, and when it said so.
        var unknown: [Int32: ContinuousClock.Instant] = [:]
        /// The address that answered last.
        var preferred = 0
    }

    private struct Subject: Hashable { var name: String, schema: String }

    /// A number without a schema is asked for again after this long.
    private static let unknownFor = Duration.seconds(30)
    /// Tries of one request, each at all addresses.
    private static let tries = 4

    private static let all = Mutex<[SchemaRegistryOptions: HTTPSchemaRegistry]>([:])

    /// The client for these options: one in the process, so that its cache serves all tables.
    public static func shared(_ options: SchemaRegistryOptions) -> HTTPSchemaRegistry {
        all.withLock { all in
            if let known = all[options] { return known }
            let made = HTTPSchemaRegistry(options)
            all[options] = made
            return made
        }
    }

    init(_ options: SchemaRegistryOptions) {
        self.options = options
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = options.timeout
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        session = URLSession(configuration: configuration)
    }

    public var address: String { options.urls.joined(separator: ",") }

    public func schema(id: Int32) throws -> String? {
        let now = ContinuousClock.now
        enum Found { case text(String), none, ask }
        let found: Found = known.withLock { known in
            if let text = known.schemas[id] { return .text(text) }
            if let since = known.unknown[id], now - since < Self.unknownFor { return .none }
            return .ask
        }
        switch found {
        case .text(let text): return text
        case .none: return nil
        case .ask: break
        }
        let answer = try ask("GET", "/schemas/ids/\(id)", nil)
        guard answer.status != 404 else {
            known.withLock { known in
                if known.unknown.count >= 10_000 { known.unknown.removeAll() }
                known.unknown[id] = now
            }
            return nil
        }
        let tree = try checked(answer, "schema \(id)")
        if let type = tree["schemaType"]?.string, type != "AVRO" {
            throw StreamError(.runtime, "schema \(id) of the registry at \(address) is of type \(type), not AVRO",
                              fix: "read the topic with the format that it was written in")
        }
        guard let text = tree["schema"]?.string else { throw unexpected(answer, "schema \(id)") }
        known.withLock { known in
            known.schemas[id] = text
            known.unknown[id] = nil
        }
        return text
    }

    public func register(schema: String, subject: String) throws -> Int32 {
        let key = Subject(name: subject, schema: schema)
        if let id = known.withLock({ $0.numbers[key] }) { return id }
        let what = "subject '\(subject)'"
        let answer = try ask("POST", "/subjects/\(Self.encoded(subject))/versions", "{\"schema\":\(JSONTree.quoted(schema))}")
        if answer.status == 409 || answer.status == 422 {
            throw StreamError(.conflict, "the schema registry at \(address) refuses the table's schema for \(what): \(Self.message(answer))",
                              fix: "change the columns so that the schema stays compatible, or write under another subject with the option 'subject'")
        }
        return try keep(checked(answer, what), answer, key, what)
    }

    public func lookup(schema: String, subject: String) throws -> Int32? {
        let key = Subject(name: subject, schema: schema)
        if let id = known.withLock({ $0.numbers[key] }) { return id }
        let what = "subject '\(subject)'"
        let answer = try ask("POST", "/subjects/\(Self.encoded(subject))", "{\"schema\":\(JSONTree.quoted(schema))}")
        if answer.status == 404 { return nil }
        return try keep(checked(answer, what), answer, key, what)
    }

    private func keep(_ tree: JSONTree, _ answer: Answer, _ key: Subject, _ what: String) throws -> Int32 {
        guard let id = tree["id"]?.int.flatMap({ Int32(exactly: $0) }) else { throw unexpected(answer, what) }
        known.withLock { $0.numbers[key] = id }
        return id
    }

    // MARK: Requests

    private struct Answer: Sendable {
        var status: Int
        var body: String
        var url: String
    }

    /// Everything but letters, digits and a few marks is escaped.
    private static func encoded(_ text: String) -> String {
        let allowed = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: allowed) ?? text
    }

    private static func message(_ answer: Answer) -> String {
        guard let tree = try? JSONTree(answer.body), let text = tree["message"]?.string else { return "status \(answer.status)" }
        return text
    }

    private func checked(_ answer: Answer, _ what: String) throws -> JSONTree {
        switch answer.status {
        case 200..<300:
            guard let tree = try? JSONTree(answer.body) else { throw unexpected(answer, what) }
            return tree
        case 401, 403:
            throw StreamError(.runtime, "the schema registry at \(answer.url) refuses the login for \(what): \(Self.message(answer))",
                              fix: "check the options 'basic-auth.user-info' and 'bearer-auth.token' of the format")
        default:
            throw StreamError(.runtime, "the schema registry at \(answer.url) answers status \(answer.status) for \(what): \(Self.message(answer))",
                              fix: "check the option 'url' of the format")
        }
    }

    private func unexpected(_ answer: Answer, _ what: String) -> StreamError {
        StreamError(.runtime, "\(answer.url) does not answer as a schema registry does for \(what): \(answer.body.prefix(80))",
                    fix: "check the option 'url' of the format")
    }

    /// Asks the addresses one after the other, and again when none answers.
    private func ask(_ method: String, _ path: String, _ body: String?) throws -> Answer {
        var problem = ""
        for attempt in 0..<Self.tries {
            if attempt > 0 { Thread.sleep(forTimeInterval: 0.1 * Double(1 << attempt)) }
            let first = known.withLock { $0.preferred }
            for i in options.urls.indices {
                let index = (first + i) % options.urls.count, base = options.urls[index]
                switch try send(method, base, path, body) {
                case .success(let answer) where answer.status == 408 || answer.status == 429 || answer.status >= 500:
                    problem = "\(base)\(path): status \(answer.status): \(Self.message(answer))"
                case .success(let answer):
                    known.withLock { $0.preferred = index }
                    return answer
                case .failure(let failed): problem = "\(base)\(path): \(failed.text)"
                }
            }
        }
        throw StreamError(.io, "the schema registry does not answer: \(problem), also after \(Self.tries - 1) retries",
                          fix: "see that it is up and that the option 'url' of the format is right")
    }

    private struct Failed: Error { var text: String }

    private func send(_ method: String, _ base: String, _ path: String, _ body: String?) throws -> Result<Answer, Failed> {
        guard let url = URL(string: base + path) else {
            throw StreamError(.validate, "\(base)\(path) is no URL", fix: "check the option 'url' of the format")
        }
        var request = URLRequest(url: url, timeoutInterval: options.timeout)
        request.httpMethod = method
        request.httpBody = body.map { Data($0.utf8) }
        request.setValue("application/vnd.schemaregistry.v1+json", forHTTPHeaderField: "Content-Type")
        request.setValue("application/vnd.schemaregistry.v1+json, application/json", forHTTPHeaderField: "Accept")
        switch options.login {
        case .none: break
        case .basic(let user): request.setValue("Basic " + Data(user.utf8).base64EncodedString(), forHTTPHeaderField: "Authorization")
        case .bearer(let token): request.setValue("Bearer " + token, forHTTPHeaderField: "Authorization")
        }
        let outcome = Outcome(), done = DispatchSemaphore(value: 0)
        session.dataTask(with: request) { data, response, error in
            if let error { outcome.set(.failure(Failed(text: error.localizedDescription))) }
            else if let status = (response as? HTTPURLResponse)?.statusCode {
                outcome.set(.success(Answer(status: status, body: String(decoding: data ?? Data(), as: UTF8.self), url: base)))
            }
            done.signal()
        }.resume()
        done.wait()
        return outcome.value
    }

    private final class Outcome: Sendable {
        private let stored = Mutex<Result<Answer, Failed>>(.failure(Failed(text: "it gave no HTTP answer")))
        var value: Result<Answer, Failed> { stored.withLock { $0 } }
        func set(_ value: Result<Answer, Failed>) { stored.withLock { $0 = value } }
    }
}
