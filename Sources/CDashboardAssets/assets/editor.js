// An editor for code: CodeMirror where the program was built with it, else a text field.
import { h } from './dom.js'
import { library } from './charts.js'

const addons = ['sql', 'python', 'shell', 'markdown', 'swift', 'show-hint', 'matchbrackets', 'closebrackets', 'placeholder', 'comment']
let loading

/** CodeMirror's global with all that the pages use; undefined when the program was built without it. */
export function codeMirror() {
  loading ??= (async () => {
    for (const name of ['codemirror', 'show-hint']) document.head.append(h('link', { rel: 'stylesheet', href: `lib/${name}.css` }))
    try {
      const global = await library('codemirror.js', 'CodeMirror')
      if (!global) return undefined
      await Promise.all(addons.map(name => library(name + '.js', 'CodeMirror')))
      define(global)
      return global
    } catch { return undefined }
  })()
  return loading
}

export const keywords = ('ALL ALTER AND ANY ARRAY AS ASC BEGIN BETWEEN BY CASE CAST CHANGES COLUMN COMMENT CREATE CROSS CUBE CUMULATE DATABASE DEFINE DESC DESCRIBE DESCRIPTOR DISTINCT DROP ELSE END ESCAPE EXCEPT EXECUTE EXISTS '
  + 'EXPLAIN FALSE FETCH FILTER FIRST FOLLOWING FOR FROM FULL FUNCTION GROUP GROUPING HAVING HOP IF IN INNER INSERT INTERSECT INTERVAL INTO IS JOIN LAST LATERAL LEFT LIKE LIMIT MATCH_RECOGNIZE MEASURES METADATA '
  + 'MINUTE SECOND HOUR DAY MONTH YEAR NATURAL NOT NULL NULLS OFFSET ON OR ORDER OUTER OVER OVERWRITE PARTITION PARTITIONED PATTERN PRECEDING PRIMARY KEY ENFORCED RANGE RESET RIGHT ROLLUP ROW ROWS SELECT SESSION SET SETS '
  + 'SHOW STATEMENT SYSTEM_TIME TABLE TABLES TEMPORARY THEN TIME TO TRUE TUMBLE UNBOUNDED UNION UNNEST UPDATE USE USING VALUES VIEW VIEWS VIRTUAL WATERMARK WHEN WHERE WINDOW WITH WITHIN').split(' ')
const types = 'BIGINT BINARY BOOLEAN BYTES CHAR DATE DECIMAL DOUBLE FLOAT INT INTEGER MAP MULTISET NUMERIC REAL SMALLINT STRING TIMESTAMP TIMESTAMP_LTZ TINYINT VARBINARY VARCHAR VARIANT'.split(' ')

function define(global) {
  const set = words => Object.fromEntries(words.map(word => [word.toLowerCase(), true]))
  global.defineMIME('text/x-swiftwater', {
    name: 'sql', client: {}, keywords: set(keywords), builtin: set(types), atoms: set(['true', 'false', 'null', 'unknown']), operatorChars: /^[*+\-%<>!=|]/,
    support: set(['doubleQuote', 'nCharCast', 'escapeConstant']),
    hooks: {
      '`': stream => {
        while (!stream.eol()) if (stream.next() === '`') break
        return 'variable-2'
      },
    },
  })
}

/** How CodeMirror calls a language. */
const modes = { sql: 'text/x-swiftwater', markdown: 'markdown', python: 'python', sh: 'shell', swift: 'swift', text: null }

/**
 * settings: { text, language, label, rows (at least), isReadOnly, placeholder, onChange(), onFocus(), keys: { 'Ctrl-Enter': () => … }, complete(text, at) → { from, to, items } }
 * Keys are named as CodeMirror names them; a key's function that returns false leaves the key alone.
 */
