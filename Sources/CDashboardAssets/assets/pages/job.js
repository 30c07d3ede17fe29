import { get, poll, path, link, config } from '../api.js'
import { h, section, setText, setBadge, failureBox, tabs, empty } from '../dom.js'
import { DataTable } from '../table.js'
import { LineChart, BarChart } from '../charts.js'
import { JobGraph } from '../graph.js'
import { JobHistory, totals } from '../samples.js'
import { actionButtons } from '../actions.js'
import { logView } from './topology.js'
import { count, rate, shortRate, percent, bytes, duration, ago, watermark, shortWatermark, tail as lastDigits, absolute, relative, none } from '../format.js'

/** Histories outlive the page, so that going back to a job shows its last minutes; those of the jobs looked at last are kept. */
const histories = new Map()
const keptHistories = 20

const behind = (value, now) => value === undefined || value === null || value >= 9e18 ? none : duration(Math.max(0, now - value))

function subtaskTable(history) {
  return new DataTable('Subtasks', [
    { title: 'Operator', isHeader: true, cell: s => s.vertex.name },
    { title: 'Subtask', isNumber: true, cell: s => count(s.index) },
    { title: 'Rows in', isNumber: true, cell: s => count(s.rowsIn) },
    { title: 'Rows out', isNumber: true, cell: s => count(s.rowsOut) },
    { title: 'In now', isNumber: true, cell: s => rate(history.rowRates(s.vertex.id, s.index).in) },
    { title: 'Out now', isNumber: true, cell: s => rate(history.rowRates(s.vertex.id, s.index).out) },
    { title: 'Busy', cell: s => ({ bar: history.rowRates(s.vertex.id, s.index) }) },
    { title: 'Bytes in', isNumber: true, cell: s => bytes(s.bytesIn) },
    { title: 'Bytes out', isNumber: true, cell: s => bytes(s.bytesOut) },
    { title: 'Queued', isNumber: true, cell: s => count(s.queued) },
    { title: 'Late', isNumber: true, cell: s => count(s.lateRows) },
    { title: 'Bad', isNumber: true, cell: s => ({ text: count(s.badRecords), class: s.badRecords ? 'warn-text' : '' }) },
    { title: 'Watermark', cell: s => shortWatermark(s.watermark) },
    { title: 'More', cell: s => ({ text: Object.entries(s.gauges ?? {}).sort().map(([name, value]) => `${name} ${count(value)}`).join(', '), class: 'wrap' }) },
  ], { key: s => `${s.vertex.id}/${s.index}` })
}

const subtasksOf = vertices => vertices.flatMap(vertex => vertex.subtasks.map(s => ({ ...s, vertex })))

/** Watermarks of operators, watermarks and lag of splits, and measured latencies. */
function timePanel() {
  const operators = new DataTable('Watermarks of operators', [
    { title: 'Operator', isHeader: true, cell: o => o.vertex.name },
    { title: 'Watermark', cell: o => watermark(o.watermark) },
    { title: 'Behind now', isNumber: true, cell: o => behind(o.watermark, o.now) },
    { title: 'Late rows', isNumber: true, cell: o => count(o.lateRows) },
  ], { key: o => o.vertex.id })
  const splits = new DataTable('Splits', [
    { title: 'Source', isHeader: true, cell: s => s.source },
    { title: 'Split', cell: s => s.id },
    { title: 'Subtask', isNumber: true, cell: s => count(s.subtask) },
    { title: 'Watermark', cell: s => watermark(s.watermark) },
    { title: 'Behind now', isNumber: true, cell: s => behind(s.watermark, s.now) },
    { title: 'Records behind', isNumber: true, cell: s => count(s.lag) },
    { title: 'Activity', cell: s => s.isIdle ? 'idle' : 'active' },
    { title: 'Position', cell: s => lastDigits(s.position) },
  ], { key: s => `${s.source} ${s.id}`, emptyText: 'No source of this job has splits.' })
  const latencies = new DataTable('Latencies', [
    { title: 'Measure', isHeader: true, cell: l => l.name },
    { title: 'Of', cell: l => Object.entries(l.labels).map(([name, value]) => `${name} ${value}`).join(', ') },
    { title: 'Count', isNumber: true, cell: l => count(l.count) },
    ...[0.5, 0.95, 0.99].map(q => ({
      title: 'p' + q * 100, isNumber: true, cell: l => duration(l.quantiles.find(x => x.quantile === q)?.value),
    })),
  ], { key: l => l.name + JSON.stringify(l.labels), emptyText: 'No latency is measured.' })
  return {
    element: h('div', {}, section('Splits', splits.element), section('Operators', operators.element), section('Latencies', latencies.element)),
    update(report, now) {
      operators.update(report.vertices.map(vertex => ({ vertex, now, ...totals(vertex) })))
      splits.update(report.vertices.flatMap(vertex => vertex.subtasks.flatMap(s => (s.splits ?? []).map(split => ({ ...split, source: vertex.name, subtask: s.index, now })))))
      latencies.update(report.histograms ?? [])
    },
  }
}

