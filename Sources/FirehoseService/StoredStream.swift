import AWSProtocol
import Foundation
import StreamCore
import Topology

/// A delivery stream as it is kept: what it does, and what the API was told of it.
///
///     <data>/firehose/<name>/stream.json    this
///     <data>/firehose/<name>/checkpoints/   of its job
struct StoredStream: Codable, Sendable {
    enum Origin: String, Codable, Sendable {
        case api
        /// Of a topology file: it is there as long as the file is given.
        case topology
    }

    var formatVersion = 1
    var definition: DeliveryStream
    var origin: Origin
    /// Of the job; another one when a stream is deleted and made again.
    var jobID: String
    /// Milliseconds since 1970-01-01.
    var created: Int64
    var updated: Int64?
    /// As CreateDeliveryStream named it, for example `ExtendedS3DestinationConfiguration`, and its members as JSON.
    var destinationKind: String?
    var configuration: String?
    /// KinesisStreamSourceConfiguration as JSON.
    var sourceConfiguration: String?
    var region = AWSRequest.defaultRegion
    var accountID = AWSRequest.defaultAccountID
    var tags: [Tag] = []
    /// nil = records that are put are not encrypted.
    var encryption: Encryption?
    /// Its deletion has begun.
    var isDeleting = false

    struct Encryption: Codable, Sendable, Hashable {
        /// `AWS_OWNED_CMK` or `CUSTOMER_MANAGED_CMK`
        var keyType: String
        var keyARN: String?
        /// What the log calls the key.
        var alias: String { keyARN ?? "aws/firehose" }
    }

    struct Tag: Codable, Sendable, Hashable {
        var key: String
        var value: String?
    }

    var name: String { definition.name }
    var arn: String { "arn:aws:firehose:\(region):\(accountID):deliverystream/\(name)" }

    static func json(_ value: AWSValue) -> String { String(decoding: AWSJSON.write(value), as: UTF8.self) }
    static func value(_ json: String?) -> AWSValue { json.flatMap { try? AWSJSON.parse(Array($0.utf8)) } ?? .map([:]) }

    static func path(_ directory: String) -> String { directory + "/stream.json" }

    func write(to directory: String, _ host: StreamCore.Host) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try host.createDirectories(directory)
        try host.replaceFile(Self.path(directory), Array(try encoder.encode(self)) + [0x0A])
    }

    static func read(from directory: String) throws -> StoredStream {
        let bytes = try StreamCore.Host.read(path(directory))
        guard let stream = try? JSONDecoder().decode(StoredStream.self, from: Data(bytes)), stream.formatVersion == 1 else {
            throw StreamError(.corrupt, "\(path(directory)) does not describe a delivery stream", fix: "restore the file, or delete \(directory) to give the stream up")
        }
        return stream
    }
}
