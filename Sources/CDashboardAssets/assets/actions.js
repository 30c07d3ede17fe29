// What a reader can do to a topology: each change is confirmed first.
import { change, path } from './api.js'
import { h, dialog, field, notice } from './dom.js'

function act(topology, verb, { title, text, confirm, dismiss, isDangerous, fields, query = () => '', done }) {
  dialog({
    title, text, confirm, dismiss, isDangerous, fields,
    submit: async () => {
      const answer = await change('POST', path('topologies', topology, verb) + query())
      notice(done(answer))
    },
  })
}

/** Whether a topology has a process, or gets one again by itself. */
export const isRunning = topology => topology.desired !== 'stopped' && !['STOPPED', 'FINISHED', 'FAILED', 'CANCELED'].includes(topology.state)

/** The buttons for one topology as it is: `isAll` adds those that are seldom needed. */
export function actionButtons(topology, isAll = false) {
  const name = topology.name
  const button = (text, run, kind = '') => h('button', { type: 'button', class: 'small ' + kind, 'aria-label': `${text} ${name}`, text, onclick: run })
  const buttons = isRunning(topology) ? [
    button('Stop', () => act(name, 'stop', {
      title: `Stop ${name}?`, text: 'A savepoint is taken first; starting it again goes on from there.', confirm: 'Stop with savepoint', query: () => '?savepoint=true',
      done: answer => `${name} stops with a savepoint${answer.savepoint ? ' at ' + answer.savepoint : ''}.`,
    })),
    button('Restart', () => act(name, 'restart', {
      title: `Restart ${name}?`, text: 'It goes on from its newest checkpoint.', confirm: 'Restart', done: () => `${name} restarts.`,
    })),
    button('Rescale', () => {
      const control = h('input', { type: 'number', min: '1', max: '1024', required: true, value: String(topology.parallelism ?? 1) })
      act(name, 'rescale', {
        title: `Rescale ${name}`, text: 'It stops with a savepoint and goes on with the new parallelism.', confirm: 'Rescale', fields: [field('Parallelism', control)],
        query: () => '?parallelism=' + encodeURIComponent(control.value), done: () => `${name} rescales to ${control.value}.`,
      })
    }),
  ] : [
    button('Start', () => act(name, 'start', {
      title: `Start ${name}?`, text: 'It goes on from its newest savepoint or checkpoint.', confirm: 'Start', done: () => `${name} starts.`,
    })),
  ]
  if (isRunning(topology)) {
    if (isAll) {
      buttons.push(button('Savepoint', () => act(name, 'savepoint', {
        title: `Take a savepoint of ${name}?`, text: 'The topology goes on running.', confirm: 'Take savepoint',
        done: answer => `Savepoint of ${name}${answer.savepoint ? ' at ' + answer.savepoint : ' begun'}.`,
      })))
    }
    buttons.push(button('Cancel', () => act(name, 'cancel', {
      title: `Cancel ${name}?`, text: 'It ends at once, without a savepoint: what came after its newest checkpoint is read again when it is started.',
      confirm: `Cancel ${name}`, dismiss: 'Keep it running', isDangerous: true, done: () => `${name} is cancelled.`,
    }), 'danger'))
  }
  if (isAll) {
    buttons.push(button('Delete', () => dialog({
      title: `Delete ${name}?`, text: 'The topology is stopped, and its definition is removed. Its checkpoints, savepoints, tables and streams stay.',
      confirm: `Delete ${name}`, dismiss: 'Keep it', isDangerous: true,
      submit: async () => {
        await change('DELETE', path('topologies', name))
        notice(`${name} is deleted.`)
        location.hash = '#/'
      },
    }), 'danger for-admin'))
  }
  return h('div', { class: 'buttons for-operate' }, buttons)
}

const nameOf = (text, fallback) => /^name:\s*["']?([A-Za-z0-9_.-]+)/m.exec(text)?.[1] ?? fallback

/** Asks for a topology file, by choosing, dropping or pasting it, and deploys it. */
export function deployDialog(known = {}) {
  const text = h('textarea', { rows: '12', required: true, spellcheck: 'false', class: 'code', value: known.text ?? '' })
  const name = h('input', { required: true, pattern: '[A-Za-z0-9_.\\-]+', value: known.name ?? '', autocomplete: 'off' })
  const kind = h('select', {}, h('option', { value: 'yaml', text: 'Topology (YAML)' }), h('option', { value: 'sql', text: 'SQL script' }))
  const parallelism = h('input', { type: 'number', min: '1', max: '1024', placeholder: 'as the file says' })
  const drops = h('input', { type: 'checkbox' })
  const file = h('input', { type: 'file', accept: '.yaml,.yml,.sql,text/plain' })
  if (known.kind) kind.value = known.kind
  const guess = fileName => {
    if (fileName) kind.value = fileName.endsWith('.sql') ? 'sql' : 'yaml'
    if (!known.name) name.value = nameOf(text.value, fileName?.replace(/\.[^.]*$/, '') ?? name.value)
  }
  const take = async chosen => {
    if (!chosen) return
    text.value = await chosen.text()
    guess(chosen.name)
  }
  file.addEventListener('change', () => take(file.files[0]))
  text.addEventListener('input', () => { if (!name.value) guess() })
  text.addEventListener('dragover', event => { event.preventDefault(); text.classList.add('over') })
  text.addEventListener('dragleave', () => text.classList.remove('over'))
  text.addEventListener('drop', event => {
    event.preventDefault()
    text.classList.remove('over')
    take(event.dataTransfer.files[0])
  })
  dialog({
    title: known.name ? `Update ${known.name}` : 'Deploy a topology', confirm: 'Deploy',
    text: 'It is checked first. A topology of the same name stops with a savepoint, and the new version goes on from there.',
    fields: [
      field('File', file), field('Definition', text, 'Choose a file, drop one here, or paste its text.'),
      h('div', { class: 'row' }, field('Name', name), field('Kind', kind), field('Parallelism', parallelism)),
      h('div', { class: 'check' }, field('Leave out state that the new version has no operator for', drops)),
    ],
    submit: async () => {
      const query = new URLSearchParams({ kind: kind.value })
      if (parallelism.value) query.set('parallelism', parallelism.value)
      if (drops.checked) query.set('allowNonRestoredState', 'true')
      const answer = await change('PUT', `${path('topologies', name.value)}?${query}`, text.value)
      notice(answer.isUnchanged ? `${name.value} is unchanged: version ${answer.version} goes on.` : `${name.value} is deployed as version ${answer.version}${answer.startedFrom ? ', from ' + answer.startedFrom : ''}.`)
    },
  })
}
