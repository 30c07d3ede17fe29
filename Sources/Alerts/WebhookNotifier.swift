import Foundation
import StreamCore

/// Notifications as HTTP requests. A status of 2xx is success; redirects are not followed.
struct WebhookNotifier: Notifier {
    private let webhook: AlertDelivery.Webhook
    private let timeout: Int64
    private static let answerMax = 1 << 16

    init(_ webhook: AlertDelivery.Webhook, timeout: Int64) { (self.webhook, self.timeout) = (webhook, timeout) }

    func send(_ notification: AlertNotification, _ secrets: inout SecretValues) throws {
        let event = notification.event, known = secrets.named
        let url = try HTTPAddress(webhook.url.hasPrefix("{{")
            // The address itself is a secret, as Slack's are.
            ? NotificationTemplate(webhook.url, secrets: known.keys).text(event, known) { $0 }
            : NotificationTemplate(webhook.url, secrets: known.keys).text(event, known, escaping: Encodings.percent))
        var headers = try webhook.headers.mapValues { Encodings.line(try NotificationTemplate($0, secrets: known.keys).text(event, known, escaping: Encodings.line)) }
        func has(_ name: String) -> Bool { headers.keys.contains { $0.lowercased() == name } }
        let type = headers.first { $0.key.lowercased() == "content-type" }?.value ?? "application/json"
        let body = try body(event, known, isJSON: type.lowercased().contains("json"))
        if !has("content-type") { headers["Content-Type"] = "application/json" }
        if !has("user-agent") { headers["User-Agent"] = "swiftwater" }
        if !has("idempotency-key") { headers["Idempotency-Key"] = notification.id }
        var head = "\(webhook.method) \(url.target) HTTP/1.1\r\nHost: \(url.authority)\r\nConnection: close\r\nContent-Length: \(body.count)\r\n"
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
        let deadline = Clock.monotonicNanoseconds() + UInt64(timeout) * 1_000_000
        let connection = try OutgoingConnection(host: url.host, port: url.port, isSecure: url.isSecure, authorities: webhook.authorities, deadline: deadline) {
            AddressGuard(allowsPrivate: webhook.allowsPrivate, allowsMetadata: webhook.allowsMetadata).refuses($0)
        }
        try connection.send(Array((head + "\r\n").utf8) + body)
        try judge(try answer(connection), url)
    }

    private func body(_ event: JSONValue, _ secrets: [String: String], isJSON: Bool) throws -> [UInt8] {
        switch webhook.body {
        case nil: return Array(event.text.utf8)
        case .string(let template)?:
            return Array(try NotificationTemplate(template, secrets: secrets.keys).text(event, secrets) { text in
                guard isJSON else { return text }
                var out = ""
                JSONValue.escape(text, to: &out)
                return out
            }.utf8)
        case let template?: return Array(try NotificationTemplate.fill(template, event, secrets).text.utf8)
        }
    }

    /// Status, and the beginning of what stands below the head.
    private func answer(_ connection: OutgoingConnection) throws -> (status: Int, said: String) {
        var bytes: [UInt8] = []
        func head() -> Range<Int>? { bytes.firstRange(of: Array("\r\n\r\n".utf8)) }
        while head() == nil, bytes.count < Self.answerMax {
            let part = try connection.receive()
            if part.isEmpty { break }
            bytes += part
        }
        let words = String(decoding: bytes.prefix { $0 != 13 && $0 != 10 }, as: UTF8.self).split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw DeliveryProblem(bytes.isEmpty ? "the connection was closed without an answer" : "the answer is not HTTP")
        }
        guard let end = head() else { return (status, "") }
        // Of a refusal the reason is of use, if it is there already.
        if status >= 300, bytes.count == end.upperBound, let more = try? connection.receive() { bytes += more }
        return (status, Encodings.line(String(decoding: bytes[end.upperBound...].prefix(200), as: UTF8.self)))
    }

    private func judge(_ answer: (status: Int, said: String), _ url: HTTPAddress) throws {
        switch answer.status {
        case 200..<300: return
        case 300..<400: throw DeliveryProblem("\(url.host) answered \(answer.status): redirects are not followed", isFinal: true)
        case 408, 425, 429, 500...: throw DeliveryProblem("\(url.host) answered \(answer.status)\(answer.said.isEmpty ? "" : ": \(answer.said)")")
        default: throw DeliveryProblem("\(url.host) answered \(answer.status)\(answer.said.isEmpty ? "" : ": \(answer.said)")", isFinal: true)
        }
    }
}

/// `http://host:port/path?query` in parts.
struct HTTPAddress {
    let host: String, port: Int, isSecure: Bool, target: String, authority: String

    init(_ text: String) throws {
        let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.unicodeScalars.contains(where: { $0.value <= 0x20 || $0.value == 0x7F }), let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
              ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty, parts.user == nil, parts.password == nil else {
            throw DeliveryProblem("the URL of the webhook is no HTTP address", isFinal: true)
        }
        isSecure = scheme == "https"
        self.host = host
        port = parts.port ?? (isSecure ? 443 : 80)
        guard (1...65_535).contains(port) else { throw DeliveryProblem("the URL of the webhook has a port \(port)", isFinal: true) }
        let path = parts.percentEncodedPath
        target = (path.isEmpty ? "/" : path) + (parts.percentEncodedQuery.map { "?\($0)" } ?? "")
        authority = (host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host) + (parts.port.map { ":\($0)" } ?? "")
    }
}

/// Which addresses webhooks may call. It is asked for every address that a name turns out to have, so names cannot lead around it.
struct AddressGuard {
    var allowsPrivate: Bool
    var allowsMetadata: Bool

    private static let metadata = ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32"].compactMap(AddressRange.init)
    private static let inside = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "0.0.0.0/8", "::1/128", "::/128", "fc00::/7"]
        .compactMap(AddressRange.init)

    func refuses(_ address: String) -> Bool {
        var address = String(address.prefix { $0 != "%" })
        // An IPv4 address in the form of an IPv6 one.
        if address.lowercased().hasPrefix("::ffff:"), address.contains(".") { address = String(address.dropFirst(7)) }
        if !allowsMetadata, Self.metadata.contains(where: { $0.contains(address) }) { return true }
        return !allowsPrivate && Self.inside.contains { $0.contains(address) }
    }
}
