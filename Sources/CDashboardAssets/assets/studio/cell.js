// A cell: its editor, what it showed, and the buttons for it. What the notebook knows of it is `known`; what is typed is the editor's.
import { change } from '../api.js'
import { h, setText, setBadge, notice } from '../dom.js'
import { count, duration } from '../format.js'
import { CodeEditor, keywords } from '../editor.js'
import { markup } from './markup.js'
import { Outputs } from './outputs.js'
import { withDirective } from './chart.js'

const states = { queued: 'warn', running: 'warn', finished: 'good', stopped: 'calm', failed: 'bad', skipped: 'calm' }
const commentOf = { sql: '--', python: '#', sh: '#', swift: '//' }
export const languageNames = { sql: 'SQL', markdown: 'Markdown', python: 'Python', sh: 'shell', swift: 'Swift', text: 'text' }
const saveAfter = 900

export class Cell {
  constructor(book, known) {
    this.book = book
    this.id = known.id
    this.known = known
    /** The text that the service has, as it was typed: it may have put it in another form. */
    this.sent = known.source
    this.mode = 'view'
    this.build()
    this.take(known)
  }

  name() { return `cell ${this.index + 1}` }

  // MARK: elements

  build() {
    const { book } = this, label = () => `${languageNames[this.known.language] ?? 'Text'} of ${this.name()}`
    this.label = label
    const small = (text, title, run, kind = '') => h('button', { type: 'button', class: 'small ' + kind, text, title, onclick: run })
    this.run = h('button', { type: 'button', class: 'small run primary for-operate', onclick: () => this.isBusy ? book.interrupt(this) : book.run({ cell: this }) })
    this.state = h('span', { class: 'badge', hidden: true })
    this.facts = h('span', { class: 'sub facts-line' })
    this.title = h('input', { class: 'cell-title', 'aria-label': 'Title', placeholder: 'no title', spellcheck: 'false', onchange: () => this.saveSoon(0), readonly: book.isReadOnly })
    this.interpreter = h('input', { class: 'cell-interpreter code', 'aria-label': 'Interpreter', list: 'interpreters', spellcheck: 'false', autocapitalize: 'off', readonly: book.isReadOnly, placeholder: '%flink.ssql', onchange: () => this.saveSoon(0) })
    this.saved = h('span', { class: 'sub saved', role: 'status' })
    this.edit = small('Edit', 'Enter, or a double click on the text', () => this.beginEdit(), 'for-operate')
    this.tools = h('div', { class: 'buttons cell-tools' }, this.edit,
      small('Run from here', 'This cell and all below it', () => book.run({ from: this }), 'for-operate from-here'),
      small('↑', 'Move up', () => book.move(this, -1), 'for-operate'), small('↓', 'Move down', () => book.move(this, 1), 'for-operate'),
      small('+ SQL', 'Add a cell with SQL below', () => book.add(this, 'code'), 'for-operate'), small('+ Text', 'Add a cell with Markdown below', () => book.add(this, 'markdown'), 'for-operate'),
      small('Delete', 'Delete this cell', () => book.remove(this), 'danger for-operate'))
    if (book.isReadOnly) for (const button of [...this.tools.children]) if (!button.classList.contains('from-here')) button.classList.add('unused')
    this.rendered = h('div', { class: 'markup rendered', ondblclick: () => { if (!book.isReadOnly) this.beginEdit() } })
    this.editor = new CodeEditor({
      text: this.known.source, language: this.known.language, label: label(), isReadOnly: book.isReadOnly, placeholder: '',
      onChange: () => this.typed(), onFocus: () => book.choose(this), complete: (text, at) => this.complete(text, at),
      keys: {
        'Shift-Enter': () => { this.leaveWith(true) }, 'Ctrl-Enter': () => { this.leaveWith(false) }, 'Cmd-Enter': () => { this.leaveWith(false) },
        'Ctrl-S': () => { book.saveAll() }, 'Cmd-S': () => { book.saveAll() },
        Esc: () => { this.leave() },
      },
    })
    this.problem = h('div', { class: 'cell-problem', hidden: true })
    this.conflict = h('div', { class: 'failure conflict', role: 'alert', hidden: true })
    this.outputs = new Outputs({ id: this.id, name: () => this.name(), chart: () => this.known.chart, writeChart: spec => this.writeChart(spec), canWriteChart: () => !book.isReadOnly && Boolean(commentOf[this.known.language]) })
    this.element = h('section', { class: 'card cell', tabindex: '0', id: 'cell-' + this.id, onfocus: () => book.choose(this), onkeydown: event => book.key(event, this) },
      h('div', { class: 'cell-head' }, this.run, this.interpreter, this.title, this.state, this.facts, this.saved, this.tools), this.conflict,
      h('div', { class: 'cell-body' }, this.rendered, this.editor.element), this.problem, this.outputs.element)
  }

