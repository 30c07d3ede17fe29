import COpenSSL
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The keys that batches are encrypted with: `<log>/keys/<alias>.key`, 32 random bytes that only their owner can read, made when
/// an alias is used for the first time. Batches name their key by its ``Key/id``, so that a stream can change its alias.
final class KeyRing: Sendable {
    struct Key: Sendable {
        /// The first bytes of a digest of the key: tells keys apart, and nothing about them.
        let id: UInt64
        fileprivate let bytes: [UInt8]
    }

    let directory: String
    private let host: Host
    private let known = Mutex<[UInt64: Key]>([:])

    static let keyBytes = 32

    init(directory: String, host: Host) {
        self.directory = directory + "/keys"
        self.host = host
    }

    /// The key of an alias, which is made when there is none.
    func key(alias: String) throws -> Key {
        let path = directory + "/" + Self.fileName(alias)
        if !Host.exists(path) { try make(path) }
        return try load(path)
    }

    /// The key that a batch names.
    func key(id: UInt64) throws -> Key {
        if let key = known.withLock({ $0[id] }) { return key }
        for name in try Host.names(in: directory) where name.hasSuffix(".key") {
            let key = try load(directory + "/" + name)
            if key.id == id { return key }
        }
        throw StreamError(.io, "records are encrypted with key \(hexadecimal(id)), which is not in \(directory)",
                          fix: "put the key's file back into \(directory)")
    }

    private func load(_ path: String) throws -> Key {
        let bytes = try Host.read(path)
        guard bytes.count == Self.keyBytes else {
            throw StreamError(.corrupt, "\(path) has \(bytes.count) bytes; a key has \(Self.keyBytes)", fix: "restore the file from a backup")
        }
        var digest = [UInt8](repeating: 0, count: 32)
        let input = Array("swiftwater key id".utf8) + bytes
        guard EVP_Digest(input, input.count, &digest, nil, EVP_sha256(), nil) == 1 else { throw BatchCipher.failure("digest a key") }
        let key = Key(id: digest.withUnsafeBytes { UInt64(bigEndian: $0.load(as: UInt64.self)) }, bytes: bytes)
        known.withLock { $0[key.id] = key }
        return key
    }

    private func make(_ path: String) throws {
        try host.createDirectories(directory)
        var words = (0..<Self.keyBytes / 8).map { _ in host.randomBits() }
        let temporary = directory + "/.making-\(host.uuid())"
        let fd = host.open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard fd >= 0 else { throw Host.failure("create", temporary) }
        defer { _ = host.unlink(temporary) }
        do {
            defer { _ = host.close(fd) }
            try words.withUnsafeMutableBytes { try host.writeAll(fd, UnsafeRawBufferPointer($0), at: 0, path: temporary) }
            guard host.sync(fd) == 0 else { throw Host.failure("flush", temporary) }
        }
        // Whoever links first has made the key; the others use it.
        if host.link(temporary, path) != 0, errno != EEXIST { throw Host.failure("create", path) }
        try host.syncDirectory(directory)
    }

