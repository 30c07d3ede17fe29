import Foundation
import StreamCore
import TestScripts

@testable import ObjectStore

extension S3Server {
    func storeOptions(_ more: [String: String] = [:]) throws -> ObjectStoreOptions {
        try ObjectStoreOptions(TableDescriptor(name: "t", schema: [], options: options.merging(more) { $1 }), environment: [:])
    }

    func client(_ more: [String: String] = [:], bucket: String = "lake") throws -> S3Client { try S3Client(bucket: bucket, options: storeOptions(more)) }
}

func token() -> String { UUID().uuidString }

/// Bytes that look alike nowhere.
func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 2_862_933_555_777_941_757 &+ 3_037_000_493
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
    }
}

/// A file that is removed with the object.
final class TemporaryFile {
    let path = NSTemporaryDirectory() + "/swiftwater-test-" + UUID().uuidString
    init(_ bytes: [UInt8] = []) throws { try Data(bytes).write(to: URL(filePath: path)) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    var bytes: [UInt8] { get throws { Array(try Data(contentsOf: URL(filePath: path))) } }
}
