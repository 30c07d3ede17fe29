// Elements are built here and nowhere else: data only ever becomes text, never markup.

/** An element with properties, listeners (`onclick`), attributes and children; strings become text. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name === 'class') element.className = value
    else if (name === 'text') element.textContent = value
    else if (name === 'value' || name === 'checked' || name === 'disabled') element[name] = value
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined))
  return element
}

const svgSpace = 'http://www.w3.org/2000/svg'

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(svgSpace, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** Sets a text only when it differs, so that a selection of the reader survives. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

export function section(title, ...children) {
  const id = 's-' + title.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  return h('section', { 'aria-labelledby': id, class: 'card' }, h('h2', { id, text: title }), ...children)
}

const badgeKinds = {
  RUNNING: 'good', COMPLETED: 'good', OK: 'good', ok: 'good', FINISHED: 'calm', STOPPED: 'calm', CANCELED: 'calm', CANCELLING: 'warn', STARTING: 'warn', STOPPING: 'warn',
  INITIALIZING: 'warn', RESTARTING: 'warn', STOPPING: 'warn', CREATED: 'warn', IN_PROGRESS: 'warn', INFLIGHT: 'warn', REQUESTED: 'warn', pending: 'warn', PENDING: 'warn',
  FAILED: 'bad', FAILING: 'bad', failed: 'bad', firing: 'bad', FIRING: 'bad', resolved: 'good', notified: 'good', suppressed: 'calm', disabled: 'calm', DISABLED: 'calm', inactive: 'good', open: 'good', closed: 'calm',
}

export function setBadge(element, state) {
  const text = state ?? 'unknown'
  const name = 'badge ' + (badgeKinds[text] ?? 'calm')
  if (element.className !== name) element.className = name
  setText(element, String(text).replaceAll('_', ' '))
}

export function badge(state) {
  const element = h('span')
  setBadge(element, state)
  return element
}

/** A message that stays for some seconds; failures stay until they are closed. */
export function notice(text, isFailure = false) {
  const close = h('button', { class: 'ghost', type: 'button', 'aria-label': 'Close message', text: '×', onclick: () => box.remove() })
  const box = h('div', { class: isFailure ? 'notice bad' : 'notice' }, h('span', { text }), close)
  document.getElementById('notices').append(box)
  if (!isFailure) setTimeout(() => box.remove(), 6000)
}

export function failureBox(error) {
  const lines = error.errors ?? [error.message]
  return h('div', { class: 'failure', role: 'alert' }, lines.map(line => h('pre', { text: line })))
}

/** What a page shows when there is nothing to show. */
export const empty = text => h('p', { class: 'empty', text })

/** A modal dialog: Escape and the button `dismiss` close it. `submit` may throw an error, which is shown; the dialog stays open then. */
export function dialog({ title, text, fields = [], confirm, dismiss = 'Cancel', isDangerous, submit }) {
  const before = document.activeElement
  const problems = h('div')
  const go = h('button', { type: 'submit', class: isDangerous ? 'danger' : 'primary', text: confirm })
  const cancel = h('button', { type: 'button', text: dismiss, onclick: () => box.close() })
  const form = h('form', {
    onsubmit: async event => {
      event.preventDefault()
      go.disabled = true
      // Some changes wait for a savepoint.
      go.textContent = 'Working…'
      problems.replaceChildren()
      try {
        await submit()
        box.close()
      } catch (error) {
        problems.replaceChildren(failureBox(error))
      } finally {
        go.disabled = false
        go.textContent = confirm
      }
    },
  }, h('h2', { id: 'dialog-title', text: title }), text ? h('p', { text }) : null, ...fields, problems, h('div', { class: 'buttons' }, cancel, go))
  const box = h('dialog', { 'aria-labelledby': 'dialog-title', onclose: () => { box.remove(); (before?.isConnected ? before : document.getElementById('main')).focus() } }, form)
  document.body.append(box)
  box.showModal()
  if (!fields.length) (isDangerous ? cancel : go).focus()
  return box
}

let fieldCount = 0

export function field(label, control, hint) {
  control.id = 'field-' + ++fieldCount
  const note = hint ? h('small', { id: control.id + '-hint', text: hint }) : null
  if (note) control.setAttribute('aria-describedby', note.id)
  return h('div', { class: 'field' }, h('label', { for: control.id, text: label }), control, note)
}

/**
 * Tabs with arrow keys, Home and End. `tabs`: [{ id, title, panel }]; `select` is called when one is chosen.
 * Returns the element, and `show(id)`.
 */
export function tabs(label, list, select) {
  const buttons = new Map()
  const choose = (id, focuses) => {
    for (const tab of list) {
      const isChosen = tab.id === id
      buttons.get(tab.id).setAttribute('aria-selected', String(isChosen))
      buttons.get(tab.id).tabIndex = isChosen ? 0 : -1
      tab.panel.hidden = !isChosen
    }
    if (focuses) buttons.get(id).focus()
    select?.(id)
  }
  const onkeydown = event => {
    const at = list.findIndex(tab => buttons.get(tab.id) === event.target)
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + list.length, Home: 0, End: list.length - 1 }[event.key]
    if (next === undefined || at < 0) return
    event.preventDefault()
    choose(list[next % list.length].id, true)
  }
  const bar = h('div', { class: 'tabs', role: 'tablist', 'aria-label': label, onkeydown })
  for (const tab of list) {
    const button = h('button', {
      type: 'button', role: 'tab', id: 'tab-' + tab.id, 'aria-controls': 'panel-' + tab.id, text: tab.title, onclick: () => choose(tab.id, false),
    })
    buttons.set(tab.id, button)
    bar.append(button)
    tab.panel.id = 'panel-' + tab.id
    tab.panel.setAttribute('role', 'tabpanel')
    tab.panel.setAttribute('aria-labelledby', 'tab-' + tab.id)
    tab.panel.tabIndex = 0
  }
  return { element: h('div', {}, bar, list.map(tab => tab.panel)), show: id => choose(id, false), buttons }
}
