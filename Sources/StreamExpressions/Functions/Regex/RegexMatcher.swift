import StreamCore

/// Runs a ``RegexProgram`` over texts, with memory that is kept from text to text. One owner, one thread.
///
/// A backtracking search as in java.util.regex, with the same choices among several possible matches. A search that grows long
/// remembers what failed, so that most patterns take time in proportion to the text; one that still takes more than
/// the given number of steps is an error instead of a stall.
struct RegexMatcher: ~Copyable {
    let program: RegexProgram
    /// Byte positions: start and end of the match, then of each group; -1 for a group that took no part.
    private(set) var registers: [Int]
    private var stack: [Frame] = []
    private var steps = 0
    /// Bit i * (length + 1) + position: instruction i was tried at the position and failed. Empty until the search grows long.
    private var failed: [UInt64] = []

    private let maxSteps: Int
    private static let stepsBeforeMemory = 20_000
    private static let maxMemoryBits = 1 << 26

    /// Something to go back to: another way on (`pc` at `position`), a register to restore, or a loop to shorten or lengthen.
    private struct Frame {
        enum Kind { case branch, register, shrink, extend }
        var kind: Kind
        var pc: Int32
        var position: Int
        var other: Int
    }

    init(_ program: RegexProgram, maxSteps: Int = 20_000_000) {
        self.program = program
        self.maxSteps = maxSteps
        registers = Array(repeating: -1, count: program.registerCount)
        stack.reserveCapacity(64)
    }

    /// Start and end of group `i` (0 = the whole match), nil when it took no part.
    func range(ofGroup i: Int) -> Range<Int>? {
        guard registers[i * 2] >= 0, registers[i * 2 + 1] >= registers[i * 2] else { return nil }
        return registers[i * 2]..<registers[i * 2 + 1]
    }

    /// Finds the first match at or after byte `from`.
    ///
    /// - Throws: `.runtime` when the search takes too many steps.
    mutating func find(_ text: UnsafeRawBufferPointer, from: Int = 0) throws -> Bool {
        begin()
        var start = from
        while start <= text.count {
            if program.isAnchored {
                if start > 0 { return false }
            } else if !program.prefix.isEmpty {
                guard let hit = program.prefix.withUnsafeBytes({ Utf8Text.find($0, in: text, from: start) }) else { return false }
                start = hit
            } else if let first = program.firstBytes {
                while start < text.count, !first[Int(text[start])] { start += 1 }
                if start == text.count { return false }
            }
            if try attempt(text, at: start, searchStart: from) { return true }
            if start == text.count { return false }
            start += Utf8Text.width(text[start])
        }
        return false
    }

    /// Whether the whole text matches.
    mutating func matches(_ text: UnsafeRawBufferPointer) throws -> Bool {
        begin()
        return try attempt(text, at: 0, searchStart: 0, mustEndAt: text.count)
    }

    private mutating func begin() {
        steps = 0
        if !failed.isEmpty { failed.removeAll(keepingCapacity: true) }
    }

    /// True when the instruction has been tried at the position before; remembers that it is tried now.
    @inline(never)
    private mutating func wasTried(_ pc: Int, _ at: Int, _ length: Int) -> Bool {
        let bits = program.code.count * (length + 1)
        guard program.isMemorable, bits <= Self.maxMemoryBits else { return false }
        if failed.isEmpty { failed = Array(repeating: 0, count: bits / 64 + 1) }
        let bit = pc * (length + 1) + at
        if failed[bit >> 6] >> UInt64(bit & 63) & 1 != 0 { return true }
        failed[bit >> 6] |= 1 << UInt64(bit & 63)
        return false
    }

    private mutating func attempt(_ text: UnsafeRawBufferPointer, at start: Int, searchStart: Int, mustEndAt: Int? = nil) throws -> Bool {
        for i in 0..<registers.count { registers[i] = -1 }
        guard let end = try run(text, pc: 0, at: start, searchStart: searchStart, mustEndAt: mustEndAt, depth: 0) else { return false }
        registers[0] = start
        registers[1] = end
        return true
    }

