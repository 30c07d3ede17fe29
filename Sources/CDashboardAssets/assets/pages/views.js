import { get, getRows, events, poll, path, link, whileVisible } from '../api.js'
import { h, section, failureBox, field, empty } from '../dom.js'
import { DataTable } from '../table.js'
import { count, bytes, cell, clock, none } from '../format.js'

export default async function views(context) {
  if (context.parts[0]) return view(context, context.parts[0])
  const { root, signal, setTitle } = context
  setTitle('Views')
  const list = new DataTable('Views', [
    { title: 'View', isHeader: true, cell: v => ({ text: v.name, href: link('views', v.name) }) },
    { title: 'State', cell: v => ({ badge: v.state }) },
    { title: 'Key', cell: v => columnNames(v.key) },
    { title: 'Rows', isNumber: true, cell: v => count(v.rows) },
    { title: 'In memory', isNumber: true, isWide: true, cell: v => bytes(v.memoryBytes) },
    { title: 'Visible', isWide: true, cell: v => v.visibility ?? '' },
    { title: 'Followers', isNumber: true, isWide: true, cell: v => count(v.subscribers) },
  ], { key: v => v.name, emptyText: "No topology serves a view. A table with 'connector' = 'view' is one." })
  root.append(h('h1', { text: 'Views' }), section('Views', list.element))
  poll(3000, signal, async () => list.update((await get('/v1/views', signal)).views))
}

const columnNames = columns => (columns ?? []).map(column => column.name ?? column).join(', ')

/** A key comes in the text form of URLs: its columns percent-encoded, with commas between them. */
const keyText = key => String(key).split(',').map(part => {
  try { return decodeURIComponent(part) } catch { return part }
}).join(', ')

/** What a reader typed as the path of a row: a key of several columns has commas between them. */
function keyPath(text, columns) {
  const parts = columns > 1 ? text.split(',').map(part => part.trim()) : [text]
  const path = parts.map(encodeURIComponent).join(',')
  // The word itself is the path of the stream of changes.
  return path === 'changes' ? '%63hanges' : path
}

const changeLimit = 100

function rowList(row) {
  return h('dl', { class: 'facts' }, Object.entries(row).map(([name, value]) => h('div', {}, h('dt', { text: name }), h('dd', { text: cell(value).text }))))
}

const rowText = row => row ? Object.entries(row).map(([name, value]) => `${name} ${cell(value).text}`).join(' · ') : 'removed'

async function view({ root, signal, setTitle }, name) {
  setTitle(name)
  const known = (await get('/v1/views', signal)).views.find(v => v.name === name)
  const key = h('input', { required: true, autocomplete: 'off' }), found = h('div', { 'aria-live': 'polite' })
  const form = h('form', {
    onsubmit: async event => {
      event.preventDefault()
      try {
        const answer = await getRows(`${path('views', name)}/${keyPath(key.value, known?.key?.length ?? 1)}`, signal)
        found.replaceChildren(rowList(answer.row), h('p', { class: 'sub', text: `version ${answer.version ?? none}` }))
      } catch (error) {
        if (error.name === 'AbortError' || error.status === 401) return
        found.replaceChildren(error.status === 404 ? empty(`There is no row with the key ${key.value}.`) : failureBox(error))
      }
    },
  }, h('div', { class: 'row' }, field(known?.key ? `Key: ${columnNames(known.key)}` : 'Key', key), h('button', { type: 'submit', class: 'primary', text: 'Look up' })), found)
  const changes = new DataTable('Changes', [
    { title: 'When', cell: c => clock(c.at) },
    { title: 'Key', isHeader: true, cell: c => keyText(c.key) },
    { title: 'Row', cell: c => ({ text: rowText(c.row), class: c.row ? 'wrap' : 'wrap null' }) },
  ], { key: c => c.number, emptyText: 'No change since this page was opened.' })
  const rows = new DataTable('Rows', [
    { title: 'Key', isHeader: true, cell: r => keyText(r.key) },
    { title: 'Row', cell: r => ({ text: rowText(r.row), class: 'wrap' }) },
    { title: 'Version', isNumber: true, cell: r => count(r.version) },
  ], { key: r => JSON.stringify(r.key), emptyText: 'The view has no rows yet.' })
  const failure = h('div')
  changes.update([])
  root.append(
    h('p', { class: 'crumbs' }, h('a', { href: '#/views', text: 'Views' }), ' / view'), h('h1', { text: name }), failure,
    section('Look up a key', form), h('div', { class: 'columns' }, section('Live changes', changes.element), section('Rows', rows.element)))

  const list = []
  let number = 0
  whileVisible(2000, signal, async turn => {
    for await (const { event, data } of events(path('views', name, 'changes'), turn)) {
      if (event === 'reset') list.length = 0
      if (event !== 'change') continue
      list.unshift({ number: number++, at: Date.now(), key: data.key, row: data.row })
      list.length = Math.min(list.length, changeLimit)
      changes.update(list)
    }
  })
  poll(3000, signal, async () => {
    rows.update((await getRows(path('views', name) + '?limit=50', signal)).rows)
    failure.replaceChildren()
  }, error => failure.replaceChildren(failureBox(error)))
}
