import Foundation
import HTTPServer
import Notebook
import StreamCore

/// Notebooks over HTTP. Each change names the state that it is of, as a hash: of two readers who change the same cell the second one is told.
extension RestAPI {
    private static let text = FlinkAnswers.object(["type": .string("string")])

    private func studio() throws -> Studio {
        guard let studio = options.studio else {
            throw StreamError(.validate, "this daemon shows no notebooks", fix: "start it with serve --notebooks DIR, for example --notebooks Examples").notFound
        }
        return studio
    }

    private func open(_ r: APIRequest) throws -> StudioNotebook { try studio().notebook(r.parameter("path")) }

    private func answer(_ cell: String, _ notebook: StudioNotebook, status: Int = 200) throws -> HTTPResponse {
        let document = try notebook.document()
        return .json(status, FlinkAnswers.object(["cell": document.cell(cell)?.json ?? .null, "etag": .string(document.hash)]))
    }

    var studioRoutes: [Route] {
        let path = Route.Parameter(name: "path", place: .path, isRequired: true, text: "Path of a notebook below the directory; a / in it is written %2F.")
        let cell = Route.Parameter(name: "cell", place: .path, isRequired: true, text: "Id of a cell.")
        let edited: KeyValuePairs = ["hash": "string", "source": "string", "interpreter": "string", "title": "string", "kind": "string"]
        return [
            Route(method: "GET", path: "/v1/notebooks", summary: "The notebooks of the directory.", role: .view) { [self] _ in
                guard let studio = options.studio else { return .json(FlinkAnswers.object(["directory": .null, "notebooks": .array([])])) }
                let all = studio.files.list().map { entry in
                    let (title, cells, problem) = studio.summary(of: entry), open = studio.isOpen(entry.name)?.summary
                    return FlinkAnswers.object([
                        "path": .string(entry.name), "title": .string(title), "cells": .int(Int64(cells)), "bytes": .int(Int64(entry.bytes)), "modified": .int(entry.modified),
                        "kernel": .string((open?.kernel ?? .none).rawValue), "readers": .int(Int64(open?.readers ?? 0)), "running": .int(Int64(open?.running ?? 0)),
                        "error": problem.map { .string($0) } ?? .null,
                    ])
                }
                return .json(FlinkAnswers.object(["directory": .string(studio.files.root), "notebooks": .array(all)]))
            },
            Route(method: "POST", path: "/v1/notebooks", summary: "Make a notebook.", role: .operate, body: Self.schema(["path": "string", "title": "string"]), status: 201) { [self] r in
                let body = try r.body(), studio = try studio()
                guard let name = body["path"]?.string else { throw StreamError(.validate, "there is no path", fix: "send {\"path\": \"first.sql\"}") }
                guard try studio.files.stamp(name) == nil else { throw StreamError(.conflict, "there is a file \(name) already", fix: "choose another name") }
                _ = try studio.files.write(name, try StudioDocument.empty(name: name, title: try Self.line(body, "title")))
                let notebook = try studio.notebook(name)
                return .json(201, try notebook.document().json(name, epoch: notebook.epoch))
            },
            Route(method: "GET", path: "/v1/notebooks/{path}", summary: "A notebook's cells.", role: .view, parameters: [path]) { [self] r in
                let notebook = try open(r), document = try notebook.document()
                var response = HTTPResponse.json(document.json(r.parameter("path"), epoch: notebook.epoch))
                response.headers.append(("ETag", "\"\(document.hash)\""))
                return response
            },
            Route(method: "PUT", path: "/v1/notebooks/{path}/cells/{cell}", summary: "Change a cell: what is given of it. The hash is the one of the cell that is changed.", role: .operate,
                  parameters: [path, cell], body: Self.schema(edited)) { [self] r in
                let body = try r.body(), notebook = try open(r), id = r.parameter("cell"), change = try Self.change(body), hash = try Self.hash(body)
                try notebook.edit { try $0.change(id, hash: hash, change) }
                return try answer(id, notebook)
            },
            Route(method: "POST", path: "/v1/notebooks/{path}/cells", summary: "Add a cell behind another; without one at the front.", role: .operate, parameters: [path],
                  body: Self.schema(["after": "string", "source": "string", "interpreter": "string", "title": "string", "kind": "string"]), status: 201) { [self] r in
                let body = try r.body(), notebook = try open(r), change = try Self.change(body)
                let id = try notebook.edit { try $0.insert(after: body["after"]?.string, change) }
                return try answer(id, notebook, status: 201)
            },
            Route(method: "DELETE", path: "/v1/notebooks/{path}/cells/{cell}", summary: "Delete a cell.", role: .operate,
                  parameters: [path, cell, .init(name: "hash", place: .query, isRequired: true, text: "Of the cell that is deleted.")]) { [self] r in
                let notebook = try open(r)
                try notebook.edit { try $0.remove(r.parameter("cell"), hash: r.query["hash"] ?? "") }
                return .json(FlinkAnswers.object(["etag": .string(try notebook.document().hash)]))
            },
            Route(method: "POST", path: "/v1/notebooks/{path}/cells/{cell}/move", summary: "Move a cell behind another; without one to the front.", role: .operate, parameters: [path, cell],
                  body: Self.schema(["after": "string"])) { [self] r in
                let body = try r.body(), notebook = try open(r)
                try notebook.edit { try $0.move(r.parameter("cell"), after: body["after"]?.string) }
                return try answer(r.parameter("cell"), notebook)
            },
            Route(method: "POST", path: "/v1/notebooks/{path}/run", summary: "Run a cell, the cells from one on, or all. Cells that are not SQL, and SQL that brings a program, need the role admin.", role: .operate, parameters: [path],
                  body: FlinkAnswers.object(["type": .string("object"), "properties": FlinkAnswers.object([
                      "cell": Self.text, "from": Self.text, "hash": Self.text, "parameters": FlinkAnswers.object(["type": .string("object"), "additionalProperties": Self.text]),
                  ])]), status: 202) { [self] r in try run(r) },
            Route(method: "POST", path: "/v1/notebooks/{path}/interrupt", summary: "Stop a cell, or all that runs and waits.", role: .operate, parameters: [path], body: Self.schema(["cell": "string"])) { [self] r in
                try open(r).interrupt(cell: try r.body()["cell"]?.string)
                return .json(.object([]))
            },
            Route(method: "POST", path: "/v1/notebooks/{path}/restart", summary: "End the kernel, and start another one.", role: .operate, parameters: [path]) { [self] r in
                try open(r).restart()
                return .json(.object([]))
            },
            // Nothing is changed by it: any reader may ask, and it is no entry of the audit log.
            Route(method: "POST", path: "/v1/notebooks/{path}/complete", summary: "Names that fit at a place of a source, counted in UTF-16 units. Without a kernel there are none.", role: .view,
                  parameters: [path], body: Self.schema(["source": "string", "at": "integer"])) { [self] r in
                let body = try r.body()
                guard let source = body["source"]?.string, let at = body["at"]?.int, at >= 0, at <= source.utf16.count else {
                    throw StreamError(.validate, "source and at are needed; at is within the source", fix: "send {\"source\": \"SELECT \", \"at\": 7}")
                }
                return .json(try open(r).complete(source: source, at: at))
            },
            Route(method: "GET", path: "/v1/notebooks/{path}/events", summary: "Server-sent events: the present state of cells, runs and outputs, and what changes from then on.", role: .view,
                  parameters: [path], answer: .events) { [self] r in try events(r) },
        ]
    }

