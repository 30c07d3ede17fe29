import Foundation
import StreamCore
import Synchronization
import Testing

@testable import Alerts

/// Receivers that take notifications, refuse them, hang or lie.
@Suite("delivery", .serialized) struct DeliveryTests {
    private static let event = JSONValue.object([
        "id": .string("t-1"), "rule": .string("low"), "topology": .string("shop"), "state": .string("firing"), "key": .string("EU \"west\"\r\nX-Injected: 1"), "value": .integer(7),
        "severity": .string("high"), "description": .null, "at": .string("2024-05-04T02:00:00.000Z"), "since": .string("2024-05-04T02:00:00.000Z"),
        "labels": .object(["team": .string("finance")]), "row": .object(["note": .string("größer\n.punkt\n..zwei"), "n": .integer(7), "list": .array([.string("x")])]),
    ])

    private func deliver(_ delivery: AlertDelivery, id: String = "t-1") -> DeliveryProblem? {
        delivery.deliver(AlertNotification(id: id, topology: "shop", rule: "low", delivery: "d", event: Self.event))
    }

    private func webhook(_ url: String, _ change: (inout AlertDelivery.Webhook) -> Void = { _ in }, timeout: Int64 = 5_000) -> AlertDelivery {
        var webhook = AlertDelivery.Webhook(url: url)
        change(&webhook)
        var delivery = AlertDelivery(.webhook(webhook))
        delivery.timeout = timeout
        return delivery
    }

    @Test("webhooks: templates stay within JSON, headers and paths; refusals are for good or for now; no redirects, no metadata services")
    func webhooks() throws {
        let folder = try Folder(), receiver = try Receiver(folder)
        defer { receiver.end() }
        setting("ALERT_TEST_TOKEN", "tok-98765")
        var delivery = webhook(receiver.url + "/in/{{ key }}?v={{ value }}") {
            $0.method = "PUT"
            $0.headers = ["Authorization": "Bearer {{ secret.token }}", "X-Key": "{{ key }}"]
            $0.body = .string(#"{"text": "{{ key }}: {{ value }} {{ row.list.0 }}{{ row.none }}", "row": {{ row }}}"#)
        }
        delivery.secrets = ["token": .environment("ALERT_TEST_TOKEN")]
        // A placeholder for a whole object would be escaped as text: it belongs into a body in the form of JSON.
        #expect(deliver(delivery) == nil)
        let got = try #require(try receiver.received("http").first), headers = got["headers"] as! [String: String]
        #expect(got["method"] as? String == "PUT" && got["path"] as? String == "/in/EU%20%22west%22%0D%0AX-Injected%3A%201?v=7" && headers["X-Injected"] == nil)
        #expect(headers["Authorization"] == "Bearer tok-98765" && headers["X-Key"] == "EU \"west\"  X-Injected: 1" && headers["Idempotency-Key"] == "t-1")
        #expect((got["body"] as! String).hasPrefix(#"{"text": "EU \"west\"\r\nX-Injected: 1: 7 x", "row": "#))
        delivery = webhook(receiver.url + "/json") { $0.body = .object(["value": .string("{{ value }}"), "row": .string("{{ row }}"), "say": .string("{{ rule }} of {{ labels.team }}")]) }
        #expect(deliver(delivery) == nil)
        let body = try JSONValue(json: try receiver.received("http", path: "/json")[0]["body"] as! String)
        #expect(body == .object(["value": .integer(7), "row": Self.event["row"]!, "say": .string("low of finance")]))

        for (path, isFinal, says) in [("/status/400?says=no", true, "answered 400: no"), ("/status/404", true, "404"), ("/status/500", false, "500"), ("/status/429", false, "429"),
                                      ("/redirect", true, "redirects are not followed"), ("/close", false, "without an answer")] {
            let problem = deliver(webhook(receiver.url + path))
            #expect(problem?.isFinal == isFinal && problem?.text.contains(says) == true, "\(path): \(String(describing: problem))")
        }
        #expect(try receiver.received("http", path: "/elsewhere").isEmpty)
        let began = Date()
        #expect(deliver(webhook(receiver.url + "/hang", timeout: 300))?.text.contains("no answer") == true)
        #expect(deliver(webhook(receiver.url + "/flood", timeout: 1_000)) != nil)
        #expect(Date().timeIntervalSince(began) < 5)
        #expect(deliver(webhook("http://127.0.0.1:1/"))?.text.contains("refused") == true)

        // What a receiver says back may hold the secret.
        delivery = webhook(receiver.url + "/status/403?says={{ secret.token }}")
        delivery.secrets = ["token": .environment("ALERT_TEST_TOKEN")]
        let said = deliver(delivery)
        #expect(said?.text.contains("***") == true && said?.text.contains("98765") == false, "\(String(describing: said))")
        delivery.secrets = ["token": .environment("ALERT_TEST_UNSET")]
        #expect(deliver(delivery)?.text == "the environment variable ALERT_TEST_UNSET is not set")

        // An address that is a secret as a whole.
        setting("ALERT_TEST_URL", receiver.url + "/hooks/T0/B0?x=1")
        delivery = webhook("{{ secret.url }}")
        delivery.secrets = ["url": .environment("ALERT_TEST_URL")]
        #expect(deliver(delivery) == nil)
        #expect(try receiver.received("http", path: "/hooks/T0/B0?x=1").count == 1)

        #expect(deliver(webhook("https://localhost:\(receiver.port("https"))/s"))?.text.contains("not trusted") == true)
        #expect(deliver(webhook("https://localhost:\(receiver.port("https"))/s") { $0.authorities = receiver.certificate }) == nil)
        for address in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[fe80::1]"] {
            #expect(deliver(webhook("http://\(address)/latest", timeout: 500))?.text.contains("may not be connected to") == true, "\(address)")
        }
        #expect(deliver(webhook(receiver.url + "/inside") { $0.allowsPrivate = false })?.text.contains("may not be connected to") == true)
    }