export class CodeEditor {
  constructor(settings) {
    this.settings = settings
    this.area = h('textarea', {
      class: 'code', rows: '1', spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', wrap: 'off', 'aria-label': settings.label, value: settings.text ?? '', readonly: settings.isReadOnly,
      placeholder: settings.placeholder ?? '', oninput: () => { this.fit(); settings.onChange?.() }, onfocus: () => settings.onFocus?.(), onkeydown: event => this.plainKey(event),
    })
    this.element = h('div', { class: 'code-editor' }, this.area)
    this.fit()
  }

  get value() { return this.mirror ? this.mirror.getValue() : this.area.value }

  /** Takes another text and keeps the place of the cursor; nobody is told. */
  set value(text) {
    if (text === this.value) return
    if (!this.mirror) {
      const { selectionStart, selectionEnd } = this.area
      this.area.value = text
      if (document.activeElement === this.area) this.area.setSelectionRange(Math.min(selectionStart, text.length), Math.min(selectionEnd, text.length))
      this.fit()
      return
    }
    this.isQuiet = true
    const doc = this.mirror.getDoc(), selections = doc.listSelections()
    // Only what differs is replaced: the reader's place and undo history stay.
    const before = doc.getValue()
    let start = 0, a = before.length, b = text.length
    while (start < a && start < b && before[start] === text[start]) start++
    while (a > start && b > start && before[a - 1] === text[b - 1]) [a, b] = [a - 1, b - 1]
    doc.replaceRange(text.slice(start, b), doc.posFromIndex(start), doc.posFromIndex(a), '+remote')
    if (selections.length > 1) doc.setSelections(selections)
    this.isQuiet = false
  }

  get hasFocus() { return this.mirror ? this.mirror.hasFocus() : document.activeElement === this.area }

  focus() { this.mirror ? this.mirror.focus() : this.area.focus() }

  /** The text field grows with its text. */
  fit() { if (!this.mirror) this.area.rows = Math.min(40, Math.max(this.settings.rows ?? 1, this.area.value.split('\n').length)) }

  label(text) {
    this.settings.label = text
    this.area.setAttribute('aria-label', text)
    this.mirror?.getInputField().setAttribute('aria-label', text)
  }

  language(name) {
    if (this.settings.language === name) return
    this.settings.language = name
    this.mirror?.setOption('mode', modes[name] ?? null)
  }

  /** Becomes CodeMirror, when it is there. */
  async upgrade() {
    if (this.mirror || this.isUpgrading) return
    this.isUpgrading = true
    const global = await codeMirror()
    if (!global || !this.area.isConnected) {
      this.isUpgrading = Boolean(!global)
      return
    }
    const { settings } = this, isFocused = document.activeElement === this.area, at = this.area.selectionStart
    const named = Object.fromEntries(Object.entries(settings.keys ?? {}).map(([key, run]) => [key, () => run() === false ? global.Pass : undefined]))
    const text = this.area.value
    this.area.remove()
    this.mirror = global(this.element, {
      value: text, mode: modes[settings.language] ?? null, lineNumbers: true, lineWrapping: false, viewportMargin: Infinity, matchBrackets: true, autoCloseBrackets: "()[]{}''\"\"``",
      indentUnit: 2, tabSize: 4, readOnly: settings.isReadOnly ? 'nocursor' : false, screenReaderLabel: settings.label, placeholder: settings.placeholder, gutters: ['problem', 'CodeMirror-linenumbers'],
      extraKeys: {
        Tab: mirror => this.tab(global, mirror), 'Shift-Tab': 'indentLess', 'Ctrl-Space': () => this.hint(global), 'Ctrl-/': 'toggleComment', 'Cmd-/': 'toggleComment', ...named,
      },
    })
    if (settings.isReadOnly) {
      // Without a cursor it is still read, scrolled and copied by keyboard.
      const scroller = this.mirror.getScrollerElement()
      scroller.tabIndex = 0
      scroller.setAttribute('role', 'group')
      scroller.setAttribute('aria-label', settings.label)
    }
    this.mirror.on('change', (_, change) => {
      this.problem(null)
      if (!this.isQuiet) settings.onChange?.()
      if (change.origin === '+input' && change.text.join('') === '.' && settings.language === 'sql') this.hint(global)
    })
    this.mirror.on('focus', () => settings.onFocus?.())
    if (isFocused) {
      this.mirror.focus()
      this.mirror.setCursor(this.mirror.posFromIndex(at))
    }
    if (this.lastProblem) this.problem(...this.lastProblem)
  }

