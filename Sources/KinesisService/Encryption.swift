import AWSProtocol
import ShardLog
import StreamCore

/// Encryption of records at rest.
extension Call {
    func startStreamEncryption() throws -> AWSResponse {
        let stream = try stream()
        guard text("EncryptionType") == "KMS", let key = text("KeyId") else {
            throw AWSError.invalidArgument("EncryptionType must be KMS for StartStreamEncryption.")
        }
        try update(stream) { _, attributes in attributes.keyID = key }
        return .empty
    }

    func stopStreamEncryption() throws -> AWSResponse {
        let stream = try stream()
        guard text("EncryptionType") == "KMS" else { throw AWSError.invalidArgument("EncryptionType must be KMS for StopStreamEncryption.") }
        try update(stream) { _, attributes in attributes.keyID = nil }
        return .empty
    }
}
