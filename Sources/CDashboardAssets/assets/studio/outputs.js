// What a cell showed: tables that change in place, charts, texts, markup and images.
import { h, setText, field } from '../dom.js'
import { cell as shown, count } from '../format.js'
import { markup } from './markup.js'
import { ResultChart, kinds, plan } from './chart.js'

const shownMax = 1000, textMax = 1 << 20

/** A table whose rows are changed in place; rows that were not there before are marked for a moment. */
class LiveTable {
  constructor(label) {
    this.head = h('tr')
    this.body = h('tbody')
    this.element = h('div', { class: 'table-scroll live-table', role: 'group', 'aria-label': label, tabindex: '0' }, h('table', { 'aria-label': label, class: 'rows' }, h('thead', {}, this.head), this.body))
    this.known = null
  }

  show({ columns, rows }) {
    const shape = JSON.stringify(columns)
    if (shape !== this.shape) {
      this.shape = shape
      this.head.replaceChildren(...columns.map(column => h('th', { scope: 'col', class: column.isNumeric ? 'number' : null }, h('span', { text: column.name }), h('small', { text: column.type ?? '' }))))
      this.body.replaceChildren()
      this.known = null
    }
    const box = this.element, isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8
    const counts = new Map()
    const lines = [...this.body.rows]
    rows.slice(-shownMax).forEach((row, index) => {
      const key = JSON.stringify(row, (_, value) => typeof value === 'bigint' ? String(value) : value)
      counts.set(key, (counts.get(key) ?? 0) + 1)
      let line = lines[index]
      if (!line) {
        line = h('tr', {}, columns.map(() => h('td')))
        this.body.append(line)
      }
      const isFresh = this.known !== null && (this.known.get(key) ?? 0) < counts.get(key)
      if (line.dataset.key !== key) {
        line.dataset.key = key
        row.forEach((value, at) => {
          const { text, class: kind } = shown(value)
          setText(line.cells[at], text)
          const name = columns[at].isNumeric ? 'number' : kind ?? ''
          if (line.cells[at].className !== name) line.cells[at].className = name
        })
      }
      if (line.classList.contains('fresh') !== isFresh) line.classList.toggle('fresh', isFresh)
    })
    for (const line of lines.slice(Math.min(rows.length, shownMax))) line.remove()
    this.known = counts
    if (isAtEnd && box.scrollHeight > box.clientHeight) box.scrollTop = box.scrollHeight
  }
}

/** A result with its chooser: table or chart, and which columns it takes. */
class Result {
  constructor(owner) {
    this.owner = owner
    this.table = new LiveTable('Result of ' + owner.name())
    this.status = h('span', { class: 'sub', role: 'status' })
    this.write = h('button', { type: 'button', class: 'small for-operate', text: 'Write into the cell', title: 'Writes the choice as a comment: @chart', onclick: () => owner.writeChart(this.spec) })
    const name = 'chart-' + owner.id + '-' + Math.random().toString(36).slice(2, 8)
    this.radios = kinds.map(kind => h('input', { type: 'radio', name, value: kind, onchange: () => this.choose({ kind }) }))
    this.x = this.select(value => this.choose({ x: value || null }))
    this.y = this.select(value => this.choose({ y: value ? [value] : [] }))
    this.group = this.select(value => this.choose({ group: value || null }))
    this.columns = h('div', { class: 'chart-columns', hidden: true }, field('x', this.x), field('y', this.y), field('group', this.group))
    this.tools = h('div', { class: 'result-tools' }, h('fieldset', { class: 'kinds' }, h('legend', { class: 'unseen', text: 'Show as' }),
      kinds.map((kind, index) => h('label', {}, this.radios[index], h('span', { text: kind })))), this.columns, this.write, this.status)
    this.place = h('div', {}, this.table.element)
    this.element = h('div', { class: 'result' }, this.tools, this.place)
  }

  select(run) { return h('select', { onchange: event => run(event.target.value) }) }

  /** The reader's choice holds until the cell says something else. */
  update(data) {
    // What the cell says now; a run knows what it said then.
    const chart = this.owner.chart() ?? data.chart ?? null, said = JSON.stringify(chart)
    if (said !== this.said) {
      this.said = said
      // A choice outlives the run in which it was made.
      const kept = this.owner.choice?.said === said ? this.owner.choice.spec : null
      this.spec = kept ?? { kind: 'table', x: null, y: [], group: null, title: null, ...chart }
      this.isChosen = Boolean(kept)
    }
    this.data = data
    const n = data.total ?? data.rows.length, more = n > data.rows.length ? `, the newest ${count(data.rows.length)} of them shown` : ''
    setText(this.status, `${count(n)} ${n === 1 ? 'row' : 'rows'}${more}${data.isFinal ? '' : ' so far'}`)
    this.draw()
  }

  choose(change) {
    this.spec = { ...this.spec, ...change }
    this.isChosen = true
    this.owner.choice = { said: this.said, spec: this.spec }
    this.draw()
  }

