import { change, get } from '../api.js'
import { h, section, field, empty } from '../dom.js'
import { rowsTable } from '../table.js'
import { cell, count, duration } from '../format.js'
import { CodeEditor, keywords } from '../editor.js'

const kept = 'swiftwater-statement', keptScope = 'swiftwater-statement-topology'

/** The first line:column that a message names, and the length of the word there. */
function place(statement, messages) {
  for (const message of messages) {
    const found = /(?:^|[\s:(])(\d+):(\d+)\b/.exec(message)
    if (!found) continue
    const line = Number(found[1]), column = Number(found[2]), lines = statement.split('\n')
    if (line < 1 || line > lines.length) continue
    const word = /^[\p{L}\p{N}_$]+/u.exec(lines[line - 1].slice(column - 1))?.[0].length ?? 1
    return { line, column, length: word, text: lines[line - 1] }
  }
  return null
}

export default async function sql({ root, signal, setTitle }) {
  setTitle('SQL')
  const names = new Map(keywords.map(name => [name, 'keyword']))
  const editor = new CodeEditor({
    text: sessionStorage.getItem(kept) ?? '', language: 'sql', label: 'Statement', rows: 7, placeholder: 'SELECT status, COUNT(*) AS readings FROM sensor_data GROUP BY status',
    onChange: () => {
      editor.problem(null)
      sessionStorage.setItem(kept, editor.value)
    },
    // The key for indenting must not hold a reader who has no mouse.
    keys: { Esc: () => { run.focus() } },
    complete: (text, at) => {
      const word = /[\p{L}\p{N}_$]*$/u.exec(text.slice(0, at))[0], from = at - word.length
      for (const [name] of text.matchAll(/[\p{L}_][\p{L}\p{N}_$]{2,}/gu)) if (name !== word && !names.has(name.toUpperCase())) names.set(name, 'word')
      return { from, items: [...names].filter(([name]) => name.toLowerCase().startsWith(word.toLowerCase())).map(([name, kind]) => ({ text: name, kind })).slice(0, 60) }
    },
  })
  const limit = h('input', { type: 'number', min: '1', max: '10000', required: true, value: '100' })
  const timeout = h('input', { type: 'number', min: '1', max: '60', required: true, value: '10' })
  const run = h('button', { type: 'submit', class: 'primary', text: 'Run' }), stop = h('button', { type: 'button', text: 'Stop', hidden: true })
  const scope = h('select', {}, h('option', { value: '', text: 'none' }))
  const result = h('div', { 'aria-live': 'polite' }, empty('The result comes here.'))
  const form = h('form', {
    class: 'card',
    onsubmit: async event => {
      event.preventDefault()
      run.disabled = true
      const turn = new AbortController(), end = () => turn.abort()
      signal.addEventListener('abort', end, { once: true })
      stop.onclick = end
      stop.hidden = false
      result.setAttribute('aria-busy', 'true')
      result.replaceChildren(empty(`Running, for at most ${timeout.value} s…`))
      const begun = performance.now(), statement = editor.value
      try {
        const answer = await change('POST', '/v1/sql', { statement, limit: Number(limit.value), timeout: Number(timeout.value), ...(scope.value ? { topology: scope.value } : {}) }, turn.signal)
        editor.problem(null)
        showRows(answer, performance.now() - begun)
      } catch (error) {
        if (error.name === 'AbortError') result.replaceChildren(empty('Stopped.'))
        else if (error.status !== 401) showErrors(statement, error)
      }
      run.disabled = false
      stop.hidden = true
      signal.removeEventListener('abort', end)
      result.removeAttribute('aria-busy')
    },
    onkeydown: event => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
        event.preventDefault()
        form.requestSubmit()
      }
    },
  }, h('div', { class: 'field' }, h('span', { class: 'label', 'aria-hidden': 'true', text: 'Statement' }), editor.element,
    h('small', { text: 'Control and Enter run it; Control and Space complete a word; Escape leaves the text. A stream without an end is read until the limit or the time is reached.' })),
    h('div', { class: 'row' }, field('Tables of', scope), field('Rows at most', limit), field('Seconds at most', timeout), h('div', { class: 'buttons' }, run, stop)))
  root.append(h('h1', { text: 'SQL' }), form, section('Result', result))
  editor.upgrade()
  get('/v1/topologies', signal).then(({ topologies }) => {
    scope.append(...topologies.map(t => h('option', { value: t.name, text: t.name })))
    // What most readers want: the tables of the only topology, or of the one used last.
    const last = sessionStorage.getItem(keptScope) ?? (topologies.length === 1 ? topologies[0].name : '')
    if (topologies.some(t => t.name === last)) scope.value = last
  }, () => {})
  scope.addEventListener('change', () => sessionStorage.setItem(keptScope, scope.value))

  function showRows(answer, milliseconds) {
    const text = `${count(answer.rows.length)} ${answer.rows.length === 1 ? 'row' : 'rows'} in ${duration(Math.round(milliseconds))}`
      + (answer.truncated ? '; there are more' : '') + (answer.isChangelog ? '; the rows are changes of a result that goes on' : '')
    result.replaceChildren(h('p', { class: 'sub', text }), answer.columns.length ? rowsTable('Result', answer.columns, answer.rows, cell) : empty('The statement has no result.'))
  }

  function showErrors(statement, error) {
    const at = place(statement, error.errors), texts = error.errors.map(message => h('pre', { text: message }))
    // A message that already has an excerpt shows the place itself.
    if (at && !error.errors.some(message => /^\s*\^\s*$/m.test(message))) {
      texts.unshift(h('pre', { class: 'excerpt', text: `${at.text}\n${' '.repeat(Math.max(0, at.column - 1))}^` }))
    }
    result.replaceChildren(h('div', { class: 'failure', role: 'alert' }, at ? h('p', {}, h('strong', { text: `Line ${at.line}, column ${at.column}` })) : null, texts))
    if (!at) return
    editor.problem(at.line, at.column)
    editor.select(at.line, at.column, at.length)
  }
}
