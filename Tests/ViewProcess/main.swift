import FileConnectors
import HTTPConnector
import HTTPServer
import JobControl
import KinesisConnector
import StreamCore
import StreamRuntime
import StreamSQL
import Topology
import ViewConnector
import ViewService

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// A process with one job and its views, for tests that kill it: a topology file, a directory for all that it keeps, and variables of the
// file as NAME=value. Prints {"directory": ..., "port": ...} once it answers.
signal(SIGPIPE, SIG_IGN)
let arguments = CommandLine.arguments
var variables = ["SWIFTWATER_DATA": arguments[2]]
for pair in arguments.dropFirst(3) {
    let sides = pair.split(separator: "=", maxSplits: 1)
    variables[String(sides[0])] = String(sides[1])
}
let session = SQLSession(connectors: [FilesystemConnector(), BlackholeConnector(), HTTPConnector(), KinesisConnector(), ViewConnector()])
var made: JobGraph?
let topology = try Topology.load(path: arguments[1], variables: variables)
for statement in topology.statements { if case .insert(let graph) = try session.execute(statement) { made = graph } }
var graph = made!
graph.name = topology.name
let job = try RecoverableJob(JobPlacement(data: arguments[2]), name: graph.name, base: graph.name, number: 1, session.settings)
var options = JobOptions(workers: 1)
options.checkpoints = session.settings.checkpoints
options.workDirectory = job.workDirectory
let runner = try JobRunner(graph, options: options, recovery: job.recovery)
ViewControl.install()
let running = try job.serve(runner)
runner.onEvent { running.note($0) }
let views = ViewHTTP(ViewRegistry.shared)
let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in views.answer(request) ?? HTTPResponse.text(404, "nothing here") }
let line = Array("{\"directory\": \"\(job.home.directory)\", \"port\": \(server.port)}\n".utf8)
_ = write(1, line, line.count)
_ = try runner.run()
running.close()
server.stop()
