import COpenSSL
import StreamCore

/// TLS over a connected socket, set up by librdkafka's `ssl.*` properties.
final class WireEncryption {
    private let context: OpaquePointer
    private let tls: OpaquePointer

    static let properties: Set<String> = [
        "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location", "ssl.certificate.pem", "ssl.key.location", "ssl.key.pem", "ssl.key.password",
        "enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm", "ssl.cipher.suites",
    ]

    /// Shakes hands. - Throws: `.validate` for certificates that cannot be read, or a broker that is not trusted.
    init(_ socket: Int32, host: String, _ configuration: KafkaConfiguration) throws {
        func failed(_ what: String, _ name: String) -> StreamError {
            StreamError(.validate, "Kafka broker \(host): \(what): \(Self.reason())", fix: "look at '\(configuration.option(name))'")
        }
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw failed("no TLS", "security.protocol") }
        self.context = context
        swiftwater_tls_set_minimum(context)
        let verifies = configuration["enable.ssl.certificate.verification"]?.lowercased() != "false"
        do {
            if let path = configuration["ssl.ca.location"], path != "probe" {
                guard SSL_CTX_load_verify_locations(context, path, nil) == 1 || SSL_CTX_load_verify_locations(context, nil, path) == 1 else {
                    throw failed("no certificates in \(path)", "ssl.ca.location")
                }
            } else if let text = configuration["ssl.ca.pem"] {
                guard Self.trust(text, context) else { throw failed("no certificate is given", "ssl.ca.pem") }
            } else {
                SSL_CTX_set_default_verify_paths(context)
            }
            try Self.useOwn(context, configuration, failed)
            if let ciphers = configuration["ssl.cipher.suites"], SSL_CTX_set_cipher_list(context, ciphers) != 1 { throw failed("no such ciphers", "ssl.cipher.suites") }
            SSL_CTX_set_verify(context, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
            guard let tls = SSL_new(context) else { throw failed("no TLS", "security.protocol") }
            self.tls = tls
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        swiftwater_tls_set_retry(self.tls)
        let isAddress = host.contains(":") || host.allSatisfy { $0.isNumber || $0 == "." }
        if !isAddress { swiftwater_tls_set_name(self.tls, host) }
        if verifies, configuration["ssl.endpoint.identification.algorithm"] != "none", let parameters = SSL_get0_param(self.tls) {
            _ = isAddress ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host) : X509_VERIFY_PARAM_set1_host(parameters, host, 0)
        }
        SSL_set_fd(self.tls, socket)
        guard SSL_connect(self.tls) == 1 else {
            let verdict = SSL_get_verify_result(self.tls)
            if verdict != X509_V_OK {
                throw StreamError(.validate, "Kafka broker \(host) is not trusted: \(String(cString: X509_verify_cert_error_string(verdict)))",
                                  fix: "name the certificate of its authority in '\(configuration.option("ssl.ca.location"))'")
            }
            throw StreamError(.io, "Kafka broker \(host) does not shake hands: \(Self.reason())", fix: "look at '\(configuration.option("security.protocol"))'")
        }
    }

    deinit {
        SSL_free(tls)
        SSL_CTX_free(context)
    }

