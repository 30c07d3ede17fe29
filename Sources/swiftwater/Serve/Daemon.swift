import Dashboard
import Foundation
import HTTPServer
import JobControl
import StreamCore
import struct StreamCore.Host
import StreamServer
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The REST API of `serve`, and the topologies that it looks after.
final class Daemon: Sendable {
    let url: String
    private let service: Service
    private let studio: Studio?
    private let server: HTTPServer
    private let file: String

    /// - Throws: `.validate` when it would listen beyond loopback without tokens and TLS; `.conflict` when another daemon has the directory.
    init(_ command: ServeCommand, at address: ListenAddress, _ report: @escaping @Sendable (String) -> Void) throws {
        let isLoopback = Loopback.contains(address.host)
        if !isLoopback {
            let missing = [command.tokens == nil ? "--tokens" : nil, command.tlsCertificate == nil ? "--tls-certificate and --tls-key" : nil].compactMap { $0 }
            guard missing.isEmpty else {
                throw StreamError(.validate, "--listen \(address.host):\(address.port) is reached from other machines, and there is no \(missing.joined(separator: ", no "))",
                                  fix: "give both, or listen on 127.0.0.1")
            }
        }
        var api = RestAPI.Options()
        api.access = try command.tokens.map { try Access(tokensFile: $0, hosts: command.allowHost) } ?? Access(hosts: command.allowHost)
        api.version = swiftwaterVersion
        api.requestsPerSecond = Double(command.requestsPerSecond)
        api.log = report
        api.isSecure = command.tlsCertificate != nil
        api.page = { DashboardAssets.answer($0) }
        var options = Service.Options()
        options.log = report
        let studio = try command.notebooks.map { directory in
            var options = Studio.Options()
            (options.idleSeconds, options.kernelsMax) = (Double(command.notebookIdleMinutes) * 60, command.notebookKernels)
            options.log = report
            return try Studio(directory: directory, data: command.data.path, options: options)
        }
        (self.studio, api.studio) = (studio, studio)
        service = try Service(data: command.data.path, options: options)
        let rest = RestAPI(service, options: api)
        DaemonViews.add(to: rest, service)
        DaemonAlerts.add(to: rest, data: command.data.path)
        var http = HTTPServer.Options()
        http.bodyBytesMax = 4 << 20
        http.bytesInFlightMax = 64 << 20
        http.threads = 16
        http.streamsMax = 256
        http.connectionsMax = 1_024
        if let chain = command.tlsCertificate, let key = command.tlsKey { http.certificate = (chain, key) }
        http.admit = { rest.admit($0) }
        // Health must be told while all threads are busy.
        http.answerAtOnce = { $0.method == "GET" && $0.path == "/healthz" ? rest.answer($0) : nil }
        do {
            server = try HTTPServer(host: address.host, port: address.port, options: http) { rest.answer($0) }
        } catch {
            studio?.close()
            service.close(leavingJobs: true)
            throw StreamError(.io, "cannot listen on \(address.host):\(address.port): \(error)", fix: "choose another port, end what listens there, or check the certificate's files")
        }
        let host = server.host.contains(":") ? "[\(server.host)]" : server.host
        url = "\(command.tlsCertificate == nil ? "http" : "https")://\(host):\(server.port)"
        // Where the other commands find it.
        file = command.data.path + "/service/endpoint"
        try Host.system.replaceFile(file, Array((url + "\n").utf8))
    }

    func stop(leavingJobs: Bool) {
        if !leavingJobs { try? Host.system.remove(file) }
        // Readers' streams end with it, and the server's end need not wait for them.
        studio?.close()
        server.stop(grace: 2)
        service.close(leavingJobs: leavingJobs)
    }

    /// Becomes the program that is now where this one was started from, with the same arguments.
    static func replace() throws -> Never {
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        let program = ChildProgram.path
        var arguments = CommandLine.arguments.map { strdup($0) } + [nil]
        execv(program, &arguments)
        throw Host.failure("start", program)
    }
}

/// What `serve --print-systemd-unit` prints.
enum SystemdUnit {
    static func text(arguments: [String], data: String) -> String {
        var kept: [String] = [], skipsNext = false
        for argument in arguments.dropFirst() {
            if skipsNext {
                skipsNext = false
                continue
            }
            if argument == "--print-systemd-unit" { continue }
            if argument == "--data" {
                skipsNext = true
                continue
            }
            if argument.hasPrefix("--data=") { continue }
            kept.append(argument)
        }
        if !kept.contains(where: { $0.hasPrefix("--listen") }) { kept += ["--listen", "127.0.0.1:8081"] }
        let line = ([ChildProgram.path] + kept + ["--data", data]).map(quoted).joined(separator: " ")
        return """
            [Unit]
            Description=Swiftwater
            Documentation=man:systemd.service(5)
            After=network-online.target
            Wants=network-online.target

            [Service]
            Type=exec
            ExecStart=\(line)
            ExecReload=/bin/kill -HUP $MAINPID
            Restart=always
            RestartSec=2
            # Memory and processor of topologies are shared out by control groups below the unit's own.
            Delegate=cpu memory
            # A stop ends topologies cleanly. Of a daemon that was killed systemd ends them, too, and the next one goes on from their newest checkpoints.
            KillMode=mixed
            TimeoutStopSec=90
            LimitNOFILE=65536
            NoNewPrivileges=yes
            ProtectSystem=full
            PrivateTmp=no

            [Install]
            WantedBy=multi-user.target

            """
    }

    private static func quoted(_ text: String) -> String {
        let plain = text.replacingOccurrences(of: "%", with: "%%")
        guard text.contains(where: { $0.isWhitespace || "\"'\\$".contains($0) }) else { return plain }
        return "\"" + plain.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"").replacingOccurrences(of: "$", with: "$$") + "\""
    }
}
