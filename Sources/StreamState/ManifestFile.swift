import CChecksum
import Foundation
import StreamCore

/// `manifest.json`: the manifest with its version and CRC32C in front, which is over the bytes of the manifest in the file.
///
///     {"version":1,"crc32c":"0badcafe","manifest":
///     {...}
///     }
enum ManifestFile {
    static let name = "manifest.json"
    private static let suffix = Array("\n}\n".utf8)

    private static func prefix(version: Int, crc: UInt32) -> [UInt8] {
        let hex = String(crc, radix: 16)
        let padded = String(repeating: "0", count: 8 - hex.count) + hex
        return Array("{\"version\":\(version),\"crc32c\":\"\(padded)\",\"manifest\":\n".utf8)
    }

    static func encode(_ manifest: CheckpointManifest) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let body = [UInt8](try encoder.encode(manifest))
        return prefix(version: manifest.version, crc: checksum(body[...])) + body + suffix
    }

    /// Only the part that every version has.
    private struct Version: Decodable { var version: Int }

    /// - Throws: `.corrupt` when the file is missing or damaged, `.validate` when it was written by a newer version; both name it.
    static func read(_ directory: String) throws -> CheckpointManifest {
        let path = directory + "/" + name
        guard Host.exists(path) else { throw StateFile.missing(path, holds: "the manifest") }
        let bytes = try Host.read(path)
        let decoder = JSONDecoder()
        let empty = prefix(version: CheckpointManifest.currentVersion, crc: 0)
        if bytes.count > empty.count + suffix.count {
            let body = bytes[empty.count..<bytes.count - suffix.count]
            if bytes.starts(with: prefix(version: CheckpointManifest.currentVersion, crc: checksum(body))), bytes[body.endIndex...].elementsEqual(suffix) {
                do {
                    let manifest = try decoder.decode(CheckpointManifest.self, from: Data(body))
                    if manifest.version == CheckpointManifest.currentVersion { return manifest }
                    throw newer(path, manifest.version)
                } catch let error as StreamError {
                    throw error
                } catch {
                    if let other = try? decoder.decode(Version.self, from: Data(body)), other.version > CheckpointManifest.currentVersion {
                        throw newer(path, other.version)
                    }
                    throw StateFile.damaged(path, "it is not a manifest: \(error)")
                }
            }
        }
        if let other = try? decoder.decode(Version.self, from: Data(bytes)), other.version > CheckpointManifest.currentVersion {
            throw newer(path, other.version)
        }
        throw StateFile.damaged(path, "its contents do not match its checksum")
    }

    private static func newer(_ path: String, _ version: Int) -> StreamError {
        StreamError(.validate, "\(path) has format \(version); this swiftwater reads up to format \(CheckpointManifest.currentVersion)",
                    fix: "use a newer swiftwater, or start from a checkpoint or savepoint that this one wrote")
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBytes { sw_crc32c(0, $0.baseAddress, $0.count) }
    }

    /// The path of a file that a manifest in `directory` names.
    static func path(_ name: String, from directory: String) -> String {
        var (directory, name) = (Substring(directory), Substring(name))
        while directory.count > 1, directory.last == "/" { directory.removeLast() }
        // ".." is taken out for the eye, where that is the same: not behind a link.
        if name.hasPrefix("../"), Host.isDirectory(String(directory)), !directory.hasSuffix("."), directory.contains("/") {
            directory = Substring(Host.parent(of: String(directory)))
            name = name.dropFirst(3)
        }
        return "\(directory)/\(name)"
    }
}
