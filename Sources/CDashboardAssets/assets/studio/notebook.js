// A notebook: its cells, the kernel that runs them, and the stream of what all readers of it do.
import { get, change, events, whileVisible, config } from '../api.js'
import { h, setText, dialog, notice, failureBox, empty, field } from '../dom.js'
import { Cell } from './cell.js'

const kernelTexts = { none: 'No kernel', starting: 'Kernel starts', ready: 'Kernel ready', dead: 'Kernel ended' }
const kernelKinds = { none: 'calm', starting: 'warn', ready: 'good', dead: 'bad' }
const interpreters = ['%flink.ssql', '%flink.ssql(type=update)', '%flink.ssql(type=append)', '%flink.ssql(type=single)', '%flink.bsql', '%md', '%python', '%sh', '%swift']

export class Notebook {
  constructor({ root, name, signal, setTitle }) {
    Object.assign(this, { root, name, signal, setTitle, cells: [], byID: new Map(), skew: 0, values: this.storedValues() })
  }

  path(...parts) { return '/v1/' + ['notebooks', this.name, ...parts].map(encodeURIComponent).join('/') }

  async open() {
    this.setTitle(this.name)
    const [{ role }, known] = await Promise.all([config(), get(this.path(), this.signal)])
    // Other forms than scripts are shown and run, and not changed.
    this.isReadOnly = role === 'view' || known.isEditable === false
    this.mayRun = role !== 'view'
    this.isForeign = known.isEditable === false
    this.build()
    this.show(known)
    this.signal.addEventListener('abort', () => this.end(), { once: true })
    this.clock = setInterval(() => { for (const cell of this.cells) if (cell.isBusy) cell.showRun() }, 500)
    addEventListener('beforeunload', this.onUnload = event => { if (this.cells.some(cell => cell.isDirty)) event.preventDefault() })
    addEventListener('keydown', this.onKey = event => {
      if (event.key.toLowerCase() === 's' && (event.ctrlKey || event.metaKey) && !event.altKey && !event.defaultPrevented) {
        event.preventDefault()
        this.saveAll()
      }
    })
    this.follow()
  }

  end() {
    clearInterval(this.clock)
    this.upgrades?.disconnect()
    removeEventListener('beforeunload', this.onUnload)
    removeEventListener('keydown', this.onKey)
    // What was typed last must not be lost with the page.
    for (const cell of this.cells) if (cell.isDirty) cell.save()
    for (const cell of this.cells) cell.outputs.clear()
  }