    // MARK: What is sent

    private static func hash(_ body: JSON) throws -> String {
        guard let hash = body["hash"]?.string else { throw StreamError(.validate, "the hash of the cell that is changed is missing", fix: "send the \"hash\" that the cell had when it was read") }
        return hash
    }

    /// One line of text, or nil.
    private static func line(_ body: JSON, _ name: String) throws -> String? {
        guard let value = body[name], value != .null else { return nil }
        guard let text = value.string, text.utf8.count <= 500, !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw StreamError(.validate, "\(name) is no line of at most 500 bytes", fix: "send a shorter text without line breaks")
        }
        return text.trimmingCharacters(in: .whitespaces)
    }

    private static func change(_ body: JSON) throws -> StudioDocument.Change {
        var change = StudioDocument.Change()
        if let value = body["source"] {
            guard let text = value.string, !text.contains("\0") else { throw StreamError(.validate, "source is no text", fix: "send a string") }
            change.source = text.replacingOccurrences(of: "\r\n", with: "\n").replacingOccurrences(of: "\r", with: "\n")
        }
        change.interpreter = try line(body, "interpreter")
        change.title = try line(body, "title")
        if let kind = try line(body, "kind") {
            guard let known = NotebookCell.Kind(rawValue: kind) else { throw StreamError(.validate, "'\(kind.prefix(50))' is no kind of a cell", fix: "write code, markdown or raw") }
            change.kind = known
        }
        return change
    }

    // MARK: Running

    private func run(_ r: APIRequest) throws -> HTTPResponse {
        let body = try r.body(), notebook = try open(r), document = try notebook.document()
        var cells = document.cells
        if let id = body["cell"]?.string {
            let cell = cells[try document.index(id)]
            if let hash = body["hash"]?.string, hash != cell.hash {
                throw StreamError(.conflict, "the cell has been changed by another reader", fix: "look at its present text, and run it again")
            }
            guard cell.canRun else { throw StreamError(.validate, "there is nothing to run in this cell", fix: "choose a cell with statements or a program") }
            cells = [cell]
        } else if let id = body["from"]?.string {
            cells = Array(cells[try document.index(id)...])
        }
        cells.removeAll { !$0.canRun || $0.isBlank && body["cell"] == nil }
        guard r.caller.role >= .admin || cells.allSatisfy(\.isSQL) else {
            return .failure(403, "\(r.caller.name) has the role \(r.caller.role.rawValue), and a cell that is not SQL needs admin: it runs a program on the daemon's machine")
        }
        var chosen: [String: String] = [:]
        for member in body["parameters"]?.members ?? [] {
            let text: String? = switch member.value {
            case .string(let s): s
            case .int(let n): String(n)
            case .double(let d): String(d)
            case .bool(let b): String(b)
            default: nil
            }
            guard let text, text.utf8.count <= 10_000, member.name.utf8.count <= 200, chosen.count < 200 else { throw StreamError(.validate, "the parameter \(member.name.prefix(50)) is no text", fix: "send a string") }
            chosen[member.name] = text
        }
        let parameters = try document.parameters(chosen: chosen)
        for cell in cells where cell.isSQL {
            if let refusal = Self.refusal(ofPrograms: cell.filled(parameters, file: document.name), r.caller) { return refusal }
        }
        let runs = try cells.isEmpty ? [] : notebook.run(cells, parameters: parameters, user: r.caller.name)
        return .json(202, FlinkAnswers.object(["runs": .array(zip(cells, runs).map { FlinkAnswers.object(["cell": .string($0.id), "run": .int($1)]) })]))
    }

    // MARK: Events

    private func events(_ r: APIRequest) throws -> HTTPResponse {
        let studio = try studio(), notebook = try open(r)
        _ = try notebook.document()
        let user = options.access.hasTokens ? "user " + r.caller.name : r.http.peer
        guard studio.hasRoom(user) else {
            var response = HTTPResponse.failure(429, "\(r.caller.name) has \(studio.options.readersPerUser) notebooks open, or all readers together \(studio.options.readersMax): close a page")
            response.headers.append(("Retry-After", "5"))
            return response
        }
        let headers = [("Content-Type", "text/event-stream; charset=utf-8"), ("X-Accel-Buffering", "no")]
        if r.http.method == "HEAD" { return HTTPResponse(200, headers: headers) }
        return HTTPResponse(200, headers: headers) { body in
            studio.admit(user)
            let (id, signal) = notebook.join(user)
            defer {
                notebook.leave(id)
                studio.dismiss(user)
            }
            try? Self.follow(notebook, studio, signal, body)
        }
    }

    private static func follow(_ notebook: StudioNotebook, _ studio: Studio, _ signal: DispatchSemaphore, _ body: any HTTPBodyWriter) throws {
        try body.write(Array("retry: 1000\n\n".utf8))
        var cursor = StudioNotebook.Cursor(), spokenAt = Clock.monotonicNanoseconds(), lookedAt = spokenAt
        while !body.isClosed, !studio.hasEnded {
            _ = signal.wait(timeout: .now() + 1)
            // Many changes at once are one answer.
            usleep(30_000)
            while signal.wait(timeout: .now()) == .success {}
            let now = Clock.monotonicNanoseconds()
            if now - lookedAt > 1_000_000_000 {
                lookedAt = now
                // A file that cannot be read now may be read when its writer is done.
                try? notebook.refresh()
            }
            let changes = notebook.changes(&cursor)
            if changes.isEmpty {
                guard now - spokenAt > 15_000_000_000 else { continue }
                try body.write(Array(": keep-alive\n\n".utf8))
            } else {
                try body.write(changes)
            }
            spokenAt = now
        }
    }
}
