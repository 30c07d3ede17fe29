/// A regular expression as instructions for ``RegexMatcher``. Immutable.
final class RegexProgram: Sendable {
    enum Operation: UInt8, Sendable {
        /// Literal bytes `bytes[x..<x + y]`.
        case literal
        /// One byte `x`.
        case byte
        /// One character of set `x`.
        case set
        /// Any character but those of set `x`, repeated: the set's number, and bounds in `loops[y]`.
        case setLoop
        /// Goes on at `x`, and at `y` when that fails.
        case split
        case jump
        /// Stores the position in register `x`.
        case save
        /// Fails when the position has not moved since it was stored in register `x`: ends loops over nothing.
        case progress
        case assertion
        case backreference
        /// Matches what stands up to `accept`, then goes on at `x`; `y`: bit 0 ahead, bit 1 negated, bit 2 atomic.
        case look
        case accept
    }

    struct Instruction: Sendable {
        var operation: Operation
        var x: Int32 = 0, y: Int32 = 0
    }

    struct Loop: Sendable {
        var least: Int32, most: Int32
        var greed: RegexGreed
    }

    let code: [Instruction]
    let bytes: [UInt8]
    let sets: [CharacterSet]
    let loops: [Loop]
    let groupCount: Int
    /// Captures take two registers each, loop guards one.
    let registerCount: Int
    let source: String
    /// Bytes with which every match starts; may be empty.
    let prefix: [UInt8]
    /// False for a byte that no match starts with; nil when any may, or a match may be empty.
    let firstBytes: [Bool]?
    /// Every match starts where the text starts.
    let isAnchored: Bool
    /// What can follow depends on the instruction and the position alone: no groups are compared, nothing is looked ahead at.
    let isMemorable: Bool

    convenience init(_ pattern: String) throws(RegexSyntaxError) {
        let (root, groups) = try RegexParser.parse(pattern)
        try self.init(root: root, groups: groups, source: pattern)
    }

    init(root: RegexNode, groups: Int, source: String) throws(RegexSyntaxError) {
        self.source = source
        groupCount = groups
        let analysis = RegexStart(root)
        prefix = analysis.prefix
        firstBytes = analysis.firstBytes
        isAnchored = analysis.isAnchored
        var assembler = RegexAssembler(registerCount: (groups + 1) * 2)
        try assembler.emit(root)
        assembler.append(.accept)
        code = assembler.code
        isMemorable = !assembler.code.contains { $0.operation == .backreference || $0.operation == .look }
        bytes = assembler.bytes
        sets = assembler.sets
        loops = assembler.loops
        registerCount = assembler.registerCount
    }
}

/// Turns the parts of a regular expression into instructions.
private struct RegexAssembler {
    typealias Operation = RegexProgram.Operation
    typealias Instruction = RegexProgram.Instruction
    typealias Loop = RegexProgram.Loop

    var code: [Instruction] = []
    var bytes: [UInt8] = []
    var sets: [CharacterSet] = []
    var loops: [Loop] = []
    var registerCount: Int

    /// More instructions than this are refused: counted repetitions multiply.
    static let maxInstructions = 50_000

    init(registerCount: Int) { self.registerCount = registerCount }

    @discardableResult
    mutating func append(_ operation: Operation, _ x: Int = 0, _ y: Int = 0) -> Int {
        code.append(Instruction(operation: operation, x: Int32(truncatingIfNeeded: x), y: Int32(truncatingIfNeeded: y)))
        return code.count - 1
    }

    mutating func emit(_ node: RegexNode) throws(RegexSyntaxError) {
        if code.count > Self.maxInstructions {
            throw RegexSyntaxError(problem: "the repetitions multiply to more than \(Self.maxInstructions) steps", position: 0)
        }
        switch node {
        case .empty: break
        case .literal(let text):
            if text.count == 1 { append(.byte, Int(text[0])) } else {
                append(.literal, bytes.count, text.count)
                bytes += text
            }
        case .set(let set):
            sets.append(set)
            append(.set, sets.count - 1)
        case .sequence(let parts): for part in parts { try emit(part) }
        case .alternatives(let branches):
            var ends: [Int] = []
            for (i, branch) in branches.enumerated() {
                if i == branches.count - 1 {
                    try emit(branch)
                } else {
                    let split = append(.split)
                    try emit(branch)
                    ends.append(append(.jump))
                    code[split].x = Int32(split + 1)
                    code[split].y = Int32(code.count)
                }
            }
            for end in ends { code[end].x = Int32(code.count) }
        case .capture(let inner, let index):
            append(.save, index * 2)
            try emit(inner)
            append(.save, index * 2 + 1)
        case .repetition(let inner, let least, let most, let greed): try emitRepetition(inner, least, most, greed)
        case .assertion(let kind):
            let number = switch kind {
            case .textStart: 0
            case .textEnd: 1
            case .textEndOrFinalNewline: 2
            case .lineStart: 3
            case .lineEnd: 4
            case .wordBoundary: 5
            case .notWordBoundary: 6
            case .previousMatchEnd: 7
            }
            append(.assertion, number)
        case .backreference(let index, let caseInsensitive): append(.backreference, index, caseInsensitive ? 1 : 0)
        case .look(let inner, let ahead, let negated): try emitInner(inner, (ahead ? 1 : 0) | (negated ? 2 : 0))
        case .atomic(let inner): try emitInner(inner, 1 | 4)
        }
    }

