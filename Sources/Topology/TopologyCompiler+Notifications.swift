import Alerts
import StreamCore
import StreamSQL
import Yams

/// `notifications:` — where alerts go.
///
///     notifications:
///       operators: {webhook: {url: "https://hooks.example/alerts", headers: {Authorization: "Bearer {{ secret.token }}"}, secrets: {token: {env: HOOK_TOKEN}}}}
///       finance: {email: {host: mail.example, from: alerts@example, to: [cfo@example]}}
///       pager: {command: {run: [/usr/local/bin/page, "{{ rule }}"]}}
extension TopologyCompiler {
    func notifications(_ node: Node, settings: AlertSettings) throws -> [String: AlertDelivery] {
        var deliveries: [String: AlertDelivery] = [:]
        for (key, value) in try pairs(node, "notifications") {
            let name = try alertName(key, "delivery"), what = "delivery \(name)"
            let given = try entries(value, what, TopologyKeys.notification)
            guard given.count == 1, let (kind, body) = given.first else {
                throw document.error("\(what) has \(given.isEmpty ? "no kind" : "\(given.count) kinds")", fix: "write one of \(TopologyKeys.notification.joined(separator: ", ")) below it", at: key)
            }
            deliveries[name] = switch kind {
            case "webhook": try webhook(body, what, settings)
            case "command": try command(body, what)
            default: try email(body, what)
            }
        }
        return deliveries
    }

