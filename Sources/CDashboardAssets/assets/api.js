// The REST API: requests with the reader's token, server-sent events by fetch (which can carry the token), and polling.

const tokenKey = 'swiftwater-token'

export const session = {
  get token() { return sessionStorage.getItem(tokenKey) },
  set token(value) {
    if (value) sessionStorage.setItem(tokenKey, value)
    else sessionStorage.removeItem(tokenKey)
  },
}

/** What the service answered: `status`, and its messages in `errors`. */
export class ApiError extends Error {
  constructor(status, errors) {
    super(errors.join('\n'))
    this.status = status
    this.errors = errors
  }
}

async function send(path, { method = 'GET', body, type = 'application/json', accept = 'application/json', signal } = {}) {
  const headers = { Accept: accept }, token = session.token
  if (token) headers.Authorization = 'Bearer ' + token
  if (body !== undefined) headers['Content-Type'] = type
  let answer
  try {
    answer = await fetch(path, { method, headers, body, signal, cache: 'no-store', credentials: 'omit' })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw new ApiError(0, ['The service does not answer: it may be starting again.'])
  }
  if (answer.ok) return answer
  const text = await answer.text()
  let errors
  try {
    const object = JSON.parse(text)
    errors = object.errors ?? [object.message ?? text]
  } catch {
    errors = [text.trim() || `The service answered with status ${answer.status}.`]
  }
  // An answer to a token that is not the reader's any more says nothing about the one that is.
  if (answer.status === 401 && token === session.token) document.dispatchEvent(new CustomEvent('unauthorized'))
  throw new ApiError(answer.status, errors)
}

/** Whole numbers that a double cannot hold become BigInt where the browser tells how they were written. */
const exact = (_, value, context) => typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context.source) : value

export const get = async (path, signal) => (await send(path, { signal })).json()
/** As `get`, for rows: their numbers keep all digits. */
export const getRows = async (path, signal) => JSON.parse(await (await send(path, { signal })).text(), exact)
export const getText = async (path, signal) => (await send(path, { signal, accept: 'text/plain' })).text()

/** Sends an object as JSON, or a text as it is. */
export async function change(method, path, body, signal) {
  const isText = typeof body === 'string'
  const answer = await send(path, { method, body: isText || body === undefined ? body : JSON.stringify(body), type: isText ? 'text/plain' : 'application/json', signal })
  const text = await answer.text()
  return text ? JSON.parse(text, exact) : {}
}

/** The pieces of an answer as texts, until it ends. */
export async function* pieces(path, signal, accept = 'text/plain') {
  const answer = await send(path, { signal, accept })
  if (accept === 'text/event-stream' && !answer.headers.get('content-type')?.startsWith(accept)) throw new ApiError(0, ['no stream of events'])
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  while (true) {
    const { value, done } = await reader.read()
    if (done) return
    yield value
  }
}

/** Server-sent events: `{ event, data }`, until the stream ends. */
export async function* events(path, signal) {
  let rest = '', event = 'message', data = []
  for await (const piece of pieces(path, signal, 'text/event-stream')) {
    const lines = (rest + piece).split(/\r?\n/)
    rest = lines.pop()
    for (const line of lines) {
      if (line === '') {
        if (data.length) yield { event, data: JSON.parse(data.join('\n')) }
        event = 'message'
        data = []
      } else if (line.startsWith('event:')) event = line.slice(6).trim()
      else if (line.startsWith('data:')) data.push(line.slice(5).trimStart())
    }
  }
}

export function pause(milliseconds, signal) {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, milliseconds)
    signal?.addEventListener('abort', () => { clearTimeout(timer); resolve() }, { once: true })
  })
}

/** Waits until the tab is visible, or the signal. */
function whenVisible(signal) {
  if (!document.hidden || signal.aborted) return Promise.resolve()
  return new Promise(resolve => {
    const check = () => {
      if (document.hidden && !signal.aborted) return
      document.removeEventListener('visibilitychange', check)
      resolve()
    }
    document.addEventListener('visibilitychange', check)
    signal.addEventListener('abort', check, { once: true })
  })
}

