import COpenSSL
import StreamCore

/// Which servers are trusted. One for all connections of a client.
package final class TLSSettings: @unchecked Sendable {  // SAFETY: an SSL_CTX may be used by several threads once it is set up
    fileprivate let context: OpaquePointer

    /// - Parameter authorities: a file of certificates in PEM form that are trusted instead of the system's.
    package init(authorities: String?) throws {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw StreamError(.runtime, "OpenSSL cannot be set up") }
        self.context = context
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        _ = swiftwater_tls_set_minimum(context)
        if let authorities {
            guard SSL_CTX_load_verify_locations(context, authorities, nil) == 1 else {
                throw StreamError(.validate, "cannot read certificates from \(authorities)", fix: "set AWS_CA_BUNDLE to a file of certificates in PEM form")
            }
        } else {
            SSL_CTX_set_default_verify_paths(context)
        }
    }

    deinit { SSL_CTX_free(context) }
}

/// TLS over a socket. The bytes go through memory, so that all waiting is the socket's.
package final class TLSStream {
    private let socket: Socket
    private let session: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer

    package init(_ socket: Socket, host: String, _ settings: TLSSettings) throws {
        guard let session = SSL_new(settings.context), let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
            throw HTTPProblem("OpenSSL has no memory")
        }
        (self.socket, self.session, self.incoming, self.outgoing) = (socket, session, incoming, outgoing)
        // The session owns both from here on.
        SSL_set_bio(session, incoming, outgoing)
        SSL_set_connect_state(session)
        let isAddress = host.allSatisfy { $0.isNumber || $0 == "." } || host.hasPrefix("[")
        if isAddress {
            X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host)
        } else {
            SSL_set1_host(session, host)
            _ = swiftwater_tls_set_name(session, host)
        }
        while true {
            let done = SSL_do_handshake(session)
            let reason = done == 1 ? 0 : SSL_get_error(session, done)
            try flush()
            if done == 1 { return }
            guard reason == SSL_ERROR_WANT_READ else { throw HTTPProblem("TLS with \(host) failed: \(trouble())") }
            guard try fill() else { throw HTTPProblem("\(host) closed the connection during the TLS handshake") }
        }
    }

    deinit { SSL_free(session) }

    private func trouble() -> String {
        let verdict = SSL_get_verify_result(session)
        if verdict != Int(X509_V_OK) { return "its certificate is not trusted: \(String(cString: X509_verify_cert_error_string(verdict)))" }
        let code = ERR_get_error()
        return code == 0 ? "the connection ended" : ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
    }

    private func flush() throws {
        while BIO_ctrl_pending(outgoing) > 0 {
            let part = [UInt8](unsafeUninitializedCapacity: Int(BIO_ctrl_pending(outgoing))) { out, filled in
                filled = Int(max(0, BIO_read(outgoing, out.baseAddress!, Int32(out.count))))
            }
            if part.isEmpty { return }
            try part.withUnsafeBytes { try socket.send($0) }
        }
    }

    private func fill() throws -> Bool {
        let part = try socket.receive(1 << 16)
        if part.isEmpty { return false }
        _ = BIO_write(incoming, part, Int32(part.count))
        return true
    }

    package func send(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                let n = SSL_write(session, bytes.baseAddress! + done, Int32(min(1 << 18, bytes.count - done)))
                try flush()
                if n > 0 {
                    done += Int(n)
                } else {
                    guard SSL_get_error(session, n) == SSL_ERROR_WANT_READ else { throw HTTPProblem("TLS failed: \(trouble())") }
                    guard try fill() else { throw HTTPProblem("the connection was closed") }
                }
            }
        }
    }

    /// Some bytes, at least one; none at the end of the connection.
    package func receive() throws -> [UInt8] {
        while true {
            var n: Int32 = 0
            let part = [UInt8](unsafeUninitializedCapacity: 1 << 16) { out, filled in
                n = SSL_read(session, out.baseAddress!, Int32(out.count))
                filled = Int(max(0, n))
            }
            if n > 0 { return part }
            switch SSL_get_error(session, n) {
            case SSL_ERROR_WANT_READ:
                try flush()
                guard try fill() else { return [] }
            case SSL_ERROR_ZERO_RETURN: return []
            default: throw HTTPProblem("TLS failed: \(trouble())")
            }
        }
    }
}
