/// MD5 and the SHA family over raw bytes, as FIPS 180-4 and RFC 1321 define them.
enum Digest: Sendable {
    case md5, sha1, sha224, sha256, sha384, sha512

    var byteCount: Int {
        switch self {
        case .md5: 16
        case .sha1: 20
        case .sha224: 28
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// Writes `byteCount` bytes to `out`, which has room for 64.
    func compute(_ message: UnsafeRawBufferPointer, into out: UnsafeMutablePointer<UInt8>) {
        switch self {
        case .md5: Self.run(message, block: 64, lengthBytes: 8, bigEndian: false, [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476] as [UInt32],
                            bytes: 16, out, Self.md5)
        case .sha1: Self.run(message, block: 64, lengthBytes: 8, bigEndian: true,
                             [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0] as [UInt32], bytes: 20, out, Self.sha1)
        case .sha224: Self.run(message, block: 64, lengthBytes: 8, bigEndian: true,
                               [0xC1059ED8, 0x367CD507, 0x3070DD17, 0xF70E5939, 0xFFC00B31, 0x68581511, 0x64F98FA7, 0xBEFA4FA4] as [UInt32],
                               bytes: 28, out, Self.sha256)
        case .sha256: Self.run(message, block: 64, lengthBytes: 8, bigEndian: true,
                               [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19] as [UInt32],
                               bytes: 32, out, Self.sha256)
        case .sha384: Self.run(message, block: 128, lengthBytes: 16, bigEndian: true,
                               [0xCBBB9D5DC1059ED8, 0x629A292A367CD507, 0x9159015A3070DD17, 0x152FECD8F70E5939,
                                0x67332667FFC00B31, 0x8EB44A8768581511, 0xDB0C2E0D64F98FA7, 0x47B5481DBEFA4FA4] as [UInt64], bytes: 48, out, Self.sha512)
        case .sha512: Self.run(message, block: 128, lengthBytes: 16, bigEndian: true,
                               [0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
                                0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179] as [UInt64], bytes: 64, out, Self.sha512)
        }
    }

    /// Feeds whole blocks, then the padding: a one bit, zeros, and the length in bits.
    private static func run<W: FixedWidthInteger & UnsignedInteger>(
        _ message: UnsafeRawBufferPointer, block: Int, lengthBytes: Int, bigEndian: Bool, _ start: [W], bytes: Int,
        _ out: UnsafeMutablePointer<UInt8>, _ mix: (UnsafeRawPointer, UnsafeMutablePointer<W>) -> Void
    ) {
        withUnsafeTemporaryAllocation(of: W.self, capacity: start.count) { state in
            _ = state.initialize(from: start)
            let h = state.baseAddress!
            var at = 0
            while at + block <= message.count {
                mix(message.baseAddress! + at, h)
                at += block
            }
            withUnsafeTemporaryAllocation(byteCount: block * 2, alignment: 8) { tail in
                tail.initializeMemory(as: UInt8.self, repeating: 0)
                let rest = message.count - at
                if rest > 0 { tail.baseAddress!.copyMemory(from: message.baseAddress! + at, byteCount: rest) }
                tail[rest] = 0x80
                let blocks = rest + 1 + lengthBytes <= block ? 1 : 2
                let bits = UInt64(message.count) * 8
                for i in 0..<8 {
                    let shift = UInt64(bigEndian ? i * 8 : (7 - i) * 8)
                    tail[blocks * block - 1 - i] = UInt8(truncatingIfNeeded: bits >> shift)
                }
                for i in 0..<blocks { mix(UnsafeRawPointer(tail.baseAddress! + i * block), h) }
            }
            let width = W.bitWidth / 8
            for i in 0..<bytes {
                let place = i % width
                out[i] = UInt8(truncatingIfNeeded: h[i / width] >> W((bigEndian ? width - 1 - place : place) * 8))
            }
        }
    }

    @inline(__always)
    private static func rotateLeft(_ x: UInt32, _ n: UInt32) -> UInt32 { x << n | x >> (32 - n) }
    @inline(__always)
    private static func rotate(_ x: UInt32, _ n: UInt32) -> UInt32 { x >> n | x << (32 - n) }
    @inline(__always)
    private static func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x >> n | x << (64 - n) }

    private static let md5Shifts: [UInt32] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]
    private static let md5Sines: [UInt32] = [
        0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
        0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
        0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
        0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
        0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
        0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
        0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
        0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
    ]