    /// The end of a match that starts at `start` with instruction `pc`; nil when there is none. What the groups took is in
    /// `registers` afterwards; on failure they are as before.
    private mutating func run(_ text: UnsafeRawBufferPointer, pc startPC: Int, at start: Int, searchStart: Int, mustEndAt: Int?, depth: Int) throws -> Int? {
        let base = stack.count
        var pc = startPC, at = start
        let code = program.code
        search: while true {
            steps += 1
            if steps > maxSteps { throw tooManySteps(text) }
            let instruction = code[pc]
            let x = Int(instruction.x)
            matched: do {
                switch instruction.operation {
                case .byte:
                    guard at < text.count, text[at] == UInt8(truncatingIfNeeded: x) else { break matched }
                    at += 1
                    pc += 1
                    continue search
                case .literal:
                    let n = Int(instruction.y)
                    guard at + n <= text.count else { break matched }
                    for i in 0..<n where text[at + i] != program.bytes[x + i] { break matched }
                    at += n
                    pc += 1
                    continue search
                case .set:
                    guard at < text.count, case let (c, width) = Utf8Text.decode(text, at), program.sets[x].contains(c) else { break matched }
                    at += width
                    pc += 1
                    continue search
                case .setLoop:
                    if steps > Self.stepsBeforeMemory, wasTried(pc, at, text.count) { break matched }
                    guard let end = loop(text, pc, program.sets[x], program.loops[Int(instruction.y)], at) else { break matched }
                    at = end
                    pc += 1
                    continue search
                case .split:
                    // Before it was left, all that could follow was tried.
                    if steps > Self.stepsBeforeMemory, wasTried(pc, at, text.count) { break matched }
                    stack.append(Frame(kind: .branch, pc: instruction.y, position: at, other: 0))
                    pc = x
                    continue search
                case .jump:
                    pc = x
                    continue search
                case .save:
                    stack.append(Frame(kind: .register, pc: instruction.x, position: registers[x], other: 0))
                    registers[x] = at
                    pc += 1
                    continue search
                case .progress:
                    // A round that took nothing ends the loop.
                    if registers[x] == at { pc += 2 } else { pc += 1 }
                    continue search
                case .assertion:
                    guard holds(x, text, at, searchStart) else { break matched }
                    pc += 1
                    continue search
                case .backreference:
                    guard let n = backreference(x, text, at, ignoringCase: instruction.y == 1) else { break matched }
                    at += n
                    pc += 1
                    continue search
                case .look:
                    guard let end = try look(instruction, text, pc: pc + 1, at: at, searchStart, depth) else { break matched }
                    at = end
                    pc = x
                    continue search
                case .accept:
                    if let mustEndAt, at != mustEndAt { break matched }
                    // The ways not taken are dropped, the registers kept; a caller that fails later restores its own.
                    dropFrames(above: base, keepingRegisters: depth > 0)
                    return at
                }
            }
            guard backtrack(to: base, &pc, &at, text) else { return nil }
        }
    }

    /// Removes the frames of a finished run. An inner run leaves its register frames, so that the outer one can undo them.
    private mutating func dropFrames(above base: Int, keepingRegisters: Bool) {
        guard keepingRegisters else {
            stack.removeSubrange(base...)
            return
        }
        var kept = base
        for i in base..<stack.count where stack[i].kind == .register {
            stack[kept] = stack[i]
            kept += 1
        }
        stack.removeSubrange(kept...)
    }

    /// Takes up the latest other way; false when there is none left.
    private mutating func backtrack(to base: Int, _ pc: inout Int, _ at: inout Int, _ text: UnsafeRawBufferPointer) -> Bool {
        while stack.count > base {
            let top = stack.count - 1
            switch stack[top].kind {
            case .register:
                registers[Int(stack[top].pc)] = stack[top].position
                stack.removeLast()
            case .branch:
                pc = Int(stack[top].pc)
                at = stack[top].position
                stack.removeLast()
                return true
            case .shrink:
                // `position`: where the loop ended; `other`: where it may end at the least.
                pc = Int(stack[top].pc) + 1
                at = Utf8Text.previous(text, stack[top].position)
                if at > stack[top].other { stack[top].position = at } else { stack.removeLast() }
                return true
            case .extend:
                // `position`: where the loop ended; `other`: how often it may still go round.
                let instruction = program.code[Int(stack[top].pc)]
                let position = stack[top].position
                guard position < text.count, case let (c, width) = Utf8Text.decode(text, position),
                      program.sets[Int(instruction.x)].contains(c) else {
                    stack.removeLast()
                    continue
                }
                pc = Int(stack[top].pc) + 1
                at = position + width
                stack[top].position = at
                stack[top].other -= 1
                if stack[top].other == 0 { stack.removeLast() }
                return true
            }
        }
        return false
    }

    /// Runs a loop over one set as far as its kind asks, and leaves a frame for its other ends.
    @inline(__always)
    private mutating func loop(_ text: UnsafeRawBufferPointer, _ pc: Int, _ set: CharacterSet, _ loop: RegexProgram.Loop, _ start: Int) -> Int? {
        var at = start, n: Int32 = 0
        let wanted = loop.greed == .lazy ? loop.least : loop.most
        var leastEnd = loop.least == 0 ? start : -1
        while n < wanted, at < text.count {
            let (c, width) = Utf8Text.decode(text, at)
            guard set.contains(c) else { break }
            at += width
            n += 1
            if n == loop.least { leastEnd = at }
        }
        steps += Int(n) >> 3
        guard n >= loop.least else { return nil }
        switch loop.greed {
        case .greedy: if at > leastEnd { stack.append(Frame(kind: .shrink, pc: Int32(pc), position: at, other: leastEnd)) }
        case .lazy: if loop.most > n { stack.append(Frame(kind: .extend, pc: Int32(pc), position: at, other: Int(loop.most - n))) }
        case .possessive: break
        }
        return at
    }

