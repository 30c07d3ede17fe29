import COpenSSL
import Foundation

enum Digests {
    /// 32 bytes.
    static func sha256(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        var out = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        _ = bytes.withUnsafeBufferPointer { SHA256($0.baseAddress, $0.count, &out) }
        return out
    }
}

package enum Base64 {
    /// RFC 4648, with padding and without line breaks.
    package static func text(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
}