/**
 * Does something that lasts, such as following a stream, while the tab is visible, and again after a while when it has ended. A
 * browser has few connections to one service: hidden tabs hold none. `work` gets a signal; its errors go to `fail`.
 */
export async function whileVisible(milliseconds, signal, work, fail = () => {}) {
  while (!signal.aborted) {
    await whenVisible(signal)
    if (signal.aborted) return
    const turn = new AbortController(), stop = () => turn.abort(), hide = () => { if (document.hidden) stop() }
    signal.addEventListener('abort', stop)
    document.addEventListener('visibilitychange', hide)
    try {
      await work(turn.signal)
    } catch (error) {
      if (error.status === 401) return
      if (!turn.signal.aborted) await fail(error)
    } finally {
      signal.removeEventListener('abort', stop)
      document.removeEventListener('visibilitychange', hide)
    }
    await pause(milliseconds, signal)
  }
}

/**
 * Calls `work` again and again while the tab is visible, one call after another, until the signal. Its errors go to `fail`.
 * The header says whether the service answers, unless something else on the page says so.
 */
export async function poll(milliseconds, signal, work, fail = () => {}, isQuiet = false) {
  while (!signal.aborted) {
    await whenVisible(signal)
    if (signal.aborted) return
    try {
      await work()
      if (!isQuiet && !signal.aborted) showLink('live')
    } catch (error) {
      if (signal.aborted || error.name === 'AbortError') return
      if (error.status === 401) return
      if (!isQuiet && !error.status) showLink('offline')
      fail(error)
    }
    await pause(milliseconds, signal)
  }
}

function showLink(state) {
  const element = document.getElementById('link')
  const text = { live: 'Live', polling: 'Polling', offline: 'Not connected' }[state] ?? ''
  if (element.textContent !== text) element.textContent = text
  element.dataset.state = state
}

/** Topologies and jobs each second: by server-sent events, or by asking when those do not come. */
export function watchOverview(signal, show, fail) {
  return whileVisible(1000, signal, async turn => {
    for await (const { event, data } of events('/v1/stream', turn)) {
      if (event !== 'overview') continue
      showLink('live')
      show(data)
    }
  }, () => askOnce(signal, show, fail))
}

const lastCounts = new Map()

async function askOnce(signal, show, fail) {
  try {
    const [{ topologies }, { jobs }] = await Promise.all([get('/v1/topologies', signal), get('/v1/jobs/overview', signal)])
    const summaries = await Promise.all(jobs.map(async job => {
      const summary = { ...job }
      if (job.state !== 'RUNNING' || 'rows-per-second' in job) return summary
      const report = await get(`/v1/jobs/${encodeURIComponent(job.jid)}/report`, signal)
      const rows = report.vertices.filter(v => v.kind === 'source').flatMap(v => v.subtasks).reduce((sum, s) => sum + s.rowsOut, 0)
      const at = report.takenAt ?? Date.now(), last = lastCounts.get(job.jid)
      if (last && at > last.at && rows >= last.rows) summary['rows-per-second'] = (rows - last.rows) * 1000 / (at - last.at)
      lastCounts.set(job.jid, { at, rows })
      return summary
    }))
    showLink('polling')
    show({ topologies, jobs: summaries })
  } catch (error) {
    if (error.name === 'AbortError' || error.status === 401) return
    showLink('offline')
    fail(error)
  }
}

let configuration

/** The service's answer to /v1/config, asked for once. */
export function config() {
  configuration ??= get('/v1/config').catch(() => { configuration = undefined; return {} })
  return configuration
}

/** Another reader has signed in. */
export function forgetConfig() {
  configuration = undefined
}

export const path = (...parts) => '/v1/' + parts.map(encodeURIComponent).join('/')
export const link = (...parts) => '#/' + parts.map(encodeURIComponent).join('/')
