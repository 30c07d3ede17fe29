"""Says what is dangerous in HTML: safe_html.py FILE, a JSON array of fragments. Prints a JSON array of findings, each with the fragment's place.

Python's own parser reads them, so that what a browser takes for an element is found whatever our program thinks of it.
"""
import html.parser
import json
import sys

ALLOWED = set("h1 h2 h3 h4 h5 h6 p ul ol li blockquote pre code em strong del a br hr table thead tbody tr th td input span img".split())
VOID = {"br", "hr", "input", "img"}
# Browsers show these and run nothing in them, which is not so of SVG.
PICTURES = ("data:image/png", "data:image/gif", "data:image/jpeg", "data:image/webp")
ATTRIBUTES = {"href", "title", "id", "class", "type", "checked", "disabled", "aria-label", "align", "start", "lang", "src", "alt"}


class Judge(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.findings, self.open = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ALLOWED:
            self.findings.append(f"<{tag}>")
        for name, value in attributes:
            text = "".join((value or "").split()).lower()
            if name not in ATTRIBUTES:
                self.findings.append(f"{tag} {name}={value}")
            elif name in ("href", "src") and text.split(":")[0] in ("javascript", "vbscript", "data", "file") and not text.startswith(PICTURES):
                self.findings.append(f"{tag} {name}={value}")
        if tag == "img" and not dict(attributes).get("src", "").lower().startswith(PICTURES):
            self.findings.append(f"an image of another place: {attributes}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID or not self.open or self.open.pop() != tag:
            self.findings.append(f"</{tag}> without its beginning")

    def handle_decl(self, text):
        self.findings.append(f"<!{text}>")

    def handle_comment(self, text):
        self.findings.append(f"<!--{text}-->")

    unknown_decl = handle_pi = handle_decl


findings = []
with open(sys.argv[1]) as file:
    fragments = json.load(file)
for place, fragment in enumerate(fragments):
    judge = Judge()
    judge.feed(fragment)
    judge.close()
    if judge.open:
        judge.findings.append(f"not closed: {judge.open}")
    findings += [f"{place}: {finding}" for finding in judge.findings]
print(json.dumps(findings))