    private mutating func look(_ instruction: RegexProgram.Instruction, _ text: UnsafeRawBufferPointer, pc: Int, at: Int, _ searchStart: Int,
                               _ depth: Int) throws -> Int? {
        let kind = instruction.y
        let mark = stack.count
        var end: Int?
        if kind & 1 != 0 {
            end = try run(text, pc: pc, at: at, searchStart: searchStart, mustEndAt: nil, depth: depth + 1)
        } else {
            var start = at
            while true {
                end = try run(text, pc: pc, at: start, searchStart: searchStart, mustEndAt: at, depth: depth + 1)
                if end != nil || start == 0 { break }
                start = Utf8Text.previous(text, start)
            }
        }
        if kind & 4 != 0 { return end }
        if kind & 2 == 0 { return end == nil ? nil : at }
        guard end != nil else { return at }
        // What a negative look matched must leave no trace.
        while stack.count > mark {
            let frame = stack.removeLast()
            registers[Int(frame.pc)] = frame.position
        }
        return nil
    }

    private func backreference(_ group: Int, _ text: UnsafeRawBufferPointer, _ at: Int, ignoringCase: Bool) -> Int? {
        guard group <= program.groupCount, let range = range(ofGroup: group), at + range.count <= text.count else { return nil }
        for i in 0..<range.count {
            var (a, b) = (text[range.lowerBound + i], text[at + i])
            if ignoringCase {
                if (0x41...0x5A).contains(a) { a += 32 }
                if (0x41...0x5A).contains(b) { b += 32 }
            }
            if a != b { return nil }
        }
        return range.count
    }

    private func holds(_ assertion: Int, _ text: UnsafeRawBufferPointer, _ at: Int, _ searchStart: Int) -> Bool {
        switch assertion {
        case 0: return at == 0
        case 1: return at == text.count
        case 2: return at == text.count || (Self.lineBreak(text, at).map { at + $0 == text.count } ?? false) && !Self.isInsideCRLF(text, at)
        case 3: return at == 0 || (at < text.count && Self.endsLine(text, at))
        case 4: return at == text.count || Self.lineBreak(text, at) != nil && !Self.isInsideCRLF(text, at)
        case 5: return Self.isWord(text, before: at) != Self.isWord(text, after: at)
        case 6: return Self.isWord(text, before: at) == Self.isWord(text, after: at)
        default: return at == searchStart
        }
    }

    /// Bytes of the line break that starts at `at`; nil when there is none.
    private static func lineBreak(_ text: UnsafeRawBufferPointer, _ at: Int) -> Int? {
        guard at < text.count, case let (c, width) = Utf8Text.decode(text, at), CharacterSet.lineTerminators.contains(c) else { return nil }
        return c == 0x0D && at + 1 < text.count && text[at + 1] == 0x0A ? 2 : width
    }

    private static func isInsideCRLF(_ text: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        at > 0 && at < text.count && text[at] == 0x0A && text[at - 1] == 0x0D
    }

    /// True when a line break ends just before `at`.
    private static func endsLine(_ text: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        let start = Utf8Text.previous(text, at)
        return CharacterSet.lineTerminators.contains(Utf8Text.decode(text, start).scalar) && !isInsideCRLF(text, at)
    }

    private static func isWord(_ text: UnsafeRawBufferPointer, before at: Int) -> Bool {
        at > 0 && isWord(Utf8Text.decode(text, Utf8Text.previous(text, at)).scalar)
    }

    private static func isWord(_ text: UnsafeRawBufferPointer, after at: Int) -> Bool {
        at < text.count && isWord(Utf8Text.decode(text, at).scalar)
    }

    /// `\b` goes by Unicode's letters and digits, as up to Java 18.
    private static func isWord(_ c: UInt32) -> Bool {
        if c < 128 { return CharacterSet.word.contains(c) }
        return CharacterSet.Property.letter.holds(c) || CharacterSet.Property.decimalDigit.holds(c)
    }

    private func tooManySteps(_ text: UnsafeRawBufferPointer) -> StreamError {
        StreamError(.runtime, "the regular expression '\(program.source)' needs more than \(maxSteps) steps on a text of \(text.count) bytes",
                    fix: "avoid nested repetitions such as (a+)+, or make them possessive: (a++)+")
    }
}
