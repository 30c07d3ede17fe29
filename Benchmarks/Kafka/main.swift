import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// bench-kafka --bootstrap HOST:PORT [--messages N] [--rounds N]
//
// Reading and writing 100-byte JSON messages of a topic with one partition: librdkafka alone, as its own rdkafka_performance does it,
// and SQL jobs with one worker. The two take turns, and the best of the rounds counts, so that the ratios are of one run.

do {
    var bootstrap: String?, messages = 1_000_000, rounds = 3
    var arguments = CommandLine.arguments.dropFirst().makeIterator()
    while let name = arguments.next() {
        guard let value = arguments.next() else { throw StreamError(.validate, "\(name) has no value") }
        switch name {
        case "--bootstrap": bootstrap = value
        case "--messages": messages = max(1_000, Int(value) ?? messages)
        case "--rounds": rounds = max(1, Int(value) ?? rounds)
        default: throw StreamError(.validate, "there is no option \(name)", fix: "use --bootstrap, --messages and --rounds")
        }
    }
    guard let bootstrap else { throw StreamError(.validate, "--bootstrap is missing", fix: "name a broker, host:port") }
    try KafkaBench(bootstrap, messages: messages, rounds: rounds).run()
} catch {
    var line = "error: \(error)\n"
    line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    exit(1)
}