function checkpointPanel() {
  const summary = h('dl', { class: 'facts' })
  const names = ['Completed', 'Failed', 'In progress', 'Restored', 'Median duration', 'Newest size']
  const values = names.map(name => {
    const value = h('dd', { text: none })
    summary.append(h('div', {}, h('dt', { text: name }), value))
    return value
  })
  const chart = new BarChart('Duration of checkpoints', { format: n => duration(n) })
  const table = new DataTable('Checkpoints', [
    { title: 'Id', isHeader: true, isNumber: true, cell: c => c.id },
    { title: 'Status', cell: c => ({ badge: c.status }) },
    { title: 'Kind', cell: c => c.isSavepoint ? 'savepoint' : 'checkpoint' },
    { title: 'Begun', cell: c => ago(c.triggeredAt) },
    { title: 'Duration', isNumber: true, cell: c => duration(c.duration) },
    { title: 'Size', isNumber: true, cell: c => ({ text: bytes(c.bytes), title: c.bytes === undefined ? '' : count(c.bytes) + ' bytes' }) },
    { title: 'Failure', cell: c => ({ text: c.failure ?? '', class: 'wrap error-text' }) },
    { title: 'Path', cell: c => ({ text: c.path?.split('/').at(-1) ?? '', title: c.path ?? '' }) },
  ], { key: c => c.id, emptyText: 'No checkpoint yet.' })
  return {
    element: h('div', {}, summary, chart.element, section('History', table.element)), chart,
    update({ checkpoints }) {
      const history = checkpoints.history ?? [], done = history.filter(c => c.status === 'COMPLETED'), lengths = done.map(c => c.duration).sort((a, b) => a - b)
      const texts = [count(checkpoints.completed), count(checkpoints.failed), count(checkpoints.inProgress), count(checkpoints.restored),
        duration(lengths[Math.floor(lengths.length / 2)]), bytes(done.at(-1)?.bytes)]
      values.forEach((value, index) => setText(value, texts[index]))
      table.update([...history].reverse())
      chart.update(history.map(c => ({ label: String(c.id), value: c.duration ?? 0, isBad: c.status === 'FAILED' })))
    },
  }
}

function failurePanel() {
  const list = h('ol', { class: 'failures' }), nothing = empty('No failure: the job has run since its start.')
  let shown = ''
  return {
    element: h('div', {}, nothing, list),
    update({ failures }) {
      nothing.hidden = failures.length > 0
      const text = JSON.stringify(failures)
      if (text !== shown) {
        shown = text
        list.replaceChildren(...[...failures].reverse().map(f => h('li', { class: 'card' },
          h('p', { class: 'when' }, h('strong', { text: f.kind }), ` in attempt ${f.attempt}, `, h('time', { datetime: new Date(f.at).toISOString(), title: absolute(f.at), text: relative(f.at) })),
          h('pre', { text: f.message }))))
      } else {
        list.querySelectorAll('time').forEach(time => setText(time, relative(Date.parse(time.dateTime))))
      }
    },
  }
}