  tab(global, mirror) {
    if (mirror.somethingSelected()) return mirror.execCommand('indentMore')
    const cursor = mirror.getCursor(), before = mirror.getLine(cursor.line).slice(0, cursor.ch)
    if (/[\w.]$/.test(before) && this.settings.complete) return this.hint(global)
    mirror.execCommand('insertSoftTab')
  }

  hint(global) {
    const { settings, mirror } = this
    if (!settings.complete || settings.isReadOnly) return
    const find = async editor => {
      const at = editor.indexFromPos(editor.getCursor())
      const { from, items } = await settings.complete(editor.getValue(), at)
      return {
        from: editor.posFromIndex(from), to: editor.getCursor(),
        list: items.map(item => ({
          text: item.text, className: 'hint-' + item.kind,
          render: line => line.append(h('span', { class: 'hint-text', text: item.text }), h('span', { class: 'hint-detail', text: item.detail || item.kind || '' })),
        })),
      }
    }
    mirror.showHint({ hint: find, completeSingle: true, closeCharacters: /[\s()\[\]{};:>,]/ })
  }

  /** Marks a line, from 1, that something is wrong with; null = none. */
  problem(line, column) {
    this.lastProblem = line ? [line, column] : null
    for (const input of [this.area, this.mirror?.getInputField()]) line ? input?.setAttribute('aria-invalid', 'true') : input?.removeAttribute('aria-invalid')
    if (!this.mirror) return
    this.mirror.clearGutter('problem')
    if (this.marked) this.mirror.removeLineClass(this.marked, 'background', 'problem-line')
    this.mark?.clear()
    this.marked = this.mark = null
    if (!line || line > this.mirror.lineCount()) return
    this.marked = this.mirror.getLineHandle(line - 1)
    this.mirror.addLineClass(this.marked, 'background', 'problem-line')
    this.mirror.setGutterMarker(this.marked, 'problem', h('span', { class: 'problem-mark', 'aria-hidden': 'true', text: '!' }))
    if (!column) return
    const text = this.mirror.getLine(line - 1), start = Math.min(column - 1, Math.max(0, text.length - 1))
    const length = /^[\p{L}\p{N}_$]+/u.exec(text.slice(start))?.[0].length ?? 1
    this.mark = this.mirror.markText({ line: line - 1, ch: start }, { line: line - 1, ch: start + length }, { className: 'problem-word' })
  }

  /** Puts the cursor at a line and column, from 1. */
  go(line, column = 1) { this.select(line, column, 0) }

  select(line, column, length) {
    this.focus()
    if (this.mirror) return this.mirror.setSelection({ line: line - 1, ch: column - 1 + length }, { line: line - 1, ch: column - 1 })
    const at = this.area.value.split('\n').slice(0, line - 1).reduce((n, text) => n + text.length + 1, 0) + column - 1
    this.area.setSelectionRange(at, at + length)
  }

  plainKey(event) {
    const name = [event.shiftKey ? 'Shift-' : '', event.metaKey ? 'Cmd-' : '', event.ctrlKey ? 'Ctrl-' : '', event.altKey ? 'Alt-' : '', event.key === 'Escape' ? 'Esc' : event.key.length === 1 ? event.key.toUpperCase() : event.key].join('')
    const run = this.settings.keys?.[name]
    if (run && run() !== false) event.preventDefault()
  }

  refresh() { this.mirror?.refresh() }
}
