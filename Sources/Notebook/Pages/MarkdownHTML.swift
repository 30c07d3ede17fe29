import CCMark
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Markdown (GitHub's, by cmark-gfm) as HTML that can be shown whoever wrote it: no element, script or link of the text runs anything.
package enum MarkdownHTML {
    package struct Heading: Sendable, Hashable {
        /// 1 to 6.
        package var level: Int
        package var text: String
        package var id: String
    }

    package static func text(_ markdown: String) -> String {
        var ids: Set<String> = []
        return document(markdown, ids: &ids).html
    }

    /// - Parameter ids: names that the page has; those of the headings are added.
    /// - Returns: the HTML, in which each heading has an element with its id, and the headings in their order.
    package static func document(_ markdown: String, ids: inout Set<String>) -> (html: String, headings: [Heading]) {
        _ = registered
        guard let parser = cmark_parser_new(CMARK_OPT_VALIDATE_UTF8) else { return ("", []) }
        defer { cmark_parser_free(parser) }
        for name in ["table", "strikethrough", "autolink", "tasklist"] {
            if let known = cmark_find_syntax_extension(name) { cmark_parser_attach_syntax_extension(parser, known) }
        }
        var source = markdown
        source.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { cmark_parser_feed(parser, $0.baseAddress, $0.count) }
        }
        guard let root = cmark_parser_finish(parser) else { return ("", []) }
        defer { cmark_node_free(root) }
        let headings = prepare(root, &ids)
        guard let rendered = cmark_render_html(root, CMARK_OPT_DEFAULT, cmark_parser_get_syntax_extensions(parser)) else { return ("", []) }
        defer { free(rendered) }
        // Text of the notebook has no `<`: these are the boxes of task lists.
        let html = String(cString: rendered).replacing("<input type=\"checkbox\" checked=\"\" disabled=\"\"", with: "<input type=\"checkbox\" aria-label=\"done\" checked=\"\" disabled=\"\"")
            .replacing("<input type=\"checkbox\" disabled=\"\"", with: "<input type=\"checkbox\" aria-label=\"to do\" disabled=\"\"")
        return (html, headings)
    }

    private static let registered: Void = cmark_gfm_core_extensions_ensure_registered()

    /// Names the headings; makes images of other places links, as a page must not ask for them; shows HTML as it is written.
    private static func prepare(_ root: OpaquePointer, _ ids: inout Set<String>) -> [Heading] {
        var found: [OpaquePointer] = []
        let walk = cmark_iter_new(root)
        while true {
            let event = cmark_iter_next(walk)
            if event == CMARK_EVENT_DONE { break }
            if event == CMARK_EVENT_ENTER, let node = cmark_iter_get_node(walk) { found.append(node) }
        }
        cmark_iter_free(walk)
        var headings: [Heading] = []
        for node in found {
            switch cmark_node_get_type(node) {
            case CMARK_NODE_HEADING:
                let text = plain(node), id = unused(slug(text), &ids)
                headings.append(Heading(level: Int(cmark_node_get_heading_level(node)), text: text, id: id))
                guard let place = cmark_node_new(CMARK_NODE_CUSTOM_INLINE) else { continue }
                cmark_node_set_on_enter(place, "<span class=\"anchor\" id=\"\(ChartText.escaped(id))\"></span>")
                if cmark_node_prepend_child(node, place) == 0 { cmark_node_free(place) }
            case CMARK_NODE_IMAGE:
                let url = cmark_node_get_url(node).map { String(cString: $0) } ?? ""
                // Those that the renderer holds for safe.
                let isHere = ["png", "gif", "jpeg", "webp"].contains { url.lowercased().hasPrefix("data:image/" + $0) }
                guard !isHere, let link = cmark_node_new(CMARK_NODE_LINK) else { continue }
                cmark_node_set_url(link, url)
                cmark_node_set_title(link, "an image: " + url)
                guard cmark_node_insert_before(node, link) != 0 else {
                    cmark_node_free(link)
                    continue
                }
                while let child = cmark_node_first_child(node) { cmark_node_append_child(link, child) }
                if cmark_node_first_child(link) == nil, let text = cmark_node_new(CMARK_NODE_TEXT) {
                    cmark_node_set_literal(text, url)
                    cmark_node_append_child(link, text)
                }
                cmark_node_unlink(node)
                cmark_node_free(node)
            case CMARK_NODE_HTML_INLINE: replace(node, isBlock: false)
            case CMARK_NODE_HTML_BLOCK: replace(node, isBlock: true)
            default: break
            }
        }
        return headings
    }

    /// Line breaks and comments mean what they say; other HTML is shown.
    private static func replace(_ node: OpaquePointer, isBlock: Bool) {
        let html = cmark_node_get_literal(node).map { String(cString: $0) } ?? ""
        let word = String(html.filter { !$0.isWhitespace }.lowercased())
        guard !word.hasPrefix("<!--") || !word.hasSuffix("-->") || word.dropFirst(4).dropLast(3).contains("-->") else { return remove(node) }
        let isBreak = !isBlock && (word == "<br>" || word == "<br/>")
        guard let shown = cmark_node_new(isBreak ? CMARK_NODE_LINEBREAK : isBlock ? CMARK_NODE_CODE_BLOCK : CMARK_NODE_TEXT) else { return }
        if !isBreak { cmark_node_set_literal(shown, html) }
        if cmark_node_insert_before(node, shown) == 0 { cmark_node_free(shown) }
        remove(node)
    }

    private static func remove(_ node: OpaquePointer) {
        cmark_node_unlink(node)
        cmark_node_free(node)
    }

    /// The text below a node.
    private static func plain(_ node: OpaquePointer) -> String {
        var out = ""
        let walk = cmark_iter_new(node)
        defer { cmark_iter_free(walk) }
        while true {
            let event = cmark_iter_next(walk)
            if event == CMARK_EVENT_DONE { break }
            guard event == CMARK_EVENT_ENTER, let at = cmark_iter_get_node(walk) else { continue }
            switch cmark_node_get_type(at) {
            case CMARK_NODE_TEXT, CMARK_NODE_CODE: out += cmark_node_get_literal(at).map { String(cString: $0) } ?? ""
            case CMARK_NODE_SOFTBREAK, CMARK_NODE_LINEBREAK: out += " "
            default: break
            }
        }
        return out
    }

    /// As GitHub names headings: small letters, digits, hyphens.
    static func slug(_ text: String) -> String {
        let out = text.lowercased().compactMap { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : $0 == " " ? "-" : nil }
        return out.isEmpty ? "section" : String(out)
    }

    static func unused(_ id: String, _ ids: inout Set<String>) -> String {
        var out = id, n = 1
        while !ids.insert(out).inserted {
            out = "\(id)-\(n)"
            n += 1
        }
        return out
    }
}
