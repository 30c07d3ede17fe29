import HTTPServer
import StreamServer
import ViewConnector
import ViewService

/// Views of all jobs under `/v1/views`.
enum DaemonViews {
    static func add(to rest: RestAPI, _ service: Service) {
        let views = ViewHTTP(CombinedViews { service.jobDirectories.map { JobViews(directory: $0) } })
        let answer: @Sendable (HTTPRequest) -> HTTPResponse = { views.answer($0) ?? .text(404, "there is no such view\n") }
        rest.add("GET", "/v1/views", summary: "The views of all jobs.", role: .view, answer: answer)
        rest.add("GET", "/v1/views/{name}", summary: "Rows of a view, by key.", role: .view,
                 parameters: [("limit", "At most that many."), ("after", "Behind the row of this key.")], answer: answer)
        rest.add("GET", "/v1/views/{name}/{key}", summary: "The row of a key.", role: .view, answer: answer)
        rest.add("GET", "/v1/views/{name}/changes", summary: "Server-sent events: each change from now on; with a key or snapshot=true the newest rows first.", role: .view,
                 parameters: [("key", "Of this key only."), ("since", "Begin behind this version."), ("snapshot", "Begin with the rows there are.")], isEvents: true, answer: answer)
    }
}