    private func email(_ receiver: Receiver, _ port: String, _ security: AlertDelivery.Email.Security, _ change: (inout AlertDelivery.Email) -> Void = { _ in }) -> AlertDelivery {
        var email = AlertDelivery.Email(host: "127.0.0.1", port: receiver.port(port), security: security, from: "Alerts <alerts@example.com>", to: ["a@example.com", "b@example.com"])
        email.authorities = receiver.certificate
        change(&email)
        return AlertDelivery(.email(email))
    }

    @Test("mail: in the clear, STARTTLS with AUTH PLAIN and LOGIN, TLS from the start; no password in the clear or in what is noted")
    func mail() throws {
        let folder = try Folder(), receiver = try Receiver(folder)
        defer { receiver.end() }
        setting("ALERT_TEST_PASSWORD", Receiver.password)
        let password = try folder.write("password", Receiver.password + "\n")
        #expect(deliver(email(receiver, "smtp", .none) { $0.body = ".\n..\n.a line\n\nend" }, id: "m/1") == nil)
        #expect(deliver(email(receiver, "starttls", .starttls) {
            ($0.user, $0.password, $0.subject) = ("alerts", .environment("ALERT_TEST_PASSWORD"), "größer als erlaubt, viel größer als es je gewesen ist: {{ key }} {{ row.note }}")
        }) == nil)
        #expect(deliver(email(receiver, "login", .starttls) { ($0.user, $0.password) = ("alerts", .file(password)) }) == nil)
        #expect(deliver(email(receiver, "smtps", .tls)) == nil)
        let mails = try receiver.received("mail")
        #expect(mails.map { $0["server"] as! String } == ["plain", "starttls", "login", "smtps"])
        #expect(mails.allSatisfy { ($0["defects"] as! [String]).isEmpty && $0["from"] as? String == "alerts@example.com" && $0["to"] as! [String] == ["a@example.com", "b@example.com"] && ($0["longest"] as! Int) <= 998 })
        #expect((mails[0]["body"] as! String).replacing("\r\n", with: "\n").hasPrefix(".\n..\n.a line\n\nend") && mails[0]["tls"] as? Bool == false)
        #expect(mails[0]["id"] as? String == "<m%2F1@example.com>", "\(mails[0])")
        #expect(mails[1]["subject"] as? String == "größer als erlaubt, viel größer als es je gewesen ist: EU \"west\"  X-Injected: 1 größer .punkt ..zwei")
        #expect((mails[1]["body"] as! String).contains("größer") && mails[1]["user"] as? String == "alerts" && mails[2]["user"] as? String == "alerts" && mails[1]["tls"] as? Bool == true)
        #expect((mails[1]["date"] as! String).hasSuffix("+0000"))

        setting("ALERT_TEST_PASSWORD", "wrong-" + Receiver.password)
        let refused = deliver(email(receiver, "starttls", .starttls) { ($0.user, $0.password) = ("alerts", .environment("ALERT_TEST_PASSWORD")) })
        #expect(refused?.isFinal == true && refused?.text.contains("535") == true && refused?.text.contains("hunter2") == false, "\(String(describing: refused))")
        #expect(refused?.text.contains(Data(("wrong-" + Receiver.password).utf8).base64EncodedString()) == false)
        #expect(deliver(email(receiver, "smtp", .none) { $0.to = ["nobody@example.com"] })?.isFinal == true)
        #expect(deliver(email(receiver, "smtp", .starttls))?.text.contains("offers no STARTTLS") == true)
        #expect(deliver(email(receiver, "starttls", .starttls) { $0.authorities = nil })?.text.contains("not trusted") == true)
        let clear = email(receiver, "smtp", .none) { ($0.host, $0.user, $0.password) = ("127.0.0.2", "u", .file(password)) }
        #expect(deliver(clear)?.text.contains("without TLS") == true)
        // A server of another kind.
        var other = email(receiver, "http", .none)
        other.timeout = 300
        #expect(deliver(other)?.text.contains("no answer") == true)
    }

    @Test("messages: encoded words and lines of bounded length, points doubled")
    func messages() {
        let subject = String(repeating: "ü", count: 100), encoded = MailMessage.encodedWords(subject, after: 9)
        #expect(encoded.split(separator: "\r\n ").allSatisfy { $0.count <= 75 } && MailMessage.encodedWords("plain", after: 9) == "plain")
        #expect(MailMessage.date(1_714_852_726_480) == "Sat, 04 May 2024 19:58:46 +0000" && MailMessage.date(-1_000) == "Wed, 31 Dec 1969 23:59:59 +0000")
        #expect(SMTPClient.stuffed(".a\r\nb\r\n.\r\n..c\r\n") == "..a\r\nb\r\n..\r\n...c\r\n")
        #expect(MailMessage.isAddress("A <a@b.c>") && !MailMessage.isAddress("a@b.c\r\nBcc: x@y") && !MailMessage.isAddress("a@b.c, d@e.f") && !MailMessage.isAddress("ab"))
        #expect(Encodings.time(0) == "1970-01-01T00:00:00.000Z" && Encodings.time(1_709_164_800_123) == "2024-02-29T00:00:00.123Z" && Encodings.time(.max) == nil)
    }

    @Test("commands: the event on standard input, failures with what they say, and an end at the timeout with all children")
    func commands() throws {
        let folder = try Folder(), out = folder.path + "/out"
        func command(_ words: String..., timeout: Int64 = 5_000) -> AlertDelivery {
            var delivery = AlertDelivery(.command(.init(run: words)))
            delivery.timeout = timeout
            return delivery
        }
        #expect(deliver(command("tee", out)) == nil)
        #expect(try JSONValue(json: String(contentsOfFile: out, encoding: .utf8)) == Self.event)
        #expect(deliver(command("sh", "-c", "printf '%s' \"$1 $SWIFTWATER_NOTIFICATION_ID\" > \(out)", "x", "{{ key }} $(reboot)")) == nil)
        #expect(try String(contentsOfFile: out, encoding: .utf8) == "EU \"west\"\r\nX-Injected: 1 $(reboot) t-1")
        #expect(deliver(command("sh", "-c", "echo no >&2; exit 3"))?.text == "sh ended with status 3: no ")
        #expect(deliver(command("/nowhere/to/be/found"))?.isFinal == true)
        let began = Date()
        let problem = deliver(command("sh", "-c", "echo slow >&2; sleep 60 & echo $! > \(out); wait", timeout: 500))
        #expect(problem?.text == "sh did not end within 500 ms: slow " && Date().timeIntervalSince(began) < 5)
        let child = try #require(Int32(try String(contentsOfFile: out, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)))
        try eventually("the child's end") { kill(child, 0) != 0 }
        #expect(deliver(command("sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; done", timeout: 300)) != nil)
    }

    @Test("the sender: refusals are tried again and given up, a receiver that hangs holds up nobody else, and two senders deliver once")
    func senders() throws {
        let folder = try Folder(), receiver = try Receiver(folder)
        defer { receiver.end() }
        let history = try AlertHistory(path: folder.database)
        var rule = AlertRule(topology: "shop", name: "low", source: .query("SELECT 1"))
        rule.condition = "below 3"
        for (name, path) in [("ok", "/ok"), ("flaky", "/flaky/2"), ("broken", "/status/500"), ("gone", "/status/410"), ("hangs", "/hang")] {
            var delivery = webhook(receiver.url + path, timeout: 400)
            (delivery.retries, delivery.backoff) = (3, 20)
            if name == "hangs" { (delivery.timeout, delivery.retries) = (1_500, 0) }
            rule.deliveries[name] = delivery
        }
        try history.register(rule)
        let names = rule.deliveries.keys.sorted() + ["removed"]
        let records = (1...10).map { n in
            let event = AlertEvent(kind: .notifyFiring, key: "k", time: Int64(n), since: 0, episode: n, value: "1")
            return AlertHistory.Record(name: "tag-\(n)", event: event, notification: Self.event, deliveries: n == 1 ? names : ["ok"])
        }
        // Written twice, as after a crash in the middle of a commit.
        try history.append(Array(records.prefix(3)), topology: "shop", rule: "low")
        try history.append(records, topology: "shop", rule: "low")
        // A process that is gone had taken all of it.
        #expect(try history.claim(by: "999999999:gone", topologies: nil, busy: [], hold: 3_600_000).count == 15)
        let senders = [AlertSender(history, topologies: ["shop"]), AlertSender(try AlertHistory(path: folder.database))]
        for sender in senders { sender.start() }
        defer { for sender in senders { sender.end() } }
        try eventually("the fast ones while one hangs") { try receiver.received("http", path: "/ok").count >= 10 }
        #expect(try history.rules()[0].waiting > 0, "the one that hangs still does")
        try eventually("the end of all") { try history.rules()[0].waiting == 0 }
        #expect(try receiver.received("http", path: "/ok").count == 10)
        #expect(try receiver.received("http", path: "/flaky/2").count == 3 && receiver.received("http", path: "/status/500").count == 4)
        #expect(try receiver.received("http", path: "/status/410").count == 1)
        #expect(Set(try receiver.received("http", path: "/flaky/2").map { $0["id"] as! String }) == ["tag-1"])
        let entries = try history.entries(topology: "shop", rule: "low"), failed = entries.filter { $0.kind == "failed" }
        #expect(entries.count { $0.kind == "notified" } == 11 && Set(failed.map { $0.delivery! }) == ["broken", "gone", "hangs", "removed"])
        #expect(failed.first { $0.delivery == "broken" }?.text?.contains("answered 500") == true && failed.first { $0.delivery == "removed" }?.text?.contains("no longer") == true)
        #expect(try history.rules()[0].failed == 4 && history.rules()[0].problem != nil)
        #expect(try history.retryFailed(topology: "shop", rule: "low") == 4)
    }
}
