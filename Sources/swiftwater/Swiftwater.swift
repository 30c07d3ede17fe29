import ArgumentParser
import StreamCore

@main
struct Swiftwater: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swiftwater",
        abstract: "Streams in, correct and deduplicated lake tables out.",
        discussion: """
            Examples:
              swiftwater sql -e "SELECT 1"
              swiftwater stream create my-input-stream --shards 1
              swiftwater generate sensors --count 1000 --stream my-input-stream
              swiftwater run Topologies/sensors.yaml

            Shell completions: swiftwater --generate-completion-script bash|zsh|fish
            """,
        version: swiftwaterVersion,
        subcommands: [
            RunCommand.self, ValidateCommand.self, PlanCommand.self, SQLCommand.self, StreamCommand.self, TableCommand.self,
            GenerateCommand.self, TopologyCommand.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as StreamError {
            Terminal.error("error: \(error)")
            exit(withError: ExitCode(1))
        } catch {
            exit(withError: error)
        }
    }
}

let swiftwaterVersion = "0.1.0"