  build() {
    const button = (text, title, run, kind = '') => h('button', { type: 'button', class: 'for-operate ' + kind, text, title, onclick: run })
    this.heading = h('h1')
    this.kernel = h('span', { class: 'badge' })
    this.kernelNote = h('div', { hidden: true })
    this.readers = h('span', { class: 'sub' })
    this.saved = h('span', { class: 'sub', role: 'status', 'aria-label': 'State of the file' })
    this.runAll = button('Run all', 'All cells, one after another', () => this.run({}), 'primary')
    this.stop = button('Interrupt', 'Stops all that runs and waits', () => this.interrupt())
    this.restartButton = button('Restart', 'Ends the kernel, and starts another one', () => this.askRestart())
    this.form = h('form', { class: 'card parameters-form', hidden: true, 'aria-label': 'Parameters', onsubmit: event => { event.preventDefault(); this.run({}) } })
    this.list = h('div', { class: 'cells' })
    this.root.replaceChildren(
      h('p', { class: 'crumbs' }, h('a', { href: '#/studio', text: 'Studio' }), ' / ' + this.name),
      h('div', { class: 'notebook-bar' }, this.heading, h('div', { class: 'notebook-state' }, this.kernel, this.readers, this.saved),
        h('div', { class: 'buttons' }, this.runAll, this.stop, this.restartButton, this.isReadOnly ? null : button('Save', 'Control and S', () => this.saveAll(true)), h('button', { type: 'button', class: 'ghost', text: 'Keys', onclick: () => this.showKeys() }))),
      this.kernelNote, this.form, this.list,
      h('div', { class: 'buttons for-operate add-cells', hidden: this.isReadOnly }, button('Add SQL', '', () => this.add(this.cells.at(-1), 'code')), button('Add text', '', () => this.add(this.cells.at(-1), 'markdown'))),
      h('datalist', { id: 'interpreters' }, interpreters.map(value => h('option', { value }))))
    // Editors far down the page become such when they come near.
    this.upgrades = new IntersectionObserver(entries => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue
        this.upgrades.unobserve(target)
        this.byID.get(target.id.slice(5))?.editor.upgrade()
      }
    }, { rootMargin: '600px' })
  }

  // MARK: the service's state

  show(known) {
    this.epoch = known.epoch
    this.setHeading(known.title)
    for (const cell of known.cells) this.takeCell(cell)
    this.order(known.cells.map(cell => cell.id))
    this.showParameters(known.parameters ?? [])
    this.showKernel(known.kernel ?? { state: 'none' })
    this.showSaved()
    this.showRuns()
  }

  async reload() {
    try {
      const known = await get(this.path(), this.signal)
      this.takeEpoch(known.epoch)
      for (const cell of known.cells) this.takeCell(cell)
      this.order(known.cells.map(cell => cell.id))
    } catch (error) {
      if (error.status === 404) this.showGone()
    }
  }

  setHeading(title) {
    setText(this.heading, title)
    this.setTitle(title)
  }

  /** The service has opened the notebook anew: its ids of cells and numbers of runs begin again, and may be those of others here. */
  takeEpoch(epoch) {
    if (!epoch || epoch === this.epoch) return
    this.epoch = epoch
    for (const cell of this.cells) cell.isOfBefore = true
    for (const cell of this.cells) cell.forgetRuns()
    this.showRuns()
  }

  takeCell(known) {
    const cell = this.byID.get(known.id)
    if (cell?.isOfBefore) {
      cell.isOfBefore = false
      if (cell.known.source !== known.source || cell.known.kind !== known.kind) {
        if (cell.isDirty && !this.isReadOnly && cell.text !== known.source) this.showLost(cell)
        cell.become(known)
        return cell
      }
    }
    if (cell) {
      if (cell.known.hash !== known.hash || cell.known.html !== known.html || cell.known.line !== known.line) cell.take(known)
      return cell
    }
    const made = new Cell(this, known)
    this.byID.set(known.id, made)
    return made
  }

  order(ids) {
    const known = new Set(ids)
    for (const [id, cell] of this.byID) {
      if (known.has(id)) continue
      if (cell.isDirty && !this.isReadOnly) this.showLost(cell)
      const wasFocused = cell.element.contains(document.activeElement), at = this.cells.indexOf(cell)
      cell.end()
      this.byID.delete(id)
      if (wasFocused) setTimeout(() => (this.cells[at] ?? this.cells[at - 1])?.element.focus())
    }
    this.cells = ids.map(id => this.byID.get(id)).filter(Boolean)
    let next = this.list.firstElementChild
    for (const cell of this.cells) {
      if (cell.element === next) next = next.nextElementSibling
      else {
        // Moved elements lose the focus.
        const focused = cell.element.contains(document.activeElement) ? document.activeElement : null
        this.list.insertBefore(cell.element, next)
        focused?.focus()
      }
      if (!cell.isObserved) {
        cell.isObserved = true
        this.upgrades.observe(cell.element)
      }
    }
    this.cells.forEach((cell, index) => cell.place(index, this.cells.length))
    this.emptyNote ??= empty('There are no cells yet.')
    if (!this.cells.length) this.list.append(this.emptyNote)
    else this.emptyNote.remove()
  }

  follow() {
    whileVisible(1000, this.signal, async turn => {
      this.seen = new Set()
      for await (const { event, data } of events(this.path('events'), turn)) {
        this.isLive = true
        document.getElementById('link').textContent = 'Live'
        document.getElementById('link').dataset.state = 'live'
        this.takeEvent(event, data)
      }
      this.lost()
    }, error => {
      if (error.status === 404) this.showGone()
      else if (error.status === 429) notice(error.message, true)
      else this.lost()
    })
  }

  lost() {
    document.getElementById('link').textContent = 'Not connected'
    document.getElementById('link').dataset.state = 'offline'
  }

  takeEvent(event, data) {
    switch (event) {
      case 'epoch': return this.takeEpoch(data.epoch)
      case 'cell': return void this.takeCell(data)
      case 'order':
        if (data.isGone) return this.showGone()
        this.setHeading(data.title)
        this.order(data.cells)
        setText(this.readers, data.readers > 1 ? `${data.readers} readers` : '')
        this.showParameters(data.parameters ?? [])
        return
      case 'kernel': return this.showKernel(data)
      case 'run':
        if (data.startedAt && data.state === 'running' && !data.progress) this.skew = Math.min(0, Date.now() - data.startedAt)
        this.seen.add(data.cell)
        return this.byID.get(data.cell)?.takeRun(data)
      case 'synced':
        // The daemon was started anew: what ran there has ended.
        for (const cell of this.cells) if (cell.isBusy && !this.seen.has(cell.id)) cell.takeRun({ ...cell.last, state: 'stopped', error: null })
        return
      case 'output': return this.byID.get(data.cell)?.takeOutput(data)
    }
  }

  /** A cell went while somebody typed in it: the text must not go with it. */
  showLost(cell) {
    const text = cell.text, box = h('div', { class: 'failure', role: 'alert' }, h('p', {}, h('strong', { text: 'A cell in which you were typing is gone. ' }), 'Your text:'), h('pre', { class: 'excerpt', text }),
      h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'small', text: 'Make it a cell again', onclick: async () => {
        const answer = await this.attempt(() => change('POST', this.path('cells'), { ...(this.cells.length ? { after: this.cells.at(-1).id } : {}), kind: cell.known.kind, source: text, interpreter: cell.known.interpreter || undefined }))
        if (answer) box.remove()
      } }), h('button', { type: 'button', class: 'small', text: 'Forget it', onclick: () => box.remove() })))
    this.list.before(box)
  }

  showGone() {
    this.kernelNote.hidden = false
    this.kernelNote.replaceChildren(h('div', { class: 'failure', role: 'alert' }, h('p', { text: `The file ${this.name} is not there any more. What you see is its last text: copy what you need.` })))
  }

  showKernel(kernel) {
    this.kernelState = kernel.state
    setText(this.kernel, kernelTexts[kernel.state] ?? kernel.state)
    this.kernel.className = 'badge ' + (kernelKinds[kernel.state] ?? 'calm')
    this.kernel.dataset.state = kernel.state
    this.kernel.title = [kernel.process ? 'process ' + kernel.process : '', kernel.text ?? ''].filter(Boolean).join(', ')
    const isDead = kernel.state === 'dead'
    this.kernelNote.hidden = !isDead
    if (!isDead) return this.kernelNote.replaceChildren()
    this.kernelNote.replaceChildren(h('div', { class: 'failure', role: 'alert' }, h('p', {}, h('strong', { text: 'The kernel ended' }), kernel.text ? `: ${kernel.text}.` : '.', ' Tables and jobs of this notebook ended with it; run its cells again.'),
      kernel.log ? h('details', { open: true }, h('summary', { text: 'The last lines of its log' }), h('pre', { text: kernel.log })) : null,
      h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'small for-operate', text: 'Restart the kernel', onclick: () => this.restart() }))))
  }

  showRuns() {
    const busy = this.cells.filter(cell => cell.isBusy).length
    this.stop.disabled = busy === 0
    document.body.classList.toggle('notebook-busy', busy > 0)
  }

  showSaved() {
    const states = this.cells.map(cell => cell.other ? 3 : cell.failure && cell.isDirty ? 2 : cell.saving || (cell.isDirty && !this.isReadOnly) ? 1 : 0), worst = Math.max(0, ...states)
    const failed = this.cells.find(cell => cell.failure && cell.isDirty && !cell.other)
    setText(this.saved, this.isForeign ? 'Read only: make a script of it to edit it (swiftwater notebook convert)' : this.isReadOnly ? 'Read only' : ['Saved', 'Saving…', 'Not saved: ' + (failed?.failure.message ?? ''), 'Changed by others, see below'][worst])
    this.saved.classList.toggle('error-text', worst > 1)
    this.saved.dataset.state = ['saved', 'saving', 'failed', 'conflict'][worst]
  }

  // MARK: parameters

  storedValues() {
    try { return JSON.parse(sessionStorage.getItem('swiftwater-parameters/' + this.name) ?? '{}') } catch { return {} }
  }

  showParameters(forms) {
    const text = JSON.stringify(forms)
    if (text === this.forms) return
    this.forms = text
    this.form.hidden = !forms.length
    const keep = (name, value) => {
      this.values[name] = value
      sessionStorage.setItem('swiftwater-parameters/' + this.name, JSON.stringify(this.values))
    }
    this.form.replaceChildren(h('h2', { text: 'Parameters' }), h('div', { class: 'row' }, forms.map(form => {
      const label = form.label || form.name, value = this.values[form.name] ?? form.default ?? ''
      if (form.kind === 'checkbox') {
        const separator = form.separator ?? ',', chosen = new Set(value.split(separator).filter(Boolean))
        return h('fieldset', { class: 'field choices' }, h('legend', { text: label }), form.options.map(option => h('label', {}, h('input', {
          type: 'checkbox', checked: chosen.has(option.value), disabled: !this.mayRun,
          onchange: event => {
            event.target.checked ? chosen.add(option.value) : chosen.delete(option.value)
            keep(form.name, form.options.map(each => each.value).filter(each => chosen.has(each)).join(separator))
          },
        }), ' ' + (option.label ?? option.value))))
      }
      const control = form.kind === 'select' ? h('select', { disabled: !this.mayRun }, form.options.map(option => h('option', { value: option.value, text: option.label ?? option.value }))) : h('input', { type: form.kind === 'password' ? 'password' : 'text', autocomplete: 'off', spellcheck: 'false', readonly: !this.mayRun })
      control.value = value
      control.addEventListener('change', () => keep(form.name, control.value))
      return field(label, control)
    })))
  }

  // MARK: what a reader does

  async attempt(work) {
    try { return await work() } catch (error) {
      if (error.status !== 401 && error.name !== 'AbortError') notice(error.message, true)
    }
  }

  saveAll(says) {
    return Promise.all(this.cells.map(cell => cell.save())).then(saved => { if (says && saved.every(Boolean)) notice('Saved.') })
  }

  /** A cell, those from one on, or all. */
  async run({ cell, from }) {
    const cells = cell ? [cell] : from ? this.cells.slice(this.cells.indexOf(from)) : this.cells
    const saved = await Promise.all(cells.filter(each => each.isDirty).map(each => each.save()))
    if (saved.includes(false)) return notice('Not run: what was typed is not saved yet.', true)
    if (cell && !cell.known.canRun) return
    const body = { parameters: this.values }
    if (cell) Object.assign(body, { cell: cell.id, hash: cell.known.hash })
    if (from) body.from = from.id
    await this.attempt(() => change('POST', this.path('run'), body))
  }

  interrupt(cell) { return this.attempt(() => change('POST', this.path('interrupt'), cell ? { cell: cell.id } : {})) }

  restart() { return this.attempt(async () => { await change('POST', this.path('restart'), {}); notice('The kernel is started again: run the cells that make tables first.') }) }

  askRestart() {
    dialog({
      title: 'Restart the kernel?', text: 'All that runs is stopped. Tables that cells made are forgotten until the cells run again; files and streams stay.', confirm: 'Restart',
      submit: async () => { await change('POST', this.path('restart'), {}) },
    })
  }

  async add(after, kind) {
    const answer = await this.attempt(() => change('POST', this.path('cells'), { ...(after ? { after: after.id } : {}), kind, source: '' }))
    if (!answer?.cell) return
    const cell = this.takeCell(answer.cell)
    if (!this.cells.includes(cell)) this.order([...this.cells.slice(0, after ? this.cells.indexOf(after) + 1 : 0), cell, ...this.cells.slice(after ? this.cells.indexOf(after) + 1 : 0)].map(each => each.id))
    cell.mode = 'edit'
    cell.showMode()
    await cell.editor.upgrade()
    cell.editor.focus()
  }

  remove(cell) {
    const go = () => change('DELETE', this.path('cells', cell.id) + '?hash=' + encodeURIComponent(cell.known.hash))
    if (!cell.text.trim()) return this.attempt(go)
    const at = this.cells.indexOf(cell)
    let isDone = false
    const box = dialog({
      title: `Delete ${cell.name()}?`, text: 'Its text goes from the file.', confirm: 'Delete', dismiss: 'Keep it', isDangerous: true,
      submit: async () => { await go(); isDone = true },
    })
    // The cell that had the focus may have gone while the question was open.
    box.addEventListener('close', () => { if (isDone) (this.cells[at] ?? this.cells.at(-1))?.element.focus() })
  }

  async move(cell, step) {
    const at = this.cells.indexOf(cell), to = at + step
    if (to < 0 || to >= this.cells.length) return
    const after = step > 0 ? this.cells[to] : this.cells[to - 1], focused = document.activeElement
    await this.attempt(() => change('POST', this.path('cells', cell.id, 'move'), after ? { after: after.id } : {}))
    if (cell.element.contains(focused)) setTimeout(() => (focused.disabled ? cell.element : focused).focus(), 100)
  }

  choose(cell) {
    if (this.chosen === cell) return
    this.chosen?.element.classList.remove('chosen')
    this.chosen = cell
    cell.element.classList.add('chosen')
  }

  async focusNext(cell) {
    const next = this.cells[this.cells.indexOf(cell) + 1]
    if (next) {
      next.focus()
      next.element.scrollIntoView({ block: 'nearest' })
    } else if (!this.isReadOnly) await this.add(cell, 'code')
  }

  /** Keys for a cell that has the focus itself, as in other notebooks. */
  key(event, cell) {
    if (event.target !== cell.element || event.altKey) return
    const at = this.cells.indexOf(cell), isControl = event.ctrlKey || event.metaKey
    const actions = {
      ArrowDown: () => this.cells[at + 1]?.element.focus(), ArrowUp: () => this.cells[at - 1]?.element.focus(), j: () => this.cells[at + 1]?.element.focus(), k: () => this.cells[at - 1]?.element.focus(),
      Enter: () => isControl ? this.runCell(cell) : event.shiftKey ? (this.runCell(cell), this.cells[at + 1]?.element.focus()) : cell.beginEdit(),
    }
    const changes = { a: () => this.add(this.cells[at - 1], 'code'), b: () => this.add(cell, 'code'), m: () => this.add(cell, 'markdown'), d: () => this.remove(cell), Delete: () => this.remove(cell), u: () => this.move(cell, -1), n: () => this.move(cell, 1), i: () => this.interrupt(cell) }
    if (isControl && event.key !== 'Enter') return
    const run = actions[event.key] ?? (this.isReadOnly || isControl || event.shiftKey ? null : changes[event.key])
    if (!run) return
    event.preventDefault()
    run()
  }

  runCell(cell) { if (cell.known.canRun && this.mayRun) this.run({ cell }) }

  words() { return this.cells.map(cell => cell.text).join('\n') }

  showKeys() {
    const rows = [['Shift Enter', 'run, and go to the next cell'], ['Control Enter', 'run, and stay'], ['Escape', 'leave the editor: the cell itself has the focus'], ['Enter', 'edit the cell that has the focus'], ['↑ ↓', 'the cell above, below'],
      ['a, b, m', 'add a cell above, below, a text below'], ['u, n', 'move it up, down'], ['d', 'delete it'], ['i', 'stop it'], ['Control S', 'save now; it also happens by itself'], ['Control Space', 'complete the word'], ['Control /', 'make the line a comment']]
    dialog({ title: 'Keys', fields: [h('table', { 'aria-label': 'Keys' }, h('tbody', {}, rows.map(([key, what]) => h('tr', {}, h('th', { scope: 'row' }, h('kbd', { text: key })), h('td', { text: what })))))], confirm: 'Close', dismiss: 'Back', submit: async () => {} })
  }
}
