import { watchOverview, get, poll, link } from '../api.js'
import { h, section, setText, failureBox } from '../dom.js'
import { DataTable } from '../table.js'
import { actionButtons, isRunning, deployDialog } from '../actions.js'
import { count, rate, ago, duration, none } from '../format.js'

const sumOf = (jobs, name) => {
  const known = jobs.map(job => job[name]).filter(value => typeof value === 'number')
  return known.length ? known.reduce((a, b) => a + b, 0) : null
}

/** Of the job's busiest operator, when the service says. */
function shares(job) {
  if (typeof job.busy !== 'number') return {}
  const held = job['back-pressured'] ?? 0
  return { busy: job.busy, held, idle: Math.max(0, 1 - job.busy - held) }
}

/** How many events of the service are shown. */
const eventCount = 12

export function eventsTable() {
  return new DataTable('Events', [
    { title: 'When', cell: e => ago(e.at) },
    { title: 'Topology', cell: e => e.topology ? { text: e.topology, href: link('topologies', e.topology) } : '' },
    { title: 'What', isWide: true, cell: e => e.kind },
    { title: 'Message', cell: e => ({ text: e.text, class: 'wrap' }) },
  ], { key: e => `${e.at} ${e.topology} ${e.kind} ${e.text}`, emptyText: 'Nothing has happened yet.' })
}

export default async function overview({ root, signal, setTitle }) {
  setTitle('Overview')
  const tiles = ['Topologies running', 'Jobs running', 'Rows in', 'Restarts', 'Failed'].map(name => ({ name, value: h('dd', { text: none }) }))
  const failure = h('div')
  let byTopology = new Map()
  const jobsOf = topology => (topology.jobs ?? []).map(jid => byTopology.get(jid)).filter(Boolean)

  const topologies = new DataTable('Topologies', [
    { title: 'Topology', isHeader: true, cell: t => ({ text: t.name, href: link('topologies', t.name) }) },
    { title: 'State', cell: t => ({ badge: t.state, title: t.desired ? 'desired: ' + t.desired : '' }) },
    { title: 'Rows in', isNumber: true, cell: t => rate(t.rowsPerSecond ?? sumOf(jobsOf(t), 'rows-per-second')) },
    { title: 'Version', isNumber: true, isWide: true, cell: t => count(t.version) },
    { title: 'Parallelism', isNumber: true, isWide: true, cell: t => t.parallelism ? count(t.parallelism) : { text: 'file', title: 'as the file says' } },
    { title: 'Restarts', isNumber: true, isWide: true, cell: t => ({ text: count(t.restarts), class: t.restarts ? 'warn-text' : '' }) },
    { title: 'Started', isWide: true, cell: t => ago(t.startedAt) },
    { title: 'Error', isWide: true, cell: t => ({ text: t.error ?? '', title: t.error ?? '', class: 'error-text', isClipped: true }) },
    { title: 'Actions', isWide: true, build: t => actionButtons(t) },
  ], { key: t => `${t.name} ${t.parallelism} ${isRunning(t)}`, emptyText: 'No topology is deployed yet. Deploy a file, or run: swiftwater deploy FILE' })

  const jobs = new DataTable('Jobs', [
    { title: 'Job', isHeader: true, cell: j => ({ text: j.name, href: link('jobs', j.jid), title: j.jid }) },
    { title: 'State', cell: j => ({ badge: j.state }) },
    { title: 'Rows in', isNumber: true, cell: j => rate(j['rows-per-second']) },
    { title: 'Rows out', isNumber: true, isWide: true, cell: j => rate(j['rows-out-per-second']) },
    { title: 'Busiest operator', isWide: true, cell: j => ({ bar: shares(j) }) },
    { title: 'Records behind', isNumber: true, cell: j => count(j.lag) },
    { title: 'Ran for', isWide: true, isNumber: true, cell: j => j['start-time'] > 0 ? duration(Math.floor(((j['end-time'] > 0 ? j['end-time'] : Date.now()) - j['start-time']) / 1000) * 1000) : none },
  ], { key: j => j.jid, emptyText: 'No job runs.' })

  const happened = eventsTable()
  root.append(
    h('div', { class: 'head' }, h('h1', { text: 'Overview' }), h('button', { type: 'button', class: 'primary for-admin', text: 'Deploy…', onclick: () => deployDialog() })),
    failure, h('dl', { class: 'tiles' }, tiles.map(tile => h('div', {}, h('dt', { text: tile.name }), tile.value))),
    section('Topologies', topologies.element), section('Jobs', jobs.element), section('Events', happened.element))

  const show = data => {
    failure.replaceChildren()
    byTopology = new Map(data.jobs.map(job => [job.jid, job]))
    const running = data.topologies.filter(t => t.state === 'RUNNING').length
    const texts = [`${running} of ${data.topologies.length}`, count(data.jobs.filter(j => j.state === 'RUNNING').length), rate(sumOf(data.jobs, 'rows-per-second')),
      count(sumOf(data.topologies, 'restarts') ?? 0), count(data.topologies.filter(t => t.state === 'FAILED').length)]
    tiles.forEach((tile, index) => setText(tile.value, texts[index]))
    tiles[4].value.classList.toggle('error-text', texts[4] !== '0')
    topologies.update(data.topologies)
    jobs.update(data.jobs)
  }
  const fail = error => failure.replaceChildren(failureBox(error))
  watchOverview(signal, show, fail)
  poll(5000, signal, async () => {
    const { events } = await get('/v1/events', signal)
    happened.update([...events].sort((a, b) => b.at - a.at).slice(0, eventCount))
  }, undefined, true)
}