  /** The place among the cells may have changed. */
  place(index, total) {
    this.index = index
    const { known } = this, kind = known.isParameters ? 'parameters' : languageNames[known.language] ?? 'text'
    this.element.setAttribute('aria-label', `Cell ${index + 1} of ${total}, ${kind}${known.title ? ': ' + known.title : ''}`)
    this.editor.label(this.label())
    const [, , up, down] = this.tools.children
    up.disabled = index === 0
    down.disabled = index === total - 1
    for (const button of this.tools.children) button.setAttribute('aria-label', `${button.title}: ${this.name()}`)
    this.showRun()
  }

  get isMarkdown() { return this.known.kind === 'markdown' }
  get text() { return this.editor.value }
  get wanted() {
    const interpreter = this.interpreter.value.trim(), title = this.title.value.trim()
    return { source: this.text, interpreter, title }
  }
  get isDirty() {
    const { source, interpreter, title } = this.wanted
    return (source !== this.sent && source !== this.known.source) || interpreter !== (this.known.interpreter ?? '') || title !== (this.known.title ?? '')
  }
  get isBusy() { return ['queued', 'running'].includes(this.last?.state) }

  // MARK: the service's text

  /** The cell as the service has it now. */
  take(next) {
    const before = this.known, isOwn = this.saving?.source === next.source
    const isDirty = this.isDirty
    if (isDirty && !isOwn && before.hash !== next.hash && next.source !== this.text) {
      // Somebody else changed what is being typed here.
      if (before.source !== next.source || before.interpreter !== next.interpreter || before.title !== next.title) return this.showConflict(next)
    }
    this.known = next
    if (isOwn) this.sent = this.saving.source
    else if (!isDirty) {
      this.sent = next.source
      this.editor.value = next.source
    }
    const set = (input, value) => { if (document.activeElement !== input || !isDirty) if (input.value !== (value ?? '')) input.value = value ?? '' }
    set(this.interpreter, next.interpreter)
    set(this.title, next.title)
    this.editor.language(next.language)
    this.element.dataset.kind = next.kind
    this.element.classList.toggle('parameters', Boolean(next.isParameters))
    if (this.isMarkdown) this.rendered.replaceChildren(next.html ? markup(next.html) : h('p', { class: 'empty', text: 'Empty text.' }))
    if (JSON.stringify(before.chart) !== JSON.stringify(next.chart)) this.outputs.redraw()
    this.showMode()
    this.showSaved()
  }

  /** Another cell has this one's id now; what was typed here is the caller's. */
  become(next) {
    clearTimeout(this.timer)
    this.conflict.hidden = true
    this.conflict.replaceChildren()
    this.other = this.failure = null
    this.editor.value = this.sent = next.source
    this.interpreter.value = next.interpreter ?? ''
    this.title.value = next.title ?? ''
    this.outputs.clear()
    this.last = null
    this.showRun()
    this.clearProblem()
    this.take(next)
  }

