import { get, getRows, poll, path, link } from '../api.js'
import { h, section, setText, failureBox, empty } from '../dom.js'
import { DataTable, rowsTable } from '../table.js'
import { histogram } from '../charts.js'
import { count, bytes, absolute, instant, relative, cell } from '../format.js'

export default async function tables(context) {
  if (context.parts[0]) return table(context, context.parts[0])
  const { root, signal, setTitle } = context
  setTitle('Tables')
  const list = new DataTable('Tables', [
    { title: 'Table', isHeader: true, cell: t => ({ text: t.name, href: link('tables', t.name) }) },
    { title: 'Format', cell: t => t.format },
    { title: 'Topology', cell: t => t.topology ? { text: t.topology, href: link('topologies', t.topology) } : '' },
    { title: 'Use', isWide: true, cell: t => t.isWritten === false ? 'read' : 'written' },
    { title: 'Path', cell: t => ({ text: t.path, class: 'wrap' }) },
  ], { key: t => `${t.topology} ${t.name}`, emptyText: 'No topology has a lake table.' })
  root.append(h('h1', { text: 'Tables' }), section('Lake tables', list.element))
  const { tables: known, problems = [] } = await get('/v1/tables', signal)
  list.update(known)
  if (problems.length) {
    root.append(section('Topologies whose text is not understood any more', h('ul', {}, problems.map(p =>
      h('li', { class: 'wrap' }, h('a', { href: link('topologies', p.topology), text: p.topology }), ': ' + p.problem)))))
  }
}

/** Bounds at which the sizes of a lake table's files tell something: tiny, small, and around the usual 128 MB. */
function buckets(sizes) {
  const limits = [0, 1e3, 1e4, 1e5, 1e6, 1e7, 3.2e7, 6.4e7, 1.28e8, 2.56e8, 5.12e8, Infinity]
  const all = limits.slice(0, -1).map((from, index) => ({
    label: index === 0 ? 'below ' + bytes(1e3) : limits[index + 1] === Infinity ? 'from ' + bytes(from) : `${bytes(from)} to ${bytes(limits[index + 1])}`,
    count: sizes.filter(size => size >= from && size < limits[index + 1]).length,
  }))
  const first = all.findIndex(bucket => bucket.count), last = all.findLastIndex(bucket => bucket.count)
  return all.slice(first, last + 1)
}

/** When a commit was made: Hudi's instant, or the time of the others. */
const at = commit => commit.instant ?? commit.time

const shownApart = new Set(['instant', 'id', 'time', 'action', 'operation', 'state', 'rows'])

/** The other numbers of a commit, by the names that its format gives them. */
function changes(commit) {
  return Object.entries(commit).filter(([name, value]) => !shownApart.has(name) && value).map(([name, value]) =>
    `${name} ${name === 'bytes' ? bytes(value) : typeof value === 'number' ? count(value) : value}`).join(', ')
}

async function table({ root, signal, setTitle }, name) {
  setTitle(name)
  const sub = h('p', { class: 'sub' }), failure = h('div'), sizes = h('div'), rows = h('div')
  const facts = ['Rows', 'Files', 'Size', 'Version'].map(title => ({ title, value: h('dd') }))
  const partitions = new DataTable('Partitions', [
    { title: 'Partition', isHeader: true, cell: p => (p.path ?? p.partition) || '(none)' },
    { title: 'Files', isNumber: true, cell: p => count(p.files) },
    { title: 'Rows', isNumber: true, cell: p => count(p.rows) },
    { title: 'Size', isNumber: true, cell: p => bytes(p.bytes) },
  ], { key: p => p.path ?? p.partition, emptyText: 'The table has no files yet.' })
  const timeline = new DataTable('Timeline', [
    { title: 'Instant', isHeader: true, cell: i => ({ text: absolute(at(i)) || String(at(i)), title: String(i.id ?? at(i)) }) },
    { title: 'Age', cell: i => relative(at(i)) },
    { title: 'Action', cell: i => i.operation ?? i.action },
    { title: 'State', cell: i => ({ badge: i.state ?? 'COMPLETED' }) },
    { title: 'Rows', isNumber: true, cell: i => count(i.rows) },
    { title: 'Changes', isWide: true, cell: i => ({ text: changes(i), class: 'wrap' }) },
  ], { key: i => `${i.id ?? at(i)} ${i.action}`, emptyText: 'Nothing has been committed yet.' })
  root.append(
    h('p', { class: 'crumbs' }, h('a', { href: '#/tables', text: 'Tables' }), ' / table'), h('h1', { text: name }), sub, failure,
    h('dl', { class: 'facts' }, facts.map(fact => h('div', {}, h('dt', { text: fact.title }), fact.value))),
    h('div', { class: 'columns' }, section('Partitions', partitions.element), section('File sizes', sizes)),
    section('First rows', rows), section('Timeline', timeline.element))
  let version
  poll(3000, signal, async () => {
    const t = await get(path('tables', name), signal)
    failure.replaceChildren()
    setText(sub, `${t.format} · ${t.path}`)
    const texts = [count(t.rows), count(t.files), bytes(t.bytes), String(t.version ?? '–')]
    facts.forEach((fact, index) => setText(fact.value, texts[index]))
    partitions.update(t.partitions ?? [])
    timeline.update([...(t.timeline ?? [])].sort((a, b) => (instant(at(b)) ?? 0) - (instant(at(a)) ?? 0)).slice(0, 100))
    const found = t.fileSizes ?? []
    sizes.replaceChildren(found.length ? histogram('File sizes', buckets(found), n => `${count(n)} ${n === 1 ? 'file' : 'files'}`) : empty('The table has no files yet.'))
    // Hudi's version is that of the format, Delta's and Iceberg's that of the table.
    const last = t.timeline?.at(-1)
    const newest = [t.version, t.rows, last?.instant ?? last?.id].join(' ')
    if (version === newest && rows.firstChild) return
    version = newest
    const { columns, rows: first } = await getRows(path('tables', name, 'rows') + '?limit=20', signal)
    rows.replaceChildren(first.length ? rowsTable('First rows', columns, first, cell) : empty('The table has no rows yet.'))
  }, error => failure.replaceChildren(failureBox(error)))
}
