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
              swiftwater serve --listen 127.0.0.1:8081
              swiftwater deploy Topologies/sensors.yaml

            Shell completions: swiftwater --generate-completion-script bash|zsh|fish
            """,
        version: swiftwaterVersion,
        subcommands: [
            RunCommand.self, ServeCommand.self, ValidateCommand.self, PlanCommand.self, SQLCommand.self, StreamCommand.self, KafkaCommand.self, TableCommand.self,
            GenerateCommand.self, NotebookCommand.self, TopologyCommand.self, ExportCommand.self, CompareCommand.self, JobsCommand.self, StopCommand.self, SavepointCommand.self,
            DeployCommand.self, ListCommand.self, ShowCommand.self, LogsCommand.self, StartCommand.self, CancelCommand.self, RestartCommand.self, RescaleCommand.self, RemoveCommand.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as StreamError {
            Terminal.error("error: \(error)")
            exit(withError: ExitCode(1))
        } catch {
            let code = exitCode(for: error)
            guard code == .validationFailure else { exit(withError: error) }
            // The parser's own message for a mistyped command does not name the near one.
            let message = unknownCommand(in: CommandLine.arguments.dropFirst()) ?? fullMessage(for: error)
            Terminal.error(message.hasPrefix("Error: ") ? "error: " + message.dropFirst(7) : message)
            exit(withError: code)
        }
    }

    /// What to say when one of the leading words is no command; nil when they all are.
    private static func unknownCommand(in arguments: ArraySlice<String>) -> String? {
        var command: any ParsableCommand.Type = Self.self, path = "swiftwater"
        for argument in arguments {
            let subcommands = command.configuration.subcommands
            if subcommands.isEmpty || argument.hasPrefix("-") || argument == "help" { return nil }
            guard let next = subcommands.first(where: { $0._commandName == argument }) else {
                let hint = NearName.hint(for: argument, in: subcommands.map { $0._commandName }) ?? ""
                return "error: \(path) has no command '\(argument)'. Fix: \(hint).\n  See '\(path) --help' for more information."
            }
            (command, path) = (next, path + " " + argument)
        }
        return nil
    }
}

let swiftwaterVersion = "0.9.0"
