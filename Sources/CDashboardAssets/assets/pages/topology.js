import { get, pieces, poll, path, link, whileVisible } from '../api.js'
import { h, section, setText, setBadge, failureBox } from '../dom.js'
import { DataTable } from '../table.js'
import { actionButtons, isRunning, deployDialog } from '../actions.js'
import { eventsTable } from './overview.js'
import { ago, none } from '../format.js'

const lineLimit = 2000

/** A job says each second how far it is; a reader of its log seldom wants to know. */
const isProgress = line => line.startsWith('{"event":"progress"')

/** The log of a topology: its last lines, and those that come. */
export function logView(name, signal) {
  const shown = h('pre', { class: 'log', role: 'log', 'aria-label': `Log of ${name}`, 'aria-live': 'off', tabindex: '0' })
  const follow = h('input', { type: 'checkbox', id: 'follow', checked: true }), progress = h('input', { type: 'checkbox', id: 'progress' })
  const failure = h('div')
  const element = h('div', {}, h('div', { class: 'row' },
    h('div', { class: 'check' }, follow, h('label', { for: 'follow', text: 'Follow' })),
    h('div', { class: 'check' }, progress, h('label', { for: 'progress', text: 'Progress of each second' }))), failure, shown)
  let lines = [], rest = '', isBegun = false
  const filtered = list => list.filter(line => progress.checked || !isProgress(line)).map(line => line + '\n').join('')
  const append = piece => {
    const atEnd = shown.scrollHeight - shown.scrollTop - shown.clientHeight < 40
    const added = (rest + piece).split('\n')
    rest = added.pop()
    lines.push(...added)
    const text = filtered(added)
    if (lines.length > lineLimit) {
      // Some at a time: cutting for each line would draw the whole text anew.
      lines = lines.slice(-lineLimit / 2)
      shown.textContent = filtered(lines)
    } else if (text) {
      shown.append(text)
    }
    if (follow.checked && atEnd) shown.scrollTop = shown.scrollHeight
  }
  progress.addEventListener('change', () => {
    shown.textContent = filtered(lines)
    if (follow.checked) shown.scrollTop = shown.scrollHeight
  })
  const run = () => whileVisible(3000, signal, async turn => {
    lines = []
    rest = shown.textContent = ''
    for await (const piece of pieces(`${path('topologies', name, 'logs')}?follow=true&lines=500`, turn)) {
      failure.replaceChildren()
      append(piece)
    }
  }, error => failure.replaceChildren(failureBox(error)))
  // Begun when it is first looked at: following costs the service a connection.
  return { element, begin: () => { if (!isBegun) { isBegun = true; run() } } }
}

export default async function topology({ root, parts, signal, setTitle }) {
  const name = parts[0]
  setTitle(name)
  const first = await get(path('topologies', name), signal)
  const state = h('span'), failure = h('div'), error = h('div'), actions = h('div')
  const facts = ['Version', 'Parallelism', 'Restarts', 'Process', 'Deployed', 'Started', 'Started from'].map(title => ({ title, value: h('dd') }))
  const jobs = new DataTable('Jobs', [{ title: 'Job', isHeader: true, cell: jid => ({ text: jid, href: link('jobs', jid) }) }], { key: jid => jid, emptyText: 'No job runs.' })
  const happened = eventsTable(), log = logView(name, signal)
  const update = () => deployDialog({ name, kind: first.kind, text: first.text ?? '' })
  root.append(
    h('p', { class: 'crumbs' }, h('a', { href: '#/', text: 'Overview' }), ' / topology'),
    h('div', { class: 'head' }, h('h1', {}, h('span', { text: name }), ' ', state), h('button', { type: 'button', class: 'primary for-admin', text: 'Update…', onclick: update })),
    failure, actions, error,
    h('dl', { class: 'facts' }, facts.map(fact => h('div', {}, h('dt', { text: fact.title }), fact.value))),
    section('Jobs', jobs.element), section('Events', happened.element),
    ...(first.text ? [section('Definition', h('pre', { class: 'code-view', tabindex: '0', text: first.text }))] : []), section('Log', log.element))
  log.begin()
  let shownError = null, shownActions
  poll(2000, signal, async () => {
    const [t, { events }] = await Promise.all([get(path('topologies', name), signal), get('/v1/events?topology=' + encodeURIComponent(name), signal)])
    failure.replaceChildren()
    setBadge(state, t.state)
    if (shownActions !== `${isRunning(t)} ${t.parallelism}`) {
      shownActions = `${isRunning(t)} ${t.parallelism}`
      actions.replaceChildren(actionButtons(t, true))
    }
    const values = [t.version, t.parallelism ?? 'as the file says', t.restarts, t.process ?? none, ago(t.deployedAt), ago(t.startedAt), t.savepoint ?? none]
    facts.forEach((fact, index) => {
      const value = values[index]
      setText(fact.value, String(value?.text ?? value))
      fact.value.title = value?.title ?? ''
    })
    if (shownError !== t.error) {
      shownError = t.error
      error.replaceChildren(...(t.error ? [failureBox({ errors: [t.error] })] : []))
    }
    jobs.update(t.jobs ?? [])
    happened.update([...events].sort((a, b) => b.at - a.at).slice(0, 50))
  }, problem => failure.replaceChildren(failureBox(problem)))
}
