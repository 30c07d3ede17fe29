import HTTPServer
import Notebook
import StreamCore
import StreamSQL

extension RestAPI {
    /// The answer to somebody who may run SQL, and no programs, and whose SQL would run one; nil when it may run.
    static func refusal(ofPrograms script: String, _ caller: Access.Caller) -> HTTPResponse? {
        guard caller.role < .admin, let found = SQLPrograms.mention(in: script) else { return nil }
        return .failure(403, "\(caller.name) has the role \(caller.role.rawValue), and SQL with \(found) needs admin: it runs a program on the daemon's machine")
    }
}

extension StudioCell {
    /// The source with the values that the kernel fills in. A cell that cannot be filled in fails there too; its values are judged behind its text.
    func filled(_ parameters: [JSON.Member], file: String) -> String {
        var values = ["data": "data", "notebook": file]
        for parameter in parameters { values[parameter.name] = parameter.value.string ?? parameter.value.text() }
        if let text = try? NotebookParameters(cells: [cell], given: values, file: file).fill(cell) { return text }
        return cell.source + "\n" + values.values.sorted().joined(separator: "\n")
    }
}
