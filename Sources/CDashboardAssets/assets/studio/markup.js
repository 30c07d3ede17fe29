// Markup that the service made of Markdown, or a program of a cell wrote: built again from the elements and attributes that are known
// to be harmless. Everything else becomes text, or is left out.

const htmlSpace = 'http://www.w3.org/1999/xhtml', svgSpace = 'http://www.w3.org/2000/svg'

const plain = new Set(('p br hr ul ol li dl dt dd blockquote pre code em strong b i u s del ins mark kbd samp var sub sup small abbr cite q span div section figure figcaption details summary '
  + 'table caption thead tbody tfoot tr th td').split(' '))
const attributes = { th: ['align', 'colspan', 'rowspan', 'scope'], td: ['align', 'colspan', 'rowspan'], ol: ['start'], code: ['class'], abbr: ['title'] }
const shapes = new Set('svg g path rect circle ellipse line polyline polygon text tspan title desc'.split(' '))
const shapeAttributes = new Set(('viewBox width height x y x1 y1 x2 y2 cx cy r rx ry d points transform fill fill-opacity stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin opacity '
  + 'text-anchor dominant-baseline font-size font-weight font-family dx dy role aria-label preserveAspectRatio').split(' '))
// Their contents are no text of the page.
const dropped = new Set('script style template iframe object embed noscript head title link meta base'.split(' '))
const depthMax = 60

function safeAddress(text) {
  try {
    const address = new URL(text, location.href)
    return ['http:', 'https:', 'mailto:'].includes(address.protocol) ? text : null
  } catch { return null }
}

/**
 * What browsers would report as refused by the page's policy while they parse, such as the styles in pandas' tables. Nothing depends on it:
 * what is left over is not copied.
 */
const quiet = html => html.replace(/<(style|script)\b[^>]*>[^]*?<\/\1\s*>/gi, '').replace(/<[a-z][^>]*>/gi, tag => tag.replace(/\s(?:on\w+|style)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)/gi, ''))

/** A piece of a document for markup; headings go down a step, below the page's own. */
export function markup(html) {
  const out = document.createDocumentFragment()
  copy(new DOMParser().parseFromString(quiet(html), 'text/html').body, out, 0)
  return out
}

function copy(from, to, depth) {
  if (depth > depthMax) return to.append(from.textContent)
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data)
    else if (node.nodeType === Node.ELEMENT_NODE) element(node, to, depth)
  }
}

function element(node, to, depth) {
  const name = node.localName
  if (node.namespaceURI === svgSpace) {
    if (!shapes.has(name)) return
    const made = document.createElementNS(svgSpace, name)
    for (const { name: key, value } of node.attributes) if (shapeAttributes.has(key) && !/url\s*\(/i.test(value)) made.setAttribute(key, value)
    copy(node, made, depth + 1)
    return to.append(made)
  }
  if (node.namespaceURI !== htmlSpace || dropped.has(name)) return
  if (name === 'img') return to.append(`[image: ${node.alt || 'without a description'}]`)
  if (name === 'input') {
    // A task list.
    return to.append(node.type === 'checkbox' ? node.checked || node.hasAttribute('checked') ? '☑ ' : '☐ ' : '')
  }
  const heading = /^h([1-6])$/.exec(name)
  if (heading) {
    const made = document.createElement('h' + Math.min(6, Number(heading[1]) + 1))
    copy(node, made, depth + 1)
    return to.append(made)
  }
  if (name === 'a') {
    const address = safeAddress(node.getAttribute('href') ?? ''), made = document.createElement(address ? 'a' : 'span')
    if (address) {
      made.setAttribute('href', address)
      made.setAttribute('rel', 'noreferrer noopener')
      made.setAttribute('target', '_blank')
    }
    copy(node, made, depth + 1)
    return to.append(made)
  }
  if (!plain.has(name)) return copy(node, to, depth + 1)
  const made = document.createElement(name)
  for (const key of attributes[name] ?? []) if (node.hasAttribute(key)) made.setAttribute(key, node.getAttribute(key))
  copy(node, made, depth + 1)
  if (name !== 'table') return to.append(made)
  // Wide tables scroll by themselves.
  const frame = document.createElement('div')
  frame.className = 'table-scroll'
  frame.tabIndex = 0
  frame.setAttribute('role', 'group')
  frame.setAttribute('aria-label', 'Table')
  frame.append(made)
  to.append(frame)
}
