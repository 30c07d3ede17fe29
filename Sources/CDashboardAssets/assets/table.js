import { h, setText, setBadge } from './dom.js'

/**
 * A table whose rows are known by a key and changed in place, so that focus and selection survive.
 *
 * Columns: { title, cell(row) → text | { text, title, class, href, badge, bar, isClipped }, isNumber, isWide (left out on narrow screens),
 * isHeader (names the row), build(row) → elements made once for a row }.
 */
export class DataTable {
  constructor(label, columns, { key = (row, index) => index, emptyText = 'Nothing yet.', onRow } = {}) {
    this.columns = columns
    this.key = key
    this.onRow = onRow
    this.rows = new Map()
    this.body = h('tbody')
    this.emptyText = emptyText
    this.message = h('p', { class: 'empty', text: 'Loading…' })
    const head = h('tr', {}, columns.map(column => h('th', { scope: 'col', class: this.classes(column), text: column.title })))
    this.table = h('table', { 'aria-label': label }, h('thead', {}, head), this.body)
    this.scroller = h('div', { class: 'table-scroll', role: 'group', 'aria-label': label, tabindex: '0', hidden: true }, this.table)
    this.element = h('div', {}, this.scroller, this.message)
  }

  classes(column) { return [column.isNumber ? 'number' : '', column.isWide ? 'wide' : ''].filter(Boolean).join(' ') || null }

  update(rows) {
    this.message.hidden = rows.length > 0
    setText(this.message, this.emptyText)
    this.scroller.hidden = rows.length === 0
    const seen = new Set()
    let next = this.body.firstElementChild
    rows.forEach((row, index) => {
      const key = this.key(row, index)
      if (seen.has(key)) return
      seen.add(key)
      let line = this.rows.get(key)
      if (!line) {
        line = this.make(row)
        this.rows.set(key, line)
      }
      if (line.element === next) next = next.nextElementSibling
      else this.body.insertBefore(line.element, next)
      this.fill(line, row)
    })
    for (const [key, line] of this.rows) {
      if (seen.has(key)) continue
      line.element.remove()
      this.rows.delete(key)
    }
  }

  make(row) {
    const cells = this.columns.map(column => {
      const cell = h(column.isHeader ? 'th' : 'td', { class: this.classes(column), scope: column.isHeader ? 'row' : null })
      if (column.build) cell.append(...[column.build(row)].flat())
      return cell
    })
    return { element: h('tr', {}, cells), cells }
  }

  fill(line, row) {
    this.onRow?.(line.element, row)
    this.columns.forEach((column, index) => {
      if (!column.cell) return
      const cell = line.cells[index], value = column.cell(row)
      const shown = value !== null && typeof value === 'object' ? value : { text: value === null || value === undefined ? '' : String(value) }
      if (shown.href) {
        let anchor = cell.firstElementChild
        if (anchor?.tagName !== 'A') cell.replaceChildren(anchor = h('a'))
        if (anchor.getAttribute('href') !== shown.href) anchor.setAttribute('href', shown.href)
        setText(anchor, shown.text)
      } else if ('badge' in shown) {
        let mark = cell.firstElementChild
        if (!mark) cell.replaceChildren(mark = h('span'))
        setBadge(mark, shown.badge)
      } else if ('bar' in shown) {
        let bar = cell.firstElementChild
        if (!bar) cell.replaceChildren(bar = shareBar())
        setShares(bar, shown.bar)
      } else if (shown.isClipped) {
        let box = cell.firstElementChild
        if (!box) cell.replaceChildren(box = h('div', { class: 'clip' }))
        setText(box, shown.text ?? '')
      } else {
        setText(cell, shown.text ?? '')
      }
      const title = shown.title ?? ''
      if (cell.title !== title) cell.title = title
      if (shown.class !== undefined) cell.className = [this.classes(column), shown.class].filter(Boolean).join(' ')
    })
  }
}

/** A bar of the shares of time in which something was busy, back-pressured and idle, with the numbers beside it. */
export function shareBar() {
  return h('span', { class: 'shares' },
    h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span', { class: 'busy' }), h('span', { class: 'held' })),
    h('span', { class: 'share-text' }))
}

export function setShares(bar, { busy, held, idle }, isLong = false) {
  const known = busy !== null && busy !== undefined
  const [b, p] = bar.firstElementChild.children
  b.style.width = known ? busy * 100 + '%' : '0'
  p.style.width = known ? held * 100 + '%' : '0'
  const part = n => Math.round(n * 100) + ' %'
  setText(bar.lastElementChild, !known ? '–' : isLong ? `busy ${part(busy)} · back-pressured ${part(held)}` : part(busy) + (held >= 0.005 ? ` · back-pressured ${part(held)}` : ''))
  bar.title = known ? `busy ${part(busy)}, back-pressured ${part(held)}, idle ${part(idle)}` : ''
  bar.classList.toggle('hot', known && busy >= 0.8)
  bar.classList.toggle('held', known && held >= 0.5)
}

/** Rows of a query or table: columns [{ name, type }], rows as arrays. */
export function rowsTable(label, columns, rows, render) {
  const isNumber = columns.map((_, index) => rows.some(row => ['number', 'bigint'].includes(typeof row[index])))
  const head = h('tr', {}, columns.map((column, index) => h('th', { scope: 'col', class: isNumber[index] ? 'number' : null },
    h('span', { text: column.name }), h('small', { text: column.type ?? '' }))))
  const body = rows.map(row => h('tr', {}, row.map(value => {
    const shown = render(value)
    return h('td', { text: shown.text, class: shown.class || null })
  })))
  return h('div', { class: 'table-scroll', role: 'group', 'aria-label': label, tabindex: '0' },
    h('table', { 'aria-label': label, class: 'rows' }, h('thead', {}, head), h('tbody', {}, body)))
}
