import AWSProtocol
import ShardLog
import StreamCore

/// Encryption of records at rest, with keys that the log keeps: the name of a key is the alias of one of them, made at its first use.
extension Call {
    static func encryptionType(_ stream: StreamInfo) -> String { stream.settings.encryptionKey == nil ? "NONE" : "KMS" }

    func startStreamEncryption() throws -> AWSResponse {
        let stream = try stream()
        guard text("EncryptionType") == "KMS", let key = text("KeyId") else {
            throw AWSError.invalidArgument("EncryptionType must be KMS for StartStreamEncryption.")
        }
        try update(stream) { settings, _ in settings.encryptionKey = key }
        return .empty
    }

    func stopStreamEncryption() throws -> AWSResponse {
        let stream = try stream()
        guard text("EncryptionType") == "KMS" else { throw AWSError.invalidArgument("EncryptionType must be KMS for StopStreamEncryption.") }
        try update(stream) { settings, _ in settings.encryptionKey = nil }
        return .empty
    }
}