  draw() {
    const { data, spec } = this
    if (!data) return
    this.radios.forEach(radio => { radio.checked = radio.value === spec.kind })
    const isChart = spec.kind !== 'table'
    this.columns.hidden = !isChart
    this.write.hidden = !this.isChosen || !this.owner.canWriteChart()
    if (isChart) {
      const planned = plan(data.columns, spec)
      const fill = (control, names, empty, value) => {
        const options = JSON.stringify([names, empty])
        if (control.dataset.options !== options) {
          control.dataset.options = options
          control.replaceChildren(h('option', { value: '', text: empty }), ...names.map(name => h('option', { value: name, text: name })))
        }
        control.value = value ?? ''
      }
      const names = data.columns.map(column => column.name), automatic = at => at >= 0 && data.columns[at] ? `auto: ${data.columns[at].name}` : 'auto'
      fill(this.x, names, spec.x ? 'auto' : automatic(planned.x ?? -1), spec.x)
      const several = (spec.y?.length ?? 0) > 1
      fill(this.y, data.columns.filter(column => column.isNumeric).map(column => column.name), several ? spec.y.join(', ') : 'auto: numbers', several ? '' : spec.y?.[0])
      fill(this.group, names, 'none', spec.group)
      this.group.parentElement.hidden = spec.kind === 'pie'
      this.chart ??= new ResultChart()
      if (this.place.firstChild !== this.chart.element) this.place.replaceChildren(this.chart.element)
      this.chart.show(data, spec)
    } else {
      if (this.place.firstChild !== this.table.element) this.place.replaceChildren(this.table.element)
      this.table.show(data)
    }
  }

  end() { this.chart?.end() }
}

class Text {
  constructor(owner, isError) {
    this.text = ''
    this.pre = h('pre', { class: isError ? 'program error-text' : 'program', tabindex: '0', role: 'log', 'aria-label': (isError ? 'Errors of ' : 'Output of ') + owner.name() })
    this.element = this.pre
  }

  update({ text, isWhole, isCut }) {
    const box = this.pre, isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8
    if (isWhole) {
      this.text = text
      setText(box, (isCut ? '…\n' : '') + text)
    } else {
      this.text += text
      if (this.text.length > textMax * 1.25) {
        this.text = this.text.slice(-textMax)
        box.textContent = '…\n' + this.text
      } else box.append(text)
    }
    if (isAtEnd) box.scrollTop = box.scrollHeight
  }

  end() {}
}

class Plain {
  constructor() { this.element = h('div') }

  update(data) {
    if (data.event === 'message') return this.element.replaceChildren(h('p', { class: 'message', text: data.text ?? '' }))
    if (data.event === 'html') return this.element.replaceChildren(h('div', { class: 'markup' }, markup(data.html ?? '')))
    this.image(data)
  }

  /** Drawn on a canvas: the page's policy lets no image in but its own. */
  async image({ type, base64 }) {
    const label = 'Image that the cell made'
    try {
      const bytes = Uint8Array.from(atob(base64 ?? ''), letter => letter.charCodeAt(0))
      if (type === 'image/svg+xml') return this.element.replaceChildren(h('div', { class: 'markup', role: 'img', 'aria-label': label }, markup(new TextDecoder().decode(bytes))))
      const bitmap = await createImageBitmap(new Blob([bytes], { type }))
      const canvas = h('canvas', { role: 'img', 'aria-label': label, width: bitmap.width, height: bitmap.height, class: 'picture' })
      canvas.getContext('2d').drawImage(bitmap, 0, 0)
      this.element.replaceChildren(canvas)
    } catch {
      this.element.replaceChildren(h('p', { class: 'message', text: `An image of type ${type}, which this browser does not show.` }))
    }
  }

  end() {}
}

/** The outputs of a cell's newest run, in their order. */
export class Outputs {
  /** owner: { id, name(), chart(), writeChart(spec), canWriteChart() } */
  constructor(owner) {
    this.owner = owner
    this.parts = new Map()
    this.element = h('div', { class: 'outputs' })
  }

  /** Another run begins: what the last one showed stays until there is something new. */
  begin(run) {
    if (this.run === run) return
    this.run = run
    this.isStale = this.parts.size > 0
    this.element.classList.toggle('stale', this.isStale)
  }

  /** The cell may say another chart. */
  redraw() { for (const part of this.parts.values()) if (part.data) part.update(part.data) }

  settle() { if (this.isStale) this.clear() }

  clear() {
    for (const part of this.parts.values()) part.end()
    this.parts.clear()
    this.element.replaceChildren()
    this.isStale = false
    this.element.classList.remove('stale')
  }

  update(data) {
    if (data.run !== this.run) this.begin(data.run)
    this.settle()
    const wanted = data.event === 'table' ? Result : data.event === 'text' ? Text : Plain
    let part = this.parts.get(data.key)
    if (part && !(part instanceof wanted)) {
      part.end()
      part.element.remove()
      part = undefined
    }
    if (!part) {
      part = wanted === Text ? new Text(this.owner, data.isError) : new wanted(this.owner)
      part.key = data.key
      this.parts.set(data.key, part)
      const next = [...this.parts.values()].filter(other => other.key > data.key && other !== part).sort((a, b) => a.key - b.key)[0]
      this.element.insertBefore(part.element, next?.element ?? null)
    }
    part.update(data)
  }
}