export default async function job({ root, parts, signal, setTitle }) {
  const [jid, tab = 'graph'] = parts
  const address = path('jobs', jid, 'report')
  const [first, { topologies }] = await Promise.all([get(address, signal), get('/v1/topologies', signal)])
  const owner = topologies.find(t => t.jobs?.includes(jid))
  setTitle(first.name)

  let history = histories.get(jid)
  if (!history) {
    histories.set(jid, history = new JobHistory())
    if (histories.size > keptHistories) histories.delete(histories.keys().next().value)
    if ((await config()).features?.['job-history']) {
      // The charts begin with what came before; without it they begin now.
      const { points } = await get(path('jobs', jid, 'history') + '?seconds=600', signal).catch(() => ({ points: [] }))
      history.addPast(points)
    }
  }

  const state = h('span'), facts = h('p', { class: 'sub' }), failure = h('div')
  let chosen = null
  const operatorSubtasks = subtaskTable(history), operatorTitle = h('h2')
  const operatorPart = h('section', { class: 'card', hidden: true, 'aria-label': 'Subtasks of the chosen operator' }, operatorTitle, operatorSubtasks.element)
  const graph = new JobGraph(id => {
    chosen = chosen === id ? null : id
    graph.mark(chosen)
    show(latest)
  })
  const charts = {
    rows: new LineChart('Rows per second by operator', { format: n => shortRate(n) }),
    busy: new LineChart('Busy share by operator', { format: n => percent(n), max: 1 }),
    held: new LineChart('Back-pressured share by operator', { format: n => percent(n), max: 1 }),
    lag: new LineChart('Records behind by source', { format: n => count(n), max: 4 }),
  }
  const times = timePanel(), checkpoints = checkpointPanel(), failures = failurePanel(), all = subtaskTable(history)
  const log = owner ? logView(owner.name, signal) : { element: empty('This job belongs to no topology: it has no log here.'), begin() {} }
  const graphPart = h('div', {}, h('div', { class: 'card' }, graph.element), operatorPart, h('div', { class: 'charts' }, Object.values(charts).map(chart => chart.element)))
  const panels = [
    { id: 'graph', title: 'Graph', panel: graphPart },
    { id: 'subtasks', title: 'Subtasks', panel: h('div', {}, section('Subtasks', all.element)) },
    { id: 'time', title: 'Watermarks', panel: times.element },
    { id: 'checkpoints', title: 'Checkpoints', panel: checkpoints.element },
    { id: 'exceptions', title: 'Exceptions', panel: failures.element },
    { id: 'log', title: 'Log', panel: h('div', {}, section('Log', log.element)) },
  ]
  let shownTab = null
  const bar = tabs('Parts of the job', panels, id => {
    shownTab = id
    // The address says what is shown; going back leaves the job rather than the tab.
    window.history.replaceState(null, '', id === 'graph' ? link('jobs', jid) : link('jobs', jid, id))
    if (id === 'log') log.begin()
    if (latest) show(latest)
  })
  root.append(
    h('p', { class: 'crumbs' }, h('a', { href: '#/', text: 'Overview' }), ...(owner ? [' / ', h('a', { href: link('topologies', owner.name), text: owner.name })] : []), ' / job'),
    h('div', { class: 'head' }, h('h1', {}, h('span', { text: first.name }), ' ', state), owner ? actionButtons(owner) : null), facts, failure, bar.element)

  let latest = null
  function show(report) {
    if (!report) return
    const now = report.endedAt ?? report.takenAt ?? Date.now()
    setBadge(state, report.state)
    const failed = report.failures.length, splits = report.vertices.flatMap(v => v.subtasks)
    setText(facts, [`${report.endedAt ? 'ran' : 'running'} for ${duration(Math.floor((now - report.startedAt) / 1000) * 1000)}`, `attempt ${report.attempt}`, `${report.vertices.length} operators`,
      `${splits.length} subtasks`, failed ? `${failed} ${failed === 1 ? 'failure' : 'failures'}` : 'no failure'].join(' · '))
    setText(bar.buttons.get('exceptions'), failed ? `Exceptions (${failed})` : 'Exceptions')
    if (shownTab === 'graph') {
      graph.update(report, history)
      const vertex = report.vertices.find(v => v.id === chosen)
      operatorPart.hidden = !vertex
      if (vertex) {
        setText(operatorTitle, vertex.name)
        operatorSubtasks.update(subtasksOf([vertex]))
      }
      const lines = (vertices, pick) => vertices.map(v => ({ name: v.name, points: history.series(v.id, rates => pick(rates, v)) }))
      charts.rows.update(lines(report.vertices, (rates, v) => v.kind === 'source' ? rates.out : rates.in))
      charts.busy.update(lines(report.vertices, rates => rates.busy))
      charts.held.update(lines(report.vertices, rates => rates.held))
      charts.lag.update(lines(report.vertices.filter(v => v.kind === 'source'), rates => rates.lag))
    } else if (shownTab === 'subtasks') all.update(subtasksOf(report.vertices))
    else if (shownTab === 'time') times.update(report, now)
    else if (shownTab === 'checkpoints') checkpoints.update(report)
    else if (shownTab === 'exceptions') failures.update(report)
  }

  const figures = [...Object.values(charts), checkpoints.chart]
  const restyle = () => figures.forEach(figure => figure.restyle())
  document.addEventListener('theme', restyle)
  signal.addEventListener('abort', () => {
    document.removeEventListener('theme', restyle)
    figures.forEach(figure => figure.end())
    graph.end()
  })
  history.add(first)
  bar.show(panels.some(panel => panel.id === tab) ? tab : 'graph')
  await Promise.all([graph.prepare(), ...figures.map(figure => figure.prepare())])
  if (signal.aborted) return
  latest = first
  show(latest)
  poll(1000, signal, async () => {
    const report = await get(address, signal)
    if (signal.aborted) return
    failure.replaceChildren()
    if (!history.add(report) && report.state === latest.state) return
    latest = report
    show(report)
  }, error => {
    failure.replaceChildren(failureBox(error))
    if (error.status === 404 && owner) {
      // It was started anew, as another job.
      failure.append(h('p', {}, 'Newer jobs of the topology are at ', h('a', { href: link('topologies', owner.name), text: owner.name }), '.'))
    }
  })
}
