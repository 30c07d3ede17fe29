import Foundation
import StreamCore

/// Sends one message to a mail server: EHLO, STARTTLS, AUTH PLAIN or LOGIN, MAIL, RCPT, DATA. All of it before a deadline.
final class SMTPClient {
    private let connection: OutgoingConnection
    private let host: String
    private var buffer: [UInt8] = []
    private var extensions: [String: String] = [:]
    private static let lineMax = 8_192, linesMax = 200

    /// - Parameter deadline: by `Clock.monotonicNanoseconds()`.
    init(_ email: AlertDelivery.Email, deadline: UInt64) throws {
        host = email.host
        connection = try OutgoingConnection(host: email.host, port: email.port, isSecure: email.security == .tls, authorities: email.authorities, deadline: deadline)
        try expect(220, "the greeting")
        try hello()
        guard email.security == .starttls else { return }
        guard extensions["STARTTLS"] != nil else {
            throw DeliveryProblem("\(host) offers no STARTTLS; use tls: tls on another port, or tls: none", isFinal: true)
        }
        try command("STARTTLS", 220, "STARTTLS")
        // What came in the clear behind the answer is not the server's.
        buffer = []
        try connection.secure(email.authorities)
        try hello()
    }

    private func hello() throws {
        let lines = try command("EHLO \(Self.name)", 250, "EHLO")
        extensions = [:]
        for line in lines.dropFirst() {
            let words = line.split(separator: " ", maxSplits: 1)
            if let name = words.first { extensions[name.uppercased()] = words.count > 1 ? String(words[1]) : "" }
        }
    }

    /// A literal instead of a name: the name of a machine behind others is often none that the server can find.
    private static let name = "[127.0.0.1]"

    func authenticate(user: String, password: String) throws {
        let mechanisms = Set((extensions["AUTH"] ?? "").uppercased().split(separator: " ").map(String.init))
        if mechanisms.contains("PLAIN") {
            try command("AUTH PLAIN " + Encodings.base64([0] + Array(user.utf8) + [0] + Array(password.utf8)), 235, "AUTH")
        } else if mechanisms.contains("LOGIN") {
            try command("AUTH LOGIN", 334, "AUTH")
            try command(Encodings.base64(Array(user.utf8)), 334, "AUTH")
            try command(Encodings.base64(Array(password.utf8)), 235, "AUTH")
        } else {
            throw DeliveryProblem("\(host) offers neither AUTH PLAIN nor AUTH LOGIN", isFinal: true)
        }
    }

    func send(_ message: MailMessage) throws {
        try command("MAIL FROM:<\(MailMessage.address(of: message.from))>", 250, "MAIL FROM")
        for receiver in message.to { try command("RCPT TO:<\(MailMessage.address(of: receiver))>", 250, "RCPT TO \(MailMessage.address(of: receiver))") }
        try command("DATA", 354, "DATA")
        try connection.send(Array((Self.stuffed(message.text) + ".\r\n").utf8))
        try expect(250, "the message")
        // The message is the server's now: what becomes of the farewell does not matter.
        _ = try? command("QUIT", 221, "QUIT")
    }

    /// Lines that begin with a point get a second one.
    static func stuffed(_ text: String) -> String {
        (text.hasPrefix(".") ? "." : "") + text.replacing("\r\n.", with: "\r\n..")
    }

    // MARK: Commands and replies

    @discardableResult
    private func command(_ text: String, _ wanted: Int, _ what: String) throws -> [String] {
        try connection.send(Array((text + "\r\n").utf8))
        return try expect(wanted, what)
    }

    @discardableResult
    private func expect(_ wanted: Int, _ what: String) throws -> [String] {
        var lines: [String] = []
        while true {
            let line = try line()
            guard line.utf8.count >= 3, let code = Int(line.prefix(3)), lines.count < Self.linesMax else { throw DeliveryProblem("\(host) does not speak SMTP: \(line.prefix(60))") }
            lines.append(String(line.dropFirst(4)))
            if line.dropFirst(3).first == "-" { continue }
            // 251: the receiver is elsewhere, and the server passes the message on.
            guard code == wanted || (wanted == 250 && code == 251) else {
                throw DeliveryProblem("\(host) answered \(code) to \(what): \(lines.joined(separator: " ").prefix(200))", isFinal: code >= 500)
            }
            return lines
        }
    }

    private func line() throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 10) {
                defer { buffer.removeSubrange(...end) }
                return Encodings.line(String(decoding: buffer[..<end].last == 13 ? buffer[..<(end - 1)] : buffer[..<end], as: UTF8.self))
            }
            guard buffer.count < Self.lineMax else { throw DeliveryProblem("\(host) sends a line of more than \(Self.lineMax) bytes") }
            let part = try connection.receive()
            guard !part.isEmpty else { throw DeliveryProblem("\(host) closed the connection") }
            buffer += part
        }
    }
}

/// Notifications as e-mail.
struct EmailNotifier: Notifier {
    private let email: AlertDelivery.Email
    private let timeout: Int64

    init(_ email: AlertDelivery.Email, timeout: Int64) { (self.email, self.timeout) = (email, timeout) }

    static let body = """
        {{ rule }} is {{ state }}: {{ value }}
        Key:      {{ key }}
        {{ description }}

        Time:     {{ at }}
        Since:    {{ since }}
        Severity: {{ severity }}
        Topology: {{ topology }}
        Row:      {{ row }}
        """

    func send(_ notification: AlertNotification, _ secrets: inout SecretValues) throws {
        let event = notification.event, known = secrets.named
        let password = try email.password.map { try secrets.add($0) }
        let subject = try NotificationTemplate(email.subject, secrets: known.keys).text(event, known, escaping: Encodings.line)
        let body = try NotificationTemplate(email.body ?? Self.body, secrets: known.keys).text(event, known) { $0 }
        // In the clear a password may go to this machine only.
        guard password == nil || email.security != .none || ["localhost", "127.0.0.1", "::1"].contains(email.host) else {
            throw DeliveryProblem("the password is not sent to \(email.host) without TLS; use tls: starttls or tls: tls", isFinal: true)
        }
        let client = try SMTPClient(email, deadline: Clock.monotonicNanoseconds() + UInt64(timeout) * 1_000_000)
        if let user = email.user, let password { try client.authenticate(user: user, password: password) }
        try client.send(MailMessage(from: email.from, to: email.to, subject: subject, body: body, date: Clock.milliseconds(), id: notification.id))
    }
}