    func write(_ bytes: UnsafeRawPointer, _ count: Int) -> Int { Int(SSL_write(tls, bytes, Int32(count))) }
    func read(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int { Int(SSL_read(tls, bytes, Int32(count))) }

    /// The oldest error that OpenSSL keeps.
    private static func reason() -> String {
        let code = ERR_get_error()
        guard code != 0 else { return "the connection ended" }
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(code, &text, text.count)
        ERR_clear_error()
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func certificates(_ text: String) -> [OpaquePointer] {
        var copy = text, found: [OpaquePointer] = []
        copy.withUTF8 { bytes in
            guard let memory = swiftwater_memory(bytes.baseAddress, Int32(bytes.count)) else { return }
            defer { BIO_free(memory) }
            while let certificate = PEM_read_bio_X509(memory, nil, nil, nil) { found.append(certificate) }
        }
        ERR_clear_error()
        return found
    }

    private static func trust(_ text: String, _ context: OpaquePointer) -> Bool {
        let found = certificates(text), store = SSL_CTX_get_cert_store(context)
        for certificate in found {
            X509_STORE_add_cert(store, certificate)
            X509_free(certificate)
        }
        return !found.isEmpty
    }

    /// This client's certificate and key, when they are given.
    private static func useOwn(_ context: OpaquePointer, _ configuration: KafkaConfiguration, _ failed: (String, String) -> StreamError) throws {
        var password = Array((configuration["ssl.key.password"] ?? "").utf8CString)
        try password.withUnsafeMutableBufferPointer { password in
            swiftwater_tls_set_password(context, password.baseAddress!)
            defer { swiftwater_tls_set_password(context, nil) }
            if let path = configuration["ssl.certificate.location"], SSL_CTX_use_certificate_chain_file(context, path) != 1 {
                throw failed("no certificate in \(path)", "ssl.certificate.location")
            }
            if let text = configuration["ssl.certificate.pem"] {
                let found = certificates(text)
                defer { found.forEach { X509_free($0) } }
                guard let first = found.first, SSL_CTX_use_certificate(context, first) == 1 else { throw failed("no certificate is given", "ssl.certificate.pem") }
                for other in found.dropFirst() {
                    X509_up_ref(other)
                    SSL_CTX_ctrl(context, SSL_CTRL_EXTRA_CHAIN_CERT, 0, UnsafeMutableRawPointer(other))
                }
            }
            if let path = configuration["ssl.key.location"], SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1 {
                throw failed("no key in \(path)", "ssl.key.location")
            }
            if var text = configuration["ssl.key.pem"] {
                let key = text.withUTF8 { bytes -> OpaquePointer? in
                    guard let memory = swiftwater_memory(bytes.baseAddress, Int32(bytes.count)) else { return nil }
                    defer { BIO_free(memory) }
                    return PEM_read_bio_PrivateKey(memory, nil, swiftwater_password, password.baseAddress)
                }
                defer { EVP_PKEY_free(key) }
                guard let key, SSL_CTX_use_PrivateKey(context, key) == 1 else { throw failed("no key is given", "ssl.key.pem") }
            }
        }
    }
}

/// The client's side of SCRAM (RFC 5802): proves that it knows the password without sending it, and that the server does.
struct ScramLogin {
    enum Hash { case sha256, sha512 }

    private let hash: Hash
    private let password: [UInt8]
    private let nonce: String
    private let firstBare: String
    private var serverSignature: [UInt8] = []

    init(_ hash: Hash, user: String, password: String, nonce: String) {
        self.hash = hash
        self.password = Array(password.utf8)
        self.nonce = nonce
        firstBare = "n=" + user.replacing("=", with: "=3D").replacing(",", with: "=2C") + ",r=" + nonce
    }

    var first: [UInt8] { Array(("n,," + firstBare).utf8) }

    /// What answers the server's challenge; nil when that is none for this login.
    mutating func answer(_ challenge: [UInt8]) -> [UInt8]? {
        let text = String(decoding: challenge, as: UTF8.self), parts = Self.parts(text)
        guard let theirs = parts["r"], theirs.hasPrefix(nonce), let salt = parts["s"].flatMap(Base64.decode), let rounds = parts["i"].flatMap({ Int32($0) }), rounds > 0 else { return nil }
        let bare = "c=biws,r=" + theirs
        let message = Array((firstBare + "," + text + "," + bare).utf8)
        let salted = stretch(salt, rounds)
        let clientKey = mac(salted, Array("Client Key".utf8))
        let signature = mac(digest(clientKey), message)
        serverSignature = mac(mac(salted, Array("Server Key".utf8)), message)
        return Array((bare + ",p=" + Base64.encode(zip(clientKey, signature).map { $0 ^ $1 })).utf8)
    }

    /// The server knows the password too.
    func accepts(_ final: [UInt8]) -> Bool {
        Self.parts(String(decoding: final, as: UTF8.self))["v"].flatMap(Base64.decode) == serverSignature && !serverSignature.isEmpty
    }

    private static func parts(_ text: String) -> [Character: String] {
        var parts: [Character: String] = [:]
        for part in text.split(separator: ",") where part.count > 2 { parts[part.first!] = String(part.dropFirst(2)) }
        return parts
    }

    private var algorithm: OpaquePointer { hash == .sha256 ? EVP_sha256() : EVP_sha512() }
    private var size: Int { hash == .sha256 ? 32 : 64 }

    private func stretch(_ salt: [UInt8], _ rounds: Int32) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size)
        _ = password.withUnsafeBytes { password in
            PKCS5_PBKDF2_HMAC(password.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(password.count), salt, Int32(salt.count), rounds, algorithm, Int32(size), &out)
        }
        return out
    }

    private func mac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size), count: UInt32 = 0
        HMAC(algorithm, key, Int32(key.count), message, message.count, &out, &count)
        return out
    }

    private func digest(_ bytes: [UInt8]) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size), count: UInt32 = 0
        EVP_Digest(bytes, bytes.count, &out, &count, algorithm, nil)
        return out
    }
}

private enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String {
        var out = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
        let count = EVP_EncodeBlock(&out, bytes, Int32(bytes.count))
        return String(decoding: out.prefix(Int(count)), as: UTF8.self)
    }

    static func decode(_ text: String) -> [UInt8]? {
        let bytes = Array(text.utf8)
        guard bytes.count % 4 == 0 else { return nil }
        var out = [UInt8](repeating: 0, count: bytes.count / 4 * 3 + 1)
        let count = EVP_DecodeBlock(&out, bytes, Int32(bytes.count))
        guard count >= 0 else { return nil }
        return Array(out.prefix(Int(count) - (text.hasSuffix("==") ? 2 : text.hasSuffix("=") ? 1 : 0)))
    }
}
