import CRdKafka
import StreamCore

/// Turns what librdkafka reports into errors that say which option to look at.
public enum KafkaFailure {
    /// librdkafka's short text for a code.
    public static func text(_ code: rd_kafka_resp_err_t) -> String { String(cString: rd_kafka_err2str(code)) }

    /// - Parameter what: what was being done, to what: `reading topic orders`.
    public static func error(_ code: rd_kafka_resp_err_t, _ what: String, said: String? = nil, configuration: KafkaConfiguration) -> StreamError {
        let reason = said.map { $0.isEmpty ? text(code) : $0 } ?? text(code)
        return StreamError(kind(code), "\(what): \(reason) (cluster \(configuration.servers))", fix: fix(code, configuration))
    }

    /// Worth another try without anybody's doing something.
    public static func isTransient(_ code: rd_kafka_resp_err_t) -> Bool {
        switch code {
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
             RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR__WAIT_CACHE, RD_KAFKA_RESP_ERR__IN_PROGRESS, RD_KAFKA_RESP_ERR__RETRY, RD_KAFKA_RESP_ERR__RESOLVE,
             RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
             RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
             RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
             RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
             RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
             RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
            return true
        default: return false
        }
    }

    private static func kind(_ code: rd_kafka_resp_err_t) -> StreamError.Code {
        switch code {
        case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED: .conflict
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_MSG: .runtime
        default: .io
        }
    }

    private static func fix(_ code: rd_kafka_resp_err_t, _ configuration: KafkaConfiguration) -> String? {
        func option(_ name: String) -> String { "'\(configuration.option(name))'" }
        return switch code {
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
            "start the broker, or correct \(option("bootstrap.servers")); a listener that wants SSL or SASL needs \(option("security.protocol"))"
        case RD_KAFKA_RESP_ERR__RESOLVE: "correct the host names in \(option("bootstrap.servers"))"
        case RD_KAFKA_RESP_ERR__SSL:
            "look at \(option("security.protocol")) and at the certificates in \(option("ssl.ca.location")) and \(option("ssl.certificate.location"))"
        case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
            "look at \(option("sasl.mechanism")), \(option("sasl.username")) and \(option("sasl.password"))"
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
             RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            "let the cluster's administrator allow it to the user of \(option("sasl.username")), or connect as another user"
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            "create the topic, or correct the option 'topic'"
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
            "raise \(option("message.max.bytes")) here and max.message.bytes of the topic, or write smaller rows"
        case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT: "the broker is slow or away: look at it, or raise \(option("message.timeout.ms"))"
        case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
            "the records are gone from the broker: start anew with --fresh, or set \(option("auto.offset.reset")) to earliest or latest to go on with what is there"
        case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
            "lower \(option("transaction.timeout.ms")) below the broker's transaction.max.timeout.ms, or raise that"
        case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
            "another run of the job writes with the same 'sink.transactional-id-prefix': stop one of them, or give each job its own prefix"
        default: nil
        }
    }
}