    /// Aliases may be of any characters, as those of key services are.
    static func fileName(_ alias: String) -> String {
        var name = ""
        for byte in alias.utf8 {
            let isPlain = (byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || byte == 0x5F || byte == 0x2D
            name += isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
        guard name.utf8.count > 200 else { return name + ".key" }
        var digest = [UInt8](repeating: 0, count: 32)
        _ = EVP_Digest(Array(alias.utf8), alias.utf8.count, &digest, nil, EVP_sha256(), nil)
        return "sha256-" + digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + ".key"
    }
}

/// AES-256-GCM over the payloads of batches with one key. One thread at a time.
///
///     sealed payload: key id (UInt64, little-endian) | nonce (12) | encrypted bytes | tag (16)
final class BatchCipher {
    static let prefixBytes = 20, tagBytes = 16
    static let extraBytes = prefixBytes + tagBytes

    let id: UInt64
    private let context: OpaquePointer
    private let isSealing: Bool
    private let randomBits: () -> UInt64
    /// A nonce is a random number of this object and a counter: none comes twice with a key.
    private var salt: UInt64
    private var counter: UInt32 = 0

    init(_ key: KeyRing.Key, sealing: Bool, randomBits: @escaping () -> UInt64) throws {
        guard let context = EVP_CIPHER_CTX_new() else { throw Self.failure("make a cipher") }
        self.context = context
        id = key.id
        isSealing = sealing
        self.randomBits = randomBits
        salt = sealing ? randomBits() : 0
        guard EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nil, key.bytes, nil, sealing ? 1 : 0) == 1 else { throw Self.failure("set a key") }
    }

    deinit { EVP_CIPHER_CTX_free(context) }

    /// Fills `out` with `count` + ``extraBytes`` bytes.
    func seal(_ bytes: UnsafeRawPointer, _ count: Int, _ bound: (UInt32, UInt32, UInt32), into out: UnsafeMutableRawPointer) throws {
        if counter == .max { (salt, counter) = (randomBits(), 0) }
        counter += 1
        out.storeBytes(of: id.littleEndian, as: UInt64.self)
        out.storeBytes(of: salt.littleEndian, toByteOffset: 8, as: UInt64.self)
        out.storeBytes(of: counter.littleEndian, toByteOffset: 16, as: UInt32.self)
        let body = out + Self.prefixBytes
        guard try run(bytes, count, nonce: out + 8, bound, into: body), EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagBytes), body + count) == 1
        else { throw Self.failure("encrypt \(count) bytes") }
    }

    /// Fills `out` with the `count` - ``extraBytes`` bytes that were sealed; false when they are not what was sealed with this key.
    func open(_ sealed: UnsafeRawPointer, _ count: Int, _ bound: (UInt32, UInt32, UInt32), into out: UnsafeMutableRawPointer) throws -> Bool {
        let inner = count - Self.extraBytes
        let tag = UnsafeMutableRawPointer(mutating: sealed + Self.prefixBytes + inner)
        guard EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagBytes), tag) == 1 else { throw Self.failure("decrypt") }
        return try run(sealed + Self.prefixBytes, inner, nonce: sealed + 8, bound, into: out)
    }

    static func keyID(_ sealed: UnsafeRawPointer) -> UInt64 { UInt64(littleEndian: sealed.loadUnaligned(as: UInt64.self)) }

    /// `bound` is not encrypted, but must be the same again.
    private func run(_ bytes: UnsafeRawPointer, _ count: Int, nonce: UnsafeRawPointer, _ bound: (UInt32, UInt32, UInt32),
                     into out: UnsafeMutableRawPointer) throws -> Bool {
        let nonce = nonce.assumingMemoryBound(to: UInt8.self), input = bytes.assumingMemoryBound(to: UInt8.self)
        let output = out.assumingMemoryBound(to: UInt8.self)
        guard EVP_CipherInit_ex(context, nil, nil, nil, nonce, isSealing ? 1 : 0) == 1 else { throw Self.failure("set a nonce") }
        var done: Int32 = 0
        let words = [bound.0.littleEndian, bound.1.littleEndian, bound.2.littleEndian]
        let isBound = words.withUnsafeBytes { EVP_CipherUpdate(context, nil, &done, $0.bindMemory(to: UInt8.self).baseAddress, 12) == 1 }
        guard isBound, EVP_CipherUpdate(context, output, &done, input, Int32(count)) == 1 else { throw Self.failure("encrypt or decrypt \(count) bytes") }
        return EVP_CipherFinal_ex(context, output + Int(done), &done) == 1
    }

    static func failure(_ doing: String) -> StreamError {
        StreamError(.io, "OpenSSL cannot \(doing): error \(ERR_get_error())")
    }
}

func hexadecimal(_ bits: UInt64) -> String {
    let digits = String(bits, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