    private mutating func emitInner(_ inner: RegexNode, _ kind: Int) throws(RegexSyntaxError) {
        let look = append(.look, 0, kind)
        try emit(inner)
        append(.accept)
        code[look].x = Int32(code.count)
    }

    private mutating func emitRepetition(_ inner: RegexNode, _ least: Int, _ most: Int?, _ greed: RegexGreed) throws(RegexSyntaxError) {
        if let set = Self.singleCharacter(inner) {
            sets.append(set)
            loops.append(Loop(least: Int32(least), most: Int32(most ?? Int(Int32.max)), greed: greed))
            append(.setLoop, sets.count - 1, loops.count - 1)
            return
        }
        if greed == .possessive { return try emit(.atomic(.repetition(inner, least: least, most: most, .greedy))) }
        for _ in 0..<least { try emit(inner) }
        guard let most else {
            let guardRegister = registerCount
            registerCount += 1
            let split = append(.split)
            append(.save, guardRegister)
            try emit(inner)
            append(.progress, guardRegister)
            append(.jump, split)
            link(split, exit: code.count, greed)
            return
        }
        var splits: [Int] = []
        for _ in least..<max(least, most) {
            splits.append(append(.split))
            try emit(inner)
        }
        for split in splits { link(split, exit: code.count, greed) }
    }

    /// A split into the body behind it and the way out; the body first when greedy.
    private mutating func link(_ split: Int, exit: Int, _ greed: RegexGreed) {
        code[split].x = Int32(greed == .greedy ? split + 1 : exit)
        code[split].y = Int32(greed == .greedy ? exit : split + 1)
    }

    private static func singleCharacter(_ node: RegexNode) -> CharacterSet? {
        switch node {
        case .set(let set): return set
        case .literal(let text):
            return text.withUnsafeBytes { text in
                let (scalar, width) = Utf8Text.decode(text, 0)
                return width == text.count ? CharacterSet((scalar, scalar)) : nil
            }
        default: return nil
        }
    }
}

/// What can be known of where a match starts, so that the search can leap.
private struct RegexStart {
    var prefix: [UInt8] = []
    var firstBytes: [Bool]?
    var isAnchored = false

    init(_ root: RegexNode) {
        (prefix, _) = Self.prefix(root)
        var first = [Bool](repeating: false, count: 256)
        if !Self.first(root, &first) { firstBytes = first }
        isAnchored = Self.anchored(root)
    }

    /// Literal bytes at the start, and whether the node is nothing but them.
    private static func prefix(_ node: RegexNode) -> ([UInt8], Bool) {
        switch node {
        case .empty: return ([], true)
        case .literal(let bytes): return (bytes, true)
        case .capture(let inner, _): return prefix(inner)
        case .sequence(let parts):
            var all: [UInt8] = []
            for part in parts {
                let (bytes, whole) = prefix(part)
                all += bytes
                if !whole { return (all, false) }
            }
            return (all, true)
        default: return ([], false)
        }
    }

    private static func anchored(_ node: RegexNode) -> Bool {
        switch node {
        case .assertion(.textStart): true
        case .capture(let inner, _), .atomic(let inner): anchored(inner)
        case .sequence(let parts): parts.first.map(anchored) ?? false
        case .alternatives(let branches): branches.allSatisfy(anchored)
        default: false
        }
    }

    /// Adds the bytes that can come first. True when the node may match nothing (or that is not known).
    private static func first(_ node: RegexNode, _ bytes: inout [Bool]) -> Bool {
        switch node {
        case .empty, .assertion, .backreference, .look: return true
        case .literal(let text):
            bytes[Int(text[0])] = true
            return false
        case .set(let set):
            for c in 0..<128 where set.contains(UInt32(c)) { bytes[c] = true }
            if case .none = set.beyond { return false }
            for c in 128..<256 { bytes[c] = true }
            return false
        case .sequence(let parts):
            for part in parts where !first(part, &bytes) { return false }
            return true
        case .alternatives(let branches):
            var empty = false
            for branch in branches where first(branch, &bytes) { empty = true }
            return empty
        case .capture(let inner, _), .atomic(let inner): return first(inner, &bytes)
        case .repetition(let inner, let least, _, _):
            let empty = first(inner, &bytes)
            return empty || least == 0
        }
    }
}
