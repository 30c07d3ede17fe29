import { get, change, poll, path, link } from '../api.js'
import { h, section, failureBox, notice, setText } from '../dom.js'
import { DataTable } from '../table.js'
import { ago, relative, duration, count, none } from '../format.js'

const nameOf = rule => rule.name

/** The condition, and how long it must hold. */
function conditionText(rule) {
  const condition = rule.condition ?? (rule.kind === 'metric' ? rule.source : 'each row')
  return rule.holdsFor ? `${condition} for ${duration(rule.holdsFor)}` : condition
}

/** What fires now: keys, values and since when. */
function firingText(rule) {
  const firing = rule.firing ?? []
  const shown = firing.slice(0, 3).map(one => [one.key, one.value, relative(one.firedAt)].filter(Boolean).join(' · '))
  return firing.length > 3 ? `${shown.join('; ')}; and ${firing.length - 3} more` : shown.join('; ')
}

function deliveryText(rule) {
  const counts = [rule.waiting ? `${count(rule.waiting)} waiting` : '', rule.failed ? `${count(rule.failed)} given up` : ''].filter(Boolean)
  return [(rule.notify ?? []).join(', '), ...counts].filter(Boolean).join(' · ')
}

export default async function alerts({ root, parts, signal, setTitle }) {
  setTitle('Alerts')
  const [topology, chosen] = parts
  const failure = h('div')
  const switchRule = async (rule, button) => {
    const verb = button.dataset.enabled === 'true' ? 'disable' : 'enable'
    button.disabled = true
    try {
      await change('POST', path('alerts', rule.topology, nameOf(rule), verb))
      notice(`${nameOf(rule)} is ${verb}d.`)
      await ask()
    } catch (error) {
      notice(error.message, true)
    }
    button.disabled = false
  }
  const rules = new DataTable('Alert rules', [
    { title: 'Rule', isHeader: true, cell: r => ({ text: nameOf(r), href: link('alerts', r.topology, nameOf(r)) }) },
    { title: 'State', cell: r => ({ badge: r.enabled === false ? 'disabled' : r.state }) },
    { title: 'Severity', isWide: true, cell: r => r.severity ?? '' },
    { title: 'Condition', isWide: true, cell: r => ({ text: conditionText(r), title: r.source ?? '', class: 'code wrap' }) },
    { title: 'Fires for', cell: r => ({ text: firingText(r), class: 'wrap' }) },
    { title: 'Last fired', isWide: true, cell: r => ago(r.lastFiredAt) },
    { title: 'At most', isWide: true, cell: r => r.throttle ?? none },
    { title: 'Delivery', isWide: true, cell: r => ({ text: deliveryText(r), title: r.problem ?? '', class: r.failed ? 'wrap error-text' : 'wrap' }) },
    { title: 'Topology', isWide: true, cell: r => ({ text: r.topology, href: link('topologies', r.topology) }) },
    { title: 'Switch', build: r => h('button', { type: 'button', class: 'small for-operate', onclick: event => switchRule(r, event.target) }) },
  ], {
    key: r => `${r.topology}/${nameOf(r)}`, emptyText: 'No topology has alert rules.',
    onRow: (line, r) => {
      const button = line.querySelector('button'), isOn = r.enabled !== false
      button.dataset.enabled = String(isOn)
      setText(button, isOn ? 'Disable' : 'Enable')
      button.setAttribute('aria-label', `${isOn ? 'Disable' : 'Enable'} ${nameOf(r)}`)
      line.classList.toggle('chosen', r.topology === topology && nameOf(r) === chosen)
    },
  })
  const history = new DataTable('History', [
    { title: 'When', cell: e => ago(e.at) },
    { title: 'What', cell: e => ({ badge: e.kind }) },
    { title: 'Key', cell: e => e.key ?? '' },
    { title: 'Value', cell: e => e.value ?? '' },
    { title: 'Delivery', cell: e => ({ text: e.delivery ?? '', class: 'wrap' }) },
    { title: 'Message', cell: e => ({ text: e.text ?? '', class: 'wrap' }) },
  ], { key: e => e.id, emptyText: 'Nothing in the last 90 days.' })
  root.append(h('h1', { text: 'Alerts' }), failure, section('Rules', rules.element), chosen ? section('History of ' + chosen, history.element) : '')
  async function ask() {
    const [all, past] = await Promise.all([get('/v1/alerts', signal), chosen ? get(path('alerts', topology, chosen, 'history'), signal) : null])
    failure.replaceChildren()
    rules.update(all.rules)
    if (past) history.update([...(past.entries ?? past.history)].sort((a, b) => b.id - a.id))
  }
  poll(2000, signal, ask, error => failure.replaceChildren(failureBox(error)))
}
