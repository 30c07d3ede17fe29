import { get, change, poll, link } from '../api.js'
import { h, section, field, dialog, failureBox, empty } from '../dom.js'
import { DataTable } from '../table.js'
import { ago, bytes, count } from '../format.js'

const kernelNames = { none: '', starting: 'starting', ready: 'ready', dead: 'ended' }

export default async function studio({ root, parts, signal, setTitle }) {
  if (parts.length && parts[0] !== '') {
    const { Notebook } = await import('../studio/notebook.js')
    return new Notebook({ root, name: parts.join('/'), signal, setTitle }).open()
  }
  setTitle('Studio')
  const table = new DataTable('Notebooks', [
    { title: 'Notebook', isHeader: true, cell: row => ({ text: row.title, href: link('studio', row.path), title: row.path }) },
    { title: 'File', isWide: true, cell: row => row.path },
    { title: 'Cells', isNumber: true, cell: row => row.error ? { text: 'cannot be read', title: row.error, class: 'error-text' } : count(row.cells) },
    { title: 'Size', isNumber: true, isWide: true, cell: row => bytes(row.bytes) },
    { title: 'Kernel', cell: row => kernelNames[row.kernel] + (row.running ? `, ${count(row.running)} running` : '') },
    { title: 'Readers', isNumber: true, isWide: true, cell: row => row.readers || '' },
    { title: 'Changed', isWide: true, cell: row => ago(row.modified) },
  ], { key: row => row.path, emptyText: 'There are no notebooks in this directory yet.' })
  const place = h('p', { class: 'sub' }), body = h('div')
  root.append(h('div', { class: 'head' }, h('h1', { text: 'Studio' }), h('div', { class: 'buttons for-operate' }, h('button', { type: 'button', class: 'primary', text: 'New notebook', onclick: make }))), body)
  let isOn = null
  await poll(3000, signal, async () => {
    const answer = await get('/v1/notebooks', signal)
    if ((answer.directory !== null) !== isOn) {
      isOn = answer.directory !== null
      root.querySelector('.head .buttons').hidden = !isOn
      if (isOn) body.replaceChildren(section('Notebooks', place, table.element))
      else {
        body.replaceChildren(section('No notebooks are shown', empty('This daemon was started without a directory of notebooks. Start it with one, for example:'),
          h('pre', { class: 'code-view', text: 'swiftwater serve --listen 127.0.0.1:8081 --notebooks Examples' }),
          h('p', { class: 'sub', text: 'Notebooks are plain text files: SQL with marks between the cells. Who may run them may run programs as the daemon’s user.' })))
      }
    }
    if (!isOn) return
    place.textContent = answer.directory
    table.update(answer.notebooks)
  }, error => body.replaceChildren(failureBox(error)))

  function make() {
    const name = h('input', { required: true, autocomplete: 'off', spellcheck: 'false', placeholder: 'first.sql' }), title = h('input', { autocomplete: 'off', placeholder: 'What it is about' })
    dialog({
      title: 'New notebook', confirm: 'Make it', fields: [field('File', name, 'Below the directory. Its name ends with .sql, .ipynb or .zpln; .sql is added.'), field('Title', title)],
      submit: async () => {
        const path = /\.(sql|ipynb|zpln)$/.test(name.value.trim()) ? name.value.trim() : name.value.trim() + '.sql'
        await change('POST', '/v1/notebooks', { path, title: title.value.trim() })
        location.hash = link('studio', path)
      },
    })
  }
}
