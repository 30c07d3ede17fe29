import StreamCore

/// One notification for one delivery.
public struct AlertNotification: Codable, Hashable, Sendable {
    /// The same for every try and every process: receivers drop what they have seen by it.
    public var id: String
    public var topology: String
    public var rule: String
    public var delivery: String
    /// The whole event.
    public var event: JSONValue
}

/// Brings notifications to one kind of target. Calls block, for the delivery's timeout at most.
protocol Notifier {
    /// - Throws: ``DeliveryProblem``; its text may hold secrets, which the caller takes out.
    func send(_ notification: AlertNotification, _ secrets: inout SecretValues) throws
}

extension AlertDelivery {
    private var notifier: any Notifier {
        switch target {
        case .webhook(let webhook): WebhookNotifier(webhook, timeout: timeout)
        case .command(let command): CommandNotifier(command, timeout: timeout)
        case .email(let email): EmailNotifier(email, timeout: timeout)
        }
    }

    /// Tries once. nil = delivered; else why not, without secrets.
    func deliver(_ notification: AlertNotification) -> DeliveryProblem? {
        var secrets: SecretValues
        do { secrets = try SecretValues(self.secrets) } catch { return error as? DeliveryProblem ?? DeliveryProblem("\(error)") }
        do {
            try notifier.send(notification, &secrets)
            return nil
        } catch let problem as DeliveryProblem {
            return DeliveryProblem(secrets.redacted(problem.text), isFinal: problem.isFinal)
        } catch let problem as NotificationTemplate.Problem {
            return DeliveryProblem(problem.problem, isFinal: true)
        } catch {
            return DeliveryProblem(secrets.redacted("\(error)"))
        }
    }
}
