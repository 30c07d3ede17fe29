// Routes of the page: the part behind # says what is shown.
import { h, failureBox, field } from './dom.js'
import { session, config, forgetConfig } from './api.js'
import overview from './pages/overview.js'

// Only the first page's code is needed for the first paint.
const pages = {
  '': () => overview,
  topologies: async () => (await import('./pages/topology.js')).default,
  jobs: async () => (await import('./pages/job.js')).default,
  tables: async () => (await import('./pages/tables.js')).default,
  streams: async () => (await import('./pages/streams.js')).default,
  studio: async () => (await import('./pages/studio.js')).default,
  sql: async () => (await import('./pages/sql.js')).default,
  views: async () => (await import('./pages/views.js')).default,
  alerts: async () => (await import('./pages/alerts.js')).default,
}

const main = document.getElementById('main')
let current

function parts() {
  const text = location.hash.startsWith('#/') ? location.hash.slice(2) : ''
  return text.split('/').map(part => {
    try { return decodeURIComponent(part) } catch { return part }
  })
}

function setTitle(text) { document.title = text + ' · Swiftwater' }

async function route(event) {
  // The skip link's own #main is no page.
  if (location.hash && !location.hash.startsWith('#/')) return
  current?.abort()
  const control = current = new AbortController()
  const [name, ...rest] = parts()
  for (const anchor of document.querySelectorAll('nav a')) {
    const target = anchor.getAttribute('href').slice(2)
    const isCurrent = target === name || (target === '' && ['topologies', 'jobs'].includes(name))
    if (isCurrent) anchor.setAttribute('aria-current', 'page')
    else anchor.removeAttribute('aria-current')
  }
  document.getElementById('link').textContent = ''
  document.getElementById('sign-out').hidden = !session.token
  // Buttons that the reader may not use are not shown; the service refuses them anyway.
  config().then(({ role }) => { document.body.dataset.role = role ?? '' })
  const root = h('div', { class: 'page' })
  main.replaceChildren(root)
  try {
    const page = await (pages[name] ?? (() => unknown))()
    if (control.signal.aborted) return
    await page({ root, parts: rest, signal: control.signal, setTitle })
  } catch (error) {
    if (control.signal.aborted) return
    if (error.status !== 401) root.replaceChildren(h('h1', { text: 'This did not work' }), failureBox(error))
  }
  // A reader who follows a link hears the new page's heading; the first page leaves the focus where it is.
  if (event && !control.signal.aborted) {
    const heading = root.querySelector('h1')
    if (heading) {
      heading.tabIndex = -1
      heading.focus({ preventScroll: true })
    }
    scrollTo(0, 0)
  }
}

function unknown({ root, setTitle }) {
  setTitle('Not found')
  root.append(h('h1', { text: 'There is no such page' }), h('p', {}, h('a', { href: '#/', text: 'Back to the overview' })))
}

function signIn() {
  current?.abort()
  const isWrong = Boolean(session.token)
  // Several requests were refused: what the reader types by now must stay.
  if (!isWrong && main.querySelector('.sign-in')) return
  session.token = null
  setTitle('Sign in')
  const token = h('input', { type: 'password', required: true, autocomplete: 'off', spellcheck: 'false' })
  const form = h('form', {
    class: 'card sign-in',
    onsubmit: event => {
      event.preventDefault()
      session.token = token.value.trim()
      forgetConfig()
      route(event)
    },
  }, h('h1', { text: 'Sign in' }), h('p', { text: 'This service asks for a token. It is kept for this tab only.' }), field('Token', token),
    isWrong ? h('p', { class: 'failure', role: 'alert', text: 'The token was not accepted.' }) : null,
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary', text: 'Sign in' })))
  main.replaceChildren(form)
  document.getElementById('sign-out').hidden = true
  token.focus()
}

// Theme: the system's, until the reader chooses.
const themeButton = document.getElementById('theme')
const themes = ['system', 'light', 'dark']
function showTheme(name) {
  if (name === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = name
  themeButton.lastElementChild.textContent = name
  themeButton.setAttribute('aria-label', 'Theme: ' + name)
  document.dispatchEvent(new CustomEvent('theme'))
}
function storedTheme() {
  const stored = localStorage.getItem('swiftwater-theme')
  return themes.includes(stored) ? stored : 'system'
}
themeButton.addEventListener('click', () => {
  const next = themes[(themes.indexOf(storedTheme()) + 1) % themes.length]
  localStorage.setItem('swiftwater-theme', next)
  showTheme(next)
})
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => document.dispatchEvent(new CustomEvent('theme')))
showTheme(storedTheme())

document.getElementById('skip').addEventListener('click', event => {
  event.preventDefault()
  main.focus()
})
document.getElementById('sign-out').addEventListener('click', event => {
  session.token = null
  route(event)
})
document.addEventListener('unauthorized', signIn)
addEventListener('hashchange', route)
route()