    private static func md5(_ block: UnsafeRawPointer, _ h: UnsafeMutablePointer<UInt32>) {
        var (a, b, c, d) = (h[0], h[1], h[2], h[3])
        for i in 0..<64 {
            let f: UInt32, g: Int
            switch i >> 4 {
            case 0: (f, g) = (b & c | ~b & d, i)
            case 1: (f, g) = (d & b | ~d & c, (5 * i + 1) & 15)
            case 2: (f, g) = (b ^ c ^ d, (3 * i + 5) & 15)
            default: (f, g) = (c ^ (b | ~d), (7 * i) & 15)
            }
            let word = UInt32(littleEndian: block.loadUnaligned(fromByteOffset: g * 4, as: UInt32.self))
            let sum = a &+ f &+ md5Sines[i] &+ word
            (a, d, c, b) = (d, c, b, b &+ rotateLeft(sum, md5Shifts[(i >> 4) * 4 + (i & 3)]))
        }
        h[0] &+= a
        h[1] &+= b
        h[2] &+= c
        h[3] &+= d
    }

    private static func sha1(_ block: UnsafeRawPointer, _ h: UnsafeMutablePointer<UInt32>) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { w in
            for i in 0..<16 { w[i] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: i * 4, as: UInt32.self)) }
            for i in 16..<80 { w[i] = rotateLeft(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1) }
            var (a, b, c, d, e) = (h[0], h[1], h[2], h[3], h[4])
            for i in 0..<80 {
                let f: UInt32, k: UInt32
                switch i / 20 {
                case 0: (f, k) = (b & c | ~b & d, 0x5A827999)
                case 1: (f, k) = (b ^ c ^ d, 0x6ED9EBA1)
                case 2: (f, k) = (b & c | b & d | c & d, 0x8F1BBCDC)
                default: (f, k) = (b ^ c ^ d, 0xCA62C1D6)
                }
                let next = rotateLeft(a, 5) &+ f &+ e &+ k &+ w[i]
                (e, d, c, b, a) = (d, c, rotateLeft(b, 30), a, next)
            }
            h[0] &+= a
            h[1] &+= b
            h[2] &+= c
            h[3] &+= d
            h[4] &+= e
        }
    }

    private static let sha256Constants: [UInt32] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ]

    private static func sha256(_ block: UnsafeRawPointer, _ h: UnsafeMutablePointer<UInt32>) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { w in
            for i in 0..<16 { w[i] = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: i * 4, as: UInt32.self)) }
            for i in 16..<64 {
                let x = w[i - 15], y = w[i - 2]
                w[i] = w[i - 16] &+ (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) &+ w[i - 7] &+ (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10)
            }
            var (a, b, c, d) = (h[0], h[1], h[2], h[3]), (e, f, g, k) = (h[4], h[5], h[6], h[7])
            for i in 0..<64 {
                let s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
                let t1 = k &+ s1 &+ (e & f ^ ~e & g) &+ sha256Constants[i] &+ w[i]
                let s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
                let t2 = s0 &+ (a & b ^ a & c ^ b & c)
                (k, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
            }
            h[0] &+= a
            h[1] &+= b
            h[2] &+= c
            h[3] &+= d
            h[4] &+= e
            h[5] &+= f
            h[6] &+= g
            h[7] &+= k
        }
    }

    private static let sha512Constants: [UInt64] = [
        0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b,
        0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1,
        0x9bdc06a725c71235, 0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65, 0x2de92c6f592b0275,
        0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
        0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
        0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b, 0xa2bfe8a14cf10364, 0xa81a664bbc423001,
        0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8,
        0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
        0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec, 0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915,
        0xc67178f2e372532b, 0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
        0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c, 0x4cc5d4becb3e42b6,
        0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
    ]

    private static func sha512(_ block: UnsafeRawPointer, _ h: UnsafeMutablePointer<UInt64>) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 80) { w in
            for i in 0..<16 { w[i] = UInt64(bigEndian: block.loadUnaligned(fromByteOffset: i * 8, as: UInt64.self)) }
            for i in 16..<80 {
                let x = w[i - 15], y = w[i - 2]
                w[i] = w[i - 16] &+ (rotate(x, 1) ^ rotate(x, 8) ^ x >> 7) &+ w[i - 7] &+ (rotate(y, 19) ^ rotate(y, 61) ^ y >> 6)
            }
            var (a, b, c, d) = (h[0], h[1], h[2], h[3]), (e, f, g, k) = (h[4], h[5], h[6], h[7])
            for i in 0..<80 {
                let s1 = rotate(e, 14) ^ rotate(e, 18) ^ rotate(e, 41)
                let t1 = k &+ s1 &+ (e & f ^ ~e & g) &+ sha512Constants[i] &+ w[i]
                let s0 = rotate(a, 28) ^ rotate(a, 34) ^ rotate(a, 39)
                let t2 = s0 &+ (a & b ^ a & c ^ b & c)
                (k, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
            }
            h[0] &+= a
            h[1] &+= b
            h[2] &+= c
            h[3] &+= d
            h[4] &+= e
            h[5] &+= f
            h[6] &+= g
            h[7] &+= k
        }
    }
}
