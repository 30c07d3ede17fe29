import Notebook
import StreamCore

/// What a cell's run tells while it goes on.
enum CellEvent: Sendable {
    case started(at: Int64)
    /// What a program wrote, as it came.
    case text(String, isError: Bool)
    case message(String)
    /// The whole present result; replaces what came with the same number.
    case table(Int, ResultTable, ChartSpec?, isFinal: Bool)
    case html(Int, String)
    case image(Int, type: String, bytes: [UInt8])
    case progress(rowsIn: Int64, rowsOut: Int64, milliseconds: Int64)
    case finished(CellResult.State, CellError?, milliseconds: Int64)
}

/// A cell that is ready to run: its parameters are filled in.
struct CellRequest: Sendable {
    var interpreter: CellInterpreter
    var source: String
    /// The notebook's file, for messages.
    var file: String?
    /// Where the source's characters stand in the file when parameters are filled in, and the source without them.
    var filled: FilledSource?, written = ""
    /// Of the source's first line, from 1, and the characters before each of its lines.
    var line = 1, indent = 0
    var chart: ChartSpec?
    /// The cell's queries stop after that long, or when so many rows came.
    var time: Duration?
    var rows: Int?
    var isBackground = false
    /// Programs without which it is left out.
    var needs: [String] = []
}

/// Puts a cell's events together.
struct CellOutputs {
    /// Text beyond that is left out, and said to be.
    static let textMax = 1 << 20

    private(set) var outputs: [CellOutput] = []
    private var numbered: [Int: Int] = [:]
    private var textBytes = 0

    mutating func note(_ event: CellEvent) {
        switch event {
        case .started, .progress, .finished: break
        case .text(let text, let isError):
            guard textBytes <= Self.textMax else { return }
            textBytes += text.utf8.count
            let kept = textBytes <= Self.textMax ? text : "\n… more than \(Self.textMax >> 20) MiB of text; the rest is left out\n"
            if case .text(let before, isError)? = outputs.last { outputs[outputs.count - 1] = .text(before + kept, isError: isError) } else { outputs.append(.text(kept, isError: isError)) }
        case .message(let text): outputs.append(.message(text))
        case .table(let n, let table, let chart, _): place(n, .table(table, chart))
        case .html(let n, let html): place(n, .html(html))
        case .image(let n, let type, let bytes): place(n, .image(type: type, bytes: bytes))
        }
    }

    private mutating func place(_ n: Int, _ output: CellOutput) {
        if let at = numbered[n] { return outputs[at] = output }
        numbered[n] = outputs.count
        outputs.append(output)
    }
}
