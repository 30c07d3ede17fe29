import ArgumentParser
import Nexmark
import StreamCore

extension GenerateCommand {
    struct Nexmark: ParsableCommand {
        enum Format: String, ExpressibleByArgument, CaseIterable { case json }

        static let configuration = CommandConfiguration(
            abstract: "Events of the Nexmark auction site: one person, three auctions and 46 bids of fifty.",
            discussion: "Example: swiftwater generate nexmark --events 5000000 --seed 1 --output nexmark.json")
        @Option(help: "Number of events.")
        var events = 1_000_000
        @Option(help: "The same seed gives the same events.")
        var seed: UInt64 = 1
        @Option(help: "Events per second of event time.")
        var rate = 10_000
        @Option(help: "The file to write.")
        var output: String
        @Option(help: "The form of the file.")
        var format: Format = .json

        func validate() throws {
            if events < 0 { throw ValidationError("--events must not be negative") }
            if rate < 1 { throw ValidationError("--rate must be at least 1") }
        }

        func run() throws {
            try NexmarkGenerator(seed: seed, rate: rate).write(events: events, to: output)
            Terminal.error("\(grouped(Int64(events))) events to \(output)")
        }
    }
}