    private func webhook(_ node: Node, _ what: String, _ settings: AlertSettings) throws -> AlertDelivery {
        let given = try entries(node, what, TopologyKeys.webhook)
        let urlNode = try required(given, "url", what, node)
        var secrets = try self.secrets(given["secrets"], what)
        let url: String
        if urlNode.mapping != nil {
            secrets["url"] = try secret(urlNode, "url of \(what)")
            url = "{{ secret.url }}"
        } else {
            url = try template(urlNode, "url of \(what)", secrets)
            if !url.hasPrefix("{{ secret.") { try checkAddress(url, what, at: urlNode) }
        }
        var webhook = AlertDelivery.Webhook(url: url)
        if let node = given["method"] {
            let method = try text(node, "method"), known = ["POST", "PUT", "PATCH", "GET", "DELETE"]
            guard known.contains(method.uppercased()) else { throw document.error("\(what) has the method \(method)", fix: NearName.hint(for: method, in: known), at: node) }
            webhook.method = method.uppercased()
        }
        for (key, value) in try pairs(given["headers"], "headers of \(what)") {
            let name = key.string!
            guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }) else {
                throw document.error("\(what): \"\(name)\" is no name of a header", fix: "write for example Authorization", at: key)
            }
            if ["host", "content-length", "connection", "transfer-encoding"].contains(name.lowercased()) {
                throw document.error("\(what) sets the header \(name), which follows from the request", fix: "leave it out", at: key)
            }
            webhook.headers[name] = try template(value, "header \(name) of \(what)", secrets)
        }
        if let node = given["body"] {
            let body = try json(node)
            do { try NotificationTemplate.check(body, secrets: secrets.keys) } catch let problem as NotificationTemplate.Problem { throw document.error("body of \(what): \(problem.problem)", fix: problem.fix, at: node) }
            webhook.body = body
        }
        webhook.authorities = try given["ca"].map { try text($0, "ca") }
        (webhook.allowsPrivate, webhook.allowsMetadata) = (settings.allowsPrivate, settings.allowsMetadata)
        return try tries(AlertDelivery(.webhook(webhook)), given, secrets)
    }

    /// Placeholders may stand in the path and the query: who is called is for the file to say, not for rows.
    private func checkAddress(_ url: String, _ what: String, at node: Node) throws {
        let host = url.drop { $0 != "/" }.dropFirst(2).prefix { !"/?#".contains($0) }
        guard ["http", "https"].contains(url.prefix { $0 != ":" }.lowercased()), url.contains("://"), !host.isEmpty, !host.contains("{"), !host.contains("@"), !host.contains(" ") else {
            throw document.error(
                "the url of \(what) is no HTTP address", fix: "write it as in https://host/path, with placeholders after the host only; a whole address that is a secret as {env: NAME}",
                at: node)
        }
    }

    private func command(_ node: Node, _ what: String) throws -> AlertDelivery {
        let given = try entries(node, what, TopologyKeys.command)
        let secrets = try self.secrets(given["secrets"], what), run = try required(given, "run", what, node)
        let words = try list(run, "run")
        for (i, (word, span)) in words.enumerated() {
            if i == 0, word.contains("{{") { throw document.source.error(.validate, "\(what): the program is a placeholder", fix: "name it; placeholders are for its arguments", at: span) }
            do { _ = try NotificationTemplate(word, secrets: secrets.keys) } catch let problem as NotificationTemplate.Problem {
                throw document.source.error(.validate, "\(what): \(problem.problem)", fix: problem.fix, at: span)
            }
        }
        return try tries(AlertDelivery(.command(.init(run: words.map(\.0)))), given, secrets)
    }

    private func email(_ node: Node, _ what: String) throws -> AlertDelivery {
        let given = try entries(node, what, TopologyKeys.email)
        let secrets = try self.secrets(given["secrets"], what)
        let security = try given["tls"].map { node in
            let word = try text(node, "tls"), known = AlertDelivery.Email.Security.allCases.map(\.rawValue)
            guard let security = AlertDelivery.Email.Security(rawValue: word) else { throw document.error("\(what): tls is \(word)", fix: NearName.hint(for: word, in: known), at: node) }
            return security
        } ?? .starttls
        let port = try given["port"].map { node in
            guard let port = Int(try text(node, "port")), (1...65_535).contains(port) else { throw document.error("\(what): \(node.string ?? "") is no port", fix: "write for example port: 587", at: node) }
            return port
        } ?? (security == .tls ? 465 : security == .starttls ? 587 : 25)
        func address(_ text: String, _ span: SourceSpan) throws -> String {
            guard MailMessage.isAddress(text) else { throw document.source.error(.validate, "\(what): \"\(text)\" is no mail address", fix: "write it as in alerts@example.com or Alerts <alerts@example.com>", at: span) }
            return text
        }
        let from = try required(given, "from", what, node), to = try list(try required(given, "to", what, node), "to")
        var email = AlertDelivery.Email(
            host: try text(try required(given, "host", what, node), "host"), port: port, security: security, from: try address(try text(from, "from"), document.span(from)),
            to: try to.map { try address($0.0, $0.1) })
        email.user = try given["user"].map { try text($0, "user") }
        email.password = try given["password"].map { try secret($0, "password of \(what)") }
        if (email.user == nil) != (email.password == nil) {
            throw document.error("\(what) has \(email.user == nil ? "a password but no user" : "a user but no password")", fix: "give both, or neither", at: node)
        }
        if let node = given["subject"] { email.subject = try template(node, "subject of \(what)", secrets) }
        email.body = try given["body"].map { try template($0, "body of \(what)", secrets) }
        email.authorities = try given["ca"].map { try text($0, "ca") }
        return try tries(AlertDelivery(.email(email)), given, secrets)
    }

    // MARK: Pieces

    private func tries(_ delivery: AlertDelivery, _ given: [String: Node], _ secrets: [String: AlertSecret]) throws -> AlertDelivery {
        var delivery = delivery
        delivery.secrets = secrets
        if let node = given["timeout"] {
            delivery.timeout = try milliseconds(node, "timeout")
            guard (1...30_000).contains(delivery.timeout) else { throw document.error("a timeout of \(node.string ?? "")", fix: "write one of at most 30 s", at: node) }
        }
        if let node = given["backoff"] { delivery.backoff = max(1, try milliseconds(node, "backoff")) }
        if let node = given["retries"] {
            guard let n = Int(try text(node, "retries")), (0...100).contains(n) else { throw document.error("retries: \(node.string ?? "") is not a number from 0 to 100", fix: "write for example retries: 8", at: node) }
            delivery.retries = n
        }
        return delivery
    }

    private func secrets(_ node: Node?, _ what: String) throws -> [String: AlertSecret] {
        guard let node else { return [:] }
        return Dictionary(try pairs(node, "secrets of \(what)").map { ($0.key.string!, try secret($0.value, "secret \($0.key.string!) of \(what)")) }) { $1 }
    }

    /// `{env: NAME}` or `{file: PATH}`.
    private func secret(_ node: Node, _ what: String) throws -> AlertSecret {
        guard node.mapping != nil else { throw document.error("\(what) stands in the file", fix: "write {env: NAME} or {file: PATH}, which say where it is kept", at: node) }
        let given = try entries(node, what, TopologyKeys.secret)
        guard given.count == 1, let (kind, value) = given.first else { throw document.error("\(what) has \(given.count) places", fix: "write {env: NAME} or {file: PATH}", at: node) }
        return kind == "env" ? .environment(try text(value, "env")) : .file(try text(value, "file"))
    }

    private func template(_ node: Node, _ what: String, _ secrets: [String: AlertSecret]) throws -> String {
        let given = try text(node, what)
        do { _ = try NotificationTemplate(given, secrets: secrets.keys) } catch let problem as NotificationTemplate.Problem { throw document.error("\(what): \(problem.problem)", fix: problem.fix, at: node) }
        return given
    }

    func pairs(_ node: Node?, _ what: String) throws -> [(key: Node, value: Node)] { try node.map { try pairs($0, what) } ?? [] }

    func alertName(_ node: Node, _ kind: String) throws -> String {
        let name = try text(node, "the name of a \(kind)")
        guard name.utf8.count <= 100, name.utf8.allSatisfy({ ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 < 10 || "._-".utf8.contains($0) }) else {
            throw document.error("\"\(name)\" cannot be the name of a \(kind)", fix: "write letters, digits, points, - and _", at: node)
        }
        return name
    }

    /// YAML as JSON: plain words are numbers, true, false and null where they look like them.
    func json(_ node: Node) throws -> JSONValue {
        if let mapping = node.mapping {
            var members: [String: JSONValue] = [:]
            for (key, value) in mapping {
                guard let name = key.string else { throw document.error("a key is not text", fix: "write it in quotes", at: key) }
                members[name] = try json(value)
            }
            return .object(members)
        }
        if let sequence = node.sequence { return .array(try sequence.map(json)) }
        guard let scalar = node.scalar else { throw document.error("an alias cannot stand here", fix: "write the value itself", at: node) }
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        switch scalar.string {
        case "", "~", "null": return .null
        case "true": return .bool(true)
        case "false": return .bool(false)
        case let word:
            if let number = Int64(word) { return .integer(number) }
            if let first = word.first, first.isNumber || "-+.".contains(first), let number = Double(word), number.isFinite { return .number(number) }
            return .string(word)
        }
    }
}
