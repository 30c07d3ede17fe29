// Charts of a result by Chart.js: which columns they take, their points, and the directive that says so in a cell.
import { h, setText } from '../dom.js'
import { library, missingNote, color } from '../charts.js'

export const kinds = ['table', 'bar', 'line', 'area', 'pie', 'scatter']
const seriesMax = 8, slicesMax = 12, categoriesMax = 100

const isTime = column => /^(TIMESTAMP|DATE|TIME)\b/i.test(column.type ?? '')
const short = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 6 })
export const number = n => n === null || n === undefined ? 'NULL' : Number.isInteger(n) && Math.abs(n) < 1e15 ? n.toLocaleString('en-US') : short.format(n)
const text = value => value === null || value === undefined ? 'NULL' : typeof value === 'object' ? JSON.stringify(value) : String(value)
const numeric = value => value === null || value === undefined || value === '' ? null : Number.isFinite(Number(value)) ? Number(value) : null

/** Milliseconds of a time as SQL writes it, in UTC; a time of day counts from midnight. */
function time(value) {
  const found = /^(?:(\d{4})-(\d\d)-(\d\d))?[ T]?(?:(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?)?(Z)?$/.exec(String(value).trim())
  if (!found || !found[0]) return null
  const [, year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0, rest = 0] = found
  return Date.UTC(year, month - 1, day, hour, minute, second) + Math.floor(Number(rest) * 1000)
}

/** Which columns a chart takes, by their places; `problem` says why it cannot be drawn. */
export function plan(columns, spec) {
  const place = name => {
    const exact = columns.findIndex(column => column.name === name)
    return exact >= 0 ? exact : columns.findIndex(column => column.name.toLowerCase() === String(name).toLowerCase())
  }
  for (const [role, names] of [['x', spec.x ? [spec.x] : []], ['y', spec.y ?? []], ['group', spec.group ? [spec.group] : []]]) {
    for (const name of names) if (place(name) < 0) return { problem: `The chart's ${role} is "${name}", which is no column of the result.` }
  }
  const group = spec.group ? place(spec.group) : -1
  let y = (spec.y ?? []).map(place), x = spec.x ? place(spec.x) : -1
  const isNumber = at => columns[at].isNumeric
  if (x < 0) {
    const free = columns.map((_, at) => at).filter(at => at !== group && !y.includes(at))
    if (!['bar', 'pie'].includes(spec.kind)) x = free.find(at => isTime(columns[at])) ?? -1
    if (x < 0 && spec.kind === 'scatter' && (y.length || free.filter(isNumber).length > 1)) x = free.find(isNumber) ?? -1
    if (x < 0) x = free.find(at => !isNumber(at)) ?? free[0] ?? -1
  }
  if (!y.length && spec.aggregate !== 'count') {
    y = columns.map((_, at) => at).filter(at => isNumber(at) && at !== x && at !== group)
    if (['pie', 'scatter'].includes(spec.kind)) y = y.slice(0, 1)
    if (!y.length) return { problem: 'There is no column of numbers to draw.' }
  }
  const xKind = x < 0 ? 'category' : isTime(columns[x]) ? 'time' : isNumber(x) ? 'number' : 'category'
  return { x, y, group, xKind, isBanded: ['bar', 'pie'].includes(spec.kind) || xKind === 'category' }
}

/** { series: [{ name, points: [{ x, y }] }], categories, xKind, isBanded, xName, yName } or { problem }. */
export function chartData({ columns, rows }, spec) {
  const planned = plan(columns, spec)
  if (planned.problem) return planned
  const { x, y, group, xKind, isBanded } = planned
  const aggregate = spec.aggregate ?? (['bar', 'pie'].includes(spec.kind) ? 'sum' : spec.kind === 'scatter' ? null : 'last')
  const series = new Map(), categories = new Map(), notes = []
  let repeated = 0
  const valueOf = value => xKind === 'time' ? time(value) : xKind === 'number' ? numeric(value) : 0
  const add = (at, value, name) => {
    let one = series.get(name)
    if (!one) series.set(name, one = { name, points: [], known: new Map() })
    if (!aggregate) return one.points.push({ x: at, y: value })
    let point = one.known.get(at)
    if (!point) {
      one.known.set(at, point = { x: at, y: null, sum: 0, count: 0, min: Infinity, max: -Infinity, last: null })
      one.points.push(point)
    } else repeated++
    point.last = value
    if (value === null) return
    point.sum += value
    point.count++
    point.min = Math.min(point.min, value)
    point.max = Math.max(point.max, value)
  }
  for (const row of rows) {
    const cell = x < 0 ? 'all rows' : row[x]
    let at
    if (isBanded) {
      const label = text(cell)
      if (!categories.has(label)) categories.set(label, { text: label, value: valueOf(cell), at: categories.size })
      at = categories.get(label).at
    } else {
      at = valueOf(cell)
      if (at === null) continue
    }
    const of = group >= 0 ? text(row[group]) : null
    if (!y.length) add(at, 1, of ?? 'count')
    for (const column of y) {
      const name = columns[column].name
      add(at, numeric(row[column]), of === null ? name : y.length > 1 ? `${of} · ${name}` : of)
    }
  }
  let all = [...series.values()]
  if (aggregate) for (const { points } of all) for (const point of points) point.y = aggregate === 'last' ? point.last : aggregate === 'count' ? point.count : !point.count ? null : aggregate === 'avg' ? point.sum / point.count : point[aggregate]
  const named = name => spec.aggregate ? `${spec.aggregate}(${name})` : aggregate === 'sum' && repeated > 0 ? `sum(${name})` : name
  if (group < 0 && y.length) all.forEach((one, index) => { one.name = named(columns[y[index]].name) })
  let labels = [...categories.values()]
  if (isBanded && xKind !== 'category') {
    labels.sort((a, b) => (a.value ?? 0) - (b.value ?? 0) || a.at - b.at)
    const moved = new Map(labels.map((label, at) => [label.at, at]))
    for (const one of all) for (const point of one.points) point.x = moved.get(point.x)
  }
  if (!isBanded && spec.kind !== 'scatter') for (const one of all) one.points.sort((a, b) => a.x - b.x)
  if (all.length > seriesMax) {
    notes.push(`${all.length - seriesMax} more series are not drawn.`)
    all = all.slice(0, seriesMax)
  }
  if (isBanded && spec.kind !== 'pie' && labels.length > categoriesMax) {
    const from = xKind === 'time' ? labels.length - categoriesMax : 0
    notes.push(`${labels.length - categoriesMax} ${xKind === 'time' ? 'earlier' : 'more'} values of ${columns[x].name} are not drawn.`)
    labels = labels.slice(from, from + categoriesMax)
    for (const one of all) one.points = one.points.map(point => ({ ...point, x: point.x - from })).filter(point => point.x >= 0 && point.x < categoriesMax)
  }
  if (spec.kind === 'pie') {
    const points = all[0]?.points ?? [], negative = points.find(point => point.y < 0)
    if (negative) return { problem: `A pie shows parts of a whole, and ${all[0].name} of "${labels[negative.x].text}" is ${number(negative.y)}.` }
    if (points.length > slicesMax) {
      const kept = [...points].sort((a, b) => b.y - a.y).slice(0, slicesMax - 1), rest = points.filter(point => !kept.includes(point))
      labels = [...kept.map(point => labels[point.x]), { text: `${rest.length} others` }]
      all[0].points = [...kept.map((point, at) => ({ x: at, y: point.y })), { x: slicesMax - 1, y: rest.reduce((sum, point) => sum + (point.y ?? 0), 0) }]
    }
  }
  return { series: all, categories: labels.map(label => label.text), xKind, isBanded, xName: x < 0 ? '' : columns[x].name, yName: y.length === 1 ? named(columns[y[0]].name) : y.length ? '' : 'count', notes }
}

/** In words: what the chart shows, and its values when they are few. */
export function summary(spec, data) {
  const what = data.yName || data.series.map(one => one.name).slice(0, 5).join(', ')
  const out = `${spec.kind[0].toUpperCase()}${spec.kind.slice(1)} chart of ${what}${data.xName ? ` by ${data.xName}` : ''}.`
  const points = data.series.flatMap(one => one.points.filter(point => point.y !== null).map(point => ({ ...point, name: one.name })))
  if (!points.length) return out + ' There are no rows.'
  if (data.isBanded && points.length <= 12) {
    return `${out} ${points.map(point => `${data.series.length > 1 ? point.name + ', ' : ''}${data.categories[point.x]}: ${number(point.y)}`).join('; ')}.`
  }
  const values = points.map(point => point.y)
  return `${out} ${number(points.length)} values from ${number(values.reduce((a, b) => Math.min(a, b)))} to ${number(values.reduce((a, b) => Math.max(a, b)))}.`
}

const two = n => String(n).padStart(2, '0')
function clock(milliseconds, span) {
  const d = new Date(milliseconds), day = `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`, minute = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`
  return span > 3 * 86_400_000 ? day : span > 600_000 ? minute : `${minute}:${two(d.getUTCSeconds())}`
}

export class ResultChart {
  constructor() {
    this.canvas = h('canvas', { role: 'img' })
    this.title = h('figcaption')
    this.plot = h('div', { class: 'plot' }, this.canvas)
    this.legend = h('ul', { class: 'legend' })
    this.note = h('p', { class: 'sub' })
    this.element = h('figure', { class: 'chart result-chart' }, this.title, this.plot, this.legend, this.note)
    this.onTheme = () => { if (this.shown) this.show(...this.shown, true) }
    document.addEventListener('theme', this.onTheme)
  }

  end() {
    document.removeEventListener('theme', this.onTheme)
    this.chart?.destroy()
    this.chart = undefined
  }

  async show(result, spec, isRestyled = false) {
    this.shown = [result, spec]
    const Chart = await library('chart.min.js', 'Chart')
    if (this.shown[0] !== result) return
    if (!Chart) return this.plot.replaceChildren(missingNote('charts', 'libjs-chart.js'))
    const data = chartData(result, spec)
    this.element.classList.toggle('failed', Boolean(data.problem))
    this.title.hidden = !spec.title
    setText(this.title, spec.title ?? '')
    if (data.problem) {
      this.end()
      document.addEventListener('theme', this.onTheme)
      this.canvas.hidden = true
      this.legend.replaceChildren()
      return setText(this.note, data.problem)
    }
    this.canvas.hidden = false
    setText(this.note, data.notes.join(' '))
    this.canvas.setAttribute('aria-label', (spec.title ? spec.title + ': ' : '') + summary(spec, data))
    const shape = JSON.stringify([spec.kind, data.isBanded, data.xKind, data.xName, data.yName, data.series.length])
    if (this.chart && (this.shape !== shape || isRestyled)) {
      this.chart.destroy()
      this.chart = undefined
    }
    this.shape = shape
    const config = this.config(data, spec)
    if (this.chart) {
      this.chart.data.labels = config.data.labels
      this.chart.data.datasets.length = config.data.datasets.length
      config.data.datasets.forEach((set, index) => { this.chart.data.datasets[index] = Object.assign(this.chart.data.datasets[index] ?? {}, set) })
      this.chart.update('none')
    } else this.chart = new Chart(this.canvas, config)
    this.showLegend(data, spec)
  }

  showLegend(data, spec) {
    const entries = spec.kind === 'pie' ? data.categories.map((name, at) => [name, number(data.series[0]?.points.find(point => point.x === at)?.y)]) : data.series.length > 1 ? data.series.map(one => [one.name, '']) : []
    this.legend.replaceChildren(...entries.map(([name, value], index) => h('li', {}, h('span', { class: 'mark series-' + index % 8, 'aria-hidden': 'true' }), h('span', { class: 'name', text: name, title: name }),
      value ? h('span', { class: 'value', text: value }) : null)))
  }

  config(data, spec) {
    const grid = color('line'), ink = color('muted'), colors = Array.from({ length: 8 }, (_, index) => color('series-' + index))
    const ticks = { color: ink, font: { size: 11, family: 'system-ui, sans-serif' }, maxRotation: 45 }
    const shared = { animation: false, responsive: true, maintainAspectRatio: false }
    const legend = { display: false }
    if (spec.kind === 'pie') {
      const points = data.series[0]?.points ?? []
      return {
        type: 'pie', data: { labels: data.categories, datasets: [{ label: data.yName, data: data.categories.map((_, at) => points.find(point => point.x === at)?.y ?? 0), backgroundColor: data.categories.map((_, at) => colors[at % 8]), borderColor: color('card'), borderWidth: 1.5 }] },
        options: { ...shared, plugins: { legend } },
      }
    }
    const span = data.xKind === 'time' && !data.isBanded ? Math.max(...data.series.flatMap(one => one.points.map(point => point.x))) - Math.min(...data.series.flatMap(one => one.points.map(point => point.x))) : 0
    const xText = value => data.xKind === 'time' ? clock(value, span) : number(value)
    const axis = name => ({ display: Boolean(name), text: name, color: ink, font: { size: 11, family: 'system-ui, sans-serif' } })
    const isLinear = !data.isBanded
    const datasets = data.series.map((one, index) => ({
      label: one.name, borderColor: colors[index], backgroundColor: spec.kind === 'area' ? colors[index].replace(/^rgb\(([^)]*)\)$/, 'rgba($1, .25)') : colors[index], fill: spec.kind === 'area' ? 'origin' : false,
      data: isLinear ? one.points.map(({ x, y }) => ({ x, y })) : data.categories.map((_, at) => one.points.find(point => point.x === at)?.y ?? null), maxBarThickness: 64,
    }))
    return {
      type: spec.kind === 'bar' ? 'bar' : spec.kind === 'scatter' ? 'scatter' : 'line', data: { labels: isLinear ? undefined : data.categories, datasets },
      options: {
        ...shared, interaction: { mode: 'nearest', axis: 'x', intersect: false },
        elements: { point: { radius: spec.kind === 'scatter' ? 3 : data.series.some(one => one.points.length < 40) ? 2.5 : 0, hitRadius: 8 }, line: { borderWidth: 1.75, tension: 0 } },
        plugins: { legend, tooltip: { callbacks: { title: items => isLinear ? xText(items[0].parsed.x) : items[0].label, label: item => `${item.dataset.label}: ${number(item.parsed.y)}` } } },
        scales: {
          x: isLinear ? { type: 'linear', ticks: { ...ticks, maxRotation: 0, maxTicksLimit: 8, callback: xText }, grid: { color: grid, drawTicks: false }, title: axis(data.xName) }
            : { type: 'category', ticks: { ...ticks, autoSkip: true }, grid: { display: false }, title: axis(data.xName) },
          y: { beginAtZero: spec.kind === 'bar' || spec.kind === 'area', ticks: { ...ticks, maxTicksLimit: 6, callback: number }, grid: { color: grid, drawTicks: false }, title: axis(data.yName) },
        },
      },
    }
  }
}

const quoted = word => /^[\p{L}\p{N}_.$-]+$/u.test(word) ? word : `"${word.replaceAll('"', '\\"')}"`

/** `bar x=status y=avg` */
export function directive(spec) {
  return [spec.kind, spec.x ? 'x=' + quoted(spec.x) : '', spec.y?.length ? 'y=' + spec.y.map(quoted).join(',') : '', spec.group ? 'group=' + quoted(spec.group) : '', spec.aggregate ? 'aggregate=' + spec.aggregate : '',
    spec.title ? 'title=' + `"${spec.title.replaceAll('"', '\\"')}"` : ''].filter(Boolean).join(' ')
}

/** The source with the chart's directive among the comments at its top. */
export function withDirective(source, spec, comment) {
  const lines = source.split('\n'), line = `${comment} @chart ${directive(spec)}`
  let end = 0
  while (end < lines.length && (lines[end].trim() === '' || lines[end].trim().startsWith(comment))) end++
  const known = lines.findIndex((text, at) => at < end && new RegExp(`^\\s*${comment}\\s*@chart\\b`).test(text))
  if (known >= 0) lines[known] = line
  else lines.unshift(line)
  return lines.join('\n')
}
