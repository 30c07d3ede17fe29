// Line and bar charts by Chart.js, with a legend of our own that says the newest values as text.
import { h, setText } from './dom.js'

const loading = new Map()

/** Loads one of the libraries that Debian packages; returns its global, or undefined when the program was built without it. */
export function library(file, global) {
  if (!loading.has(file)) {
    loading.set(file, new Promise((resolve, reject) => {
      const script = h('script', { src: 'lib/' + file, onload: () => resolve(window[global]), onerror: () => reject(new Error('cannot load ' + file)) })
      document.head.append(script)
    }))
  }
  return loading.get(file)
}

/** What to do about a library that is not there. */
export function missingNote(what, packageName) {
  return h('p', { class: 'failure', text: `No ${what}: this program was built without ${packageName}. Install it (apt-get install ${packageName}) and build again.` })
}

/** A colour of the style sheet as the browser resolves it in the current theme. */
export function color(name) {
  const probe = h('span')
  probe.style.color = `var(--${name})`
  document.body.append(probe)
  const resolved = getComputedStyle(probe).color
  probe.remove()
  return resolved
}

/** Spans of the time axis in seconds, and the distance of its lines. */
const spans = [[60, 15], [120, 30], [300, 60], [600, 120]]

const before = x => x === 0 ? 'now' : x % 60 === 0 ? `${-x / 60} min` : `${-x} s`

function options({ format, isBar, max }) {
  const grid = color('line'), text = color('muted')
  const ticks = { color: text, font: { size: 11, family: 'system-ui, sans-serif' }, maxRotation: 0 }
  return {
    animation: false, responsive: true, maintainAspectRatio: false, normalized: true, parsing: isBar ? undefined : false,
    interaction: { mode: 'nearest', axis: 'x', intersect: false },
    elements: { point: { radius: 0, hitRadius: 6 }, line: { borderWidth: 1.75, tension: 0 } },
    plugins: {
      legend: { display: false },
      tooltip: {
        callbacks: {
          title: items => isBar ? 'checkpoint ' + items[0].label : items[0].parsed.x === 0 ? 'now' : `${Math.round(-items[0].parsed.x)} s ago`,
          label: item => `${item.dataset.label}: ${format(item.parsed.y)}`,
        },
      },
    },
    scales: {
      x: isBar ? { ticks, grid: { display: false } }
        : { type: 'linear', min: -60, max: 0, ticks: { ...ticks, stepSize: 15, callback: before }, grid: { color: grid, drawTicks: false } },
      y: { beginAtZero: true, suggestedMax: max, ticks: { ...ticks, maxTicksLimit: 5, precision: max > 1 ? 0 : undefined, callback: format }, grid: { color: grid, drawTicks: false } },
    },
  }
}

class Figure {
  constructor(title, { format, max, isBar = false }) {
    this.settings = { format, max, isBar }
    this.title = title
    this.canvas = h('canvas', { role: 'img', 'aria-label': title })
    this.legend = h('ul', { class: 'legend' })
    this.entries = new Map()
    this.element = h('figure', { class: 'chart' }, h('figcaption', { text: title }), h('div', { class: 'plot' }, this.canvas), this.legend)
  }

  async prepare() {
    this.Chart = await library('chart.min.js', 'Chart')
    if (!this.Chart) this.element.querySelector('.plot').replaceWith(missingNote('charts', 'libjs-chart.js'))
    return Boolean(this.Chart)
  }

  make(data) {
    this.chart = new this.Chart(this.canvas, { type: this.settings.isBar ? 'bar' : 'line', data, options: options(this.settings) })
  }

  /** Takes the colours of the theme again. */
  restyle() {
    if (!this.chart) return
    const data = this.chart.data
    this.chart.destroy()
    this.make(data)
  }

  end() { this.chart?.destroy() }
}

/** Lines over the last minutes: as many as there are points for, at most ten. */
export class LineChart extends Figure {
  /** series: [{ name, points: [{ x, y }] }] */
  update(series) {
    if (!this.Chart) return
    if (!this.chart) this.make({ datasets: [] })
    const datasets = this.chart.data.datasets
    datasets.length = series.length
    series.forEach((line, index) => {
      const stroke = color('series-' + index % 8)
      const set = datasets[index] ??= {}
      Object.assign(set, { label: line.name, data: line.points, borderColor: stroke, backgroundColor: stroke, spanGaps: false })
      let entry = this.entries.get(index)
      if (!entry) {
        const mark = h('span', { class: 'mark series-' + index % 8, 'aria-hidden': 'true' })
        entry = { name: h('span', { class: 'name' }), value: h('span', { class: 'value' }) }
        this.legend.append(h('li', {}, mark, entry.name, entry.value))
        this.entries.set(index, entry)
      }
      setText(entry.name, line.name)
      entry.name.title = line.name
      setText(entry.value, this.settings.format(line.points.at(-1)?.y ?? null))
    })
    const oldest = -Math.min(0, ...series.map(line => line.points[0]?.x ?? 0))
    const [span, step] = spans.find(([span]) => oldest <= span) ?? spans.at(-1)
    const axis = this.chart.options.scales.x
    axis.min = -span
    axis.ticks.stepSize = step
    if (this.canvas.offsetParent !== null) this.chart.update('none')
  }
}

/** One bar for each of a list: [{ label, value, isBad }]. */
export class BarChart extends Figure {
  constructor(title, settings) { super(title, { ...settings, isBar: true }) }

  update(bars) {
    if (!this.Chart) return
    if (!this.chart) this.make({ labels: [], datasets: [{ label: this.title, data: [], maxBarThickness: 18 }] })
    const good = color('series-0'), bad = color('bad')
    this.chart.data.labels = bars.map(bar => bar.label)
    Object.assign(this.chart.data.datasets[0], { data: bars.map(bar => bar.value), backgroundColor: bars.map(bar => bar.isBad ? bad : good) })
    if (this.canvas.offsetParent !== null) this.chart.update('none')
  }
}

/** Bars of a histogram as a list: [{ label, count }]. */
export function histogram(label, buckets, format) {
  const most = Math.max(1, ...buckets.map(bucket => bucket.count))
  return h('ul', { class: 'histogram', 'aria-label': label }, buckets.map(bucket => {
    const fill = h('span', { class: 'fill' })
    fill.style.width = bucket.count / most * 100 + '%'
    return h('li', {}, h('span', { class: 'name', text: bucket.label }), h('span', { class: 'track', 'aria-hidden': 'true' }, fill), h('span', { class: 'value', text: format(bucket.count) }))
  }))
}
