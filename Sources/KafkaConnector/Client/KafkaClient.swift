import CRdKafka
import StreamCore
import Synchronization

/// A connection to a cluster: a producer or a consumer of librdkafka with its threads.
///
/// Errors that come by themselves (a broker that went away, a refused password) are kept until the next call asks for them:
/// librdkafka goes on trying by itself.
public final class KafkaClient: @unchecked Sendable {
    // SAFETY: a librdkafka handle may be used by any thread; what is ours is behind a mutex or does not change.
    public enum Kind: Sendable { case producer, consumer }

    /// What became of a message: its `_private` pointer and error. Called by the thread that polls.
    public typealias Delivery = @Sendable (UnsafePointer<rd_kafka_message_t>) -> Void

    public let configuration: KafkaConfiguration
    public let handle: OpaquePointer
    private let events: Events

    /// What callbacks may touch; librdkafka holds it until the handle is destroyed.
    private final class Events: Sendable {
        struct State {
            var failure: (code: rd_kafka_resp_err_t, text: String)?
            var statistics: String?
            var isClosed = false
        }
        let state = Mutex(State())
        let delivery: Delivery?
        let log: (@Sendable (_ level: Int, _ text: String) -> Void)?
        init(_ delivery: Delivery?, _ log: (@Sendable (Int, String) -> Void)?) { (self.delivery, self.log) = (delivery, log) }
    }

    /// - Parameters:
    ///   - delivery: called from `poll` for every message that was produced.
    ///   - log: librdkafka's own messages, from any thread; level as in syslog. nil = dropped, as errors come as errors too.
    /// - Throws: `.validate` for properties that do not go together.
    public init(_ kind: Kind, _ configuration: KafkaConfiguration, delivery: Delivery? = nil, log: (@Sendable (Int, String) -> Void)? = nil) throws {
        self.configuration = configuration
        let events = Events(delivery, log)
        self.events = events
        let conf = try configuration.make()
        rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(events).toOpaque())
        rd_kafka_conf_set_error_cb(conf) { _, code, reason, opaque in
            guard let opaque else { return }
            let events = Unmanaged<Events>.fromOpaque(opaque).takeUnretainedValue()
            let text = reason.map { String(cString: $0) } ?? ""
            events.state.withLock { state in
                // What a user can mend is not covered up by "all brokers are down", which follows it.
                if let known = state.failure, KafkaClient.isFinal(known.code), !KafkaClient.isFinal(rd_kafka_resp_err_t(code)) { return }
                // Nor is the reason why, which came before it.
                if state.failure != nil, rd_kafka_resp_err_t(code) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN { return }
                state.failure = (rd_kafka_resp_err_t(code), text)
            }
        }
        rd_kafka_conf_set_stats_cb(conf) { _, json, length, opaque in
            guard let opaque, let json else { return 0 }
            let events = Unmanaged<Events>.fromOpaque(opaque).takeUnretainedValue()
            let text = String(decoding: UnsafeRawBufferPointer(start: json, count: length), as: UTF8.self)
            events.state.withLock { $0.statistics = text }
            return 0
        }
        rd_kafka_conf_set_log_cb(conf) { handle, level, facility, text in
            guard let handle, let opaque = rd_kafka_opaque(handle), let text else { return }
            let events = Unmanaged<Events>.fromOpaque(opaque).takeUnretainedValue()
            events.log?(Int(level), (facility.map { String(cString: $0) + ": " } ?? "") + String(cString: text))
        }
        if delivery != nil {
            rd_kafka_conf_set_dr_msg_cb(conf) { _, message, opaque in
                guard let opaque, let message else { return }
                Unmanaged<Events>.fromOpaque(opaque).takeUnretainedValue().delivery?(message)
            }
        }
        var text = [CChar](repeating: 0, count: 512)
        guard let handle = rd_kafka_new(kind == .producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, &text, text.count) else {
            rd_kafka_conf_destroy(conf)
            throw StreamError(.validate, "librdkafka refuses the properties: " + String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        self.handle = handle
    }

    deinit { close() }

    /// Serves callbacks: deliveries, errors, statistics.
    public func poll(milliseconds: Int32 = 0) { rd_kafka_poll(handle, milliseconds) }

    /// The newest error that came by itself, given once.
    public func takeFailure(_ what: String) -> StreamError? {
        guard let (code, text) = events.state.withLock({ state in defer { state.failure = nil }; return state.failure }) else { return nil }
        return KafkaFailure.error(realCode(code), what, said: text, configuration: configuration)
    }

    /// An error that trying again does not mend (a refused password, a fenced producer); nil while there is hope.
    public func fatalFailure(_ what: String) -> StreamError? {
        guard let (code, text) = events.state.withLock({ $0.failure }), Self.isFinal(code) else { return nil }
        return KafkaFailure.error(realCode(code), what, said: text, configuration: configuration)
    }

    /// A fatal error stands for the one that caused it.
    private func realCode(_ code: rd_kafka_resp_err_t) -> rd_kafka_resp_err_t {
        guard code == RD_KAFKA_RESP_ERR__FATAL else { return code }
        var text = [CChar](repeating: 0, count: 256)
        let real = rd_kafka_fatal_error(handle, &text, text.count)
        return real == RD_KAFKA_RESP_ERR_NO_ERROR ? code : real
    }

    private static func isFinal(_ code: rd_kafka_resp_err_t) -> Bool {
        switch code {
        case RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
             RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
            true
        default: false
        }
    }

    /// An error for a call that failed: what came by itself meanwhile tells more than "timed out".
    public func error(_ code: rd_kafka_resp_err_t, _ what: String, said: String? = nil) -> StreamError {
        poll()
        if KafkaFailure.isTransient(code), let (known, text) = events.state.withLock({ $0.failure }) {
            return KafkaFailure.error(realCode(known), what, said: text, configuration: configuration)
        }
        return KafkaFailure.error(code, what, said: said, configuration: configuration)
    }

    /// The newest statistics of librdkafka (JSON), when `statistics.interval.ms` is set and `poll` is called.
    public var statistics: String? { events.state.withLock { $0.statistics } }

    /// Ends its threads. A consumer leaves its group; what a producer still holds is dropped: flush before.
    public func close() {
        let first = events.state.withLock { state in defer { state.isClosed = true }; return !state.isClosed }
        if first { rd_kafka_destroy(handle) }
    }
}

extension rd_kafka_resp_err_t {
    init(_ code: Int32) { self.init(rawValue: Self.RawValue(code)) }
}
