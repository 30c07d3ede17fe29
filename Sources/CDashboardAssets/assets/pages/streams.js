import { get, poll, path, link } from '../api.js'
import { h, section, setText, failureBox, field } from '../dom.js'
import { DataTable } from '../table.js'
import { count, bytes, ago, instant, relative, tail as lastDigits } from '../format.js'

export default async function streams(context) {
  if (context.parts[0]) return stream(context, context.parts[0])
  const { root, signal, setTitle } = context
  setTitle('Streams')
  const list = new DataTable('Streams', [
    { title: 'Stream', isHeader: true, cell: s => ({ text: s.name, href: link('streams', s.name) }) },
    { title: 'Shards', isNumber: true, cell: s => count(Array.isArray(s.shards) ? s.shards.length : s.shards) },
    { title: 'Records', isNumber: true, cell: s => count(s.records) },
    { title: 'Size', isNumber: true, cell: s => bytes(s.bytes) },
  ], { key: s => s.name, emptyText: 'There is no stream in this data directory.' })
  root.append(h('h1', { text: 'Streams' }), section('Streams', list.element))
  poll(3000, signal, async () => list.update((await get('/v1/streams', signal)).streams))
}

const keySpace = 1n << 128n
const share = text => Number(BigInt(text) * 1_000_000n / keySpace) / 10_000

/** The shards' parts of the hash key space as bars; closed shards are pale. */
function ranges(shards) {
  return h('ul', { class: 'ranges', 'aria-label': 'Hash ranges of the shards' }, shards.map(shard => {
    const [from, to] = shard.range.map(share)
    const part = h('span', { class: shard.open ? 'part' : 'part closed' })
    part.style.left = from + '%'
    part.style.width = Math.max(0.5, to - from) + '%'
    return h('li', {}, h('span', { class: 'name', text: shard.id.replace(/^shardId-0*(?=\d)/, 'shard ') }), h('span', { class: 'track', title: shard.range.join(' to ') }, part),
      h('span', { class: 'value', text: `${(to - from).toFixed(1)} %${shard.open ? '' : ' closed'}` }))
  }))
}

async function stream({ root, signal, setTitle }, name) {
  setTitle(name)
  const sub = h('p', { class: 'sub' }), failure = h('div'), drawn = h('div')
  const shards = new DataTable('Shards', [
    { title: 'Shard', isHeader: true, cell: s => s.id },
    { title: 'State', cell: s => ({ badge: s.open ? 'open' : 'closed' }) },
    { title: 'Parent', isWide: true, cell: s => s.parent ?? '' },
    { title: 'Records', isNumber: true, cell: s => count(s.records) },
    { title: 'Size', isNumber: true, cell: s => bytes(s.bytes) },
    { title: 'First', isWide: true, cell: s => lastDigits(s.first) },
    { title: 'Last', isWide: true, cell: s => lastDigits(s.last) },
  ], { key: s => s.id })
  const choice = h('select', {}, h('option', { value: '', text: 'all shards' }))
  const follow = h('input', { type: 'checkbox', checked: true, id: 'follow-tail' })
  const tail = new DataTable('Newest records', [
    { title: 'Arrival', cell: r => ago(r.arrival) },
    { title: 'Shard', isWide: true, cell: r => String(r.shard).replace(/^shardId-0*(?=\d)/, '') },
    { title: 'Partition key', cell: r => r.partitionKey },
    { title: 'Record', cell: r => ({ text: r.text, class: 'code wrap' }) },
    { title: 'Sequence', isWide: true, cell: r => lastDigits(r.sequence) },
  ], { key: r => `${r.shard} ${r.sequence}`, emptyText: 'The stream has no records yet.' })
  root.append(
    h('p', { class: 'crumbs' }, h('a', { href: '#/streams', text: 'Streams' }), ' / stream'), h('h1', { text: name }), sub, failure,
    section('Hash ranges', drawn), section('Shards', shards.element),
    section('Newest records', h('div', { class: 'row' }, field('Shard', choice), h('div', { class: 'check' }, follow, h('label', { for: 'follow-tail', text: 'Follow' }))), tail.element))
  let known = '', isAsked = false
  choice.addEventListener('change', () => { isAsked = true })
  poll(2000, signal, async () => {
    const s = await get(path('streams', name), signal)
    failure.replaceChildren()
    const open = s.shards.filter(shard => shard.open).length
    setText(sub, `${open} open of ${s.shards.length} shards${s.retentionHours ? ` · records are kept for ${s.retentionHours} h` : ''}${s.created ? ` · made ${relative(s.created)}` : ''}`)
    shards.update(s.shards)
    const shape = JSON.stringify(s.shards.map(shard => [shard.id, shard.range, shard.open]))
    if (shape !== known) {
      known = shape
      drawn.replaceChildren(ranges(s.shards))
      const chosen = choice.value
      choice.replaceChildren(h('option', { value: '', text: 'all shards' }), ...s.shards.map(shard => h('option', { value: shard.id, text: shard.id })))
      choice.value = chosen
    }
    if (!follow.checked && tail.rows.size && !isAsked) return
    isAsked = false
    const query = new URLSearchParams({ limit: '50' })
    if (choice.value) query.set('shard', choice.value)
    const { records } = await get(`${path('streams', name, 'tail')}?${query}`, signal)
    tail.update([...records].sort((a, b) => (instant(b.arrival) ?? 0) - (instant(a.arrival) ?? 0)))
  }, error => failure.replaceChildren(failureBox(error)))
}