  showConflict(next) {
    this.other = next
    clearTimeout(this.timer)
    const button = (text, run) => h('button', { type: 'button', class: 'small', text, onclick: run })
    const end = () => {
      this.conflict.hidden = true
      this.conflict.replaceChildren()
      this.other = null
    }
    this.conflict.hidden = false
    this.conflict.replaceChildren(h('p', {}, h('strong', { text: 'Another reader changed this cell while you did. ' }), 'Their text:'), h('pre', { class: 'excerpt', text: next.source }),
      h('div', { class: 'buttons' }, button('Take theirs', () => {
        end()
        this.sent = next.source
        this.editor.value = next.source
        this.interpreter.value = next.interpreter ?? ''
        this.title.value = next.title ?? ''
        this.known = next
        this.take(next)
        this.focus()
      }), button('Keep mine', () => {
        end()
        this.known = next
        this.sent = next.source
        this.save()
        this.focus()
      })))
    this.showSaved()
  }

  // MARK: saving

  typed() {
    this.clearProblem()
    this.saveSoon(saveAfter)
  }

  saveSoon(milliseconds) {
    if (this.book.isReadOnly) return
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.save(), milliseconds)
    this.showSaved()
  }

  /** Resolves when the service has the text; false when it does not take it. */
  async save() {
    clearTimeout(this.timer)
    if (this.saving) {
      await this.saving.done
      return this.save()
    }
    if (this.isGone || this.book.isReadOnly) return false
    if (this.other) return false
    if (!this.isDirty) {
      this.showSaved()
      return true
    }
    const wanted = this.wanted, body = { hash: this.known.hash, source: wanted.source }
    if (wanted.interpreter !== (this.known.interpreter ?? '')) body.interpreter = wanted.interpreter
    if (wanted.title !== (this.known.title ?? '')) body.title = wanted.title
    const saving = this.saving = { source: wanted.source }
    this.showSaved()
    saving.done = (async () => {
      try {
        const { cell } = await change('PUT', this.book.path('cells', this.id), body)
        this.failure = null
        if (cell) {
          this.sent = wanted.source
          this.known = { ...cell }
          this.take(cell)
        }
        return true
      } catch (error) {
        if (error.status === 401) return false
        this.failure = error
        if (error.status === 409) await this.book.reload()
        return false
      }
    })()
    const isGood = await saving.done
    this.saving = null
    if (isGood && this.isDirty) this.saveSoon(saveAfter)
    this.showSaved()
    return isGood
  }

  showSaved() {
    const failure = this.failure && !this.other ? this.failure : null
    setText(this.saved, this.other ? 'changed by others' : failure ? 'not saved' : this.saving ? 'saving…' : this.isDirty && !this.book.isReadOnly ? 'not saved yet' : '')
    this.saved.classList.toggle('error-text', Boolean(failure))
    this.saved.title = failure?.message ?? ''
    this.book.showSaved?.()
  }

  // MARK: editing

  beginEdit() {
    if (this.book.isReadOnly) return
    this.mode = 'edit'
    this.showMode()
    this.editor.focus()
  }

  leave() {
    if (this.isMarkdown) {
      this.mode = 'view'
      this.save()
    }
    this.showMode()
    this.element.focus()
  }

  async leaveWith(goesOn) {
    if (this.isMarkdown) {
      this.leave()
    } else if (this.known.canRun || this.isDirty) this.book.run({ cell: this })
    if (goesOn) this.book.focusNext(this)
  }

  focus() { this.isMarkdown && this.mode === 'view' ? this.element.focus() : this.editor.focus() }

  showMode() {
    const isView = this.isMarkdown && this.mode === 'view'
    this.rendered.hidden = !isView
    this.editor.element.hidden = isView
    this.edit.hidden = !isView
    this.run.hidden = !this.known.canRun
    this.tools.querySelector('.from-here').hidden = !this.known.canRun
    if (!isView) this.editor.refresh()
  }

  async complete(text, at) {
    const word = /[\p{L}\p{N}_$]*$/u.exec(text.slice(0, at))[0], from = at - word.length
    let answer = { items: [], from }
    if (this.known.language === 'sql') {
      try { answer = await change('POST', this.book.path('complete'), { source: text, at }) } catch { /* The words below are better than nothing. */ }
      if (answer.kernel) return answer
    }
    // No kernel runs yet: names of this notebook, and keywords.
    const typed = word.toLowerCase(), found = new Map()
    for (const [name] of this.book.words().matchAll(/[\p{L}_][\p{L}\p{N}_$]{2,}/gu)) if (name.toLowerCase().startsWith(typed) && name !== word && !found.has(name)) found.set(name, { text: name, kind: keywords.includes(name.toUpperCase()) ? 'keyword' : 'word' })
    if (this.known.language === 'sql') for (const name of keywords) if (name.toLowerCase().startsWith(typed) && !found.has(name)) found.set(name, { text: name, kind: 'keyword' })
    return { from, items: [...found.values()].slice(0, 60) }
  }

  async writeChart(spec) {
    this.editor.value = withDirective(this.text, spec, commentOf[this.known.language])
    if (await this.save()) notice(`The chart is written into ${this.name()}.`)
  }

  // MARK: runs

  /** Runs are counted anew. What was shown stays until the cell runs again; what ran has ended. */
  forgetRuns() {
    if (this.last) this.last = { ...this.last, run: 0, state: this.isBusy ? 'stopped' : this.last.state }
    this.outputs.run = 0
    this.showRun()
  }

  takeRun(run) {
    if (this.last && run.run < this.last.run) return
    if (this.last?.run !== run.run) {
      this.outputs.begin(run.run)
      this.clearProblem()
    }
    this.last = run
    this.receivedAt = Date.now()
    if (!this.isBusy) {
      this.outputs.settle()
      if (run.error) this.showProblem(run.error, run.hash === this.known.hash)
    }
    this.showRun()
    this.book.showRuns()
  }

  takeOutput(output) { this.outputs.update(output) }

  showRun() {
    const { last } = this, isBusy = this.isBusy
    setText(this.run, isBusy ? 'Stop' : 'Run')
    this.run.classList.toggle('primary', !isBusy)
    this.run.setAttribute('aria-label', `${isBusy ? 'Stop' : 'Run'} ${this.name()}`)
    this.run.title = isBusy ? '' : 'Control and Enter; Shift and Enter goes on to the next cell'
    this.state.hidden = !last
    this.element.classList.toggle('busy', isBusy)
    if (!last) return setText(this.facts, '')
    if (this.state.dataset.state !== last.state) {
      setBadge(this.state, last.state)
      this.state.className = 'badge ' + (states[last.state] ?? 'calm')
      this.state.dataset.state = last.state
    }
    const progress = last.progress ?? {}
    const parts = []
    const took = last.milliseconds ?? (last.state === 'running' && last.startedAt ? Math.max(0, Date.now() - last.startedAt - this.book.skew) : null)
    if (took !== null) parts.push(duration(took))
    if (progress.rowsIn) parts.push(`${count(progress.rowsIn)} rows in`)
    if (progress.rowsOut) parts.push(`${count(progress.rowsOut)} out`)
    setText(this.facts, parts.join(' · '))
    this.facts.title = last.user ? `started by ${last.user}` : ''
  }

  /** A text that was changed since has other lines. */
  showProblem({ message, line, column }, isOfThisText) {
    if (!isOfThisText) [line, column] = [null, null]
    const at = line ? h('button', { type: 'button', class: 'small', text: `Line ${line}${column ? `, column ${column}` : ''}`, onclick: () => { this.beginEdit(); this.editor.go(line, column ?? 1) } }) : null
    this.problem.hidden = false
    this.problem.replaceChildren(h('div', { class: 'failure', role: 'alert' }, at, isOfThisText ? null : h('p', { text: 'The text has been changed since it failed:' }), h('pre', { text: message })))
    this.editor.problem(line, column)
  }

  clearProblem() {
    if (this.problem.hidden) return
    this.problem.hidden = true
    this.problem.replaceChildren()
    this.editor.problem(null)
  }

  end() {
    this.isGone = true
    clearTimeout(this.timer)
    this.outputs.clear()
    this.element.remove()
  }
}
